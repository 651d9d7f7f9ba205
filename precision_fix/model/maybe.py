"""Truth of which some is not known: True, False, or None where nobody can tell. One part alone may settle it."""

from __future__ import annotations

import ast
from collections.abc import Collection


def negated(found: bool | None) -> bool | None:
    return None if found is None else not found


def any_of(parts: Collection[bool | None]) -> bool | None:
    return True if True in parts else None if None in parts else False


def all_of(parts: Collection[bool | None]) -> bool | None:
    return False if False in parts else None if None in parts else True


def joined(test: ast.BoolOp, parts: Collection[bool | None]) -> bool | None:
    """What `and` or `or` makes of its parts."""
    return any_of(parts) if isinstance(test.op, ast.Or) else all_of(parts)
