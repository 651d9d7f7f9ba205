"""What a place is known by from run to run, though lines are added above it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

from precision_fix.model import newlines
from precision_fix.model.finding import Finding
from precision_fix.reports.address import Addresses
from precision_fix.reports.hunks import texts
from precision_fix.reports.run import Run

# Of a longer line, the words are known by their digest.
_MOST_WORDS = 1_000


class Marks:
    """A mark is made of the rule, the file, the words of the line, and which of equals the place is."""

    def __init__(self, run: Run, addresses: Addresses) -> None:
        self._dry = run.dry
        self._addresses = addresses
        self._files = {file.path: file for file in run.files}
        self._lines: dict[str, list[str]] = {}
        self._words: dict[tuple[str, int], str] = {}
        self._seen: Counter[tuple[str, str, str]] = Counter()

    def of(self, findings: Iterable[Finding]) -> dict[int, str]:
        """The marks of findings by their `id`. An ordinal among equals must not depend on what is told first."""
        return {id(each): self.mark(each) for each in sorted(findings, key=_position)}

    def mark(self, finding: Finding) -> str:
        """The mark of the next place: 32 hexadecimal digits."""
        place = finding.path, finding.line
        if place not in self._words:
            words = " ".join(self.line(*place).split())
            self._words[place] = words if len(words) <= _MOST_WORDS else digest(words)
        equals = (finding.code, self._addresses.uri(finding.path), self._words[place])
        self._seen[equals] += 1
        return digest("\0".join((*equals, str(self._seen[equals]))))[:32]

    def line(self, path: str, number: int) -> str:
        """A line of a file, as it is now; empty where the bytes were not asked for."""
        if path not in self._lines:
            file = self._files[path]
            self._lines[path] = newlines.with_ends(texts(file)[not self._dry])
        lines = self._lines[path]
        return lines[number - 1] if number <= len(lines) else ""


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _position(finding: Finding) -> tuple[str, int, int]:
    return finding.path, finding.line, finding.column
