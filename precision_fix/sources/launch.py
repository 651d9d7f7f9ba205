"""Launch lines: shell scripts, Makefiles, Dockerfiles, batch files and PowerShell.

`settings_in` and `settings_of` serve commands that stand in strings of Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

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
from precision_fix.sources.launch_settings import Found, Line, found, reads_here
from precision_fix.sources.positions import Positions
from precision_fix.sources.programs import declared
from precision_fix.sources.project import libraries_near
from precision_fix.sources.shell import Command, Word, commands


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
    places = _places(path, text, found(lines, dialect), target, around)
    for place in (*places, *_written(lines)):
        verdict = keeps.heed(place.verdict, place.code, _kept_on(place, positions))
        if not selection.takes(place.code):
            continue
        line, column = positions.of(place.offset)
        finding = Finding(path, line, column, place.code, verdict.action, place.token, verdict.reason)
        (analysis.findings if place.code else analysis.unanswered).append(heard(finding, place.hearings))
        if verdict.action is Action.REWRITE:
            analysis.splices += place.splices
    analysis.findings.sort(key=lambda each: (each.line, each.column))
    analysis.unused_keeps = keeps.unused
    return analysis


def _written(lines: Sequence[Command]) -> Iterator[Place]:
    """What there is to say of the lines of here-documents that are no commands."""
    for command in lines:
        for here in command.here if not reads_here(command) else ():
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
    return _places(path, text, found(in_shell), target, around)


def settings_of(
    words: Sequence[str], index: int, target: Target, *, path: str = "", around: Around = ALONE
) -> list[Place]:
    """What is said of one word of a command that is given as a list of words: an option, with its value or alone.

    The verdict's `change` tells what is to be done; the offsets of the place mean nothing.
    """
    line = [
        Word(text, range(n << 20, (n << 20) + len(text)), n << 20, (n << 20) + len(text))
        for n, text in enumerate(words)
    ]
    settings = [each for each in found([Command(line, listed=True)]) if each.index == index and not each.remote]
    return _places(path, "", settings, target, around)


def _places(path: str, text: str, settings: Sequence[Found], target: Target, around: Around) -> list[Place]:
    places: dict[int, Place] = {}
    taken: dict[int, list[Found]] = {}
    lines: dict[int, Line] = {}
    for each in settings:
        at = each.value if each.remote else each.option
        place = _judged(path, each, at or each.option, target, around)
        if place is None:
            continue
        offset = place.offset
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


def _judged(path: str, each: Found, at: Word, target: Target, around: Around) -> Place | None:
    value = each.value.text if each.value is not None else None
    answers: list[Said] = []
    hearings: tuple[Hearing, ...] = ()
    for program in each.programs or [Program()]:
        values: dict[tuple[Key, ...], object] = {tuple(name.split(".")): value for name, value in each.options.items()}
        document = Document(path, values, program.command, libraries_near(path) if path else frozenset(), around)
        keys = tuple(each.key.split("."))
        setting = Setting(each.form, keys, value, document, target, _declared(path, program, each))
        answers += filter(None, [about_setting(setting)])
        hearings += hearing.of(setting)
    token = at.text if each.remote else each.option.text.partition("=")[0]
    if not answers:
        return Place(at.start, token, "", keep(SILENT), hearings=hearings) if hearings else None
    rule, verdict = answers[0]
    if any(other.change != verdict.change for _, other in answers):
        verdict = manual("programs that read it want different words")
    if each.remote and isinstance(verdict.change, TakeOut | GiveName):
        verdict = manual("the variable says true to a switch: take the option out where it is given")
    if verdict.action is Action.REWRITE and each.why:
        verdict = manual(each.why)
    splices: tuple[Splice, ...] = ()
    if verdict.action is Action.REWRITE:
        made = _splices(each, verdict)
        if made is None:
            verdict = manual("written in a way that cannot be edited exactly")
        else:
            splices = made
    extent = min(word.start for word in each.line.words), max(word.end for word in each.line.words)
    return Place(at.start, token, rule.code, verdict, splices, extent, hearings)


def _declared(path: str, program: Program, each: Found) -> Declared | None:
    return declared(path, program.script, program.module, each.key) if program.script and path else None


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
    extents = {(line.words[index].start, line.words[index].end) for index in gone}
    for each in out:
        mine = sorted(_words_of(line, each))
        first, last = line.words[mine[0]], line.words[mine[-1]]
        # What follows belongs to the next that stays; at the end of a command, what stands before goes instead.
        following = next((start for start, end in everything if start >= last.end), last.end)
        before = max((end for _, end in everything if end <= first.start), default=first.start)
        if any(start >= last.end for start, end in everything if (start, end) not in extents):
            gap = text[last.end : following]
            yield each, Splice(first.start, following if _GAP.fullmatch(gap) else last.end, "")
        else:
            gap = text[before : first.start]
            yield each, Splice(before if _GAP.fullmatch(gap) else first.start, last.end, "")


def _words_of(line: Line, each: Found) -> list[int]:
    with_value = each.value is not None and "=" not in each.option.text
    return [each.index, each.index + 1] if with_value else [each.index]
