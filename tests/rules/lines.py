"""Texts of which each line says what is found in it, and what becomes of it.

Behind `  #: ` stand the rules that spoke, each with what it does, the line that it names (`@3`) and the first words of
its reason; behind `=>` the line as it is rewritten. A line without has no place, and stays.
"""

from __future__ import annotations

import re
from textwrap import dedent

from precision_fix.model.finding import Finding
from tests.tools import findings, rewritten

_NAMED = re.compile(r"\bline (\d+)|:(\d+)\)")
_WORDS = 4


def check_lines(text: str, *, path: str = "a.py", to: str = "float32") -> None:
    """Every line of a text is found to be what it says."""
    lines = dedent(text).strip("\n").split("\n")
    before = [line.partition("  #: ")[0] for line in lines]
    source = "\n".join(before) + "\n"
    found: dict[int, list[str]] = {}
    for each in findings(source, path=path, to=to):
        found.setdefault(each.line, []).append(_shown(each))
    after = rewritten(source, path=path, to=to).removesuffix("\n").split("\n")
    shown = [_marked(*row) for row in zip(before, map(found.get, range(1, len(before) + 1)), after, strict=True)]
    assert shown == lines
    assert not [number for number in found if number > len(before)]


def _marked(before: str, said: list[str] | None, after: str) -> str:
    becomes = [f"=> {after.strip()}"] if after != before else []
    marks = [*([" ; ".join(sorted(said))] if said else []), *becomes]
    return f"{before}  #: {' '.join(marks)}" if marks else before


def _shown(finding: Finding) -> str:
    named = _NAMED.search(finding.reason)
    where = f"@{named[1] or named[2]}" if named else ""
    words = re.sub(r" ?\((?:line|.*:)[ \d]+\).*", "", finding.reason).split()[:_WORDS]
    return f"{finding.code} {finding.action.value}{where} {' '.join(words)}"
