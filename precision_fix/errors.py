"""What can go wrong for a user, as one line that says what to do next."""

from __future__ import annotations


class PrecisionFixError(Exception):
    """A mistake or a condition that the user can mend. Its text is one line; the command line ends with code 2."""
