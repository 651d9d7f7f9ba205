"""What the other process says of a model, and how other sizes are told from it."""

from __future__ import annotations

from typing import Any

import pytest

from precision_fix.plan import counting
from precision_fix.plan.config import Config
from precision_fix.plan.use import Use
from precision_fix.plan.working import CACHES, PATCHED, STORAGE, UNPATCHED


def run(busy: int, cached: int = 0, gradients: int = 0, trained: int = 0) -> dict[str, int]:
    return {"busy": busy, "cached": cached, "gradients": gradients, "trained": trained}


def answer(*runs: dict[str, int]) -> dict[str, Any]:
    tensors = [["a", "float32", 1000], ["b", "float32", 24]]
    return {"tensors": tensors, "kind": "causal", "sizes": {"length": 64, "most": 512}, "runs": list(runs)}


FIVE = (run(4000, 640), run(5000, 640), run(2000, 640), run(2000, 320), run(8000, 1280))


def test_a_line_in_length_and_batch() -> None:
    model = counting.Counted(Config({"model_type": "x", "num_hidden_layers": 4}), Use(), answer(*FIVE))
    assert [model.busy(model.at(Use(length=n)), PATCHED)[0] for n in (32, 64, 256)] == [2000, 4000, 16000]
    assert model.busy(model.at(Use(batch=3)), PATCHED)[0] == 12000
    assert [model.cached(model.at(Use(length=n, batch=b))) for n, b in ((64, 1), (128, 1), (64, 2))] == [
        640,
        1280,
        1280,
    ]
    assert model.busy(model.at(Use()), UNPATCHED)[0] == 2000
    # A copy of weights, and with caches of two bytes a wide one of a layer's keys and values.
    assert model.busy(model.at(Use()), STORAGE)[0] == 5000
    assert model.busy(model.at(Use()), CACHES)[0] == 5000 + 640 * 4 // 4


def test_an_encoder_works_before_there_are_caches() -> None:
    """Whisper's takes more than a step of its decoder, at a time when no keys and values are there."""
    runs = tuple({**each, "early": early} for each, early in zip(FIVE, (9000, 9000, 4500, 9000, 18000), strict=True))
    model = counting.Counted(Config({"model_type": "x"}), Use(), answer(*runs))
    assert model.busy(model.at(Use()), PATCHED)[0] == 9000 - 640 * 4
    # In two bytes the caches leave more of it to be seen.
    assert model.busy(model.at(Use()), CACHES)[0] == 9000 - 640 * 2 + 640 * 4


def test_what_grows_with_the_square() -> None:
    squared = (run(4000), run(4000), run(2000), run(1000), run(8000))
    model = counting.Counted(Config({"model_type": "x"}), Use(), answer(*squared))
    assert model.busy(model.at(Use(length=128)), PATCHED)[0] == 16000


def test_gradients_do_not_grow_with_the_size() -> None:
    trained = tuple(run(busy, gradients=900, trained=225) for busy in (1900, 1900, 1900, 1400, 2900))
    model = counting.Counted(Config({"model_type": "x"}), Use("full"), answer(*trained))
    assert model.busy(model.at(Use("full", length=128)), PATCHED) == (2900, 900)
    assert model.trained(Use("full")) == 225 and model.cached(Use("full")) == 0


@pytest.mark.parametrize("config", [{}, {"model_type": ""}, {"model_type": 7}, {"theme": "dark"}])
def test_nobody_is_asked_about_what_names_no_model(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def never(asked: object) -> None:
        raise AssertionError(asked)

    monkeypatch.setattr(counting, "_ask", never)
    assert counting.counted(Config(config), Use()) is None


def test_an_answer_that_fails_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies, or says what is no answer, leaves the plan to what is known by hand."""
    monkeypatch.setattr(counting, "_missing", lambda name: False)
    monkeypatch.setattr(counting, "_BOOT", "print('hello'); raise SystemExit(3)")
    assert counting.counted(Config({"model_type": "llama"}), Use()) is None
    monkeypatch.setattr(counting, "_BOOT", 'print(\'precision-fix-counted:{"error": "no"}\')')
    assert counting.counted(Config({"model_type": "llama"}), Use()) is None
