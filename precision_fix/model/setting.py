"""Settings: a name that is given a value outside of Python, in a config file or on a command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from precision_fix.model.target import Target

Key = str | int


class Form(Enum):
    """How a setting is written."""

    KEY = auto()
    """A key of a YAML, JSON, TOML or INI file."""
    OPTION = auto()
    """An option of a command line: `--dtype bf16`, `--dtype=bf16`, or a switch that stands alone."""
    VARIABLE = auto()
    """An environment variable: `export ACCELERATE_MIXED_PRECISION=bf16`, a line of an `.env` file."""


@dataclass(frozen=True, slots=True)
class Document:
    """What stands around a setting.

    `values` holds every scalar of the document by its keys, outermost first, items of lists by number; `command` the
    words of the command line up to its options ("accelerate", "launch"); `libraries` the names of those that the
    project says it uses (requirements, pyproject), in lower case.
    """

    path: str
    values: Mapping[tuple[Key, ...], object] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    libraries: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Setting:
    """One name and its value.

    `keys` leads to it from the top of the document; a command line has one key, without its dashes. `value` is what a
    reader of the format gets: a string, a bool, a number; None for a switch that stands alone.
    """

    form: Form
    keys: tuple[Key, ...]
    value: object
    document: Document
    target: Target

    @property
    def name(self) -> str:
        """The innermost key that is a name, in lower case, with underscores: `torch-dtype` is `torch_dtype`."""
        found = next((key for key in reversed(self.keys) if isinstance(key, str)), "")
        return found.lower().replace("-", "_")

    @property
    def word(self) -> str:
        return self.value if isinstance(self.value, str) else ""
