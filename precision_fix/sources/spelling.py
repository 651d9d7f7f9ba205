"""How a value is written, in the style of the one that it replaces."""

from __future__ import annotations


def within_quotes(token: str, value: str) -> str | None:
    """A quoted token with another value between its quotes; None where it is not quoted."""
    quote = token[:1]
    if quote not in ("'", '"') or len(token) < 2 or token[-1] != quote:
        return None
    return f"{quote}{value}{quote}"


def in_quotes_or_false(token: str, value: str | bool) -> str | None:
    """Another value in a token's place where words stand in quotes and false has one spelling: in JSON and TOML."""
    return "false" if isinstance(value, bool) else within_quotes(token, value)
