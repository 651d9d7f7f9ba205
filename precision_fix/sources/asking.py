"""Ask the rules about what is no Python: a setting, or a line of text that is only read."""

from __future__ import annotations

from functools import cache

from precision_fix.model.finding import Verdict
from precision_fix.model.hearing import ask
from precision_fix.model.library_answers import answer as of_library
from precision_fix.model.rule import AnyRule, LineRule, Lines, SettingRule
from precision_fix.model.setting import Form, Setting
from precision_fix.rules import rules_of
from precision_fix.sources.leads import settled

Said = tuple[AnyRule, Verdict]


def about_setting(setting: Setting) -> Said | None:
    """The first rule that knows the meaning of a setting, and what it says, held against the project's own readers."""
    answer = ask(_of_settings(setting.form), setting)
    if answer is None:
        return None
    rule, verdict = answer
    # PF501's word is that of no library: the project itself may be what reads it. PF601 asks who does.
    anybody = rule.code == "PF501" or (rule.code == "PF601" and of_library(setting) is None)
    return rule, settled(setting, verdict, anybody=anybody)


def about_line(line: str, lines: Lines) -> Said | None:
    """The first rule that knows the meaning of a line of such text, and what it says."""
    return ask(_of_lines(lines), line)


@cache
def _of_settings(form: Form) -> tuple[SettingRule, ...]:
    return tuple(rule for rule in rules_of(SettingRule) if form in rule.forms)


@cache
def _of_lines(lines: Lines) -> tuple[LineRule, ...]:
    return tuple(rule for rule in rules_of(LineRule) if rule.lines is lines)
