"""For any config of any format: the settings become what they should, and nothing else changes."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precision_fix.engine.render import CannotEdit, render
from precision_fix.engine.scan import scan_bytes
from precision_fix.model.target import FLOAT16, FLOAT32
from precision_fix.sources import format_of
from precision_fix.sources.analysis import Unparsable
from tests.configs import FORMATS, SETTINGS, flat
from tests.tools import source_of

modest = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
each_format = pytest.mark.parametrize("kind", FORMATS)
CHANGED = {name for name, before, after in SETTINGS if before != after}


@each_format
@modest
@given(data=st.data(), bom=st.booleans())
def test_each_setting_becomes_what_it_should_and_no_other_byte_changes(
    kind: str, data: st.DataObject, bom: bool
) -> None:
    config = data.draw(FORMATS[kind][0])
    mark = codecs.BOM_UTF8 if bom else b""
    before, after = mark + config.before.encode(), mark + config.after.encode()
    name = f"a.{kind}"
    format_ = format_of(name)
    assert format_ is not None
    found = scan_bytes(name, before, FLOAT32, True, format_)
    assert found is None or found.problem is None, found
    assert (found.after if found and found.changes else before) == after
    again = scan_bytes(name, after, FLOAT32, True, format_)
    assert again is None or not again.changes


@each_format
@modest
@given(data=st.data())
def test_another_reader_sees_the_settings_changed_and_nothing_else(kind: str, data: st.DataObject) -> None:
    strategy, read = FORMATS[kind]
    config = data.draw(strategy)
    before, after = flat(read(config.before)), flat(read(rewritten_exactly(config.before, kind)))
    assert before.keys() == after.keys()
    for keys in before:
        if before[keys] != after[keys]:
            last = keys[-1][-1] if isinstance(keys[-1], tuple) else keys[-1]
            assert last in CHANGED
            assert type(before[keys]) is type(after[keys]), "a word stays a word"


def rewritten_exactly(text: str, kind: str) -> str:
    found = scan_bytes(f"a.{kind}", text.encode(), FLOAT32, True, format_of(f"a.{kind}"))  # type: ignore[arg-type]
    return found.after.decode() if found and found.changes else text


_PIECES = st.sampled_from(
    [
        "dtype",
        "bf16",
        "bfloat16",
        "true",
        ": ",
        "=",
        '"',
        "'",
        "\n",
        "  ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "#",
        "//",
        "/*",
    ]
)
_RARE = st.sampled_from(
    ["&a ", "*a", "!!str ", "|\n", ">-\n", "---\n", "? ", "\t", "\r", "\\", "${", "\u2028", "<<: ", "%"]
)


@each_format
@settings(max_examples=125, deadline=None)
@given(text=st.lists(_PIECES | _RARE, max_size=14).map("".join))
def test_no_text_raises_anything_but_what_is_documented(kind: str, text: str) -> None:
    for target in (FLOAT32, FLOAT16):
        try:
            analysis = source_of(f"a.{kind}").analyse(f"a.{kind}", text, target)
            assert render(source_of(f"a.{kind}"), f"a.{kind}", text, analysis, target) == text or analysis.edits
        except (Unparsable, CannotEdit) as error:
            assert "\n" not in str(error) and str(error)
