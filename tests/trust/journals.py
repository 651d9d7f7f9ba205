"""What the tests of journals share: logs as an attacker writes them, with and without this user's key."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from precision_fix.engine.stamp import key

BEFORE = b"import torch\nx = y.to(torch.bfloat16)\n"
AFTER = BEFORE.replace(b"bfloat16", b"float32")


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stamped(*bodies: dict[str, Any] | bytes) -> bytes:
    """A log with these lines behind the first one, under the key of the user who runs the tests."""
    out, stamp = [], bytes(32)
    for body in ({"journal": 2}, *bodies):
        text = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
        text = text[:-1]
        stamp = key().stamp(stamp + text)
        out.append(text + b',"stamp":"' + stamp.hex().encode() + b'"}\n')
    return b"".join(out)


def old_style(*bodies: dict[str, Any]) -> bytes:
    """A log as anybody can write one: no stamps."""
    return b"".join(json.dumps(body).encode() + b"\n" for body in ({"journal": 1}, *bodies))


def change(name: object, before: bytes, after: bytes, at: int = 0) -> dict[str, Any]:
    """The line that lets undo turn `after` into `before`. It has the words of both versions of the log."""
    sizes = {"size": len(before), "sizes": [len(before), len(after)]}
    return {"patch": name, "before": sha(before), "after": sha(after), "at": at, **sizes}


def lay(root: Path, log: bytes, originals: bytes = b"") -> Path:
    """A journal in a tree, as a clone brings it."""
    place = root / ".precision-fix"
    place.mkdir(parents=True, exist_ok=True)
    (place / "log").write_bytes(log)
    (place / "originals").write_bytes(originals)
    return place


def journals(root: Path) -> list[str]:
    """The names of the journals that lie in a tree."""
    return sorted(path.name for path in root.glob(".precision-fix*"))
