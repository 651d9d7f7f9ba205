"""Patch copies of the labelled projects, each by itself, and score them: `make score`."""

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
SETS = ("dev.tsv", "dev2.tsv")


def main() -> int:
    """The scorer's worst exit code; 2 when no labelled project could be had."""
    packages = {labels: sorted({row["package"] for row in _rows(labels)}) for labels in SETS}
    at_hand = [name for names in packages.values() for name in names if tree(name) is not None]
    if not at_hand:
        return 2
    with tempfile.TemporaryDirectory() as patched:
        for name in at_hand:
            copy = Path(patched, name)
            shutil.copytree(ROOT / name, copy, symlinks=True, ignore=shutil.ignore_patterns(".git"))
            if (copy / ".gitignore").exists():
                _track(copy)
            command = [sys.executable, "-m", "precision_fix", "--gpu", "t4", str(copy)]
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wrong = [*_wrong_in_configs(at_hand, Path(patched))]
        print(*wrong, f"configs: {len(wrong)} wrong", sep="\n", flush=True)
        codes = [
            _score(labels, [name for name in names if name in at_hand], patched) for labels, names in packages.items()
        ]
        return max(bool(wrong), *codes)


def _track(copy: Path) -> None:
    """Make a clone of a copy: what a project tracks although its .gitignore names it, git does not ignore."""
    for command in (("init", "--quiet"), ("add", "--all", "--force")):
        subprocess.run(["git", "-C", str(copy), *command], check=True, stderr=subprocess.DEVNULL)


def _score(labels: str, names: list[str], patched: str) -> int:
    print(f"\n{labels}:", flush=True)
    chosen = [word for name in names for word in ("--package", name)]
    scorer = [sys.executable, str(LABELS / "score.py"), "--list", *chosen]
    return subprocess.run([*scorer, str(LABELS / labels), str(ROOT), patched]).returncode


def _rows(labels: str) -> list[dict[str, str]]:
    with (LABELS / labels).open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


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
