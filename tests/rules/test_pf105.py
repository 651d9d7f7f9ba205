"""PF105: maps from names to dtypes."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_rewritten, findings


@pytest.mark.parametrize(
    "use",
    [
        "model.to(TABLE[name])",
        "model.to(TABLE.get(name))",
        "model.to(TABLE.get(name, torch.float32))",
        "def f(name): return TABLE[name]",
        "model.to(dtype={**TABLE}[name])",
    ],
)
def test_a_map_that_chooses(use: str) -> None:
    before = f'import torch\nTABLE = {{"bf16": torch.bfloat16, "fp32": torch.float32}}\n{use}\n'
    check_rewritten(before, before.replace("torch.bfloat16", "torch.float32"), code="PF105")


def test_a_map_looked_up_at_once() -> None:
    check_rewritten(
        'import torch\ndtype = {"bf16": torch.bfloat16, "bfloat16": torch.bfloat16}[args.precision]\n',
        'import torch\ndtype = {"bf16": torch.float32, "bfloat16": torch.float32}[args.precision]\n',
        code="PF105",
    )


def test_settings() -> None:
    check_rewritten(
        'import torch\nsettings = {"torch_dtype": torch.bfloat16, "device": 0}\nload(**settings)\n',
        'import torch\nsettings = {"torch_dtype": torch.float32, "device": 0}\nload(**settings)\n',
        code="PF105",
    )


def test_the_key_stays() -> None:
    found = findings('import torch\nT = {"bf16": torch.bfloat16}\nmodel.to(T[x])\n')
    assert [(each.token, each.action.value) for each in found] == [("'bf16'", "keep"), ("torch.bfloat16", "rewrite")]


def test_a_map_that_gives_sizes() -> None:
    check_kept(
        """\
        import torch
        TABLE = {"bf16": torch.bfloat16, "fp32": torch.float32}
        def size(name):
            return TABLE[name].itemsize
        """,
        code="PF105",
    )
