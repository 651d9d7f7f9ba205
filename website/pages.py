"""Pages that are made, not written: of each rule, and of the files at the top of the checkout."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from precision_fix.home import HOME, OWNER
from precision_fix.model.rule import AnyRule, Stage
from precision_fix.rules import rules
from precision_fix.rules.examples import example

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
#: What lies at the top, where people and GitHub look for it, and is read here too.
OF_THE_TOP = {
    "contributing.md": "CONTRIBUTING.md",
    "architecture.md": "ARCHITECTURE.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
}
_DOES = {
    Stage.LEFT: "Left as it is on purpose.",
    Stage.STORED: "Rewritten where stored bytes are read.",
    Stage.REPORTED: "Left and reported: it needs a hand.",
    Stage.CHANGED: "Rewritten.",
}
_RULES = """\
# Rules

Each place of bfloat16 has one meaning, and each meaning is a rule. `precision-fix rule` prints this list, and
`precision-fix rule PF101` what is on the page of one. How a place comes to its rule:
[How places are judged](../judging.md).

| rule | what it means | what is done |
|---|---|---|"""
_WRONG = """\
`# precision-fix: keep[{code}]` at the end of a line keeps that line as it is, and `ignore = ["{code}"]` in the
[settings](../settings.md) switches the rule off. `precision-fix rule --why FILE:LINE` tells which rules were asked
about a place, and what each said. A wrong edit is the best report there is: [Contributing](../contributing.md)."""
_LANGUAGES = {"py": "python", "sh": "bash", "cu": "cuda"}
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]*)((?:#[^)\s]*)?)(?=\))")


def made() -> Iterator[tuple[str, str]]:
    """Each made page: its path below docs/, and its Markdown."""
    yield "rules/index.md", of_rules()
    for each in rules():
        yield f"rules/{each.code}.md", of_rule(each)
    for page, file in OF_THE_TOP.items():
        text = (ROOT / file).read_text(encoding="utf-8")
        yield page, _LINK.sub(lambda link: _from_docs(link[1]) + link[2], text)


def of_rule(rule: AnyRule) -> str:
    """The page of one rule: what it means, why, and its fixture."""
    shown = example(rule.code)
    parts = [f"# {rule.code}: {rule.title}", _does(rule), _words(rule.why)]
    if shown.before == shown.after:
        parts += ["## What it speaks of", _code(shown.name, shown.before), "It stays as it is."]
    else:
        parts += ["## Before", _code(shown.name, shown.before), "## After", _code(shown.name, shown.after)]
    parts += [
        "## Where it is wrong",
        _WRONG.format(code=rule.code),
    ]
    return "\n\n".join(parts) + "\n"


def of_rules() -> str:
    """The list of all rules."""
    rows = [f"| [{each.code}]({each.code}.md) | {each.title} | {_does(each)} |" for each in in_order()]
    return "\n".join((_RULES, *rows, ""))


def in_order() -> list[AnyRule]:
    return sorted(rules(), key=lambda each: each.code)


def _does(rule: AnyRule) -> str:
    return _DOES[rule.stage] + (" The runtime takes care of what no edit can." if rule.runtime else "")


def _words(text: str) -> str:
    """Plain words as Markdown: stars, underscores and angle brackets outside of code mean themselves."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*_<\[])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def _code(name: str, text: str) -> str:
    suffix = name.rpartition(".")[2]
    return f"```{_LANGUAGES.get(suffix, suffix)}\n{text.strip()}\n```"


def _from_docs(link: str) -> str:
    """A link of a file at the top, as a page of docs/ has it."""
    for page, file in OF_THE_TOP.items():
        if link == file:
            return page
    return link.removeprefix("docs/") if link.startswith("docs/") else f"../{link}"


def outward(page: str, text: str) -> str:
    """The text of a page with the address filled in, and links that lead out of docs/ going to the repository.

    Raises FileNotFoundError, which names page and link, where nothing is there.
    """

    def of(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link[1]))
        if not link[1] or path.startswith("docs/"):
            return link[0]
        for made_of, file in OF_THE_TOP.items():
            if path == file:
                return os.path.relpath(made_of, posixpath.dirname(page) or ".") + link[2]
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"docs/{page}: the link {link[1]} leads to nothing")
        return f"{HOME}/blob/main/{path}{link[2]}"

    return re.sub(r"\bOWNER\b", OWNER, _LINK.sub(of, text))
