"""A scan as a unified diff that `git apply` and `patch -p1` take."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path

from precision_fix.engine.scan import Scan


def unified(scan: Scan) -> Iterator[bytes]:
    """The diff of each changed file. Bytes, since a file may be in any encoding."""
    base = top_of(Path.cwd())
    for file in scan.changed:
        name = name_below(base, file.path, file.tree)
        old, new = _quoted(f"a/{name}"), _quoted(f"b/{name}")
        lines = difflib.diff_bytes(
            difflib.unified_diff, _lines(file.before), _lines(file.after), old, new, lineterm=b"\n"
        )
        yield b"diff --git " + old + b" " + new + b"\n"
        for line in lines:
            yield line
            if not line.endswith(b"\n"):
                yield b"\n\\ No newline at end of file\n"


def _lines(data: bytes) -> list[bytes]:
    # git ends a line at \n alone; bytes.splitlines would also end one at \r.
    lines = data.split(b"\n")
    return [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def top_of(here: Path) -> Path:
    """Where `git apply` counts paths from: the top of the work tree around the current directory, or that itself."""
    return next((top for top in (here, *here.parents) if (top / ".git").exists()), here)


def name_below(base: Path, path: str, tree: str) -> str:
    """The path below `base`; a file that lies elsewhere is named from the top of its own tree."""
    real = Path(os.path.realpath(path))
    if real.is_relative_to(base):
        return real.relative_to(base).as_posix()
    top = top_of(Path(tree) if Path(tree).is_dir() else Path(tree).parent)
    return real.relative_to(top if real.is_relative_to(top) else real.parent).as_posix()


def _quoted(name: str) -> bytes:
    """A name as git writes it: in quotes, with octal escapes, where it holds a control character or a quote."""
    data = os.fsencode(name)
    if all(byte >= 0x20 and byte not in b'"\\\x7f' for byte in data):
        return data
    escaped = b"".join(
        b"\\" + bytes([byte]) if byte in b'"\\' else b"\\%03o" % byte if byte < 0x20 or byte >= 0x7F else bytes([byte])
        for byte in data
    )
    return b'"' + escaped + b'"'
