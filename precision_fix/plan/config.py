"""A config.json, read with distrust: every number in its range, nothing without a bound."""

from __future__ import annotations

import json
from typing import Any

from precision_fix import door
from precision_fix.plan.contents import Unreadable, shown

MOST_BYTES = 4 << 20
#: No model has more of anything than this: layers, channels, positions, words.
MOST = 1 << 26


class Config:
    """An object of a config. `where` is the key that leads to it, "" for the whole."""

    def __init__(self, data: dict[str, Any], where: str = "") -> None:
        self.data, self.where = data, where

    def __contains__(self, key: str) -> bool:
        return self.data.get(key) is not None

    def part(self, key: str) -> Config | None:
        """The object below a key, None where there is none."""
        value = self.data.get(key)
        return Config(value, f"{self.where}{key}.") if isinstance(value, dict) else None

    def name(self, key: str) -> str:
        """A word, "" where there is none."""
        value = self.data.get(key)
        return value if isinstance(value, str) else ""

    def has(self, key: str, default: bool = False) -> bool:
        """A yes or no."""
        value = self.data.get(key)
        return value if isinstance(value, bool) else default

    def whole(self, *keys: str, default: int | None = None, most: int = MOST, least: int = 1) -> int:
        """The number below the first of these keys that is there.

        Raises Unreadable where it is missing without a default, or is no whole number from `least` to `most`.
        """
        for key in keys:
            value = self.data.get(key)
            if value is not None:
                return self._checked(key, value, least, most)
        if default is None:
            raise Unreadable(f"its config has no '{self.where}{keys[0]}'")
        return default

    def wholes(self, key: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """A list of numbers. Raises Unreadable as `whole` does."""
        value = self.data.get(key)
        if isinstance(value, list) and 0 < len(value) <= 64:
            return tuple(self._checked(key, each, 1, MOST) for each in value)
        if value is None and default is not None:
            return default
        raise Unreadable(f"'{self.where}{key}' is no list of numbers in its config")

    def _checked(self, key: str, value: object, least: int, most: int) -> int:
        if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
            value = int(value)
        if type(value) is not int or not least <= value <= most:
            said = shown(repr(value), 40) if not isinstance(value, int) or abs(value) < 1 << 64 else "too large"
            raise Unreadable(f"'{self.where}{key}' of its config is {said}, no whole number from {least} to {most}")
        return value


def read(path: str, *, named: bool) -> Config:
    """The config at a path. Raises Unreadable, whatever it holds."""
    try:
        text = door.read(path, MOST_BYTES, follow=named).decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8") from None
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or type(error).__name__
        raise Unreadable(said[:1].lower() + said[1:]) from None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable("is no JSON that a config has") from None
    if not isinstance(data, dict):
        raise Unreadable("is no JSON object, as a config is")
    return Config(data)
