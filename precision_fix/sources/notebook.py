"""Jupyter notebooks: their code cells are one module of Python, with magics, commands and whole files in between.

A name that one cell imports holds in the next, so all cells are read as one text. A cell that does not parse by
itself would not run either; it is left out, and reported where it speaks of bfloat16.
"""

from __future__ import annotations

import json
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path

from precision_fix.model import newlines
from precision_fix.model.around import ALONE, Around
from precision_fix.model.edit import Splice, spliced
from precision_fix.model.finding import Action, Finding
from precision_fix.model.moves import Place
from precision_fix.model.selection import ALL, Selection
from precision_fix.model.target import Target
from precision_fix.model.vocabulary.spellings import CORE
from precision_fix.sources import NOTEBOOK, PYTHON, cells, format_of, magics, python
from precision_fix.sources.analysis import Analysis, Left, Stretch, Unparsable
from precision_fix.sources.cells import Cell
from precision_fix.sources.magics import Kind, Part
from precision_fix.sources.positions import Positions

# NAME=VALUE or NAME VALUE; a value with blanks would be another one to a shell.
_VARIABLE = re.compile(r"(\w+)[= ](\S+)\s*")
_MENTION = re.compile(rf"\w*{CORE}\w*", re.IGNORECASE)


def parse(text: str) -> object:
    """Raises Unparsable for what is no notebook."""
    return cells.read(text)


def analyse(
    path: str,
    text: str,
    target: Target,
    selection: Selection = ALL,
    around: Around = ALONE,
    left: Left | None = None,
) -> Analysis:
    """Find the sites in the code cells of a notebook and judge them. Raises Unparsable."""
    code = cells.read(text).python
    if not NOTEBOOK.may_hold_a_site(json.dumps([cell.text for cell in code]).encode()):
        return Analysis()
    found = _Found(path, text, target, selection, around, left or {})
    understood = [(cell, magics.understand(cell.text)) for cell in code]
    found.add_python([(cell, each.python) for cell, each in understood])
    for cell, each in understood:
        for part in each.parts:
            found.add_part(cell, part)
    return found.analysis()


@dataclass(slots=True)
class _Sheet:
    """A text that is read by itself, put together from cells.

    The text of `cells[i]` begins at `starts[i]`, with its character number `first`.
    """

    text: str
    cells: list[Cell]
    starts: list[int]
    first: int = 0

    def at(self, offset: int) -> tuple[Cell, int]:
        """The cell that a character comes from, and which of its characters that is."""
        index = bisect_right(self.starts, offset) - 1
        cell = self.cells[index]
        return cell, min(self.first + offset - self.starts[index], len(cell.text))

    def place(self, splices: list[Splice]) -> list[Splice]:
        """Splices of the text as splices of the file, which touch no more than what becomes another."""
        placed = []
        for splice in splices:
            for each in _narrowed(self.text, splice):
                cell, start = self.at(each.start)
                placed.append(cell.splice(Splice(start, start + each.end - each.start, each.text)))
        return placed


