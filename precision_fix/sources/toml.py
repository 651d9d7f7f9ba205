"""TOML as the standard library reads it, but for what keeps that busy without end.

Its parser takes a time that grows with the square of the parts of a dotted key: 300,000 of them, which are 600 KB, are
hours. Nobody writes a key of more than a handful.
"""

from __future__ import annotations

import re
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MOST_PARTS = 30
_PART = r"[ \t]*(?:\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|[^\s.\"'=\[\]{},#]+)[ \t]*"
# Beside such a key, strings and comments, in which dots are nothing; what has no end goes on to the end of its line.
_LONG_KEY = re.compile(
    rf"(?P<key>(?:\.{_PART}){{{_MOST_PARTS}}})"
    r'|"""(?:[^\\]|\\.)*?(?:"""|\Z)'
    r"|'''.*?(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\.)*"?'
    r"|'[^'\n]*'?"
    r"|#[^\n]*",
    re.DOTALL,
)


class Broken(ValueError):
    """The text is no TOML, or none that is read. The message says why, as the parser does: `... (at line 3, ...)`."""


def loads(text: str) -> dict[str, Any]:
    """What a text means. Raises Broken."""
    if text.count(".") >= _MOST_PARTS:
        found = next((each for each in _LONG_KEY.finditer(text) if each["key"]), None)
        if found is not None:
            line = text.count("\n", 0, found.start()) + 1
            raise Broken(f"a key of more than {_MOST_PARTS} parts (at line {line}, column 1)")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise Broken("nested too deeply") from None
    # Not its own error alone: a number of 5,000 digits is a ValueError of int().
    except ValueError as error:
        raise Broken(str(error)) from None
