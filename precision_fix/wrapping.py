"""Sentences in the columns of a terminal."""

from __future__ import annotations

from typing import TextIO

# What a pipe needs nothing of is imported where a terminal does: a check of a small project is over in less.

_LEAST, _MOST = 40, 120


def columns(stream: TextIO | None) -> int | None:
    """The columns of a terminal to write in; None for a pipe, in which a sentence is a line."""
    if stream is None or not stream.isatty():
        return None
    return max(_LEAST, min(_MOST, terminal_columns(80)))


def terminal_columns(otherwise: int) -> int:
    """The columns of the terminal; `otherwise` where there is none, or it does not know its size."""
    import shutil

    # Python 3.10 gives the 0 of the latter.
    return shutil.get_terminal_size((otherwise, 24)).columns or otherwise


def wrap(text: str, width: int | None, indent: str = "") -> list[str]:
    """A sentence in lines of at most `width` columns, `indent` before all but the first. Paths and other long words are
    not broken."""
    if width is None or len(text) <= width:
        return [text]
    import textwrap

    begin = text[: len(text) - len(text.lstrip())]
    return textwrap.wrap(
        text.lstrip(),
        width,
        initial_indent=begin,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
