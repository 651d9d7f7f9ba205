"""What can go wrong for a user, as one line that says what to do next."""

from __future__ import annotations


class PrecisionFixError(Exception):
    """A mistake or a condition that the user can mend. Its text is one line; the command line ends with code 2."""


def check_kind(kind: type, called: str, **arguments: object) -> None:
    """Raises PrecisionFixError for an argument of another kind; None is none, and True is no number."""
    for name, value in arguments.items():
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise PrecisionFixError(f"{name} takes {called}, not {type(value).__name__}")
