"""Positions in JSON text: what is said to stand somewhere stands there, and means what `json` reads."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precision_fix.model.setting import Key
from precision_fix.sources.analysis import Unparsable
from precision_fix.sources.jsontext import Scalar, scalars

_leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
_documents = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
_layouts = st.sampled_from(
    [{}, {"indent": 2}, {"indent": "\t"}, {"separators": (",", ":")}, {"ensure_ascii": False, "indent": 1}]
)


def leaves(document: Any, keys: tuple[Key, ...] = ()) -> list[tuple[tuple[Key, ...], Any]]:
    """The same by way of `json`."""
    if isinstance(document, dict):
        return [leaf for key, value in document.items() for leaf in leaves(value, (*keys, key))]
    if isinstance(document, list):
        return [leaf for number, value in enumerate(document) for leaf in leaves(value, (*keys, number))]
    return [(keys, document)]


@given(_documents, _layouts, st.booleans())
def test_they_are_what_json_reads_and_stand_where_they_say(document: Any, layout: Any, comments: bool) -> None:
    text = json.dumps(document, **layout)
    found = list(scalars(text, comments=comments))
    assert [(each.keys, each.value) for each in found] == leaves(document)
    for each in found:
        assert json.loads(text[each.start : each.end]) == each.value


@given(st.text(alphabet='[]{},:"\\\n /*0-1.e5truefalsenullNaN', max_size=25))
def test_any_text_is_read_as_json_reads_it_or_refused(text: str) -> None:
    try:
        wanted = leaves(json.loads(text, object_pairs_hook=_pairs))
    except ValueError:
        with pytest.raises(Unparsable, match=r"^does not parse, line [1-9]"):
            list(scalars(text, comments=False))
        return
    found = [(each.keys, each.value) for each in scalars(text, comments=False)]
    assert repr(found) == repr(wanted)  # NaN is not equal to itself


class _Pairs(dict[str, Any]):
    """An object with all of its items, also those whose key comes again."""

    def items(self) -> Any:
        return self["pairs"]


def _pairs(pairs: list[tuple[str, Any]]) -> _Pairs:
    return _Pairs(pairs=pairs)


def test_comments_and_a_last_comma() -> None:
    text = '// a\n{ /* "b": 1, */ "c": "d", // e\n "f": [1, /**/ 2,], }\n// g'
    assert list(scalars(text, comments=True)) == [
        Scalar(("c",), "d", text.index('"d"'), text.index('"d"') + 3),
        Scalar(("f", 0), 1, text.index("1, /**/"), text.index("1, /**/") + 1),
        Scalar(("f", 1), 2, text.index("2,]"), text.index("2,]") + 1),
    ]
    for strict in (text, "[1,]", '{"a": 1,}'):
        with pytest.raises(Unparsable, match="line 1"):
            list(scalars(strict, comments=False))


def test_a_key_that_is_given_twice() -> None:
    assert [each.value for each in scalars('{"a": 1, "a": {"b": 2}}', comments=False)] == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the text ends too early"),
        ("{\n", "line 2: the text ends too early"),
        ("[1\n\n 2]", "line 3: ',' or ']' is missing"),
        ('{"a" 1}', "line 1: ':' is missing"),
        ("{a: 1}", "line 1: a key in double quotes is missing"),
        ("[1]\n[2]", "line 2: the document has ended, and something follows"),
        ('["a\n"]', "line 1: invalid control character"),
        ('["a', "line 1: unterminated string"),
        ('["\\x"]', "line 1: invalid \\escape"),
        ("[" * 100_000, "line 1: nested more than 1000 levels deep"),
        ('{"a":' * 100_000, "line 1: nested more than 1000 levels deep"),
        ("<html>", "line 1: a value is missing"),
        ("[1] /* a", "line 1: the document has ended, and something follows"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, message: str) -> None:
    with pytest.raises(Unparsable) as caught:
        list(scalars(text, comments=True))
    assert str(caught.value) == f"does not parse, {message}"


def test_numbers_that_python_does_not_turn_into_integers() -> None:
    (big,) = scalars("1" * 10_000, comments=False)
    assert big.value == math.inf
