"""The line with which a program starts the runtime: where it goes, and whether it is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import PurePath

from precision_fix.model import hearing, newlines
from precision_fix.model.edit import Splice
from precision_fix.model.entry_points import is_started
from precision_fix.model.finding import Action, Finding
from precision_fix.model.rule import StartRule
from precision_fix.model.selection import Selection
from precision_fix.model.start import Start
from precision_fix.rules import rules_of
from precision_fix.sources.analysis import Analysis
from precision_fix.sources.python import parse

_MISSING = '__import__("sys").stderr.write("precision-fix is not installed: what is loaded in bfloat16 stays so\\n")'
#: What bfloat16 becomes where nobody says otherwise (`runtime.gate`).
_DEFAULT = "float32"
_TOKEN = "import precision_fix.auto"
_IS_THERE = re.compile(
    r"^[ \t]*(?:import[ \t]+precision_fix\.auto|from[ \t]+precision_fix[ \t]+import[ \t]+auto)\b", re.M
)


def is_there(text: str) -> bool:
    """Whether a program starts the runtime by itself."""
    return _IS_THERE.search(text) is not None


def asks_for(text: str, dtype: str) -> bool:
    """Whether a program that starts the runtime has it make this of bfloat16, where nobody says otherwise."""
    return dtype == _DEFAULT or _told(dtype) in text


@dataclass(frozen=True, slots=True)
class Started:
    """What a rule says of the start of a program, and what it does to the text."""

    finding: Finding
    splices: tuple[Splice, ...] = ()


def start(path: str, text: str, places: Sequence[Finding], dtype: str) -> Started | None:
    """Ask the rules about the start of a program, of which these places are decided as it runs. Raises Unparsable."""
    offset = _room(text)
    finding = asked(path, places, has_room=offset is not None)
    if finding is None:
        return None
    if offset is None or not is_done(finding):
        return Started(finding)
    end = "\r\n" if "\r\n" in text else "\n"
    before = end if offset and not text[:offset].endswith(("\n", "\r")) else ""
    finding = replace(finding, line=newlines.count(text, 0, offset) + 1)
    return Started(finding, (Splice(offset, offset, before + lines(dtype, end)),))


def asked(path: str, places: Sequence[Finding], *, has_room: bool) -> Finding | None:
    """What the rules say of the start of a program, on its first line; None where they say nothing."""
    first = places[0]
    where = f"{PurePath(first.path).name}:{first.cell or first.line}"
    place = Start(path, len(places), where, has_room)
    answer = hearing.ask(_rules(), place)
    if answer is None:
        return None
    rule, verdict = answer
    said = Finding(path, 1, 1, rule.code, verdict.action, _TOKEN, verdict.reason)
    return hearing.heard(said, hearing.of(place))


def is_done(finding: Finding) -> bool:
    return finding.action is Action.REWRITE


def lines(dtype: str, end: str) -> str:
    """What is put in, each line with this end. bfloat16 becomes `dtype` there as in the edits beside it."""
    put = ["try:", f"    {_told(dtype)}"][: 1 if dtype == _DEFAULT else 2]
    put += [f"    {_TOKEN}  # what no edit reaches becomes {dtype} while this runs"]
    return "".join(f"{line}{end}" for line in (*put, "except ImportError:", f"    {_MISSING}"))


def _told(dtype: str) -> str:
    return f'__import__("os").environ.setdefault("PRECISION_FIX_TO", "{dtype}")'


def alone(analysis: Analysis, path: str, text: str, selection: Selection, dtype: str) -> None:
    """Have a text that stands for a whole program start the runtime, where it needs that. Raises Unparsable."""
    places = analysis.while_it_runs
    if not places or not is_started(text.encode()):
        return
    if not is_there(text):
        started = start(path, text, places, dtype)
        if started is None or not selection.takes(started.finding.code):
            return
        analysis.findings.insert(0, started.finding)
        analysis.splices += started.splices
        if not started.splices:
            return
    analysis.findings = [seen_to(each, "this file") if is_open(each) else each for each in analysis.findings]


def seen_to(finding: Finding, by: str) -> Finding:
    """A place that the start of a program takes care of."""
    reason = f"{finding.reason}; `{_TOKEN}` in {by} takes care of it"
    return replace(finding, action=Action.KEEP, reason=reason)


def on_the_cpu(finding: Finding) -> Finding:
    """A place of a program that has no use for the GPU: a converter of checkpoints writes what it reads."""
    reason = "its program keeps to the CPU, and nothing there becomes float32"
    return replace(finding, action=Action.KEEP, reason=reason)


def in_a_test(finding: Finding) -> Finding:
    """A place that nothing but tests reach, which no program of the project starts."""
    reason = f"{finding.reason}; in a test: `precision-fix run` takes care of it"
    return replace(finding, action=Action.KEEP, reason=reason)


def is_open(finding: Finding) -> bool:
    """Whether a place is decided while the program runs, and nobody has taken care of it."""
    return finding.runtime and finding.action is Action.MANUAL


@cache
def _rules() -> tuple[StartRule, ...]:
    return rules_of(StartRule)


def _room(text: str) -> int | None:
    """Where the first statement begins that is no docstring and no `__future__` import; None where it shares a line."""
    last = 0
    for index, statement in enumerate(parse(text).body):
        if not stays_in_front(statement, is_first=index == 0):
            first = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", ()))])
            return newlines.starts(text)[first - 1] if first > last else None
        last = statement.end_lineno or statement.lineno
    return len(text)


def stays_in_front(statement: ast.stmt, *, is_first: bool) -> bool:
    """Whether it is a docstring, or a `__future__` import, which nothing may come before."""
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    is_future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
    return (is_first and is_text) or is_future