class _Found:
    """What is found in the texts of a notebook, by places of the file."""

    def __init__(self, path: str, file: str, target: Target, selection: Selection, around: Around, left: Left) -> None:
        self.path = path
        self.file = file
        self.target = target
        self.selection = selection
        self.around = around
        self._left = left
        self._known = (0, 1, 0)
        self._findings: list[tuple[int, Finding]] = []
        self._keeps: list[int] = []
        self._result = Analysis()

    def analysis(self) -> Analysis:
        found = [finding for _, finding in sorted(self._findings, key=lambda each: each[0])]
        self._result.findings = [finding for finding in found if finding.code]
        self._result.unanswered = [finding for finding in found if not finding.code]
        self._result.unused_keeps = [self._place(offset)[0] for offset in sorted(self._keeps)]
        return self._result

    def add_python(self, code: list[tuple[Cell, str]]) -> None:
        """The cells as one module; where that does not parse, those of them that do by themselves."""
        try:
            self._add_module(code)
        except Unparsable:
            sound = []
            for cell, text in code:
                why = _why_not(text)
                if why is None:
                    sound.append((cell, text))
                else:
                    self._report(cell, 0, len(cell.text), f"this cell {why}")
            self._add_module(sound)

    def _add_module(self, code: list[tuple[Cell, str]]) -> None:
        starts, blocks, texts, position = [], [], [], 0
        for _, text in code:
            head = _head(text)
            texts += [head, text, "\n"]
            blocks.append(position)
            starts.append(position + len(head))
            position += len(head) + len(text) + 1
        sheet = _Sheet("".join(texts), [cell for cell, _ in code], starts)
        if not _encodes(sheet.text):
            raise Unparsable("holds half a character")
        lines = Positions(sheet.text)
        begins = [lines.of(block)[0] for block in blocks]
        found = python.analyse(self.path, sheet.text, self.target, self.selection, blocks=begins)
        self._add(sheet, found, python.parse)

    def add_part(self, cell: Cell, part: Part) -> None:
        """Something in a cell that is no Python of the notebook."""
        text = cell.text[part.start : part.end]
        match part.kind:
            case Kind.UNKNOWN:
                self._report(cell, part.start, part.end, f"what {part.name} makes of this is not known")
            case Kind.FILE:
                self._add_file(cell, part, part.name, text)
            case Kind.SHELL:
                self._add_file(cell, part, "cell.sh", text)
            case Kind.RUN:
                self._add_file(cell, part, "cell.sh", text, "python ")
            case Kind.VARIABLE:
                found = _VARIABLE.fullmatch(text)
                if found:
                    self._add_file(cell, part, "cell.sh", f"{found[1]}={found[2]}", "export ")

    def _add_file(self, cell: Cell, part: Part, name: str, text: str, head: str = "") -> None:
        """Text that the source for a file of this name reads. `head` is what it takes to say the same in a file."""
        format_ = format_of(name)
        if format_ is None or format_ is NOTEBOOK or not format_.may_hold_a_site(text.encode(errors="replace")):
            return
        source = format_.source()
        sheet = _Sheet(head + text, [cell], [len(head)], part.start)
        try:
            place = str(Path(self.path).parent / name)
            around = ALONE if format_ is PYTHON else self.around
            analysis = source.analyse(place, sheet.text, self.target, self.selection, around)
            stays = self._stays(sheet, analysis)
            if stays:
                analysis = source.analyse(place, sheet.text, self.target, self.selection, around, stays)
        except Unparsable as error:
            where = name if part.kind is Kind.FILE else "this command"
            self._report(cell, part.start, part.end, f"{where} {error}")
        else:
            self._add(sheet, analysis, source.parse)

    def _stays(self, sheet: _Sheet, analysis: Analysis) -> Left:
        """The places of a text that are left after all, by its own lines."""
        places = [(move.place.line, move.place.column) for move in analysis.moves] if self._left else []
        return {each: self._left[at] for each in places if (at := self._in_file(sheet, each)) in self._left}

    def _in_file(self, sheet: _Sheet, place: tuple[int, int]) -> tuple[int, int]:
        cell, character = sheet.at(Positions(sheet.text).start(place[0]) + place[1] - 1)
        return self._place(cell.offset(character))

    def _report(self, cell: Cell, start: int, end: int, why: str) -> None:
        """Say of a part of a cell that is not read where it first speaks of bfloat16."""
        mention = _MENTION.search(cell.text, start, end)
        if mention and self.selection.takes("PF901"):
            finding = Finding(self.path, 0, 0, "PF901", Action.MANUAL, mention[0], f"{why}: see whether it must change")
            self._add_finding(cell, mention.start(), finding)

    def _add(self, sheet: _Sheet, analysis: Analysis, parse: Callable[[str], object]) -> None:
        lines = Positions(sheet.text)
        for finding in (*analysis.findings, *analysis.unanswered):
            cell, character = sheet.at(lines.start(finding.line) + finding.column - 1)
            self._add_finding(cell, character, finding)
            for heard in finding.hearings:
                for end in heard.reached.ends if heard.reached is not None else ():
                    end.cell = _in_cell(*sheet.at(lines.start(end.line)))
        for line in analysis.unused_keeps:
            cell, character = sheet.at(lines.start(line))
            self._keeps.append(cell.offset(character))
        # Those of Python are settled among themselves.
        for move in analysis.moves if not analysis.stretches else ():
            at = Place(os.path.abspath(self.path), *self._in_file(sheet, move.place[1:]))  # noqa: PTH100
            self._result.moves.append(replace(move, place=at))
        for stretch in analysis.stretches:
            self._result.stretches.append(Stretch(stretch.code, stretch.edits, self._placing(sheet, stretch, parse)))
        self._result.splices += sheet.place(analysis.splices)

    def _add_finding(self, cell: Cell, character: int, finding: Finding) -> None:
        offset = cell.offset(character)
        line, column = self._place(offset)
        where = _in_cell(cell, character)
        self._findings.append((offset, replace(finding, path=self.path, line=line, column=column, cell=where)))

    def _place(self, offset: int) -> tuple[int, int]:
        """Line and column in the file, by counting on from the last that was asked for."""
        position, line, start = self._known if self._known[0] <= offset else (0, 1, 0)
        lines = newlines.count(self.file, position, offset)
        if lines:
            line, start = line + lines, newlines.start_of(self.file, offset, position)
        self._known = (offset, line, start)
        return line, offset - start + 1

    def _placing(
        self, sheet: _Sheet, stretch: Stretch, parse: Callable[[str], object]
    ) -> Callable[[list[Splice]], list[Splice]]:
        def place(splices: list[Splice]) -> list[Splice]:
            placed = stretch.place(splices)
            # A cell that no longer parsed would be left out in silence when the notebook is read again.
            parse(spliced(sheet.text, placed))
            return sheet.place(placed)

        return place


def _in_cell(cell: Cell, character: int) -> str:
    return f"cell {cell.number}, line {cell.lines.of(character)[0]}"


def _head(code: str) -> str:
    """What makes a cell that is indented as a whole stand at the margin, as IPython takes it."""
    return "" if _AT_MARGIN.search(code) or not _INDENTED.search(code) else "if 1:\n"


_AT_MARGIN = re.compile(r"^\S", re.MULTILINE)
_INDENTED = re.compile(r"^[ \t]+[^\s#]", re.MULTILINE)


def _why_not(code: str) -> str | None:
    """Why the Python of a cell does not parse by itself; None where it does."""
    if not _encodes(code):
        return "holds half of a character in two halves (a lone surrogate)"
    head = _head(code)
    try:
        python.parse(head + code)
    except Unparsable as error:
        return str(error)
    return None


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_TOKEN = re.compile(r"\w+|\W")
# SequenceMatcher may take as many steps as there are pairs.
_MOST_PAIRS = 1_000_000


def _narrowed(text: str, splice: Splice) -> Iterator[Splice]:
    """The same by splices of the tokens that differ."""
    old, new = _TOKEN.findall(text[splice.start : splice.end]), _TOKEN.findall(splice.text)
    if len(old) * len(new) > _MOST_PAIRS:
        yield splice
        return
    places = [splice.start]
    for token in old:
        places.append(places[-1] + len(token))
    for tag, first, last, new_first, new_last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            yield Splice(places[first], places[last], "".join(new[new_first:new_last]))
