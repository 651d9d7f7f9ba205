"""YAML: configs of Hydra, Accelerate, Lightning, axolotl and whoever else reads it.

libyaml's events say where each scalar stands. Nothing is constructed and no alias is followed, so neither a tag nor an
alias can do anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml
from yaml.resolver import Resolver

from precision_fix.model import newlines
from precision_fix.model.around import ALONE, Around
from precision_fix.model.selection import ALL, Selection
from precision_fix.model.setting import Key
from precision_fix.model.target import Target
from precision_fix.model.vocabulary.truth import off_like
from precision_fix.sources import config_edits
from precision_fix.sources.analysis import Analysis, Left, Unparsable
from precision_fix.sources.comments import Keeps
from precision_fix.sources.jsontext import Scalar
from precision_fix.sources.spelling import within_quotes

# Written in C where PyYAML was built with libyaml, as its wheels are.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER = Resolver()
_MAX_DEPTH = 200
_TAG = "tag:yaml.org,2002:"
# `&anchor` and `!tag`, which an event counts to its scalar.
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")
_TEMPLATE = re.compile(r"\{\{|\{%")


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
    reader = _Reader(text)
    documents = list(reader.documents())
    return config_edits.judge(
        path, text, documents, Keeps(text, reader.spans), spell, target, selection, around=around, left=left
    )


def parse(text: str) -> object:
    """The scalars of each document. Raises Unparsable."""
    return list(_Reader(text).documents())


def spell(token: str, value: str | bool) -> str | None:
    """Another value in a token's place; what is a string is quoted where it would be read as something else."""
    if isinstance(value, bool):
        return off_like(token.strip("'\"") if token.strip("'\"") in ("auto", "full") else token)
    if token[:1] in "'\"":
        return within_quotes(token, value)
    if token[:1] in "|>":
        return None
    return value if _resolved(value) == "str" else f'"{value}"'


def _resolved(plain: str) -> str:
    """What YAML 1.1 takes a plain scalar for: a str, a bool, a null, an int."""
    tag: str = _RESOLVER.resolve(yaml.ScalarNode, plain, (True, False))  # type: ignore[no-untyped-call]
    return tag.removeprefix(_TAG)


@dataclass(slots=True)
class _Open:
    """A collection that is open: the key or number of the item at hand; None where a key is next."""

    key: Key | None
    is_key: bool


class _Reader:
    """The scalars of each document of a text; `spans` are the characters of all keys and values read so far."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._open: list[_Open] = []
        self.spans: list[tuple[int, int]] = []

    def documents(self) -> Iterator[list[Scalar]]:
        """Raises Unparsable."""
        found: list[Scalar] = []
        try:
            for event in yaml.parse(self._text, Loader=_LOADER):
                if isinstance(event, yaml.DocumentStartEvent):
                    found = []
                elif isinstance(event, yaml.DocumentEndEvent):
                    yield found
                elif isinstance(event, yaml.CollectionStartEvent):
                    self._enter(event)
                elif isinstance(event, yaml.CollectionEndEvent):
                    if not self._open.pop().is_key:
                        self._next()
                elif isinstance(event, yaml.NodeEvent):
                    self._leaf(event, found)
        except yaml.MarkedYAMLError as error:
            raise Unparsable(self._explain(error)) from None
        except yaml.reader.ReaderError as error:
            line = self._line(max(error.position, 0))
            raise Unparsable(f"does not parse, line {line}: {error.reason}") from None

    def _enter(self, event: yaml.CollectionStartEvent) -> None:
        if len(self._open) == _MAX_DEPTH:
            line = self._line(event.start_mark.index if event.start_mark else 0)
            raise Unparsable(f"does not parse, line {line}: nested more than {_MAX_DEPTH} levels deep")
        is_key = bool(self._open) and self._open[-1].key is None
        if is_key:
            self._open[-1].key = ""  # nobody asks for it by name
        self._open.append(_Open(None if isinstance(event, yaml.MappingStartEvent) else 0, is_key))

    def _leaf(self, event: yaml.NodeEvent, found: list[Scalar]) -> None:
        """A scalar or an alias, as a key or as a value."""
        scalar = event if isinstance(event, yaml.ScalarEvent) else None
        assert event.start_mark is not None and event.end_mark is not None
        start, end = event.start_mark.index, event.end_mark.index
        self.spans.append((start, end))
        if self._open and self._open[-1].key is None:
            self._open[-1].key = scalar.value if scalar else ""
            return
        if scalar is not None:
            properties = _PROPERTIES.match(self._text, start, end) if scalar.tag or scalar.anchor else None
            start = properties.end() if properties else start
            keys = tuple("" if each.key is None else each.key for each in self._open)
            found.append(Scalar(keys, _value(scalar), start, end))
        self._next()

    def _next(self) -> None:
        if self._open:
            key = self._open[-1].key
            self._open[-1].key = key + 1 if isinstance(key, int) else None

    def _line(self, index: int) -> int:
        # The marks of YAML count more ends of lines than editors.
        return newlines.number(self._text, index)

    def _explain(self, error: yaml.MarkedYAMLError) -> str:
        mark = error.problem_mark or error.context_mark
        line = self._line(mark.index if mark else 0)
        what = "looks like a template" if _TEMPLATE.search(self._text) else error.problem or error.context
        return f"does not parse, line {line}: {what}"


def _value(event: yaml.ScalarEvent) -> object:
    """What the scalar is read as; of a tag that is not YAML's own nothing is known."""
    if event.tag not in (None, "!", f"{_TAG}str"):
        return None
    kind = _resolved(event.value) if event.implicit[0] and event.tag is None else "str"
    if kind == "bool":
        return event.value.lower() in ("true", "yes", "on")
    if kind in ("int", "float"):
        try:
            return float(event.value)
        except ValueError:
            return None
    return event.value if kind == "str" else None
