"""Launch lines: shell scripts, Makefiles, Dockerfiles, batch files and PowerShell, and shell text within other files.

`settings_in` serves the other sources: a cell of a notebook, a string of Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from precision_fix.model.edit import GiveName, GiveValue, Splice, TakeOut
from precision_fix.model.finding import BY_COMMENT, Action, Finding, Verdict, keep, manual
from precision_fix.model.rule import Lines, SettingRule
from precision_fix.model.selection import ALL, Selection
from precision_fix.model.setting import Declared, Document, Form, Key, Setting
from precision_fix.model.target import Target
from precision_fix.rules import rules
from precision_fix.sources.analysis import Analysis, Unparsable
from precision_fix.sources.commands import Program
from precision_fix.sources.comments import Keeps
from precision_fix.sources.launch_dialects import read
from precision_fix.sources.launch_settings import Found, Line, found, reads_here
from precision_fix.sources.native import judge
from precision_fix.sources.programs import declared
from precision_fix.sources.project import libraries_near
from precision_fix.sources.refusals import check_setting
from precision_fix.sources.shell import Command, Word, commands


@dataclass(frozen=True, slots=True)
class Place:
    """A setting of a launch line: the offset in the text where it is written, what is said of it and what is done.

    `extent` is that of the command around it.
    """

    offset: int
    token: str
    code: str
    verdict: Verdict
    splices: tuple[Splice, ...] = ()
    extent: tuple[int, int] = (0, 0)


def analyse(path: str, text: str, target: Target, selection: Selection = ALL) -> Analysis:
    """Find the settings of a script and judge them. Raises Unparsable."""
    analysis = Analysis()
    dialect, lines = read(path, text)
    keeps = Keeps(text, [(word.start, word.end) for each in lines for word in each.words])
    for place in _places(path, text, found(lines, dialect), target):
        line, column = _line_and_column(text, place.offset)
        verdict = place.verdict
        if verdict.action is not Action.KEEP and any(keeps.covers(each, place.code) for each in _lines(text, place)):
            verdict = keep(BY_COMMENT)
        if not selection.takes(place.code):
            continue
        analysis.findings.append(Finding(path, line, column, place.code, verdict.action, place.token, verdict.reason))
        if verdict.action is Action.REWRITE:
            analysis.splices += place.splices
    for offset, said in _written(lines):
        answer = judge(Lines.WRITTEN, said)
        if answer is not None:
            code, verdict = answer
            number, column = _line_and_column(text, offset)
            verdict = keep(BY_COMMENT) if keeps.covers(number, code) else verdict
            if not selection.takes(code):
                continue
            analysis.findings.append(
                Finding(path, number, column, code, verdict.action, said.strip()[:40], verdict.reason)
            )
    analysis.findings.sort(key=lambda each: (each.line, each.column))
    analysis.unused_keeps = keeps.unused
    return analysis


def _written(lines: Sequence[Command]) -> Iterator[tuple[int, str]]:
    """The lines of here-documents that are no commands, and where what they say begins."""
    for command in lines:
        for here in command.here if not reads_here(command) else ():
            position = 0
            for line in here.text.split("\n"):
                yield here.start + position + len(line) - len(line.lstrip()), line
                position += len(line) + 1


def parse(text: str) -> object:
    """A script has no parser that would take it without its shell; `analyse` reads the result again."""
    return text


def settings_in(text: str, target: Target, *, path: str = "", start: int = 0, end: int | None = None) -> list[Place]:
    """The settings of the shell text that stands between two offsets of a text, in their order.

    `path` is the file that the text is of: programs are looked for near it. Offsets and splices count in `text`.
    Text that does not read as shell has none.
    """
    stop = len(text) if end is None else end
    try:
        in_shell = commands(text[start:stop], range(start, stop))
    except Unparsable:
        return []
    return _places(path, text, found(in_shell), target)


def settings_of(words: Sequence[str], index: int, target: Target, *, path: str = "") -> list[Place]:
    """What is said of one word of a command that is given as a list of words: an option, with its value or alone.

    The verdict's `change` tells what is to be done; the offsets of the place mean nothing.
    """
    line = [
        Word(text, range(n << 20, (n << 20) + len(text)), n << 20, (n << 20) + len(text))
        for n, text in enumerate(words)
    ]
    settings = [each for each in found([Command(line, listed=True)]) if each.index == index and not each.remote]
    return _places(path, "", settings, target)


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    line = before.count("\n") + 1
    return line, offset - (before.rfind("\n") + 1) + 1


def _lines(text: str, place: Place) -> range:
    """The lines on which a comment keeps a place: from the one above its command to the command's last.

    A line that is continued has no room for a comment.
    """
    first, _ = _line_and_column(text, place.extent[0])
    last, _ = _line_and_column(text, place.extent[1])
    return range(first - 1, last + 1)


def _places(path: str, text: str, settings: Sequence[Found], target: Target) -> list[Place]:
    places: dict[int, Place] = {}
    taken: dict[int, list[Found]] = {}
    lines: dict[int, Line] = {}
    for each in settings:
        at = each.value if each.remote else each.option
        place = _judged(path, each, at or each.option, target)
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


def _judged(path: str, each: Found, at: Word, target: Target) -> Place | None:
    value = each.value.text if each.value is not None else None
    answers: list[tuple[str, Verdict]] = []
    for program in each.programs or [Program()]:
        values: dict[tuple[Key, ...], object] = {tuple(name.split(".")): value for name, value in each.options.items()}
        document = Document(path, values, program.command, libraries_near(path) if path else frozenset())
        keys = tuple(each.key.split("."))
        setting = Setting(each.form, keys, value, document, target, _declared(path, program, each))
        answers += [answer for answer in [_verdict(setting)] if answer is not None]
    if not answers:
        return None
    code, verdict = answers[0]
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
    token = at.text if each.remote else each.option.text.partition("=")[0]
    extent = min(word.start for word in each.line.words), max(word.end for word in each.line.words)
    return Place(at.start, token, code, verdict, splices, extent)


def _declared(path: str, program: Program, each: Found) -> Declared | None:
    return declared(path, program.script, program.module, each.key) if program.script and path else None


@cache
def _rules() -> tuple[SettingRule, ...]:
    forms = {Form.OPTION, Form.ASSIGNED}
    return tuple(rule for rule in rules() if isinstance(rule, SettingRule) and rule.forms & forms)


def _verdict(setting: Setting) -> tuple[str, Verdict] | None:
    for rule in _rules():
        # A switch says nothing of what is stored, whatever its name has in it (`--bf16-text-enc`).
        asked = setting.form in rule.forms and (setting.value is not None or rule.code.startswith("PF6"))
        verdict = rule.judge(setting) if asked else None
        if verdict is not None:
            return rule.code, check_setting(setting, verdict)
    return None


# How a change is written.

_FALSE = {"true": "false", "1": "0", "yes": "no", "on": "off", "y": "n", "t": "f"}


def _splices(each: Found, verdict: Verdict) -> tuple[Splice, ...] | None:
    match verdict.change:
        case GiveValue(value=False):
            if each.value is None:
                behind = ', "False"' if each.line.listed else " False"
                return (Splice(each.option.end, each.option.end, behind),)
            new = _FALSE.get(each.value.text.lower(), "False")
            splice = each.value.spelt(new.upper() if each.value.text.isupper() else _cased(each.value.text, new))
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


def _cased(old: str, new: str) -> str:
    return new.capitalize() if old[:1].isupper() else new.lower()


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
