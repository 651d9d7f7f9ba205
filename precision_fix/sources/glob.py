"""A line of .gitignore that needs matching, as a regular expression that takes a time in proportion to the name.

The obvious expression has `[^/]*` for each star, and tries every way to share a name out among them: sixty stars and a
name of 240 letters never end. Here what follows a star is looked for once, from the left, which is enough: the pieces
between stars have a fixed length, so that the first place of one leaves the most room for the next. The same holds for
the parts of a path between `**`. Only what comes last must reach to the end, and there is one place where it can.
"""

from __future__ import annotations

import re
from itertools import count

_NAME = "[^/]"
_FOLDERS = "(?:[^/]+/)*"


def compiled(body: str) -> re.Pattern[str]:
    """The expression for a pattern without a slash at either end, which is to be matched from the start of a name.

    Raises ValueError for an open bracket, a lone backslash and a range that runs backwards: git matches nothing with
    these.
    """
    groups = map("g{}".format, count())
    parts: list[list[str]] = [[]]
    for segment in body.split("/"):
        if segment == "**":
            parts.append([])
        else:
            parts[-1].append(segment)
    if len(parts) > 1 and not parts[-1]:
        parts[-1].append("*")  # `a/**` is what lies below a, not a itself
    first, *others = ["/".join(_segment(each, groups) for each in part) for part in parts if part or part is parts[0]]
    out = [first, "/" if first and others else ""]
    out += (_first_place(f"(?:[^/]+/)*?{part}/", next(groups)) for part in others[:-1])
    if others:
        out += (_FOLDERS, others[-1])
    try:
        return re.compile("".join(out) + r"\Z", re.DOTALL)
    except re.error as error:
        raise ValueError(str(error)) from None


def _first_place(expression: str, group: str) -> str:
    """What a lazy expression matches first, and nothing else: a look ahead is never entered again."""
    return f"(?=(?P<{group}>{expression}))(?P={group})"


def _segment(segment: str, groups: map[str]) -> str:
    first, *others = _pieces(segment)
    out = [first]
    out += (_first_place(f"{_NAME}*?{piece}", next(groups)) for piece in others[:-1])
    if others:
        out += (f"{_NAME}*", others[-1])
    return "".join(out)


def _pieces(segment: str) -> list[str]:
    """What stands between the stars, as expressions."""
    pieces = [""]
    at = 0
    while at < len(segment):
        character = segment[at]
        at += 1
        if character == "*":
            if pieces[-1] or len(pieces) == 1:
                pieces.append("")
        elif character == "?":
            pieces[-1] += _NAME
        elif character == "[":
            text, at = _bracket(segment, at)
            pieces[-1] += text
        elif character == "\\" and at == len(segment):
            raise ValueError("a lone backslash")
        else:
            pieces[-1] += re.escape(segment[at] if character == "\\" else character)
            at += character == "\\"
    return pieces


def _bracket(segment: str, at: int) -> tuple[str, int]:
    """The expression for a bracket that was opened before `at`, and where it ends."""
    start = at + (segment[at : at + 1] in ("!", "^"))
    end = segment.find("]", start + 1)
    if end < 0:
        raise ValueError("an open bracket")
    negated = "^" if start > at else ""
    # `re` has a meaning for some of what is plain here: `[[`, `--`, `&&`, `||`, `~~`.
    inside = re.sub(r"[\\\[\]^&|~]", r"\\\g<0>", segment[start:end])
    return f"(?!/)[{negated}{inside}]", end + 1
