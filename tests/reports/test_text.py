"""A run as text: what stands under which heading, and in its last lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.reports.text import render
from tests.reports.runs import BROKEN, CAST, KEPT, LONGER, run_on

TRIED = "try:\n    import flash_attn\nexcept ImportError:\n    flash_attn = None\n"
NEEDED = "import flash_attn\nflash_attn.flash_attn_func(q, k, v)\n"


def test_what_is_left_on_purpose_is_told_by_what_it_is(tmp_path: Path) -> None:
    """Not by the title of a rule that speaks of a need."""
    told = render(run_on(tmp_path, {"a.py": TRIED, "b.py": NEEDED, "c.py": KEPT}))
    kept, _, manual = told.partition("Needs a hand")
    assert "PF912       1 place  imported where it is there" in kept
    assert "PF001       1 place  compared or tested" in kept
    assert "is needed" not in kept and "b.py:1: PF912" in manual


@pytest.mark.parametrize("files", [{"a.py": BROKEN}, {"a.py": BROKEN, "b.py": KEPT}])
def test_a_file_that_failed_is_not_called_done(tmp_path: Path, files: dict[str, str]) -> None:
    run = run_on(tmp_path, files)
    assert render(run).endswith(
        f"{len(files)} file{'s' * (len(files) > 1)} read, 1 not done, nothing left to change in the others.\n"
    )
    assert "nothing left to change in the others" in run.headline


@pytest.mark.parametrize("program", ["", "train.py"])
def test_the_line_to_start_it_has_the_name_of_the_program(tmp_path: Path, program: str) -> None:
    told = render(run_on(tmp_path, {"a.py": LONGER, **({program: CAST} if program else {})}, dry=False))
    assert "precision-fix run" in told and "PROGRAM" not in told
    assert f"    precision-fix run {tmp_path / (program or 'a.py')}" in told
