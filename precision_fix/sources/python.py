"""Python source: find the sites in a text and ask the rules about each."""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass, field

from precision_fix.model.edit import Edit
from precision_fix.model.finding import Action, Finding, Verdict
from precision_fix.model.module import Module
from precision_fix.model.rule import Rule
from precision_fix.model.site import Kind, Site, sites
from precision_fix.model.target import Target
from precision_fix.rules import rules
from precision_fix.sources.outline import outline

# What a file must hold, as bytes, to be worth reading: bfloat16 in any spelling, or a dtype from elsewhere.
NEEDLES = (b"bfloat16", b"bf16", b"BFloat16", b"BF16", b"getattr(torch", b"assign=True", b'dtype="auto"')
_INTEREST = r"[bB][fF](?:loat)?16|getattr\(\s*\w+,|assign\s*=\s*True|dtype\s*=\s*[\"']auto"
_ROUNDS = 3


class Unparsable(ValueError):
    """The text is no Python of this version; the message is one line, with the line number."""


@dataclass(slots=True)
class Analysis:
    """What the rules said of a text: findings by position, the edits, and the tree that both refer to."""

    findings: list[Finding] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    unused_keeps: list[int] = field(default_factory=list)


def is_interesting(data: bytes) -> bool:
    return any(needle in data for needle in NEEDLES)


def analyse(path: str, text: str, target: Target) -> Analysis:
    """Find the sites of a text and judge them. Raises Unparsable."""
    module = _module(path, text, target)
    lines = text.splitlines()
    analysis = Analysis()
    for site in sites(module):
        decided = _judge(site)
        if decided is None:
            continue
        rule, verdict = decided
        line, column = _position(site, lines)
        finding = Finding(
            path,
            line,
            column,
            rule.code,
            verdict.action,
            site.token,
            verdict.reason,
            runtime=_by_runtime(rule, verdict),
        )
        analysis.findings.append(finding)
        analysis.edits.extend(verdict.edits)
    return analysis


def _judge(site: Site) -> tuple[Rule, Verdict] | None:
    for rule in _by_kind()[site.kind]:
        verdict = rule.judge(site)
        if verdict is not None:
            return rule, verdict
    return None


_KINDS: dict[Kind, list[Rule]] = {}


def _by_kind() -> dict[Kind, list[Rule]]:
    if not _KINDS:
        _KINDS.update({kind: [rule for rule in rules() if kind in rule.kinds] for kind in Kind})
    return _KINDS


def _by_runtime(rule: Rule, verdict: Verdict) -> bool:
    return rule.runtime and verdict.action is Action.MANUAL


def _module(path: str, text: str, target: Target) -> Module:
    """Parse the outline of a text; where the analysis asked for names beyond it, a wider outline."""
    wanted: set[str] = set()
    part = ""
    for _ in range(_ROUNDS):
        names = "|".join(
            rf"{re.escape(name)}\b" if name[0] == "." else rf"\b{re.escape(name)}\b" for name in sorted(wanted)
        )
        wider = outline(text, re.compile(f"{_INTEREST}|{names}" if names else _INTEREST))
        if wider == part:
            break
        part = wider
        module = Module(path, _parse(part, text), target)
        for site in sites(module):
            _judge(site)
        if module.wanted <= wanted or part == text:
            break
        wanted |= module.wanted
    return module


def _parse(part: str, whole: str) -> ast.Module:
    try:
        return parse(part)
    except Unparsable:
        return parse(whole)


def parse(text: str) -> ast.Module:
    """`ast.parse` with every way of failing turned into Unparsable."""
    try:
        with warnings.catch_warnings():
            # An invalid escape in somebody's string is not our business.
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
    if _PYTHON_2.search(text):
        return f"line {error.lineno}: looks like Python 2"
    return f"line {error.lineno}: {error.msg}"


def _position(site: Site, lines: list[str]) -> tuple[int, int]:
    """Line and column of the token, both from 1, the column in characters."""
    node = site.node
    line, column = node.lineno, node.col_offset  # type: ignore[attr-defined]
    if site.kind is Kind.METHOD and isinstance(node, ast.Call) and node.func.end_lineno is not None:
        line, column = node.func.end_lineno, (node.func.end_col_offset or 0) - len("bfloat16")
    text = lines[line - 1] if line <= len(lines) else ""
    return line, len(text.encode()[:column].decode(errors="replace")) + 1
