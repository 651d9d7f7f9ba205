"""How settings say true and false, and the one in the style of the other."""

from __future__ import annotations

_OPPOSITE = {"true": "false", "yes": "no", "on": "off", "1": "0", "y": "n", "t": "f"}
#: Words that turn bfloat16 on as true does, in a setting that knows them: axolotl's `bf16: auto`.
_ALSO = {"auto": "false", "full": "false"}
TRUE = frozenset(_OPPOSITE)
TRUTH = TRUE | frozenset(_OPPOSITE.values())
#: What a string may say that turns something on.
ON = frozenset({"true", "yes", "on", "1", *_ALSO})
_OFF = {**_OPPOSITE, **_ALSO}


def off_like(token: str) -> str | None:
    """The other value of a switch, in its own spelling: `True` becomes `False`, `yes` becomes `no`."""
    off = _OFF.get(token.lower())
    if off is None:
        return None
    if token.isupper() and len(token) > 1:
        return off.upper()
    return off.capitalize() if token[:1].isupper() else off
