"""The settings of a project: which file says them, and what holds for which file of the project.

For each file that is scanned the closest settings file counts, and it alone: `precision-fix.toml`, or a
`pyproject.toml` with a table `[tool.precision-fix]`, in the directory of the file or the nearest one above it, up to
the root of the file system. The first of the two counts where a directory has both. Options of the command line come
before any file. `to` and `gpu` are for a whole run, and come from the file closest to the first path that was named.

Patterns are those of .gitignore, and relative to the directory of the settings file; with `--config`, and on the
command line, to the current one. Without such a file nothing is imported to read one: that is `settings_file`.
"""

# As in the walk: these are asked of every directory of a large tree.
# ruff: noqa: PTH118, PTH120
from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from precision_fix import door
from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import reason, shown
from precision_fix.model.selection import Selection
from precision_fix.sources.heeded import NAMES, Choice, Scope, below
from precision_fix.sources.ignore import Patterns
from precision_fix.sources.listing import SKIPPED

_NEEDLE = b"precision-fix"
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """What one settings file says, or the command line.

    `file` is its name for messages, `base` the absolute directory that its patterns are relative to, with a separator
    at its end. Codes are prefixes of codes of rules, in upper case; `select` is None where nothing was said of it.
    `found` says that the file was found in the project, and not named by the user.
    """

    file: str = ""
    base: str = ""
    select: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    extend_exclude: tuple[str, ...] = ()
    force_exclude: bool = False
    to: str | None = None
    gpu: str | None = None
    found: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a run is made for, and the names of the settings files of the project that say so.

    Such a name is empty where the command line says it, itself or by `--config`, and where nobody does.
    """

    to: str | None
    gpu: str | None
    to_by: str = ""
    gpu_by: str = ""


def _scope(options: Settings, said: Settings) -> Scope:
    """A settings file, or none, together with the command line."""
    exclude = Patterns(said.extend_exclude) if said.extend_exclude else None
    per_file = tuple((pattern, _starting(prefixes)) for pattern, prefixes in said.per_file_ignores)
    codes, alone = _chosen(options, said), _chosen(options, Settings())
    without = Selection(alone) if said.found and (per_file or codes != alone) else None
    choice = Choice(codes, per_file, said.base, without)
    file = said.file if said.found else ""
    return Scope(said.base, exclude, options.force_exclude or said.force_exclude, choice, file)


def _chosen(options: Settings, said: Settings) -> frozenset[str] | None:
    """Codes by the longest prefix that speaks of them; where two are as long, `ignore` counts.

    `--select` takes the place of both lists of a file; `--ignore` alone adds to them. None stands for all codes.
    """
    first = options if options.select is not None else said
    later = () if options.select is not None else options.ignore
    if first.select is None and not first.ignore and not later:
        return None
    selected = ("",) if first.select is None else first.select

    def length(prefixes: Iterable[str], code: str) -> int:
        return max((len(prefix) for prefix in prefixes if code.startswith(prefix)), default=-1)

    return frozenset(
        code for code in _all_codes() if length(selected, code) > length(first.ignore, code) and length(later, code) < 0
    )


def _all_codes() -> tuple[str, ...]:
    from precision_fix.rules import codes

    return codes()


def _starting(prefixes: tuple[str, ...]) -> frozenset[str]:
    return frozenset(code for code in _all_codes() if code.startswith(prefixes))


class Project:
    """The settings of a run. A file of settings is read when the first file below it is looked at.

    `options` is what the command line says; `config` is a file that holds for everything; `isolated` leaves out all
    files of settings. Methods raise PrecisionFixError for settings that are wrong, in one line that names the file.
    """

    def __init__(self, options: Settings | None = None, *, config: Path | None = None, isolated: bool = False) -> None:
        self.options = options or Settings()
        self.here = os.path.join(os.path.realpath(os.curdir), "")
        self._exclude = Patterns(self.options.extend_exclude) if self.options.extend_exclude else None
        self._nothing = Settings(base=self.here)
        self._none = _scope(self.options, self._nothing)
        self._passed_over: list[str] = []
        # By directory: the file of settings that lies there, and the closest one.
        self._read: dict[str, tuple[Settings, Scope] | None] = {}
        self._closest: dict[str, tuple[Settings, Scope]] = {}
        self._only: tuple[Settings, Scope] | None = None
        if config is not None and isolated:
            raise PrecisionFixError("--config and --isolated: choose one of them")
        if isolated:
            self._only = self._nothing, self._none
        elif config is not None:
            self._only = self._given(config)

    def closest(self, directory: str) -> Scope:
        """What holds for the files of a directory, which is an absolute path without links."""
        return self._find(directory)[1]

    def _find(self, directory: str) -> tuple[Settings, Scope]:
        if self._only is not None:
            return self._only
        passed: list[str] = []
        while True:
            passed.append(directory)
            parent = os.path.dirname(directory)
            found = self._closest.get(directory) or self._own(directory)
            if found is None and parent == directory:
                found = self._nothing, self._none
            if found is not None:
                self._closest.update(dict.fromkeys(passed, found))
                return found
            directory = parent

    def inside(self, directory: str, scope: Scope) -> Scope:
        """What holds in a directory that has a file with one of NAMES, below one for which `scope` holds."""
        own = None if self._only is not None else self._own(directory.rstrip(os.sep) or os.sep)
        return scope if own is None else own[1]

    def _own(self, directory: str) -> tuple[Settings, Scope] | None:
        if directory not in self._read:
            base = os.path.join(directory, "")
            found = (self._there(base + name, base) for name in NAMES)
            said = next((replace(each, found=True) for each in found if each is not None), None)
            self._read[directory] = None if said is None else (said, _scope(self.options, said))
        return self._read[directory]

    def _given(self, config: Path) -> tuple[Settings, Scope]:
        try:
            data = door.read(config, _MOST_BYTES, follow=True)
        except OSError as error:
            raise PrecisionFixError(f"--config {shown(str(config))}: {reason(error)}") from None
        said = self._parsed(str(config), data, self.here)
        if said is None:
            raise PrecisionFixError(f"--config {shown(str(config))}: has no table [tool.precision-fix]")
        return said, _scope(self.options, said)

    def _there(self, file: str, base: str) -> Settings | None:
        """What a file says that nobody named: it is read as every file that a project brings along."""
        try:
            data = door.read(file, _MOST_BYTES)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except door.NotPlain as error:
            if _is_plain(file):
                told = "put a file in its place, name one with --config, or leave them all out with --isolated"
                raise PrecisionFixError(f"{self._shown(file)}: {error.strerror}, and is not read: {told}") from None
            # Of a pyproject.toml we cannot know whether it is meant for us.
            self._passed_over.append(f"{self._shown(file)}: {error.strerror}, and is not read for settings")
            return None
        except OSError as error:
            if not os.path.lexists(file):
                return None  # in a directory above that is closed to us
            raise PrecisionFixError(f"{self._shown(file)}: cannot be read: {reason(error)}") from None
        return self._parsed(file, data, base)

    def _parsed(self, file: str, data: bytes, base: str) -> Settings | None:
        plain = _is_plain(file)
        if not plain and _NEEDLE not in data:
            return None
        from precision_fix.engine.settings_file import parse

        return parse(self._shown(file), data, base, plain=plain)

    def _shown(self, file: str) -> str:
        return shown(file.removeprefix(self.here))

    def left_out_by(self, file: str) -> str | None:
        """The settings that exclude a file, its own or those further up that exclude a directory above it.

        What the walk never enters is excluded as well, below the directory of the settings or the current one: by
        nobody, as what the command line excludes is. None for a file that counts.
        """
        if self._exclude is not None and self._exclude.covers(below(self.here, file)):
            return ""
        path = file
        while True:
            scope = self.closest(os.path.dirname(path))
            relative = below(scope.base, path)
            if scope.exclude is not None and scope.exclude.covers(relative, directory=path is not file):
                return scope.file
            if not SKIPPED.isdisjoint(relative.split("/")):
                return ""
            if self._only is not None or scope is self._none:
                return None
            path = scope.base.rstrip(os.sep)
            if not path:
                return None

    def for_run(self, path: Path) -> Chosen:
        """What decides on `to` and `gpu`: the command line, then the settings closest to the first path."""
        real = os.path.realpath(path)
        said = self._find(real if os.path.isdir(real) else os.path.dirname(real))[0]  # noqa: PTH112
        to, gpu = self.options.to, self.options.gpu
        by = said.file if said.found else ""
        return Chosen(
            said.to if to is None else to,
            said.gpu if gpu is None else gpu,
            by if to is None and said.to is not None else "",
            by if gpu is None and said.gpu is not None else "",
        )

    def remarks(self, run: Chosen) -> Iterator[str]:
        """A line for each file of settings that is not heeded: all of it, or another `to` or `gpu` than the run's."""
        yield from self._passed_over
        for own, _ in filter(None, self._read.values()):
            for key in ("to", "gpu"):
                said = getattr(own, key)
                if said not in (None, getattr(run, key)) and getattr(self.options, key) is None:
                    yield f'{own.file}: {key} = "{said}" is not heeded: the first path named decides for a whole run'


def _is_plain(file: str) -> bool:
    """Do the keys stand at the top of a file of this name?"""
    return os.path.basename(file) != NAMES[1]  # noqa: PTH119
