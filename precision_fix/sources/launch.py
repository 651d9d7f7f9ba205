"""Launch lines: shell scripts, Makefiles, Dockerfiles, batch files and PowerShell.

`settings_in` and `settings_of` serve commands that stand in strings of Python.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from precision_fix.model import hearing
from precision_fix.model.around import ALONE, Around
from precision_fix.model.edit import GiveName, GiveValue, Splice, TakeOut
from precision_fix.model.finding import Action, Finding, Verdict, keep, manual
from precision_fix.model.hearing import SILENT, Hearing, heard
from precision_fix.model.rule import Lines
from precision_fix.model.selection import ALL, Selection
from precision_fix.model.setting import Declared, Document, Key, Setting
from precision_fix.model.target import Target
from precision_fix.model.vocabulary.truth import off_like
from precision_fix.sources.analysis import Analysis, Left, Unparsable
from precision_fix.sources.asking import Said, about_line, about_setting
from precision_fix.sources.commands import Program
from precision_fix.sources.comments import Keeps
from precision_fix.sources.launch_dialects import read
from precision_fix.sources.launch_settings import Found, Line, found
from precision_fix.sources.launch_variables import MOST_READERS, TOO_MANY
from precision_fix.sources.positions import Positions
from precision_fix.sources.project import libraries_near
from precision_fix.sources.readers import whole
from precision_fix.sources.shell import Command, HereDocument, Word, commands
from precision_fix.sources.written import Script, read_as_files


@dataclass(frozen=True, slots=True)
class Place:
    """A setting of a launch line: the offset in the text where it is written, what is said of it and what is done.

    `extent` is that of the command around it, where there is one. A place of which no rule knows a meaning has no code;
    there are such only while somebody listens.
    """

    offset: int
    token: str
    code: str
    verdict: Verdict
    splices: tuple[Splice, ...] = ()
    extent: tuple[int, int] | None = None
    hearings: tuple[Hearing, ...] = ()


def analyse(
    path: str,
    text: str,
    target: Target,
    selection: Selection = ALL,
    around: Around = ALONE,
    left: Left | None = None,
) -> Analysis:
    """Find the settings of a script and judge them. Raises Unparsable."""
    analysis = Analysis()
    dialect, lines = read(path, text)
    keeps = Keeps(text, [(word.start, word.end) for each in lines for word in each.words])
    positions = Positions(text)
    stays = {positions.start(line) + column - 1: why for (line, column), why in (left or {}).items()}
    places = _places(_Asking(path, target, around), text, found(lines, dialect), stays)
    script = Script(path, text, positions, keeps, target, selection, around)
    others = read_as_files(script, analysis, lines, left or {})
    for place in (*places, *_written(others)):
        verdict = keeps.heed(place.verdict, place.code, _kept_on(place, positions))
        line, column = positions.of(place.offset)
        if place.code:
            # How attention is computed chooses no precision.
            everywhere = place.code != "PF604"
            counts = selection.takes(place.code)
            analysis.add_move(path, line, column, verdict, counts=counts, reaches_all=everywhere)
        if not selection.takes(place.code):
            continue
        finding = Finding(path, line, column, place.code, verdict.action, place.token, verdict.reason)
        (analysis.findings if place.code else analysis.unanswered).append(heard(finding, place.hearings))
        if verdict.action is Action.REWRITE:
            analysis.splices += place.splices
    analysis.findings.sort(key=lambda each: (each.line, each.column))
    analysis.unused_keeps = keeps.unused
    return analysis


def _written(others: Sequence[HereDocument]) -> Iterator[Place]:
    """What there is to say of the lines of here-documents that are neither commands nor a file that is read."""
    for here in others:
        position = here.start
        for line in here.text.split("\n"):
            answer = about_line(line, Lines.WRITTEN)
            if answer is not None:
                offset = position + len(line) - len(line.lstrip())
                yield Place(offset, line.strip()[:40], answer[0].code, answer[1], hearings=hearing.of(line))
            position += len(line) + 1


def _kept_on(place: Place, positions: Positions) -> range:
    """The lines on which a comment keeps a place: from the one above its command to the command's last.

    A line that is continued has no room for a comment. A place without a command is kept on its own line.
    """
    if place.extent is None:
        line, _ = positions.of(place.offset)
        return range(line, line + 1)
    first, last = (positions.of(offset)[0] for offset in place.extent)
    return range(first - 1, last + 1)


def parse(text: str) -> object:
    """A script has no parser that would take it without its shell; `analyse` reads the result again."""
    return text


def settings_in(text: str, target: Target, *, path: str = "", around: Around = ALONE) -> list[Place]:
    """The settings of a shell text, in their order. Text that does not read as shell has none.

    `path` is the file that the text is of: programs are looked for near it.
    """
    try:
        in_shell = commands(text)
    except Unparsable:
        return []
    return _places(_Asking(path, target, around), text, found(in_shell))


def settings_of(
    words: Sequence[str], target: Target, *, path: str = "", around: Around = ALONE
) -> dict[int, list[Place]]:
    """What is said of each word of a command that is given as a list of words: an option, with its value or alone.

    The verdict's `change` tells what is to be done; the offsets of the places mean nothing.
    """
    line = [
        Word(text, range(n << 20, (n << 20) + len(text)), n << 20, (n << 20) + len(text))
        for n, text in enumerate(words)
    ]
    by_word: dict[int, list[Found]] = {}
    for each in found([Command(line, listed=True)]):
        if not each.remote:
            by_word.setdefault(each.index, []).append(each)
    asking = _Asking(path, target, around)
    return {index: _places(asking, "", settings) for index, settings in by_word.items()}


def _places(
    asking: _Asking, text: str, settings: Sequence[Found], stays: Mapping[int, str] | None = None
) -> list[Place]:
    places: dict[int, Place] = {}
    taken: dict[int, list[Found]] = {}
    lines: dict[int, Line] = {}
    for each in settings:
        at = each.value if each.remote else each.option
        place = asking.judged(each, at or each.option)
        if place is None:
            continue
        offset = place.offset
        if stays and offset in stays and place.verdict.action is Action.REWRITE:
            place = replace(place, verdict=manual(stays[offset]), splices=())
        known = places.get(offset)
        if known is not None and known.splices != place.splices:
            # Two programs read one variable, and do not agree.
            places[offset] = replace(known, verdict=manual("programs that read it want different words"), splices=())
        elif known is None:
            places[offset] = place
            if isinstance(place.verdict.change, TakeOut):
                taken.setdefault(id(each.line), []).append(each)
                lines[id(each.line)] = each.line
    for key, out in taken.items():
        still = [each for each in out if isinstance(places[each.option.start].verdict.change, TakeOut)]
        for each, splice in _taken_out(text, lines[key], still):
            places[each.option.start] = replace(places[each.option.start], splices=(splice,))
    return [places[offset] for offset in sorted(places)]


class _Asking:
    """Asks about the settings of a text: what stands around many of them is put together once."""

    def __init__(self, path: str, target: Target, around: Around) -> None:
        self._path = path
        self._target = target
        self._around = around
        # By their identity: the settings that hold them live longer.
        self._documents: dict[tuple[int, Program], Document] = {}
        self._files: dict[Program, str] = {}
        self._extents: dict[int, tuple[int, int]] = {}

    def judged(self, each: Found, at: Word) -> Place | None:
        answers, hearings = self._asked(each)
        token = at.text if each.remote else each.option.text.partition("=")[0]
        if not answers:
            return Place(at.start, token, "", keep(SILENT), hearings=hearings) if hearings else None
        rule, verdict = _agreed(each, answers)
        splices: tuple[Splice, ...] = ()
        if verdict.action is Action.REWRITE:
            made = _splices(each, verdict)
            if made is None:
                verdict = manual("written in a way that cannot be edited exactly")
            else:
                splices = made
        return Place(at.start, token, rule.code, verdict, splices, self._extent(each.line), hearings)

    def _asked(self, each: Found) -> tuple[list[Said], tuple[Hearing, ...]]:
        """What is said for each of the programs that read a setting."""
        value = each.value.text if each.value is not None else None
        keys = tuple(each.key.split("."))
        answers: list[Said] = []
        hearings: tuple[Hearing, ...] = ()
        for program in each.programs[:MOST_READERS] or [Program()]:
            document = self._document(each, program)
            declared = self._option(document.program, each.key) if document.program else None
            setting = Setting(each.form, keys, value, document, self._target, declared)
            answers += filter(None, [about_setting(setting)])
            hearings += hearing.of(setting)
        return answers, hearings

    def _document(self, each: Found, program: Program) -> Document:
        key = id(each.options), program
        if key not in self._documents:
            values: dict[tuple[Key, ...], object] = {tuple(n.split(".")): v for n, v in each.options.items()}
            libraries = libraries_near(self._path) if self._path else frozenset()
            file = self._file(program) if program.script and self._path else ""
            self._documents[key] = Document(self._path, values, program.command, libraries, self._around, file)
        return self._documents[key]

    def _file(self, program: Program) -> str:
        if program not in self._files:
            self._files[program] = self._around.programs.file(self._path, program.script, program.module)
        return self._files[program]

    def _option(self, program: str, name: str) -> Declared | None:
        """What a program of the project declares: it is not there where a file of it cannot be read."""
        programs = self._around.programs
        return whole(self._around, lambda: programs.option(program, name), None)

    def _extent(self, line: Line) -> tuple[int, int]:
        if id(line) not in self._extents:
            self._extents[id(line)] = min(w.start for w in line.words), max(w.end for w in line.words)
        return self._extents[id(line)]


def _agreed(each: Found, answers: list[Said]) -> Said:
    """What holds for all programs that read a setting."""
    rule, verdict = next((each for each in answers if each[1].action is Action.MANUAL), answers[0])
    changes = [other.change for _, other in answers if other.action is not Action.MANUAL]
    if any(other != changes[0] for other in changes):
        verdict = manual("programs that read it want different words")
    if each.remote and isinstance(verdict.change, TakeOut | GiveName):
        verdict = manual("the variable says true to a switch: take the option out where it is given")
    why = TOO_MANY if len(each.programs) > MOST_READERS else each.why
    if verdict.action is Action.REWRITE and why:
        verdict = manual(why)
    return rule, verdict


# How a change is written.


def _splices(each: Found, verdict: Verdict) -> tuple[Splice, ...] | None:
    match verdict.change:
        case GiveValue(value=False):
            if each.value is None:
                behind = ', "False"' if each.line.listed else " False"
                return (Splice(each.option.end, each.option.end, behind),)
            splice = each.value.spelt(off_like(each.value.text) or "False")
        case GiveValue(value=str() as word) if each.value is not None:
            splice = each.value.spelt(word)
        case GiveName(name=name):
            dashes = len(each.option.text) - len(each.option.text.lstrip("-"))
            splice = each.option.part(dashes, dashes + len(each.key)).spelt(name)
        case TakeOut():
            return ()
        case _:
            return None
    return (splice,) if splice is not None else None


_GAP = re.compile(r"(?:[ \t,]|[\\^`]?\r?\n)*")


def _taken_out(text: str, line: Line, out: list[Found]) -> Iterator[tuple[Found, Splice]]:
    """Take words out of a command so that what is left reads as before, its continued lines included."""
    gone = {index for each in out for index in _words_of(line, each)}
    everything = sorted([(word.start, word.end) for word in line.words] + line.others)
    starts = [start for start, _ in everything]
    # How far what begins before each of them reaches: of redirections, one may hold another.
    reach = [*accumulate((end for _, end in everything), max)]
    extents = {(line.words[index].start, line.words[index].end) for index in gone}
    last_staying = max((start for start, end in everything if (start, end) not in extents), default=-1)
    for each in out:
        mine = sorted(_words_of(line, each))
        first, last = line.words[mine[0]], line.words[mine[-1]]
        # What follows belongs to the next that stays; at the end of a command, what stands before goes instead.
        if last_staying >= last.end:
            following = starts[bisect_left(starts, last.end)]
            gap = text[last.end : following]
            yield each, Splice(first.start, following if _GAP.fullmatch(gap) else last.end, "")
        else:
            place = bisect_left(starts, first.start) - 1
            before = reach[place] if place >= 0 and reach[place] <= first.start else first.start
            gap = text[before : first.start]
            yield each, Splice(before if _GAP.fullmatch(gap) else first.start, last.end, "")


def _words_of(line: Line, each: Found) -> list[int]:
    with_value = each.value is not None and "=" not in each.option.text
    return [each.index, each.index + 1] if with_value else [each.index]
