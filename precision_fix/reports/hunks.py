"""What changes in a file: as pieces of a diff with the findings that explain them, and as replacements of text."""

from __future__ import annotations

import difflib
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from precision_fix.engine.diff import opcodes
from precision_fix.engine.scan import FileScan
from precision_fix.model import newlines
from precision_fix.model.finding import Action, Finding
from precision_fix.sources import PYTHON, format_of_named
from precision_fix.sources.text import Undecodable, decode

_CONTEXT = 3
_WORD = re.compile(r"\w+|\s+|.", re.DOTALL)
# Beyond this many words, a changed block is taken as one piece: comparing costs their square.
_MOST_WORDS = 500


@dataclass(frozen=True, slots=True)
class Block:
    """Lines `start` to `end` before become lines `new_start` to `new_end` after; from 0, the ends excluded."""

    start: int
    end: int
    new_start: int
    new_end: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a diff without its end: `mark` is " ", "-" or "+"; `number` counts from 1, in its own text.

    `spans` are the characters that differ, where the line has a counterpart.
    """

    mark: str
    number: int
    text: str
    spans: tuple[tuple[int, int], ...] = ()


def clipped(line: Line, most: int = 400) -> Line:
    """A line of which no more than `most` characters are left, those around the first that differ."""
    if len(line.text) <= most:
        return line
    first = max(line.spans[0][0] - most // 2, 0) if line.spans else 0
    text = line.text[first : first + most]
    text = f"{'…' if first else ''}{text}{'…' if first + most < len(line.text) else ''}"
    shift = bool(first) - first
    spans = ((max(start + shift, 0), min(end + shift, len(text))) for start, end in line.spans)
    return Line(line.mark, line.number, text, tuple(span for span in spans if span[0] <= span[1]))


@dataclass(slots=True)
class Hunk:
    """Changed lines that lie close together, with some around them, and the findings that they come from.

    `start` and `new_start` count from 0.
    """

    start: int
    new_start: int
    lines: list[Line] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def header(self) -> str:
        old = sum(line.mark != "+" for line in self.lines)
        new = sum(line.mark != "-" for line in self.lines)
        return f"@@ -{self.start + bool(old)},{old} +{self.new_start + bool(new)},{new} @@"


@dataclass(frozen=True, slots=True)
class Replacement:
    """The characters from `start` up to `end` of the text before become `text`."""

    start: int
    end: int
    text: str


def texts(file: FileScan) -> tuple[str, str]:
    """A file before and after, without a byte order mark."""
    return text_of(file, file.before), text_of(file, file.after or file.before)


def text_of(file: FileScan, data: bytes) -> str:
    """The text of a file whose bytes are these."""
    try:
        return decode(data, coding=format_of_named(file.path, data) is PYTHON).text
    except Undecodable:
        return data.decode("utf-8", "replace")


def blocks(old: list[str], new: list[str]) -> list[Block]:
    """The lines that differ."""
    if len(old) == len(new):
        return list(_pairs_that_differ(old, new))
    return [Block(*piece) for tag, *piece in opcodes(old, new) if tag != "equal"]


def _differing(old: list[str], new: list[str]) -> Iterator[tuple[int, int, int, int]]:
    """Where two lists of words differ: start and end in the one, start and end in the other."""
    first = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    last = 0
    while last < min(len(old), len(new)) - first and old[-1 - last] == new[-1 - last]:
        last += 1
    middle, new_middle = old[first : len(old) - last], new[first : len(new) - last]
    if not middle or not new_middle or len(middle) == len(new_middle) == 1:
        if middle or new_middle:
            yield first, len(old) - last, first, len(new) - last
        return
    matcher = difflib.SequenceMatcher(None, middle, new_middle, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag != "equal":
            yield first + i1, first + i2, first + j1, first + j2


def _pairs_that_differ(old: list[str], new: list[str]) -> Iterator[Block]:
    start = None
    for i, (a, b) in enumerate(zip(old, new, strict=True)):
        if a != b and start is None:
            start = i
        elif a == b and start is not None:
            yield Block(start, i, start, i)
            start = None
    if start is not None:
        yield Block(start, len(old), start, len(old))


def line_after(file: FileScan) -> Callable[[int], int]:
    """A function from the number of a line before to its number after; both from 1."""
    before, after = texts(file)
    changed = blocks(newlines.with_ends(before), newlines.with_ends(after))

    starts = [block.start for block in changed]

    def moved(line: int) -> int:
        # The last block that begins no lower.
        place = bisect_right(starts, line - 1) - 1
        if place < 0:
            return line
        block = changed[place]
        if line - 1 < block.end:
            return min(line + block.new_start - block.start, max(block.new_end, 1))
        return line + block.new_end - block.end

    return moved


def hunks(file: FileScan) -> list[Hunk]:
    """The pieces of a file's diff. Each change of the file is with the piece that it lies in, or lies nearest to."""
    before, after = texts(file)
    old, new = newlines.with_ends(before), newlines.with_ends(after)
    groups: list[list[Block]] = []
    for block in blocks(old, new):
        if groups and block.start - groups[-1][-1].end <= 2 * _CONTEXT:
            groups[-1].append(block)
        else:
            groups.append([block])
    found = [_hunk(group, old, new) for group in groups]
    starts = [group[0].start for group in groups]
    for finding in file.findings if found else ():
        if finding.action is Action.REWRITE:
            # The last that begins no lower, or the first below.
            place = bisect_right(starts, finding.line - 1)
            near = range(max(place - 1, 0), min(place + 1, len(groups)))
            closest = min(near, key=lambda each: _distance(groups[each], finding.line - 1))
            found[closest].findings.append(finding)
    return found


