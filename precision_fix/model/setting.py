"""Settings: a name that is given a value outside of Python, in a config file or on a command line."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from typing import Any, TypeVar

from precision_fix.model.around import ALONE, Around
from precision_fix.model.target import Target
from precision_fix.model.vocabulary.truth import TRUTH

#: Where an option is declared: a call, a field of a dataclass, a parameter of a command.
Declaration = ast.Call | ast.AnnAssign | ast.arg
Key = str | int
_Answer = TypeVar("_Answer")


class Form(Enum):
    """How a setting is written."""

    KEY = auto()
    """A key of a YAML, JSON, TOML or INI file."""
    OPTION = auto()
    """An option of a command line: `--dtype bf16`, `--dtype=bf16`, or a switch that stands alone."""
    VARIABLE = auto()
    """An environment variable: a line of an `.env` file."""
    ASSIGNED = auto()
    """A variable of a script: `export ACCELERATE_MIXED_PRECISION=bf16`, Docker's `ENV`."""


class Takes(Enum):
    """What an option of a command line takes behind it, as the program declares it."""

    NOTHING = auto()
    """A switch: `action="store_true"`."""
    PAIR = auto()
    """A switch with a contrary: `--bf16/--no-bf16`, `BooleanOptionalAction`."""
    TRUTH = auto()
    """Nothing, or a word for true or false."""
    ANY_IS_TRUE = auto()
    """A word, of which each is true: `type=bool`, an accident."""
    FIELD = auto()
    """A bool of a dataclass; how the parser that is made of it reads one is not known."""
    WORD = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Declared:
    """An option as the program that reads it declares it.

    `offered` are the words that it takes, if they are known; `on` says that it is true by default. `others` are the
    options, without dashes, that say the contrary (`no-bf16`) or another precision (`fp32-vae` beside `bf16-vae`).
    `variable` is the attribute, or the parameter, that holds its value, "" where no declaration is known; `is_field`
    says that it is a field of a dataclass.
    """

    takes: Takes
    offered: tuple[str, ...] = ()
    on: bool = False
    others: tuple[str, ...] = ()
    variable: str = ""
    is_field: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """What stands around a setting.

    `values` holds every scalar of the document by its keys, outermost first, items of lists by number; `command` the
    words of the command line up to its options ("accelerate", "launch"), `program` the file of the project that it
    starts; `libraries` the names of those that the project says it uses (requirements, pyproject), in lower case.
    """

    path: str
    values: Mapping[tuple[Key, ...], object] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    libraries: frozenset[str] = frozenset()
    around: Around = field(default=ALONE, compare=False, repr=False)
    program: str = ""
    _mappings: dict[tuple[Key, ...], dict[str, object]] = field(default_factory=dict, compare=False, repr=False)
    _answers: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, ask: Callable[[Document], _Answer]) -> _Answer:
        """What a function says of this document: for each of its settings the same, and found out once."""
        if ask not in self._answers:
            self._answers[ask] = ask(self)
        found: _Answer = self._answers[ask]
        return found

    def words_of_names(self, keys: tuple[Key, ...]) -> frozenset[str]:
        """The words that the names of a mapping are made of; of what is switched on or off, nothing is told."""
        known: dict[tuple[Key, ...], frozenset[str]] = self._answers.setdefault("words", {})
        if keys not in known:
            told = (name for name, value in self.mapping(keys).items() if str(value).lower() not in TRUTH)
            known[keys] = frozenset(word for name in told for word in name.split("_"))
        return known[keys]

    def mapping(self, keys: tuple[Key, ...]) -> Mapping[str, object]:
        """The entries of the mapping that these keys lead to, by their plain names; a nested one counts as None."""
        if not self._mappings:
            for path, value in self.values.items():
                self._add(path, value)
        return self._mappings.get(keys, {})

    def _add(self, path: tuple[Key, ...], value: object) -> None:
        """Enter a value, and the mappings that lead to it as far up as they are not known yet."""
        while path:
            above, key = path[:-1], path[-1]
            known = above in self._mappings
            entries = self._mappings.setdefault(above, {})
            if isinstance(key, str):
                entries[plain(key)] = value
            if known:
                return
            path, value = above, None

    @property
    def file(self) -> str:
        """The file's name without its folders."""
        return self.path.replace("\\", "/").rpartition("/")[2]


@lru_cache(4096)
def plain(key: str) -> str:
    """A key as it is compared: `torch-dtype` and `Torch_Dtype` are `torch_dtype`, `--bf16` is `bf16`."""
    return key.lower().replace("-", "_").strip("_")


@lru_cache(4096)
def _names(keys: tuple[Key, ...]) -> tuple[str, ...]:
    return tuple(plain(key) for key in keys if isinstance(key, str))


@dataclass(frozen=True, slots=True)
class Setting:
    """One name and its value.

    `keys` leads to it from the top of the document; a command line has one key, without its dashes. `value` is what a
    reader of the format gets: a string, a bool, a number; None for a switch that stands alone. `declared` is what the
    program that reads an option says of it, where that is in the project.
    """

    form: Form
    keys: tuple[Key, ...]
    value: object
    document: Document
    target: Target
    declared: Declared | None = None

    @property
    def name(self) -> str:
        """The innermost key that is a name, in lower case and with underscores: `--torch-dtype` is `torch_dtype`."""
        return self.names[-1] if self.names else ""

    @property
    def names(self) -> tuple[str, ...]:
        """The keys that are names, outermost first, in the same spelling; dashes before one do not count."""
        return _names(self.keys)

    @property
    def shown(self) -> str:
        """The name as it is written."""
        return next((key for key in reversed(self.keys) if isinstance(key, str)), "")

    @property
    def above(self) -> str:
        """The key that the setting stands under: `bf16` of `bf16.enabled`."""
        return self.names[-2] if len(self.names) > 1 else ""

    @property
    def in_node(self) -> bool:
        """Whether it is an input of a node of a ComfyUI workflow, as the page saves it or as its API takes it.

        Such a node takes a word of its own menu alone (ComfyUI: execution.py, validate_inputs).
        """
        if "widgets_values" in self.names:
            return True
        return self.above == "inputs" and "class_type" in self.document.mapping(self.keys[:-2])

    def ends_in(self, path: str) -> bool:
        """Whether the keys end in these: `bf16.enabled`."""
        tail = tuple(path.split("."))
        return self.names[-len(tail) :] == tail

    def beside(self, name: str) -> object:
        """The value of another key of the same mapping, spelt in any way; None where there is none."""
        return self.document.mapping(self.keys[:-1]).get(name)

    @property
    def word(self) -> str:
        return self.value if isinstance(self.value, str) else ""
