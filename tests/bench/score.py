"""Patch copies of the labelled projects and score them: `make score`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.trees import ROOT, tree

LABELS = Path("fixtures/labels")


def main() -> int:
    """The scorer's exit code; 2 when no labelled project could be had."""
    rows = (LABELS / "dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
    names = sorted({row.split("\t")[0] for row in rows})
    at_hand = [name for name in names if tree(name) is not None]
    if not at_hand:
        return 2
    with tempfile.TemporaryDirectory() as patched:
        for name in at_hand:
            shutil.copytree(ROOT / name, Path(patched, name), symlinks=True)
        subprocess.run([sys.executable, "-m", "precision_fix", "--gpu", "t4", patched], stdout=subprocess.DEVNULL)
        chosen = [word for name in at_hand for word in ("--package", name)]
        scorer = [sys.executable, str(LABELS / "score.py"), "--list", *chosen]
        return subprocess.run([*scorer, str(LABELS / "dev.tsv"), str(ROOT), patched]).returncode


if __name__ == "__main__":
    sys.exit(main())
