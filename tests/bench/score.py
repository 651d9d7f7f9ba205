"""Patch copies of the labelled projects and score them: `make score`."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
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
        wrong = [*_wrong_in_configs(at_hand, Path(patched))]
        print(*wrong, f"configs: {len(wrong)} wrong", sep="\n", file=sys.stderr)
        return max(bool(wrong), subprocess.run([*scorer, str(LABELS / "dev.tsv"), str(ROOT), patched]).returncode)


def _wrong_in_configs(at_hand: list[str], patched: Path) -> Iterator[str]:
    """The rows of what is no Python whose line is not what it should be."""
    with (LABELS / "dev-config.tsv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["package"] in at_hand]
    for row in rows:
        path, number, column = Path(row["package"], row["path"]), int(row["line"]), int(row["col"])
        before, after = (_line(root / path, number) for root in (ROOT, patched))
        wanted = row["token"] if row["action"] == "KEEP" else row["expect"]
        if after != before[:column] + wanted + before[column + len(row["token"]) :]:
            yield f"{path}:{number}: {after!r}"


def _line(file: Path, number: int) -> str:
    return file.read_text(encoding="utf-8").split("\n")[number - 1]


if __name__ == "__main__":
    sys.exit(main())
