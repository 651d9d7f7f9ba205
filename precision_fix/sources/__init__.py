"""The kinds of file that are read, each by a module here, which is imported when a file of its kind holds something.

A source offers `analyse`, which finds the places and asks the rules, and `parse`, which says whether a text is sound.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from dataclasses import dataclass
from functools import cache
from typing import Protocol, cast

from precision_fix.model.around import ALONE, Around
from precision_fix.model.selection import ALL, Selection
from precision_fix.model.target import Target
from precision_fix.model.vocabulary import needles
from precision_fix.sources import sift
from precision_fix.sources.analysis import Analysis, Left


class Source(Protocol):
    """What a module here offers for one kind of file."""

    def analyse(
        self,
        path: str,
        text: str,
        target: Target,
        selection: Selection = ALL,
        around: Around = ALONE,
        left: Left | None = None,
    ) -> Analysis:
        """Find the sites of a text and judge them. Raises Unparsable.

        All of them are judged, and then only what the selected rules said is told and edited. `around` is the project
        that the file lies in; `left` are places that are not rewritten after all.
        """

    def parse(self, text: str) -> object:
        """Raises Unparsable for a text that is not sound."""


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file: the module that reads it, and what a file must hold to be worth reading.

    A file above `limit` bytes is data and not a config, whatever it holds, unless it was named. Of Python that is
    said: no larger file is given to the parser, which takes a hundred times its size of memory.
    """

    module: str
    needles: tuple[bytes, ...]
    limit: int
    flash: tuple[bytes, ...] = ()

    def may_hold_a_site(self, data: bytes) -> bool:
        """Decides over most files of a tree without decoding them; `flash` is looked for where that word is."""
        return any(each in data for each in self.needles) or (
            bool(self.flash) and b"flash" in data and any(each in data for each in self.flash)
        )

    def source(self) -> Source:
        return _module(self.module)

    def takes(self, path: str) -> bool:
        """Whether a file is of this kind, by its name."""
        return format_of(path) is self


class _Notebook(Format):
    """Cells hold Python, launch lines and configs, among outputs that are most of the file."""

    def may_hold_a_site(self, data: bytes) -> bool:
        text = sift.without_pictures(data)
        return sift.speaks_of_bfloat16(text) or any(each in text for each in self.needles)


@cache
def _module(name: str) -> Source:
    return cast(Source, importlib.import_module(f"{__name__}.{name}"))


# They keep what the other files of a project say.
_REMEMBER = ("project",)


def forget() -> None:
    """Read the files around a setting anew: between two runs of one process they may have become others."""
    for name in _REMEMBER:
        module = sys.modules.get(f"{__name__}.{name}")
        for value in vars(module).values() if module else ():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def _bytes(*words: str) -> tuple[bytes, ...]:
    return tuple(word.encode() for word in words)


_MIB = 1 << 20
PYTHON = Format(
    "python", _bytes(*needles.BFLOAT16, *needles.ELSEWHERE, *needles.REFUSES), 16 * _MIB, _bytes(*needles.FLASH)
)
_IN_CONFIGS = _bytes(*needles.CONFIGS)
_YAML = Format("yaml_config", _IN_CONFIGS, 2 * _MIB)
_JSON = Format("json_config", _IN_CONFIGS, 4 * _MIB)
_TOML = Format("toml_config", _IN_CONFIGS, _MIB)
_INI = Format("ini_config", _IN_CONFIGS, _MIB)
LAUNCH = Format("launch", _bytes(*needles.LAUNCH), _MIB)
_NATIVE = Format("native", _bytes(*needles.NATIVE), 4 * _MIB)
NOTEBOOK = _Notebook("notebook", sift.fewest((*PYTHON.needles, *LAUNCH.needles, *_IN_CONFIGS)), 200 * _MIB)
# By the suffix, or by the whole name.
_FORMATS: dict[str, Format] = {
    ".py": PYTHON,
    ".ipynb": NOTEBOOK,
    **dict.fromkeys((".yaml", ".yml"), _YAML),
    **dict.fromkeys((".json", ".jsonc"), _JSON),
    ".toml": _TOML,
    **dict.fromkeys((".ini", ".cfg", ".conf", ".env", ".env.example"), _INI),
    **dict.fromkeys((".sh", ".bash", ".slurm", ".sbatch", ".bat", ".cmd", ".ps1", ".mk", ".dockerfile"), LAUNCH),
    **dict.fromkeys((".cu", ".cuh", ".hip", ".cpp", ".cc", ".cxx", ".c", ".hpp", ".h"), _NATIVE),
    **dict.fromkeys(("Makefile", "makefile", "GNUmakefile", "Dockerfile", "Containerfile"), LAUNCH),
}
# These are read when they are named, and not looked for.
_NAMED: dict[str, Format] = {".pyw": PYTHON, ".pyi": PYTHON}
# A tokenizer's words: megabytes in which any letters stand.
_VOCABULARIES = frozenset({"tokenizer.json", "vocab.json"})
#: The ends of the names that are looked for in a directory.
SUFFIXES = tuple(_FORMATS)
#: `Dockerfile.cuda` is looked for by how its name begins.
PREFIXES = ("Dockerfile.",)


def format_of(path: str) -> Format | None:
    """The kind of a file by its name; None for what is not read."""
    name = _name(path)
    return None if name in _VOCABULARIES else _by_name(name)


def _name(path: str) -> str:
    return path.replace(os.sep, "/").rpartition("/")[2]


def _by_name(name: str) -> Format | None:
    for key in (name, name[name.rfind(".") :].lower() if "." in name else name):
        found = _FORMATS.get(key) or _NAMED.get(key)
        if found is not None:
            return found
    return LAUNCH if name.startswith(PREFIXES) else None


def format_of_named(path: str, data: bytes) -> Format | None:
    """The kind of a file that was named: where its name does not tell, the `#!` line that it begins with."""
    known = _by_name(_name(path))
    if known is not None or not data.startswith(b"#!"):
        return known
    return LAUNCH if _SHELL.match(data) else PYTHON


def most_of(format_: Format | None, explicit: bool) -> int:
    """The most that is read of a file, in bytes; `explicit` says that it was named."""
    if format_ is None or (explicit and format_ is not PYTHON):
        return NOTEBOOK.limit
    return format_.limit


_SHELL = re.compile(rb"#![^\n]*\b(?:ba|da|z|k)?sh\b")
