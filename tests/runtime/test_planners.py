"""ComfyUI's own plans by the byte, in small: what it works out before a model is there is what that takes then."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from precision_fix import runtime
from tests.runtime.since import stored

MANAGEMENT = """
import torch

def dtype_size(dtype):
    return 2 if dtype in (torch.float16, torch.bfloat16) else dtype.itemsize

def module_size(module):
    return sum(each.nelement() * each.element_size() for each in module.state_dict().values())

def fits(parameters, dtype, free):
    return dtype_size(dtype) * parameters <= free
"""


@pytest.fixture
def management(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "comfy").mkdir()
    (tmp_path / "comfy" / "model_management.py").write_text(MANAGEMENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("comfy.model_management")
    for name in ("comfy.model_management", "comfy"):
        sys.modules.pop(name, None)


def test_a_plan_is_what_the_model_takes(management: Any) -> None:
    for to, width in (("float32", 4), ("float16", 2)):
        with runtime.enabled(to=to):
            model = torch.nn.Linear(64, 64, dtype=torch.bfloat16)
            count = sum(each.numel() for each in model.parameters())
            planned = management.dtype_size(torch.bfloat16) * count
            assert planned == management.module_size(model) == width * count
            assert management.fits(count, torch.bfloat16, 2 * count) is (width == 2)
    assert management.dtype_size(torch.bfloat16) == 2


@stored
def test_stored_weights_take_what_is_planned(management: Any) -> None:
    with runtime.enabled(storage="bfloat16"):
        model = torch.nn.Linear(64, 64).to(torch.bfloat16)
        planned = management.dtype_size(torch.bfloat16) * 64 * 65
        assert planned == management.module_size(model) == 2 * 64 * 65
