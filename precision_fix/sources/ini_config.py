"""INI and its relatives: sections of `key = value` lines, as configparser reads them, and `.env` files.

A `.conf` file that is JSON, as some keep it for DeepSpeed, is read as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from precision_fix.model import newlines
from precision_fix.model.around import ALONE, Around
from precision_fix.model.selection import ALL, Selection
from precision_fix.model.setting import Form
from precision_fix.model.target import Target
from precision_fix.model.vocabulary.truth import off_like
from precision_fix.sources import config_edits, json_config
from precision_fix.sources.analysis import Analysis, Left
from precision_fix.sources.comments import Keeps
from precision_fix.sources.jsontext import Scalar
from precision_fix.sources.spelling import within_quotes

_SECTION = re.compile(r"[ \t]*\[([^\]\n\r]*)\]")
# A value ends before a comment, which begins behind a blank.
_LINE = re.compile(
    r"""(?P<key>[A-Za-z_][\w.-]*) [ \t]* [=:] [ \t]*
        (?P<value> "[^"\n\r]*" | '[^'\n\r]*' | [^\n\r]*? ) (?= [ \t]* (?: [ \t][#;] | $ | [\n\r] ))""",
    re.VERBOSE,
)
_VARIABLE = re.compile(r"[ \t]*(?:export[ \t]+)?")
_TRUE = frozenset({"true", "yes", "on", "1"})


def analyse(
    path: str,
    text: str,
    target: Target,
    selection: Selection = ALL,
    around: Around = ALONE,
    left: Left | None = None,
) -> Analysis:
    """Find the settings of a text and judge them. Raises Unparsable."""
    if _is_json(text):
        return json_config.analyse(path, text, target, selection, around, left)
    if not config_edits.may_speak(text, comment=("#", ";")):
        return Analysis()
    document = list(_scalars(text))
    keeps = Keeps(text, [(each.start, each.end) for each in document])
    form = Form.VARIABLE if ".env" in Path(path).name else Form.KEY
    return config_edits.judge(path, text, [document], keeps, spell, target, selection, form, around, left)


def parse(text: str) -> object:
    """The scalars. Raises Unparsable; of lines that are no settings nothing is asked."""
    return json_config.parse(text) if _is_json(text) else list(_scalars(text))


def spell(token: str, value: str | bool) -> str | None:
    """Another value in a token's place."""
    if not isinstance(value, bool):
        return within_quotes(token, value) or value
    off = off_like(token.strip("'\""))
    return off and (within_quotes(token, off) or off)


def _is_json(text: str) -> bool:
    return text.lstrip()[:1] == "{"


def _scalars(text: str) -> Iterator[Scalar]:
    section: tuple[str, ...] = ()
    position = 0
    for line in newlines.with_ends(text):
        head = _SECTION.match(line)
        found = _LINE.match(line, _VARIABLE.match(line).end())  # type: ignore[union-attr]
        if head:
            section = (head[1].strip(),)
        elif found:
            value = found["value"].strip("'\"")
            start, end = found.span("value")
            meaning = True if value.lower() in _TRUE else value
            yield Scalar((*section, found["key"]), meaning, position + start, position + end)
        position += len(line)
