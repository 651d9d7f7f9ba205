"""What the settings of a project say of the files of a directory: which are left out, and which rules count in them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from precision_fix.model.selection import ALL, Selection
from precision_fix.sources.ignore import Patterns

#: The files that say it, in the order in which they count in one directory.
NAMES = ("precision-fix.toml", "pyproject.toml")


@dataclass(frozen=True, slots=True)
class Choice:
    """The rules that count, by file; small, since it goes to every worker of a pool.

    `codes` are those of the rules, None for all; `per_file` has patterns, relative to the directory `base`, and the
    codes that do not count in the files that they name. `without` is what the command line alone selects, where a
    settings file of the project has a say.
    """

    codes: frozenset[str] | None = None
    per_file: tuple[tuple[str, frozenset[str]], ...] = ()
    base: str = ""
    without: Selection | None = None

    def of(self, path: str) -> Selection:
        """The rules that count in one file."""
        if not self.per_file:
            return ALL if self.codes is None else Selection(self.codes, without=self.without)
        relative = below(self.base, os.path.realpath(path))
        ignored = frozenset(code for pattern, codes in self.per_file if _names(pattern, relative) for code in codes)
        return Selection(self.codes, ignored, self.without)


@cache
def _compiled(pattern: str) -> Patterns:
    return Patterns([pattern])


def _names(pattern: str, relative: str) -> bool:
    """Does a pattern mean this file? With `!` in front, it means every other one."""
    inverted = pattern.startswith("!")
    return _compiled(pattern[inverted:]).covers(relative) is not inverted


def below(base: str, real: str) -> str:
    """The path relative to `base`, with slashes; of a file that lies elsewhere, the name."""
    relative = real[len(base) :] if real.startswith(base) else os.path.basename(real)  # noqa: PTH119
    return relative if os.sep == "/" else relative.replace(os.sep, "/")


@dataclass(frozen=True, slots=True)
class Scope:
    """What holds for the files that one file of settings is the closest to.

    `base` is the absolute directory that `exclude` is relative to, with a separator at its end. `force_exclude` says
    that files which are named are left out, where they would be left out if they were found. `file` is the name of
    that file of settings for messages; empty where the command line named it, or there is none.
    """

    base: str
    exclude: Patterns | None = None
    force_exclude: bool = False
    choice: Choice = Choice()
    file: str = ""


class Scopes(Protocol):
    """Says what holds where. Directories and files are absolute and free of links."""

    def closest(self, directory: str) -> Scope:
        """What holds for the files of a directory."""

    def inside(self, directory: str, scope: Scope) -> Scope:
        """What holds in a directory with a file that may be one of settings, below one for which `scope` holds."""

    def left_out_by(self, file: str) -> str | None:
        """The settings that exclude this file, or a directory above it; None where it counts.

        The empty name stands for the command line, and for what the walk never enters.
        """
