"""Hold the tool to its promises on real projects: `make promises`.

For each tree: what `git apply` makes of the diff is what patching in place makes; a second patch is empty; undo brings
back every byte.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.trees import REPOSITORIES, WHEELS, tree

TOOL = [sys.executable, "-m", "precision_fix"]


def digest(folder: Path) -> str:
    """A hash over the names, modes and contents of all files of a tree."""
    found = hashlib.sha256()
    for path in sorted(each for each in folder.rglob("*") if each.is_file() and not each.is_symlink()):
        found.update(f"{path.relative_to(folder)} {path.stat().st_mode}\n".encode(errors="surrogateescape"))
        found.update(path.read_bytes())
    return found.hexdigest()


def tool(*words: str, into: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*TOOL, *words], cwd=into, capture_output=True, check=False)


def check(source: Path, scratch: Path) -> list[str]:
    """The promises that a tree broke."""
    applied, patched = scratch / "applied", scratch / "patched"
    for copy in (applied, patched):
        shutil.copytree(source, copy, symlinks=True)
    before = digest(patched)
    diff = tool("--gpu", "t4", "--diff", ".", into=applied).stdout
    # Outside of a repository `git apply` takes paths from the current directory.
    outside = os.environ | {"GIT_CEILING_DIRECTORIES": str(scratch)}
    written = tool("--gpu", "t4", ".", into=patched)
    if not diff:
        return [] if digest(patched) == before else ["changed, though the diff is empty"]
    subprocess.run(["git", "apply", "-"], cwd=applied, input=diff, check=True, env=outside)
    shutil.move(patched / ".precision-fix", scratch / "journal")
    after = digest(patched)
    shutil.move(scratch / "journal", patched / ".precision-fix")
    again = tool("--gpu", "t4", ".", into=patched)
    undone = tool("undo", ".", into=patched)
    broken = {
        "a problem": written.returncode != 0,
        "the diff gives other bytes": after != digest(applied),
        "nothing was changed": after == before,
        "the second patch is not empty": b"nothing left to change" not in again.stdout,
        "undo failed": undone.returncode != 0,
        "undo gives other bytes": digest(patched) != before,
    }
    return [what for what, so in broken.items() if so]


def main() -> int:
    """1 if a promise was broken. Trees are those of `tests.bench.trees`, or the folders that are named."""
    named = [Path(word) for word in sys.argv[1:]]
    failed = False
    for source in named or [found for name in (*WHEELS, *REPOSITORIES) if (found := tree(name))]:
        with tempfile.TemporaryDirectory() as scratch:
            broken = check(source, Path(scratch))
        failed |= bool(broken)
        print(f"{source.name:24}{'kept' if not broken else ', '.join(broken)}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
