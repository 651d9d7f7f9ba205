"""Files that a script holds in here-documents: `cat > config.json <<EOF`, `python - <<EOF`.

Each is read as a file of its name would be, in its place. The shell puts its variables in first, so that a text with
some in it need not be sound as it stands; it is read with others of their length in their place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from precision_fix.model.around import ALONE, Around
from precision_fix.model.edit import Splice
from precision_fix.model.finding import manual
from precision_fix.model.moves import Place
from precision_fix.model.selection import Selection
from precision_fix.model.target import Target
from precision_fix.sources import PYTHON, Format, format_of
from precision_fix.sources.analysis import Analysis, Left, Stretch, Unparsable
from precision_fix.sources.commands import name_of
from precision_fix.sources.comments import Keeps
from precision_fix.sources.launch_settings import reads_here
from precision_fix.sources.positions import Positions
from precision_fix.sources.shell import ASSIGNMENT, Command, HereDocument

_PYTHONS = re.compile(r"python[\d.]*")
_EXPANDED = re.compile(r"\$\{[^{}\n]*\}|\$\([^()\n]*\)|\$\w+|`[^`\n]*`")
_READ_APART = ("launch", "native", "notebook")


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and what is asked about all of it."""

    path: str
    text: str
    positions: Positions
    keeps: Keeps
    target: Target
    selection: Selection
    around: Around


def read_as_files(script: Script, into: Analysis, commands: Sequence[Command], left: Left) -> list[HereDocument]:
    """Add what is said of here-documents that are files of a kind that is read; gives back the others."""
    others = []
    for command in commands:
        for here in command.here if not reads_here(command) else ():
            name = _name_of(command, here)
            format_ = format_of(name)
            if format_ is None or format_.module in _READ_APART or not _add(script, into, here, name, format_, left):
                others.append(here)
    return others


def _name_of(command: Command, here: HereDocument) -> str:
    """What the file is called; where that does not show, JSON is known by how it begins."""
    words = [word.text for word in command.words if not ASSIGNMENT.match(word.text)]
    program = name_of(words[0]) if words else ""
    if _PYTHONS.fullmatch(program) and not [each for each in words[1:] if not each.startswith("-")]:
        return "stdin.py"
    name = name_of(command.into or (words[-1] if program == "tee" else ""))
    is_json = not name.rpartition(".")[1] and here.text.lstrip()[:1] == "{"
    return "document.json" if is_json else name


def _add(script: Script, into: Analysis, here: HereDocument, name: str, format_: Format, left: Left) -> bool:
    """Whether the text could be read as what it is called."""
    if not format_.may_hold_a_site(here.text.encode(errors="replace")):
        return False
    place = str(Path(script.path).parent / name)
    around = ALONE if format_ is PYTHON else script.around
    inner = Positions(here.text)
    stays = {inner.of(at): why for at, why in _offsets(script, here, left)}
    without = _EXPANDED.sub(lambda match: "1" * len(match[0]), here.text)
    for text in dict.fromkeys((here.text, without if format_ is not PYTHON else here.text)):
        try:
            found = format_.source().analyse(place, text, script.target, script.selection, around, stays)
        except Unparsable:
            continue
        _embed(script, into, here, inner, found)
        return True
    return False


def _offsets(script: Script, here: HereDocument, left: Left) -> list[tuple[int, str]]:
    at = [(script.positions.start(line) + column - 1 - here.start, why) for (line, column), why in left.items()]
    return [(offset, why) for offset, why in at if 0 <= offset < len(here.text)]


def _embed(script: Script, into: Analysis, here: HereDocument, inner: Positions, found: Analysis) -> None:
    """Put what is said of the text where it stands in the script."""

    def outer(line: int, column: int) -> tuple[int, int]:
        return script.positions.of(here.start + inner.start(line) + column - 1)

    def shifted(splices: list[Splice]) -> list[Splice]:
        return [replace(each, start=here.start + each.start, end=here.start + each.end) for each in splices]

    for finding in (*found.findings, *found.unanswered):
        line, column = outer(finding.line, finding.column)
        if finding.by_comment:
            script.keeps.heed(manual(""), finding.code, [line])
        told = replace(finding, path=script.path, line=line, column=column)
        (into.findings if finding.code else into.unanswered).append(told)
    real = os.path.abspath(script.path)  # noqa: PTH100 - links stay as they are
    for move in found.moves if not found.stretches else ():  # Python's are settled among themselves
        into.moves.append(replace(move, place=Place(real, *outer(move.place.line, move.place.column))))
    into.splices += shifted(found.splices)
    into.stretches += [_stretch(each, shifted) for each in found.stretches]


def _stretch(stretch: Stretch, shifted: Callable[[list[Splice]], list[Splice]]) -> Stretch:
    return Stretch(stretch.code, stretch.edits, lambda splices: shifted(stretch.place(splices)))
