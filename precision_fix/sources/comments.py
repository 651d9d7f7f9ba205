"""`# precision-fix: keep`: a person's word that a line stays, for every rule or for the rules it names."""

from __future__ import annotations

import contextlib
import io
import re
import tokenize
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate

from precision_fix.model.finding import BY_COMMENT, Action, Verdict, keep
from precision_fix.sources.positions import Positions

# What begins with one character is found many times faster than what may begin with several.
_TAG = re.compile(r"-fix:", re.IGNORECASE)
_KEEP = re.compile(r"(?:#|//)\s*precision-fix:\s*keep\b(?:\s*\[([^\]]*)\])?", re.IGNORECASE)


class Keeps:
    """The keep comments of a text, and which of them were needed.

    A text that is no Python comes with its `values`: the characters that belong to keys and values, in which the same
    words are no comment.
    """

    def __init__(self, text: str, values: Iterable[tuple[int, int]] | None = None) -> None:
        self._codes: dict[int, frozenset[str]] = {}
        self._used: set[int] = set()
        # Tokens tell a comment from the same words in a string; they are slow, so only where the words are.
        if not _TAG.search(text) or not _KEEP.search(text):
            return
        if values is not None:
            self._read(_outside(text, values))
            return
        # Text that is no Python has no comments; what parses it says so.
        with contextlib.suppress(tokenize.TokenError, SyntaxError):
            tokens = tokenize.generate_tokens(io.StringIO(text, newline="").readline)
            self._read((token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT)

    def _read(self, comments: Iterable[tuple[int, str]]) -> None:
        for line, comment in comments:
            found = _KEEP.search(comment)
            if found:
                codes = (found[1] or "").replace(",", " ").upper().split()
                self._codes[line] = frozenset(codes)

    def covers(self, line: int, code: str) -> bool:
        """Whether a comment keeps what this rule found on this line; the comment then counts as used."""
        codes = self._codes.get(line)
        if codes is None or (codes and code not in codes):
            return False
        self._used.add(line)
        return True

    def heed(self, verdict: Verdict, code: str, lines: Sequence[int]) -> Verdict:
        """What a rule said of a place, or that a comment on one of these lines, from first to last, keeps it."""
        if verdict.action is not Action.KEEP and any(self.covers(line, code) for line in self._with_comment(lines)):
            return keep(BY_COMMENT)
        return verdict

    def _with_comment(self, lines: Sequence[int]) -> Iterable[int]:
        """Those of some lines that follow each other which have a comment."""
        if len(lines) < 2:
            return lines
        lined = self._lined
        return lined[bisect_left(lined, lines[0]) : bisect_right(lined, lines[-1])]

    @cached_property
    def _lined(self) -> list[int]:
        return sorted(self._codes)

    @property
    def unused(self) -> list[int]:
        """Lines of the comments that kept nothing."""
        return sorted(self._codes.keys() - self._used)


def _outside(text: str, values: Iterable[tuple[int, int]]) -> Iterator[tuple[int, str]]:
    """What looks like a comment and stands in no value, with its line."""
    spans = sorted(values)
    starts = [start for start, _ in spans]
    # How far the values reach that begin up to here: one may hold others.
    reach = [*accumulate((end for _, end in spans), max)]
    lines = Positions(text)
    for found in _KEEP.finditer(text):
        place = bisect_right(starts, found.start()) - 1
        if place < 0 or reach[place] <= found.start():
            yield lines.of(found.start())[0], found[0]
