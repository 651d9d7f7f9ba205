"""`# precision-fix: keep`: a person's word that a line stays, for every rule or for the rules it names."""

from __future__ import annotations

import contextlib
import io
import re
import tokenize

_KEEP = re.compile(r"#\s*precision-fix:\s*keep\b(?:\s*\[([^\]]*)\])?", re.IGNORECASE)


class Keeps:
    """The keep comments of a text, and which of them were needed."""

    def __init__(self, text: str) -> None:
        self._codes: dict[int, frozenset[str]] = {}
        self._used: set[int] = set()
        # Tokens tell a comment from the same words in a string; they are slow, so only where the words are.
        if _KEEP.search(text):
            # Text that is no Python has no comments; what parses it says so.
            with contextlib.suppress(tokenize.TokenError, SyntaxError):
                self._read(text)

    def _read(self, text: str) -> None:
        for token in tokenize.generate_tokens(io.StringIO(text, newline="").readline):
            found = _KEEP.search(token.string) if token.type == tokenize.COMMENT else None
            if found:
                codes = (found[1] or "").replace(",", " ").upper().split()
                self._codes[token.start[0]] = frozenset(codes)

    def covers(self, line: int, code: str) -> bool:
        """Whether a comment keeps what this rule found on this line; the comment then counts as used."""
        codes = self._codes.get(line)
        if codes is None or (codes and code not in codes):
            return False
        self._used.add(line)
        return True

    @property
    def unused(self) -> list[int]:
        """Lines of the comments that kept nothing."""
        return sorted(self._codes.keys() - self._used)
