"""What `scan` and `patch` give, as a notebook shows it."""

from __future__ import annotations

from pathlib import Path

import precision_fix
from precision_fix.model.problem import Problem
from precision_fix.reports.table import drawn
from tests.reports.runs import CAST, TREE, change, run_of
from tests.reports.test_html import Read


def tree(folder: Path) -> Path:
    for name, text in TREE.items():
        (folder / name).write_text(text)
    return folder


def test_a_scan_draws_itself(tmp_path: Path) -> None:
    found = precision_fix.scan(tree(tmp_path))
    text = Read(found._repr_html_()).text
    assert "5 files read: 1 place in 1 file would change, 1 place needs a hand" in text
    assert f"{tmp_path}/cast.py:2PF101torch.bfloat16chooses a precisionwould change" in text
    assert "broken.py: does not parse" in text
    # The plain form of it is a line, not every byte of every file.
    assert repr(found).startswith("<5 files read: 1 place in 1 file would change") and len(repr(found)) < 200


def test_what_a_patch_returns_draws_itself(tmp_path: Path) -> None:
    written = precision_fix.patch(tree(tmp_path), gpu="t4")
    assert written.changed == [str(tmp_path / "cast.py")] and written.scan is not None
    text = Read(written._repr_html_()).text
    assert "1 place in 1 file changed" in text and "chooses a precisionchanged" in text
    assert repr(written).startswith("<5 files read: 1 place in 1 file changed")


def test_a_gpu_with_bfloat16(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(CAST)
    written = precision_fix.patch(tmp_path, gpu="a100")
    assert written.changed == [] and "Nothing to change" in written._repr_html_() and "Nothing" in repr(written)


def test_a_long_list_is_cut_and_says_so() -> None:
    run = run_of([change(line=i + 1) for i in range(250)], problems=[Problem("<b>", "<i>")])
    text = Read(drawn(run.scan)).text
    assert "250 places" in text and "And 50 places more." in text and "<b>: <i>" in text
