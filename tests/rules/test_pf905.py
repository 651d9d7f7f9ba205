"""PF905: a dtype named while the program runs."""

from __future__ import annotations

import pytest

from precision_fix.model.finding import Action
from tests.tools import check_not_a_site, check_reported, findings


@pytest.mark.parametrize(
    "line",
    [
        "x.to(getattr(torch, cfg.dtype))",
        "dtype = getattr(torch, name)",
        'torch_dtype = getattr(torch, config["torch_dtype"], torch.float32)',
        "load(dtype=getattr(torch, args.precision))",
        "load(torch_dtype=eval(config.model_dtype))",
        "load(dtype=eval(name))",
        "load(dtype=getattr(torch, f'{kind}16'))",
        "load(dtype=getattr(torch, 'b' + name))",
        "load(dtype=getattr(torch, 'bfloat%d' % bits))",
        "load(dtype=eval(f'cfg.{name}'))",
    ],
)
def test_pf905_a_computed_name(line: str) -> None:
    check_reported(f"import torch\n{line}\n", code="PF905")
    assert all(each.runtime for each in findings(f"import torch\n{line}\n"))


@pytest.mark.parametrize("name", ["f'int{bits}'", "f'uint{bits}'", "'int' + bits", "'int%d' % bits", "f'float{bits}'"])
def test_pf905_a_name_that_begins_otherwise_is_never_bfloat16(name: str) -> None:
    found = findings(f"import torch\nload(dtype=getattr(torch, {name}))\n")
    assert [(each.code, each.action, each.runtime) for each in found] == [("PF905", Action.KEEP, False)]


@pytest.mark.parametrize(
    "line",
    [
        "model.eval()",
        "y = eval(text)",
        "y = frame.eval(dtype)",
        "f = getattr(torch, name)",
        "x = getattr(self, dtype)",
        'y = getattr(torch, "compile")',
    ],
)
def test_pf905_any_other_lookup(line: str) -> None:
    check_not_a_site(f"import torch\n{line}\n")
