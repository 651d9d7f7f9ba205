"""PF916: products of float8, which begin at compute capability 8.9."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.engine.scan import scan
from precision_fix.model.finding import Action
from precision_fix.model.target import TARGETS
from tests.tools import check_kept, check_not_a_site, check_reported, findings

CALLS = [
    "import torch\ny = torch._scaled_mm(a, b)\n",
    "import torch\ny = torch._scaled_grouped_mm(a, b)\n",
    "import torch\ny = torch.ops.aten._scaled_mm(a, b)\n",
    "import torch.nn.functional as F\ny = F.scaled_mm(a, b)\n",
    "from torch.nn.functional import scaled_mm as product\ny = product(a, b)\n",
]


@pytest.mark.parametrize("text", CALLS)
def test_a_product_is_reported(text: str, tmp_path: Path) -> None:
    check_reported(text, code="PF916")
    (tmp_path / "a.py").write_text(text)
    found = scan([tmp_path], TARGETS["float32"], with_text=False).findings
    assert [each.code for each in found] == ["PF916"], "a file is read for it alone"


def test_weights_that_are_cast_up_and_others_of_that_name_are_nobody_s_concern() -> None:
    check_not_a_site("import torch\ny = x @ weight.to(torch.float8_e4m3fn).to(x.dtype)\n")
    check_not_a_site("from mine import scaled_mm\ny = scaled_mm(a, b)\n")


def test_one_place_a_function() -> None:
    text = (
        "import torch\ndef f(a, b):\n    if b:\n        a = torch._scaled_mm(a, b)\n    return torch._scaled_mm(a, a)\n"
    )
    assert [each.line for each in findings(text)] == [4]


KEPT = {
    "the hardware": """
        def f(a):
            if torch.cuda.get_device_capability() >= (8, 9):
                return torch._scaled_mm(a, a)
            return a.float() @ a.float()
    """,
    "before": """
        def f(a):
            if not supports_fp8(a.device):
                return a.float() @ a.float()
            return torch._scaled_mm(a, a)
    """,
    "by a name": """
        OK = has_units((8, 9))
        y = torch._scaled_mm(a, a) if OK else a.float()
    """,
    "a try": """
        try:
            y = torch._scaled_mm(a, a)
        except RuntimeError:
            y = a.float()
    """,
    "by its callers": """
        def f(a):
            return torch._scaled_mm(a, a)
        def g(a):
            try:
                return f(a)
            except RuntimeError:
                return a.float()
    """,
}


@pytest.mark.parametrize("name", KEPT)
def test_another_way_is_kept(name: str) -> None:
    check_kept(f"import torch{KEPT[name]}".replace("\n        ", "\n"), code="PF916")


CHOSEN = {
    "`fp8_fast`": """
        def f(a, fp8_fast):
            if fp8_fast:
                return torch._scaled_mm(a, a)
    """,
    "not `config.emulate_fp8`": """
        def f(a, config):
            if config.emulate_fp8:
                return a.float() @ a.float()
            return torch._scaled_mm(a, a)
    """,
    "`args.fp8`": """
        def f(a):
            return torch._scaled_mm(a, a)
        def main(args):
            return f(1) if args.fp8 else None
    """,
    # What a tensor is, and an error that goes on, are no choice.
    "": """
        def f(a):
            if a.dtype in (torch.float8_e4m3fn, torch.float8_e5m2):
                try:
                    return torch._scaled_mm(a, a)
                except RuntimeError:
                    raise
    """,
}


@pytest.mark.parametrize("choice", CHOSEN)
def test_the_choice_that_leads_there_is_named(choice: str) -> None:
    (found,) = findings(f"import torch{CHOSEN[choice]}".replace("\n        ", "\n"))
    assert found.action is Action.MANUAL
    assert f"where {choice} (line" in found.reason if choice else "cast the weights up" in found.reason


def test_the_choice_of_another_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text(
        "import torch\ndef forward(m, x):\n    return torch._scaled_mm(x, m.weight)\n"
        "def convert(model):\n    for m in model.modules():\n        m.forward = lambda x, m=m: forward(m, x)\n"
    )
    (tmp_path / "nodes.py").write_text(
        "from kernels import convert\ndef load(model, quantization):\n"
        "    if quantization == 'fp8_e4m3fn_fast':\n        convert(model)\n"
    )
    (found,) = scan([tmp_path], TARGETS["float32"], with_text=False).findings
    assert "`quantization == 'fp8_e4m3fn_fast'`" in found.reason and "nodes.py:3" in found.reason
