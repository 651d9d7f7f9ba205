"""The lines of a log: how they are written, stamped, believed and read.

    {"journal": 2, "stamp": ...}
    {"patch": "src/a.py", "before": sha256, "after": sha256, "at": offset, "sizes": [before, after], "stamp": ...}
    {"done": ["src/b.py"], "stamp": ...}      the patches above are through, but for these

A stamp is the keyed digest (stamp.py) of the stamp before it, 32 zero bytes at first, and of the line without its own
end. A log is believed from its first line to the last whole one, or not at all: nothing is parsed before its stamp is
found right, nor used before its names and values are. The first line is stamped so in every version to come; one of
a newer version is believed, and refused.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from precision_fix.engine.names import may_hold
from precision_fix.engine.stamp import Key

VERSION = 2
# Bytes. Half a million changes; a run refuses to let a log grow beyond it.
LARGEST = 128 << 20
_FIRST = bytes(32)
_MARK = b',"stamp":"'
_DIGEST = re.compile("[0-9a-f]{64}")
_NOT_MADE = "was made by somebody else, on another machine or by an old version"
_GREATEST = 1 << 50  # bytes, of a file and of all originals


class NotBelieved(Exception):
    """Why a log is not believed, in words that follow its path."""


class Newer(Exception):
    """It is this user's, and of a newer version."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A change of one file: digests and sizes of what it was and what it became, and where the original lies."""

    path: str
    before: str
    after: str
    at: int
    size: int
    new_size: int

    def event(self) -> dict[str, Any]:
        """What stands in its line."""
        return {
            "patch": self.path,
            "before": self.before,
            "after": self.after,
            "at": self.at,
            "sizes": [self.size, self.new_size],
        }


@dataclass(frozen=True, slots=True)
class Done:
    """All patches before it are through, but for those of these files."""

    without: frozenset[str]


@dataclass(frozen=True, slots=True)
class Log:
    """What a log says, where its whole lines end, and the last stamp, which the next line needs."""

    events: list[Patch | Done] = field(default_factory=list)
    end: int = 0
    stamp: bytes = _FIRST


def believed(data: bytes, key: Key | None) -> Log:
    """What this user wrote; an end that was torn by a crash, before anything in it was begun, is left out.

    Raises NotBelieved, also for a name or a value that no run of ours writes, and Newer.
    """
    if key is None:
        raise NotBelieved(_NOT_MADE)
    stamp, end, out = _FIRST, 0, list[Patch | Done]()
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        body, _, claimed = line.rpartition(_MARK)
        right = key.stamp(stamp + body)
        if not hmac.compare_digest(claimed, b'%b"}' % right.hex().encode()):
            if number > 1 and b'\n{"done":' not in data[end:]:
                break
            raise NotBelieved(f"is damaged in line {number} of its log" if number > 1 else _NOT_MADE)
        stamp = right
        end += len(line) + 1
        if number == 1:
            _check_version(body)
            continue
        try:
            out.append(_event(json.loads(body + b"}")))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise NotBelieved(f"is damaged in line {number} of its log") from None
    if not end and not lines([], key)[0].startswith(data) and data.strip(b"\0"):
        raise NotBelieved(_NOT_MADE)
    return Log(out, end, stamp)


def lines(said: Iterable[Patch | Done], key: Key, after: bytes = _FIRST) -> tuple[bytes, bytes]:
    """Lines to append behind the stamp `after`, the first line of a log before them where it is the first stamp; and
    the last stamp."""
    bodies = [each.event() if isinstance(each, Patch) else {"done": sorted(each.without)} for each in said]
    if after == _FIRST:
        bodies.insert(0, {"journal": VERSION})
    out = []
    for body in bodies:
        text = json.dumps(body, separators=(",", ":"))[:-1].encode("ascii")
        after = key.stamp(after + text)
        out.append(b'%b%b%b"}\n' % (text, _MARK, after.hex().encode()))
    return b"".join(out), after


def _check_version(body: bytes) -> None:
    """Raises Newer, and NotBelieved."""
    try:
        version = json.loads(body + b"}")["journal"]
    except (ValueError, KeyError, TypeError, RecursionError):
        version = None
    if type(version) is not int or version < VERSION:
        raise NotBelieved(_NOT_MADE)
    if version > VERSION:
        raise Newer


def _event(read: Any) -> Patch | Done:
    """Raises ValueError, KeyError and TypeError."""
    if "patch" in read:
        size, new_size = map(_number, read["sizes"])
        patch = Patch(read["patch"], read["before"], read["after"], _number(read["at"]), size, new_size)
        _check_name(patch.path)
        if not (_DIGEST.fullmatch(patch.before) and _DIGEST.fullmatch(patch.after)):
            raise ValueError
        return patch
    without = read["done"]
    if not isinstance(without, list):
        raise TypeError
    for name in without:
        _check_name(name)
    return Done(frozenset(without))


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not may_hold(name):
        raise ValueError


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < _GREATEST:
        raise ValueError
    return value
