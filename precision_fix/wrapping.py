"""Sentences in the columns of a terminal."""

from __future__ import annotations

import shutil
import textwrap
from typing import TextIO

_LEAST, _MOST = 40, 120


def columns(stream: TextIO | None) -> int | None:
    """The columns of a terminal to write in; None for a pipe, in which a sentence is a line."""
    if stream is None or not stream.isatty():
        return None
    return max(_LEAST, min(_MOST, shutil.get_terminal_size((80, 24)).columns))


def wrap(text: str, width: int | None, indent: str = "") -> list[str]:
    """A sentence in lines of at most `width` columns, `indent` before all but the first. Paths and other long words are
    not broken."""
    if width is None or len(text) <= width:
        return [text]
    begin = text[: len(text) - len(text.lstrip())]
    return textwrap.wrap(
        text.lstrip(),
        width,
        initial_indent=begin,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
