"""Lines for a terminal or a pipe."""

from __future__ import annotations

import textwrap

#: (style for rich, line)
Line = tuple[str, str]


def wrapped(style: str, text: str, width: int | None, indent: str = "") -> list[Line]:
    """A sentence, in lines of at most `width` columns. Paths and other long words are not broken."""
    if width is None or len(text) <= width:
        return [(style, text)]
    begin = text[: len(text) - len(text.lstrip())]
    parts = textwrap.wrap(
        text.lstrip(),
        width,
        initial_indent=begin,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [(style, part) for part in parts]