def _distance(group: list[Block], line: int) -> int:
    """How far a line lies from the blocks of a group, which stand in their order."""
    place = bisect_right(group, line, key=lambda block: block.start)
    return min(
        0 if block.start <= line < block.end else min(abs(line - block.start), abs(line - block.end + 1))
        for block in group[max(place - 1, 0) : place + 1]
    )


def _hunk(group: list[Block], old: list[str], new: list[str]) -> Hunk:
    start = max(group[0].start - _CONTEXT, 0)
    hunk = Hunk(start, group[0].new_start - (group[0].start - start))
    for block in group:
        hunk.lines += [Line(" ", i + 1, _bare(old[i])) for i in range(start, block.start)]
        hunk.lines += _changed(block, old, new)
        start = block.end
    hunk.lines += [Line(" ", i + 1, _bare(old[i])) for i in range(start, min(start + _CONTEXT, len(old)))]
    return hunk


def _changed(block: Block, old: list[str], new: list[str]) -> Iterator[Line]:
    removed = [_bare(line) for line in old[block.start : block.end]]
    added = [_bare(line) for line in new[block.new_start : block.new_end]]
    paired = len(removed) == len(added)
    differ = [list(_words_that_differ(a, b)) for a, b in zip(removed, added, strict=True)] if paired else []
    for i, text in enumerate(removed):
        yield Line("-", block.start + i + 1, text, tuple(r[:2] for r in differ[i]) if paired else ())
    for i, text in enumerate(added):
        yield Line("+", block.new_start + i + 1, text, tuple(r[2:] for r in differ[i]) if paired else ())


def _bare(line: str) -> str:
    return line.rstrip("\r\n")


def replacements(before: str, after: str) -> list[Replacement]:
    """The least pieces of the text before, in whole words, that must be replaced to give the text after."""
    old, new = newlines.with_ends(before), newlines.with_ends(after)
    starts, new_starts = _starts(old), _starts(new)
    result = []
    for block in _by_line(blocks(old, new)):
        first, new_first = starts[block.start], new_starts[block.new_start]
        was, becomes = before[first : starts[block.end]], after[new_first : new_starts[block.new_end]]
        result += [
            Replacement(first + start, first + end, becomes[new_start:new_end])
            for start, end, new_start, new_end in _words_that_differ(was, becomes)
        ]
    return result


def _by_line(found: list[Block]) -> Iterator[Block]:
    """Blocks line by line, where as many lines stand in the place of those before."""
    for block in found:
        if block.end - block.start == block.new_end - block.new_start:
            for i, j in zip(range(block.start, block.end), range(block.new_start, block.new_end), strict=True):
                yield Block(i, i + 1, j, j + 1)
        else:
            yield block


def _starts(lines: list[str]) -> list[int]:
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    return starts


def _words_that_differ(old: str, new: str) -> Iterator[tuple[int, int, int, int]]:
    """Where two texts differ, in whole words: start and end in the one, start and end in the other."""
    a, b = _WORD.findall(old), _WORD.findall(new)
    if len(a) * len(b) > _MOST_WORDS**2:
        yield 0, len(old), 0, len(new)
        return
    at, new_at = _starts(a), _starts(b)
    for i1, i2, j1, j2 in _differing(a, b):
        yield at[i1], at[i2], new_at[j1], new_at[j2]
