"""Hold the tool to its promises on real projects: `make promises`.

    python -m tests.bench.promises [FOLDER ...]

For each tree: what `git apply` makes of the diff is what patching in place makes; a second patch is empty; undo brings
back every byte and every mode. Trees are copied, never changed. A file that cannot be read, or does not parse, is
named, and breaks no promise.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.trees import REPOSITORIES, WHEELS, tree

TOOL = [sys.executable, "-m", "precision_fix"]


JOURNAL = ".precision-fix" + os.sep
State = dict[str, tuple[int, str]]


def state(folder: Path) -> State:
    """Name -> mode and digest of every file of a tree; of a link, what it names."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_symlink() or path.is_file():
            content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
            found[os.fspath(path.relative_to(folder))] = (path.lstat().st_mode, hashlib.sha256(content).hexdigest())
    return found


def as_git(tree: State) -> State:
    """Of a mode git keeps the kind of a file and whether it can be run; the rest it makes by the umask."""
    return {name: (mode & ~0o777 | mode & 0o100, content) for name, (mode, content) in tree.items()}


def differs(one: State, other: State) -> str:
    """What is not the same in two trees, and where; "" if nothing."""
    names = sorted(one.keys() | other.keys())
    of: dict[str, list[str]] = {
        "files": [name for name in names if (name in one) != (name in other)],
        "bytes": [name for name in names if name in one and name in other and one[name][1] != other[name][1]],
        "modes": [name for name in names if name in one and name in other and one[name][0] != other[name][0]],
    }
    return "; ".join(f"other {what} in {len(where)}: {where[0]!r}" for what, where in of.items() if where)


@dataclass
class Patched:
    """What a patch in place said: the lines on files that it could not do are no broken promise."""

    code: int
    changed: int
    problems: list[str]
    last: str

    @property
    def failed(self) -> bool:
        return self.code != (1 if self.problems else 0)


def tool(*words: str, into: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*TOOL, *words], cwd=into, capture_output=True, check=False)


def patch(folder: Path) -> Patched:
    done = tool("--gpu", "t4", ".", "--output-format", "json", into=folder)
    nothing = {"summary": {"files_changed": 0}, "problems": []}
    report: dict[str, Any] = json.loads(done.stdout) if done.stdout else nothing
    problems = [f"{each['path']!r} {each['message']}" for each in report["problems"]]
    return Patched(done.returncode, report["summary"]["files_changed"], problems, _last(done.stderr))


def check(source: Path, scratch: Path) -> tuple[list[str], list[str]]:
    """The promises that a tree broke, and the files that the tool could not do."""
    applied, patched = scratch / "applied", scratch / "patched"
    for copy in (applied, patched):
        shutil.copytree(source, copy, symlinks=True)
    before = state(patched)
    diff = tool("--gpu", "t4", "--diff", ".", into=applied).stdout
    first = patch(patched)
    after = {name: found for name, found in state(patched).items() if not name.startswith(JOURNAL)}
    again = patch(patched)
    broken = {f"a problem: {each.last}": each.failed for each in (first, again)}
    broken[f"the second patch changes {again.changed} files"] = again.changed != 0
    broken["the files that cannot be done are others the second time"] = first.problems != again.problems
    # Outside of a repository `git apply` takes paths from the current directory.
    outside = os.environ | {"GIT_CEILING_DIRECTORIES": str(scratch)}
    apply = ["git", "apply", "--allow-empty", "-"]
    git = subprocess.run(apply, cwd=applied, input=diff, capture_output=True, check=False, env=outside)
    broken[f"git apply refuses the diff: {_last(git.stderr)}"] = git.returncode != 0
    by_git = differs(as_git(after), as_git(state(applied)))
    broken[f"the diff gives {by_git}"] = bool(by_git)
    if diff or first.changed:
        undone = tool("undo", ".", into=patched)
        broken["nothing was changed"] = after == before
        broken[f"undo failed: {_last(undone.stderr)}"] = undone.returncode != 0
    by_undo = differs(before, state(patched))
    broken[f"undo gives {by_undo}"] = bool(by_undo)
    return [what for what, so in broken.items() if so], first.problems


def _last(output: bytes) -> str:
    return (output.decode(errors="replace").splitlines() or ["nothing was said"])[-1]


def main() -> int:
    """1 if a promise was broken. Trees are those of `tests.bench.trees`, or the folders that are named."""
    named = [Path(word) for word in sys.argv[1:]]
    failed = False
    for source in named or [found for name in (*WHEELS, *REPOSITORIES) if (found := tree(name))]:
        with tempfile.TemporaryDirectory() as scratch:
            broken, not_done = check(source, Path(scratch))
        failed |= bool(broken)
        left = [f"not done: {each}" for each in not_done]
        print(f"{source.name:24}{', '.join([*(broken or ['kept']), *left])}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
