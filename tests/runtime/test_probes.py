"""Who asks for bfloat16 gets the answer that lets the right thing happen."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
import torch

from precision_fix import runtime


@pytest.fixture
def emulating(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch.cuda says on a T4: True by emulation, False without."""

    def is_bf16_supported(including_emulation: bool = True) -> bool:
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def asking(module: str, text: str = "torch.cuda.is_bf16_supported()") -> Any:
    """The answer to code that stands in a module of this name."""
    scope = vars(ModuleType(module))
    scope["torch"] = torch
    return eval(text, scope)


@pytest.mark.usefixtures("emulating")
def test_the_user_gets_the_hardwares_answer() -> None:
    assert asking("train") is True
    with runtime.enabled():
        assert asking("train") is False
        assert asking("__main__") is False
        assert torch.cuda.is_bf16_supported() is False
        assert asking("train", "torch.cuda.is_bf16_supported(including_emulation=True)") is False
    assert asking("train") is True


@pytest.mark.usefixtures("emulating")
@pytest.mark.parametrize("module", ["torch.amp.autocast_mode", "transformers.x", "accelerate.state", "lightning.y"])
def test_a_frameworks_gate_opens(module: str) -> None:
    with runtime.enabled():
        assert asking(module) is True
        assert asking(module, "torch.cuda.is_bf16_supported(including_emulation=False)") is False
        assert asking("transformers_of_mine") is False


@pytest.mark.usefixtures("emulating")
def test_without_emulation_is_answered_by_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    with runtime.enabled():
        assert torch.cuda.is_bf16_supported(False) is False
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    with runtime.enabled():
        assert torch.cuda.is_bf16_supported(including_emulation=False) is True, "the truth, also where it is True"


def test_autocast_on_cuda_does_not_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that has no bfloat16 even by emulation: torch.autocast raises, and under the runtime goes on."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    with pytest.raises(RuntimeError, match="does not support bfloat16"):
        torch.autocast("cuda", torch.bfloat16)
    with runtime.enabled(), torch.autocast("cuda", torch.bfloat16):
        assert torch.get_autocast_dtype("cuda") == torch.float32
        assert torch.is_autocast_enabled("cuda")


#: transformers' helper, and the module that refuses by it.
HELPER = "transformers.utils.import_utils"


def test_a_framework_that_asks_for_tf32_is_let_through_and_the_user_told_the_truth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    helper, arguments, other = ModuleType(HELPER), ModuleType("transformers.training_args"), ModuleType("mine")
    exec("def is_torch_tf32_available():\n    return False\n", vars(helper))
    for module in (arguments, other):
        vars(module)["is_torch_tf32_available"] = vars(helper)["is_torch_tf32_available"]
    exec("def asks(): return is_torch_tf32_available()", vars(arguments))
    for module in (helper, arguments):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    with runtime.enabled():
        assert vars(arguments)["asks"]() is True
        assert eval("ask()", {"__name__": "train", "ask": vars(helper)["is_torch_tf32_available"]}) is False
    assert vars(arguments)["asks"]() is False
    assert vars(arguments)["is_torch_tf32_available"] is vars(other)["is_torch_tf32_available"]
