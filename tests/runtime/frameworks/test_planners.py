"""accelerate's plans for a model that is not there yet, beside what it takes once it is."""

from __future__ import annotations

import pytest
import torch

accelerate = pytest.importorskip("accelerate")
BF16 = torch.bfloat16


def model() -> torch.nn.Module:
    return torch.nn.Sequential(*(torch.nn.Linear(64, 64) for _ in range(4)))


@pytest.mark.usefixtures("patched")
def test_what_is_planned_is_what_it_takes() -> None:
    with accelerate.init_empty_weights():
        empty = model()
    real = model().to(BF16)
    taken = sum(each.numel() * each.element_size() for each in real.parameters())
    assert (
        accelerate.utils.compute_module_sizes(empty, dtype=BF16)[""]
        == taken
        == 4 * sum(p.numel() for p in real.parameters())
    )
    # Room for two and a half layers of float32, which were five of bfloat16; one stays free for what is moved.
    placed = accelerate.infer_auto_device_map(empty, max_memory={0: 64 * 65 * 14, "cpu": 1 << 20}, dtype=BF16)
    on_gpu = [name for name, device in placed.items() if device == 0]
    layer = 64 * 65 * 4
    assert len(on_gpu) * layer <= 64 * 65 * 14 and len(on_gpu) < 4
