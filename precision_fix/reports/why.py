"""What was asked about a place and what came of it, as plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from precision_fix.engine.why import Explained
from precision_fix.model.finding import Finding, Verdict
from precision_fix.model.hearing import Hearing
from precision_fix.model.problem import shown
from precision_fix.model.reach import Reach, Reached
from precision_fix.model.setting import Form, Setting, Takes
from precision_fix.reports.paste import all_pasted

_MOST_ENDS = 20


class _Line(NamedTuple):
    """What is wrapped to the width of a terminal, or, as code is, cut."""

    text: str
    indent: str = ""
    is_code: bool = False

    def wrapped(self, width: int) -> list[str]:
        if self.is_code:
            return [self.indent + textwrap.shorten(self.text, width - len(self.indent), placeholder=" ...")]
        wrapper = textwrap.TextWrapper(width, initial_indent=self.indent, subsequent_indent=f"{self.indent}  ")
        # A long path stays in one piece.
        wrapper.break_on_hyphens = wrapper.break_long_words = False
        # What stands in columns keeps its spaces.
        return wrapper.wrap(self.text) if len(self.indent) + len(self.text) > width else [self.indent + self.text]


def lines(found: Explained, width: int = 80) -> Iterator[str]:
    """The whole answer, in lines of so many columns."""
    for line in _answer(found):
        yield from line.wrapped(width)


def _answer(found: Explained) -> Iterator[_Line]:
    if not found.places:
        yield from _nothing(found)
    for index, place in enumerate(found.places):
        if index:
            yield _Line("")
        yield from _place(place, found)
    if found.patched:
        yield _Line("")
        yield _Line("The file is patched, and what that changed is no place any more. To ask of the original, undo it:")
        yield _Line(f"precision-fix undo {all_pasted([found.line.path])}", "  ")


def _nothing(found: Explained) -> Iterator[_Line]:
    line = found.line
    where = f"{shown(line.path)}:{line.number}" + (f":{line.column}" if line.column is not None else "")
    if not found.others:
        speaks = "nothing in it speaks of bfloat16" + (" now" if found.patched else "")
        yield _Line(f"{where}: no place here, nor anywhere in the file: {speaks}")
        return
    if found.others[0].line == line.number:
        columns = ", ".join(str(each.column) for each in found.others)
        yield _Line(f"{where}: no place here; those of the line begin at column {columns}")
        return
    closest = sorted({each.line for each in found.others}, key=lambda number: abs(number - line.number))[:5]
    numbers = ", ".join(map(str, sorted(closest)))
    are = "are on lines" if len(closest) > 1 else "is on line"
    yield _Line(f"{where}: no place here; the closest {are} {numbers}")


def _place(place: Finding, found: Explained) -> Iterator[_Line]:
    cell = f" ({place.cell})" if place.cell else ""
    yield _Line(f"{shown(place.path)}:{place.line}:{place.column}{cell}: {shown(place.token)}")
    said = f"{in_words(place)}: {place.reason}" if place.code else place.reason
    yield _Line(said, "  ")
    if place.code and not found.selection.takes(place.code):
        yield _Line(f"the settings leave {place.code} out: nothing of it is reported or done", "  ")
    for heard in place.hearings:
        yield _Line("")
        yield from _asked(heard, place)
    if not place.hearings:
        yield _Line("no rule was asked", "  ")


def in_words(place: Finding) -> str:
    """What happens to a place, and by whom: "PF101 rewrites it"."""
    does = {"rewrite": "rewrites it", "keep": "leaves it as it is", "manual": "leaves it to a person"}
    return f"{place.code} {does[place.action.value]}"


def _asked(heard: Hearing, place: Finding) -> Iterator[_Line]:
    if isinstance(heard.place, Setting):
        yield from _setting(heard.place)
    yield _Line("Asked, in this order:", "  ")
    last: Verdict | None = None
    for each, last in zip(heard.rules, heard.said, strict=False):
        yield _Line(f"{each.code}  {last.action.value if last else 'no':<8} {each.title}", "    ")
    rest = [each.code for each in heard.rules[len(heard.said) :]]
    if rest:
        yield _Line(f"Not asked any more: {', '.join(rest)}", "  ")
    if last is not None and (last.action, last.reason) != (place.action, place.reason):
        yield _Line(f"What it said does not count alone: {last.reason}", "  ")
    if heard.reached is not None:
        yield from _reached(heard.reached)


def _reached(reached: Reached) -> Iterator[_Line]:
    yield _Line("What the value reaches:" if reached.ends else "What the value reaches: nothing", "  ")
    for end in reached.ends[:_MOST_ENDS]:
        guess = " (a guess, by the name of what is called)" if end.guessed else ""
        yield _Line(f"{_where(end)}: {end.fate.value}{guess}", "    ")
        yield _Line(shown(end.text), "      ", is_code=True)
    if len(reached.ends) > _MOST_ENDS:
        yield _Line(f"and {len(reached.ends) - _MOST_ENDS} more", "    ")
    if reached.beyond:
        yield _Line("Beyond these it may go on, out of sight.", "    ")


def _where(end: Reach) -> str:
    return (f"{shown(end.path)}, " if end.path else "") + (end.cell or f"line {end.line}")


_FORMS = {
    Form.KEY: "a key of a config",
    Form.OPTION: "an option of a command line",
    Form.VARIABLE: "an environment variable",
    Form.ASSIGNED: "a variable of a script",
}
_TAKES = {
    Takes.NOTHING: "a switch that stands alone",
    Takes.PAIR: "a switch with a contrary",
    Takes.TRUTH: "true or false, or nothing",
    Takes.ANY_IS_TRUE: "any word, and each is true",
    Takes.FIELD: "a bool of a dataclass",
    Takes.WORD: "a word",
    Takes.UNKNOWN: "the program is there, the option is not seen in it",
}


def _setting(setting: Setting) -> Iterator[_Line]:
    """How a setting is read, and what is known of who reads it."""
    # Only who asks about a setting needs the table's readers.
    from precision_fix.model.library_answers import answer

    value = "standing alone" if setting.value is None else f"set to {setting.value!r}"
    yield _Line(f"Read as {_FORMS[setting.form]}, {'.'.join(map(str, setting.keys))}, {value}", "  ")
    if setting.document.command:
        yield _Line(f"Of the command: {' '.join(setting.document.command)}", "  ")
    if setting.declared is not None:
        offered = f"; it offers {', '.join(setting.declared.offered)}" if setting.declared.offered else ""
        yield _Line(f"Its program declares: {_TAKES[setting.declared.takes]}{offered}", "  ")
    known = answer(setting)
    if known is not None and known.library is not None:
        yield _Line(f"Who reads it: {known.reader} ({known.library.source})", "  ")
    elif setting.document.libraries:
        yield _Line(f"The project requires: {', '.join(sorted(setting.document.libraries))}", "  ")
