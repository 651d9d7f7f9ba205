"""Runs to report of: on real small trees, and made of findings where it is the report that is in question."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import strategies as st

from precision_fix.engine.decide import decide
from precision_fix.engine.patch import write
from precision_fix.engine.scan import FileScan, Scan, scan
from precision_fix.model.finding import Action, Finding
from precision_fix.model.problem import Problem
from precision_fix.model.target import FLOAT32
from precision_fix.reports.run import Run

CAST = "import torch\nx = y.to(torch.bfloat16)\n"
KEPT = "import torch\nif x.dtype == torch.bfloat16:\n    pass\n"
MANUAL = "import torch\nx = y.to(getattr(torch, config.dtype))\n"
BY_COMMENT = "import torch\nx = y.to(torch.bfloat16)  # precision-fix: keep\nz = 1  # precision-fix: keep\n"
BROKEN = "import torch\nx = torch.bfloat16(\n"
# Inserts a line, so that what follows moves down.
LONGER = """\
import torch
with torch.autocast(
    "cuda",
    dtype=torch.bfloat16,
):
    x = y.to(getattr(torch, config.dtype))
"""
TREE = {"cast.py": CAST, "kept.py": KEPT, "manual.py": MANUAL, "comment.py": BY_COMMENT, "broken.py": BROKEN}
# What a name or a line may hold to break out of the report that it stands in.
NASTY = "a`b|c*d_e[f](g)<script>alert(1)</script>&amp;%0A::error::x,y\u202ez\x1b[31m"


def run_on(tree: Path, files: dict[str, str], *, dry: bool = True, verbose: bool = False) -> Run:
    """Write these files below a directory, scan it for a T4, and where it is no dry run, patch it."""
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    found = scan([tree], FLOAT32, with_text=True)
    run = Run(found, [tree], decide("t4"), dry=dry, verbose=verbose)
    if not dry:
        run.written = write(found)
    return run


def run_of(findings: list[Finding], *, text: str = "", problems: list[Problem] | None = None, dry: bool = True) -> Run:
    """A run that found this; each file holds `text`, and its edit changes every bfloat16 in it."""
    by_path: dict[str, list[Finding]] = {}
    for finding in findings:
        by_path.setdefault(finding.path, []).append(finding)
    before = text.encode("utf-8", "surrogatepass")
    files = []
    for path, found in sorted(by_path.items()):
        changes = any(finding.action is Action.REWRITE for finding in found)
        after = before.replace(b"bfloat16", b"float32") if changes else b""
        files.append(FileScan(path, os.curdir, found, before=before, after=after))
    return Run(Scan(FLOAT32, files, problems or [], len(files)), [Path(os.curdir)], decide("t4"), dry=dry)


def change(path: str = "a.py", line: int = 1, column: int = 1, reason: str = "chooses a precision") -> Finding:
    return Finding(path, line, column, "PF101", Action.REWRITE, "torch.bfloat16", reason)


_words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_names = st.text(st.characters(exclude_characters="\0/"), min_size=1, max_size=20).filter(lambda name: name.strip("."))


@st.composite
def any_run(draw: st.DrawFn) -> Run:
    """A run whose names, tokens and reasons are arbitrary; its names hold a byte that is no UTF-8."""
    findings = [
        Finding(
            draw(_names.map(_as_the_system_gives_it)),
            draw(st.integers(1, 5)),
            draw(st.integers(1, 50)),
            draw(st.sampled_from(["PF001", "PF101", "PF902"])),
            draw(st.sampled_from(Action)),
            draw(_words),
            draw(_words),
            draw(st.booleans()),
            draw(st.sampled_from(["", "cell 3, line 2", NASTY])),
        )
        for _ in range(draw(st.integers(0, 4)))
    ]
    problems = [
        Problem(draw(_names.map(_as_the_system_gives_it)), draw(_words)) for _ in range(draw(st.integers(0, 2)))
    ]
    return run_of(
        findings, text=draw(_words) + "bfloat16 \r\n" + draw(_words), problems=problems, dry=draw(st.booleans())
    )


def _as_the_system_gives_it(name: str) -> str:
    """A name as os.listdir gives it: of its surrogates, those that stand for a byte."""
    return os.fsdecode(name.encode("utf-8", "replace")[:100] + b"\xff")
