"""How a value is written, in the style of the one that it replaces."""

from __future__ import annotations

_OFF = {"true": "false", "yes": "no", "on": "off", "1": "0", "y": "n", "t": "f", "auto": "false", "full": "false"}


def off_like(token: str) -> str | None:
    """The other value of a switch, in its own spelling: `True` becomes `False`, `yes` becomes `no`."""
    off = _OFF.get(token.lower())
    if off is None:
        return None
    if token.isupper() and len(token) > 1:
        return off.upper()
    return off.capitalize() if token[:1].isupper() else off


def within_quotes(token: str, value: str) -> str | None:
    """A quoted token with another value between its quotes; None where it is not quoted."""
    quote = token[:1]
    if quote not in ("'", '"') or len(token) < 2 or token[-1] != quote:
        return None
    return f"{quote}{value}{quote}"


def in_quotes_or_false(token: str, value: str | bool) -> str | None:
    """Another value in a token's place where words stand in quotes and false has one spelling: in JSON and TOML."""
    return "false" if isinstance(value, bool) else within_quotes(token, value)
