"""Lines for a terminal or a pipe."""

from __future__ import annotations

from precision_fix.wrapping import wrap

#: (style for rich, line)
Line = tuple[str, str]


def wrapped(style: str, text: str, width: int | None, indent: str = "") -> list[Line]:
    """A sentence as lines of one style; see `precision_fix.wrapping.wrap`."""
    return [(style, part) for part in wrap(text, width, indent)]
