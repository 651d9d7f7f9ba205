"""What the tests of this directory share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.tools import NOBODY, REPOSITORY, let_others_in


def snapshot(root: Path) -> dict[str, bytes | str | None]:
    """Everything below a directory: the bytes of files, where links lead, None for directories."""
    out: dict[str, bytes | str | None] = {}
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            out[name] = str(path.readlink())
        else:
            out[name] = None if path.is_dir() else path.read_bytes()
    return out


def python(script: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a script that sees this checkout. Its first line may be `unprivileged()`."""
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=check,
        env=environment(),
    )


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}


def give_to_nobody(root: Path) -> None:
    """Let an unprivileged process own the tree, and reach it: pytest keeps its directories for their
    owner."""
    let_others_in(root.parent)
    if os.getuid() == 0:
        for path in [root, *root.rglob("*")]:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


# Imports come before the change of user, who may not be able to read the checkout.
PRELUDE = f"""
import os, sys
from pathlib import Path
from precision_fix.engine import atomic, journal, lock, record, undo
from precision_fix.engine.journal import Journal
from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import Problem
from precision_fix.sources.walk import walk
def unprivileged():
    if os.getuid() == 0:
        import tempfile
        os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp()
        os.chown(os.environ["XDG_STATE_HOME"], {NOBODY}, {NOBODY})
        os.setgid({NOBODY}); os.setuid({NOBODY})
"""
