"""The bytes of all tensors at once."""

from __future__ import annotations

import torch

from precision_fix.runtime.tracker import Tracker


def test_storages_are_counted_once_and_let_go() -> None:
    weight = torch.zeros(64, 64)
    tracker = Tracker([weight, weight.t()])
    assert tracker.now == 4 * 64 * 64
    with tracker:
        start = tracker.reset()
        x = torch.zeros(8, 64)
        y = x @ weight
        view = y[:4]
        assert tracker.now - start == 2 * 4 * 8 * 64
        del x, y
        assert tracker.now - start == 4 * 8 * 64
        del view
    assert (tracker.now, tracker.peak) == (start, start + 2 * 4 * 8 * 64)


def test_a_cast_copy_lives_while_its_weight_is_used() -> None:
    weight = torch.zeros(64, 64, dtype=torch.bfloat16)
    x = torch.zeros(8, 64, dtype=torch.bfloat16)
    peaks = []
    for casts in (0, 4):
        tracker = Tracker([weight], casts)
        with tracker:
            start = tracker.reset()
            x @ weight.t()
        peaks.append(tracker.peak - start)
    assert peaks == [2 * 8 * 64, 2 * 8 * 64 + 4 * 64 * 64]
