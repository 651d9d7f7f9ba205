"""Python source: find the sites in a text and ask the rules about each."""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass, field

from precision_fix.model.edit import Edit
from precision_fix.model.finding import Action, Finding, Verdict, manual
from precision_fix.model.module import Module
from precision_fix.model.rule import Rule
from precision_fix.model.site import Kind, Site, sites
from precision_fix.model.target import Target
from precision_fix.rules import rules
from precision_fix.sources.comments import Keeps
from precision_fix.sources.outline import outline

# What a file must hold, as bytes, to be worth reading: bfloat16 in any spelling, or a dtype from elsewhere.
NEEDLES = (b"bfloat16", b"bf16", b"BFloat16", b"BF16", b"getattr(torch", b"assign=True", b'dtype="auto"')
_INTEREST = r"[bB][fF](?:loat)?16|getattr\(\s*\w+,|assign\s*=\s*True|dtype\s*=\s*[\"']auto"
_ROUNDS = 4
# libcst's native parser recurses: an expression nested more deeply than this is not given to it.
_MAX_DEPTH = 100


class Unparsable(ValueError):
    """The text is no Python of this version; the message is one line, with the line number."""


@dataclass(slots=True)
class Analysis:
    """What the rules said of a text: findings in the order of their places, and the edits that follow from them."""

    findings: list[Finding] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    unused_keeps: list[int] = field(default_factory=list)


def is_interesting(data: bytes) -> bool:
    """Whether a file may hold a site; decides over most files of a tree without decoding them."""
    return any(needle in data for needle in NEEDLES)


def analyse(path: str, text: str, target: Target) -> Analysis:
    """Find the sites of a text and judge them. Raises Unparsable."""
    module = _understand(path, text, target)
    keeps = Keeps(text)
    places = _Places(text)
    analysis = Analysis()
    decided: dict[tuple[int, int], tuple[Finding, tuple[Edit, ...]]] = {}
    for site in sites(module):
        answer = _judge(site)
        if answer is None:
            continue
        rule, verdict = answer
        line, column = places.of(site)
        if verdict.action is not Action.KEEP and keeps.covers(line, rule.code):
            verdict = Verdict(Action.KEEP, "kept by a comment")
        by_runtime = rule.runtime and verdict.action is Action.MANUAL
        finding = Finding(path, line, column, rule.code, verdict.action, site.token, verdict.reason, by_runtime)
        # A word may be a flag's name as well: one place, one finding, and a change counts for more.
        if (line, column) not in decided or verdict.action is Action.REWRITE:
            decided[line, column] = finding, verdict.edits
    for _, (finding, edits) in sorted(decided.items()):
        analysis.findings.append(finding)
        analysis.edits.extend(edits)
    analysis.unused_keeps = keeps.unused
    module.release()
    return analysis


def _judge(site: Site) -> tuple[Rule, Verdict] | None:
    for rule in _rules_for(site.kind):
        verdict = rule.judge(site)
        if verdict is not None:
            deep = any(_depth(edit.node) > _MAX_DEPTH for edit in verdict.edits)
            return rule, manual("nested too deeply to edit safely") if deep else verdict
    return None


_RULES: dict[Kind, list[Rule]] = {}


def _rules_for(kind: Kind) -> list[Rule]:
    if not _RULES:
        _RULES.update({each: [rule for rule in rules() if each in rule.kinds] for each in Kind})
    return _RULES[kind]


def _depth(node: ast.AST) -> int:
    deepest, pending = 0, [(node, 1)]
    while pending:
        current, depth = pending.pop()
        deepest = max(deepest, depth)
        pending += [(child, depth + 1) for child in ast.iter_child_nodes(current)]
    return deepest


def _understand(path: str, text: str, target: Target) -> Module:
    """Parse the outline of a text; as long as the rules ask for names beyond it, a wider outline."""
    wanted: set[str] = set()
    part = ""
    module: Module | None = None
    for _ in range(_ROUNDS):
        wider = outline(text, _pattern(wanted))
        if module is not None and wider == part:
            break
        part, module = wider, Module(path, wider, _parse_part(wider, text), target)
        for site in sites(module):
            _judge(site)
        if module.wanted <= wanted:
            break
        wanted |= module.wanted
    assert module is not None
    return module


def _pattern(wanted: set[str]) -> re.Pattern[str]:
    names = [re.escape(name) + r"\b" if name.startswith(".") else rf"\b{re.escape(name)}\b" for name in sorted(wanted)]
    return re.compile("|".join([_INTEREST, *names]))


def _parse_part(part: str, whole: str) -> ast.Module:
    try:
        return parse(part)
    except Unparsable:
        return parse(whole)


def parse(text: str) -> ast.Module:
    """`ast.parse`, with every way of failing turned into Unparsable."""
    try:
        with warnings.catch_warnings():
            # An invalid escape in somebody's string is not ours to report.
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        raise Unparsable(_explain(error, text)) from None
    except (RecursionError, MemoryError):
        raise Unparsable("nested too deeply for Python's own parser") from None
    except ValueError as error:
        raise Unparsable(str(error)) from None


_PYTHON_2 = re.compile(r"^\s*(?:print\s+[\"'\w]|exec\s+[\"']|except\s+\w+\s*,\s*\w+\s*:|raise\s+\w+\s*,)", re.MULTILINE)


def _explain(error: SyntaxError, text: str) -> str:
    what = "looks like Python 2" if _PYTHON_2.search(text) else error.msg
    return f"does not parse, line {error.lineno}: {what}"


class _Places:
    """Line and column of a site's token, both from 1, the column in characters."""

    def __init__(self, text: str) -> None:
        # The lines of `ast`, which unlike str.splitlines() knows no form feed and no Unicode separators.
        self._lines = re.split(r"\r\n|\r|\n", text)

    def of(self, site: Site) -> tuple[int, int]:
        node = site.node
        line, column = node.lineno, node.col_offset  # type: ignore[attr-defined]
        if site.kind is Kind.METHOD and isinstance(node, ast.Call):
            line, column = node.func.end_lineno or line, (node.func.end_col_offset or 0) - len("bfloat16")
        return line, len(self._lines[line - 1].encode()[:column].decode(errors="replace")) + 1
