"""A scan as a unified diff that `git apply` and `patch -p1` take."""

from __future__ import annotations

import difflib
import itertools
import operator
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from precision_fix.engine.guard import problem_of
from precision_fix.engine.scan import FileScan, Scan


def unified(scan: Scan) -> Iterator[bytes]:
    """The diff of each changed file. Bytes, since a file may be in any encoding.

    A file on which this fails is left out, and becomes a problem of the scan.
    """
    base = top_of(Path.cwd())
    for file in scan.changed:
        try:
            lines = list(_of(file, base))
        except Exception as error:
            file.problem = problem_of(file.path, error, "left out of the diff")
            scan.problems.append(file.problem)
        else:
            yield from lines


def _of(file: FileScan, base: Path) -> Iterator[bytes]:
    name = name_below(base, file.path, file.tree)
    old, new = _quoted(f"a/{name}"), _quoted(f"b/{name}")
    yield b"diff --git " + old + b" " + new + b"\n--- " + old + b"\n+++ " + new + b"\n"
    for line in _hunks(_lines(file.before), _lines(file.after)):
        yield line
        if not line.endswith(b"\n"):
            yield b"\n\\ No newline at end of file\n"


_Line = TypeVar("_Line", str, bytes)
_Code = tuple[str, int, int, int, int]
# Edits are short: behind one, both texts go on alike within so many lines, and for so many.
_REACH = 100
_ALIKE = 3
# difflib may take as many steps as there are pairs of lines: beyond these, all of a piece is one change.
_MOST_PAIRS = 1_000_000


def _hunks(old: list[bytes], new: list[bytes]) -> Iterator[bytes]:
    for group in _Matcher(old, new).get_grouped_opcodes():
        (_, first, _, new_first, _), (_, _, last, _, new_last) = group[0], group[-1]
        yield b"@@ -%s +%s @@\n" % (_extent(first, last), _extent(new_first, new_last))
        for tag, start, end, new_start, new_end in group:
            if tag == "equal":
                yield from (b" " + line for line in old[start:end])
            else:
                yield from (b"-" + line for line in old[start:end])
                yield from (b"+" + line for line in new[new_start:new_end])


def _extent(start: int, end: int) -> bytes:
    """Lines as the head of a hunk counts them: from 1, and from the line before where there are none."""
    count = end - start
    return b"%d" % (start + 1) if count == 1 else b"%d,%d" % (start + bool(count), count)


class _Matcher(difflib.SequenceMatcher[bytes]):
    """Finds short edits by walking along both texts, where difflib takes a minute for a notebook of 40 MB."""

    def __init__(self, old: list[bytes], new: list[bytes]) -> None:
        # difflib's own would index every line.
        self._texts = old, new

    def get_opcodes(self) -> list[_Code]:  # type: ignore[override]
        return opcodes(*self._texts)


def opcodes(old: list[_Line], new: list[_Line]) -> list[_Code]:
    """What becomes of the lines of a text, as difflib says it."""
    if len(old) == len(new):
        return _line_by_line(old, new)
    codes: list[_Code] = []
    i = j = 0
    while i < len(old) or j < len(new):
        same = _same(old, new, i, j)
        if same:
            codes.append(("equal", i, i + same, j, j + same))
            i, j = i + same, j + same
            continue
        after = _across(old, new, i, j) or (len(old), len(new))
        codes += _between(old, new, (i, after[0]), (j, after[1]))
        i, j = after
    return codes


def _line_by_line(old: list[_Line], new: list[_Line]) -> list[_Code]:
    """Edits that neither add nor take away a line: each line is compared with the one in its place."""
    codes: list[_Code] = []
    start = 0
    for same, group in itertools.groupby(map(operator.eq, old, new)):
        end = start + sum(1 for _ in group)
        codes.append(("equal" if same else "replace", start, end, start, end))
        start = end
    return codes


def _between(old: list[_Line], new: list[_Line], i: tuple[int, int], j: tuple[int, int]) -> list[_Code]:
    if i[0] < i[1] and j[0] < j[1] and (i[1] - i[0]) * (j[1] - j[0]) > _MOST_PAIRS:
        return [("replace", *i, *j)]
    codes = difflib.SequenceMatcher(None, old[i[0] : i[1]], new[j[0] : j[1]]).get_opcodes()
    return [(tag, i[0] + a, i[0] + b, j[0] + c, j[0] + d) for tag, a, b, c, d in codes]


def _same(old: list[_Line], new: list[_Line], i: int, j: int) -> int:
    n, most = 0, min(len(old) - i, len(new) - j)
    while n < most and old[i + n] == new[j + n]:
        n += 1
    return n


def _across(old: list[_Line], new: list[_Line], i: int, j: int) -> tuple[int, int] | None:
    """Where both go on alike behind a difference; None where that is far, and all that follows is compared."""
    for distance in range(1, 2 * _REACH):
        for a in range(max(i, i + distance - _REACH), min(i + distance, len(old), i + _REACH) + 1):
            b = j + distance - (a - i)
            if b <= len(new) and old[a : a + _ALIKE] == new[b : b + _ALIKE]:
                return a, b
    return None


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
