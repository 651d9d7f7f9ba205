"""PF102: .bfloat16() on a tensor or a module."""

from __future__ import annotations

import pytest

from tests.tools import check_not_a_site, check_rewritten, rewritten


@pytest.mark.parametrize(
    "expression",
    [
        "model.bfloat16()",
        "self.model.cuda().bfloat16().eval()",
        "torch.zeros(1).bfloat16()",
        "models[0].bfloat16()",
        "(a + b).bfloat16()",
        "make().bfloat16()",
        "x.bfloat16( )",
        "f(x.bfloat16(), y=z.bfloat16())",
        "x.bfloat16().bfloat16()",
    ],
)
def test_a_cast(expression: str) -> None:
    check_rewritten(f"y = {expression}\n", f"y = {expression.replace('bfloat16', 'float')}\n", code="PF102")


def test_over_several_lines() -> None:
    before = "y = (\n    model\n    .cuda()  # there\n    .bfloat16()  # short\n    .eval()\n)\n"
    assert rewritten(before) == before.replace(".bfloat16", ".float")


def test_to_float16() -> None:
    check_rewritten("y = x.bfloat16()\n", "y = x.half()\n", to="float16")


@pytest.mark.parametrize(
    "text",
    [
        "import jax.numpy as jnp\nx = jnp.bfloat16(1)\n",
        "import ml_dtypes\nx = ml_dtypes.bfloat16()\n",
        "import numpy as np\nx = np.types.bfloat16()\n",
        "x = y.bfloat16(1)\n",
        "x = y.bfloat16\n",
        "def bfloat16(self): ...\n",
    ],
)
def test_what_only_looks_alike(text: str) -> None:
    check_not_a_site(text)
