"""Ask the rules about the settings of a config file, and turn their verdicts into splices of its text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from precision_fix.model import hearing, newlines
from precision_fix.model.around import ALONE, Around
from precision_fix.model.edit import GiveValue, Splice
from precision_fix.model.finding import Action, Finding, manual
from precision_fix.model.hearing import SILENT, heard
from precision_fix.model.selection import Selection
from precision_fix.model.setting import Document, Form, Setting, plain
from precision_fix.model.target import Target
from precision_fix.model.vocabulary import attention, precision, spellings
from precision_fix.model.vocabulary.truth import ON
from precision_fix.sources.analysis import Analysis, Left
from precision_fix.sources.asking import about_setting
from precision_fix.sources.comments import Keeps
from precision_fix.sources.jsontext import Scalar
from precision_fix.sources.positions import Positions
from precision_fix.sources.project import libraries_near

#: The text of a token that gives another value; None where this token cannot.
Spell = Callable[[str, str | bool], str | None]
# The pipelines of a project's own checks: nobody trains there on a GPU at hand.
_PIPELINES = frozenset({".github", ".gitlab", ".circleci", ".buildkite"})


def judge(
    path: str,
    text: str,
    documents: Iterable[Sequence[Scalar]],
    keeps: Keeps,
    spell: Spell,
    target: Target,
    selection: Selection,
    form: Form = Form.KEY,
    around: Around = ALONE,
    left: Left | None = None,
) -> Analysis:
    """What the selected rules say of the settings of each document of a file."""
    analysis = Analysis()
    positions = Positions(text)
    for scalar, setting in _settings(path, documents, target, form, around):
        answer = about_setting(setting)
        token = setting.word if precision.says(setting.value, setting.name) else setting.shown
        if answer is None:
            if hearing.is_heard():
                finding = Finding(path, *positions.of(scalar.start), "", Action.KEEP, token, SILENT)
                analysis.unanswered.append(heard(finding, hearing.of(setting)))
            continue
        rule, verdict = answer
        line, column = positions.of(scalar.start)
        verdict = keeps.heed(verdict, rule.code, [line])
        # How attention is computed chooses no precision.
        everywhere = rule.code != "PF504"
        analysis.add_move(path, line, column, verdict, counts=selection.takes(rule.code), reaches_all=everywhere)
        if not selection.takes(rule.code):
            continue
        if left and verdict.action is Action.REWRITE and (line, column) in left:
            verdict = manual(left[line, column])
        if isinstance(verdict.change, GiveValue):
            new = spell(text[scalar.start : scalar.end], verdict.change.value)
            if new is None:
                verdict = manual("written in a way that is not edited")
            else:
                analysis.splices.append(Splice(scalar.start, scalar.end, new))
        by_runtime = (rule.runtime or verdict.runtime) and verdict.action is Action.MANUAL
        finding = Finding(path, line, column, rule.code, verdict.action, token, verdict.reason, by_runtime)
        analysis.findings.append(heard(finding, hearing.of(setting)))
    analysis.findings.sort()
    analysis.unused_keeps = keeps.unused
    return analysis


def _settings(
    path: str, documents: Iterable[Sequence[Scalar]], target: Target, form: Form, around: Around
) -> Iterator[tuple[Scalar, Setting]]:
    """The settings of which there may be something to say, each with the scalar that it is written as."""
    if not _PIPELINES.isdisjoint(Path(path).parts):
        return
    for scalars in documents:
        spoken = [each for each in scalars if each.start < each.end and speaks(each)]
        if spoken:
            values = {each.keys: each.value for each in scalars}
            document = Document(path, values, libraries=libraries_near(path), around=around)
            for scalar in spoken:
                yield scalar, Setting(form, scalar.keys, scalar.value, document, target)


def may_speak(text: str, comment: str | tuple[str, ...]) -> bool:
    """Whether a word for bfloat16 stands anywhere but in a line that is a comment; cheap, before anything is parsed."""
    end = 0
    for found in _MENTION.finditer(text):
        # Of a line, the first mention tells.
        if found.start() < end:
            continue
        start = newlines.start_of(text, found.start(), end)
        blank = _BLANK.match(text, start, found.start())
        if not text.startswith(comment, blank.end() if blank else start):
            return True
        line = _LINE.match(text, found.end())
        end = line.end() if line else found.end()
    return False


_BLANK = re.compile(r"[ \t]*")
_LINE = re.compile(r"[^\r\n]*")
_QUIET = "".join(f"|{re.escape(word)}" for word in (*spellings.QUIET_WORDS, *spellings.QUIET_SWITCHES))
_MENTION = re.compile(rf"(?i:(?<![a-z0-9]){spellings.CORE}(?![a-z0-9]))|flash|precision-fix:{_QUIET}")


def speaks(scalar: Scalar) -> bool:
    """Whether a scalar may be a setting of which there is something to say; the rules decide."""
    value = scalar.value
    if isinstance(value, str):
        name = plain(next((key for key in reversed(scalar.keys) if isinstance(key, str)), ""))
        return (
            precision.says(value, name)
            or attention.needs_flash_attention(value)
            or precision.is_default(value)
            or precision.is_optimizer(str(scalar.keys[-1]) if scalar.keys else "", value)
            or (_names_bfloat16(scalar) and (value.lower() in ON or precision.is_filled_in(value)))
        )
    return value is True and (_names_bfloat16(scalar) or _SWITCHES.search(str(scalar.keys[-2:])) is not None)


_SWITCHES = re.compile(r"flash_?att|autocast|mixed_precision|\bamp\b")


def _names_bfloat16(scalar: Scalar) -> bool:
    return any(isinstance(key, str) and precision.names_bfloat16(plain(key)) for key in scalar.keys[-2:])
