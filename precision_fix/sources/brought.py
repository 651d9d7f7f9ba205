"""What a file that does not speak of bfloat16 brings from outside in a dtype of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache

from precision_fix.model.blocks import Blocks, NotApart, parsed
from precision_fix.model.brought import NEEDLES, brought, calls
from precision_fix.model.finding import Finding
from precision_fix.model.hearing import ask
from precision_fix.model.linked import place_of
from precision_fix.model.module import Module
from precision_fix.model.rule import AnyRule, Rule
from precision_fix.model.selection import Selection
from precision_fix.model.site import Kind
from precision_fix.model.target import Target
from precision_fix.rules import rules_of
from precision_fix.sources.comments import Keeps

_BYTES = tuple((each, each.encode()) for each in NEEDLES)


def needles_in(data: bytes) -> list[str]:
    """By which of its bytes a file may bring anything; none where it does not."""
    return [needle for needle, spelt in _BYTES if spelt in data]


def findings(
    path: str, text: str, target: Target, selection: Selection, needles: Collection[str] = NEEDLES
) -> Iterator[Finding]:
    """What the rules say of the calls of a text that bring something; of a text that does not parse, nothing."""
    hits = calls(text, needles)
    if not hits:
        return
    try:
        blocks = Blocks(text)
        module = Module(path, text, parsed(blocks.take(hits)), target, blocks)
        found = _found(module, Keeps(text), selection)
    except NotApart:
        try:
            found = _found(Module(path, text, parsed(text), target), Keeps(text), selection)
        except NotApart:
            return
    yield from found


def _found(module: Module, keeps: Keeps, selection: Selection) -> list[Finding]:
    found: list[Finding] = []
    for site in brought(module):
        answer = ask(_rules(), site)
        if answer is None or not selection.takes(answer[0].code):
            continue
        rule: AnyRule = answer[0]
        line, column = place_of(module, site.node)
        verdict = keeps.heed(answer[1], rule.code, [line])
        found.append(Finding(module.path, line, column, rule.code, verdict.action, site.token, verdict.reason, True))
    module.release()
    return found


@cache
def _rules() -> tuple[Rule, ...]:
    return tuple(rule for rule in rules_of(Rule) if Kind.BROUGHT in rule.kinds)
