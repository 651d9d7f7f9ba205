"""TOML: configs of torchtitan, diffusion-pipe, sd-scripts.

The parser of the standard library says what a text means, but not where. A token is therefore found by putting a word
of our own in its place and reading again: the key that then has that word is the token's.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

from precision_fix.model import newlines
from precision_fix.model.around import ALONE, Around
from precision_fix.model.selection import ALL, Selection
from precision_fix.model.setting import Key
from precision_fix.model.target import Target
from precision_fix.sources import config_edits, toml
from precision_fix.sources.analysis import Analysis, Left, Unparsable
from precision_fix.sources.comments import Keeps
from precision_fix.sources.jsontext import Scalar
from precision_fix.sources.spelling import in_quotes_or_false

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TOKEN = re.compile(r"(?<![\w.-])true(?![\w.-])|\"[^\"\\\n\r]*\"|'[^'\n\r]*'")
_OURS = "precision-fix:"
# So often the text is read to find where its tokens stand, where all at once does not tell.
_MOST = 64
_LINE = re.compile(r" \(at line (\d+), column \d+\)$| \(at end of document\)$")


def analyse(
    path: str,
    text: str,
    target: Target,
    selection: Selection = ALL,
    around: Around = ALONE,
    left: Left | None = None,
) -> Analysis:
    """Find the settings of a text and judge them. Raises Unparsable."""
    if not config_edits.may_speak(text, comment="#"):
        return Analysis()
    document = _placed(text, parse(text))
    keeps = Keeps(text, [token.span() for token in _TOKEN.finditer(text)])
    return config_edits.judge(
        path, text, [document], keeps, in_quotes_or_false, target, selection, around=around, left=left
    )


def parse(text: str) -> dict[str, Any]:
    """What the text means. Raises Unparsable."""
    try:
        return toml.loads(text)
    except toml.Broken as error:
        raise Unparsable(_explain(str(error), text)) from None


_Keys = tuple[Key, ...]


def _placed(text: str, data: dict[str, Any]) -> list[Scalar]:
    """Every scalar of the data; those of which there may be something to say with the place of their token."""
    values = dict(_scalars(data, ()))
    sought = {keys for keys, value in values.items() if config_edits.speaks(Scalar(keys, value, 0, 0))}
    wanted = {_written(values[keys]) for keys in sought}
    tokens = [token for token in _TOKEN.finditer(text) if token[0].strip("\"'") in wanted]
    places = _found(text, values, tokens)
    return [Scalar(keys, value, *places.get(keys, (0, 0))) for keys, value in values.items()]


def _found(text: str, values: dict[_Keys, object], tokens: list[re.Match[str]]) -> dict[_Keys, tuple[int, int]]:
    """The tokens by their keys, without those that are no values: halves of what cannot be told are tried apart."""
    found: dict[_Keys, tuple[int, int]] = {}
    pending, times = [tokens], 0
    while pending:
        some = pending.pop(0)
        times += 1
        if times > _MOST:
            raise Unparsable("holds too many words for bfloat16 that are no values: change them by hand")
        places = _places(text, values, some)
        if places is not None:
            found.update(places)
        elif len(some) > 1:
            pending += [some[: len(some) // 2], some[len(some) // 2 :]]
    return found


def _written(value: object) -> str:
    return "true" if value is True else str(value)


def _places(text: str, values: dict[_Keys, object], tokens: list[re.Match[str]]) -> dict[_Keys, tuple[int, int]] | None:
    """The tokens by their keys; None where one of them is no value, and they cannot be told apart."""
    ours = [f"{_OURS} {number}" for number in range(len(tokens))]
    parts, position = [], 0
    for token, word in zip(tokens, ours, strict=True):
        parts += [text[position : token.start()], f'"{word}"']
        position = token.end()
    try:
        marked = dict(_scalars(tomllib.loads("".join([*parts, text[position:]])), ()))
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    spans = {word: token.span() for token, word in zip(tokens, ours, strict=True)}
    # By what they look like: nan is not equal to itself.
    same = (repr(marked.get(keys)) == repr(value) or marked.get(keys) in spans for keys, value in values.items())
    if marked.keys() != values.keys() or not all(same):
        return None
    return {keys: spans[word] for keys, word in marked.items() if isinstance(word, str) and word in spans}


def _scalars(value: object, keys: _Keys) -> Iterator[tuple[_Keys, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _scalars(item, (*keys, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _scalars(item, (*keys, number))
    else:
        yield keys, value


def _explain(message: str, text: str) -> str:
    found = _LINE.search(message)
    line = found[1] if found and found[1] else len(newlines.with_ends(text)) or 1
    what = _LINE.sub("", message)
    return f"does not parse, line {line}: {what[:1].lower()}{what[1:]}"
