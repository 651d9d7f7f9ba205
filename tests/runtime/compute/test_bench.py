"""The script for CUDA devices, run on a CPU at small sizes; and what the roofline counts."""

from __future__ import annotations

import pytest

from precision_fix.runtime.compute import measure
from tests.bench import compute_roofline
from tests.runtime.since import since


def test_the_script_for_a_device_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in (("LINEARS", ((32, 48),)), ("ROWS", (1, 5)), ("CONVOLUTIONS", ((1, 4, 6),))):
        monkeypatch.setattr(measure, name, value)
    monkeypatch.setattr(measure, "ATTENTIONS", ((2, 20, 16),))
    monkeypatch.setattr(measure, "ROUNDS", 1)
    monkeypatch.setattr(measure, "WORST", 8)
    monkeypatch.setattr(measure, "CALLS", 1)
    monkeypatch.setattr(measure, "BLOCKS", (("a block", 5, measure.Sizes(32, 48, 2, 16)),))
    assert measure.run("cpu") == 0
    said = capsys.readouterr().out
    assert said.count("a block, 5 tokens") == 1
    assert said.count("0 not finite") == 5
    assert said.count("Linear 32->48") == 4


@since("2.10", "a product on meta takes no out_dtype, which the bench counts by")
def test_a_product_reads_and_writes_what_it_should() -> None:
    ways = compute_roofline.linear(512, 4096, 2048)
    kept = {kernel.name: kernel for kernel in ways["keep"]}
    assert kept["mm"].nbytes == 2 * (512 * 4096 + 2048 * 4096) + 4 * 512 * 2048
    assert kept["mm"].operations == 2 * 512 * 4096 * 2048
    assert kept["mm"].half
    more = sum(kernel.nbytes for kernel in ways["use"]) - sum(kernel.nbytes for kernel in ways["keep"])
    # The copy: its largest number is looked for (2 bytes), and it is read and written (2 and 2).
    assert more == pytest.approx(6 * 2048 * 4096, rel=1e-3)
    assert len(ways["keep"]) <= 9
    assert [kernel.name for kernel in ways["float32"]] == ["mm"]


def test_without_a_device_it_says_so_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert measure.main() == 2
    assert capsys.readouterr().err.startswith("precision-fix: no CUDA device is there")
