"""What .gitignore files say about one name in one directory, as git would answer.

The walk asks about every directory before it enters it, so an entry is only ever asked about when all its
ancestors were kept. That makes git's rule simple: the deepest file with a matching line decides, in it
the last matching line, and a line must match the entry itself, not something above it.

Most lines are a plain name or `*.suffix`; those are looked up, not matched. Of the rest, which may have to
be tried for every name, a file has its bound, and none takes long: see glob.py.

Known not to be as git: a backslash, a slash or a class such as [[:alpha:]] inside brackets; `?` for a letter
outside ASCII (git counts bytes); `lib**/x`, where git takes the stars for directories, against its own
manual; and core.ignoreCase. The user's own core.excludesFile is left out on purpose: what a run rewrites
should depend on the project, not on who runs it.
"""

# A pathlib object for each of 50,000 names costs more than the rest of the walk.
# ruff: noqa: PTH113, PTH118, PTH120
from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from precision_fix import door
from precision_fix.sources.glob import compiled
from precision_fix.sources.repository import exclude_file, worktree_of

_MOST_BYTES = 1 << 20
#: So many lines with wildcards may one file have; a hundred are many.
MOST_PATTERNS = 1_000
_GLOB = re.compile(r"[*?\[\\]")
_STARS = re.compile(r"(?<![^/])\*{3,}(?![^/])")  # git takes three stars between slashes for two
_NOT_LITERAL = re.compile(r"[*?/]|\\.?")


class TooMany(OSError):
    """More patterns with wildcards than are tried for every name."""

    def __init__(self) -> None:
        super().__init__(errno.EFBIG, f"holds more than {MOST_PATTERNS:,} lines with wildcards")


class _Line(NamedTuple):
    negated: bool
    only_directories: bool


class Patterns:
    """The lines of one ignore file."""

    __slots__ = ("_globs", "_lines", "_names", "_paths", "_suffixes")

    def __init__(self, lines: Iterable[str]) -> None:
        """Raises TooMany."""
        self._lines: list[_Line] = []
        # The last line of each name: of those for directories alone, and of the others.
        self._names: dict[bool, dict[str, int]] = {True: {}, False: {}}
        self._paths: dict[bool, dict[str, int]] = {True: {}, False: {}}
        self._suffixes: list[tuple[str, int]] = []
        self._globs: list[_Glob] = []
        for line in lines:
            self._add(line)
            if len(self._globs) + len(self._suffixes) > MOST_PATTERNS:
                raise TooMany
        self._globs.reverse()

    def _add(self, line: str) -> None:
        if line.startswith("#"):
            return
        line = _without_trailing_spaces(line)
        negated = line.startswith("!")
        body = line[negated:]
        only_directories = body.endswith("/")
        body = body[: len(body) - only_directories]
        anchored = "/" in body
        body = _STARS.sub("**", body.removeprefix("/"))
        if not body or body.startswith("/") or body.endswith("/") or "//" in body:
            return  # git takes such lines and matches nothing with them
        index = len(self._lines)
        self._lines.append(_Line(negated, only_directories))
        if not _GLOB.search(body):
            (self._paths if anchored else self._names)[only_directories][body] = index
        elif not anchored and body[0] == "*" and not _GLOB.search(body, 1):
            self._suffixes.append((body[1:], index))
        elif not body.replace("**", "").strip("/") and (anchored or body == "**"):
            self._suffixes.append(("", index))  # "**" in all its spellings: everything
        else:
            self._globs.append(_Glob(body, anchored, index))

    @property
    def only_everything(self) -> bool:
        """Is `*` the one line? Virtual environments and caches carry such a file to hide themselves."""
        return len(self._lines) == 1 and self._suffixes == [("", 0)] and not any(self._lines[0])

    def ignored(self, relative: str, name: str, is_directory: bool) -> bool | None:
        """True: ignored, False: expressly kept, None: no line matches. `relative` uses slashes."""
        lines = self._lines
        best = -1
        for table, key in ((self._names, name), (self._paths, relative)):
            best = max(best, table[False].get(key, -1), table[True].get(key, -1) if is_directory else -1)
        for suffix, index in self._suffixes:
            if index > best and name.endswith(suffix) and (is_directory or not lines[index].only_directories):
                best = index
        for glob in self._globs:
            if glob.index < best:
                break
            subject = relative if glob.anchored else name
            if (
                glob.literal in subject
                and (is_directory or not lines[glob.index].only_directories)
                and glob.matches(subject)
            ):
                best = glob.index
                break
        return None if best < 0 else not lines[best].negated

    def covers(self, relative: str, *, directory: bool = False) -> bool:
        """Is this file (or directory) ignored, or a directory above it? `relative` uses slashes."""
        end = relative.find("/")
        while end >= 0:
            if self.ignored(relative[:end], relative[relative.rfind("/", 0, end) + 1 : end], True):
                return True
            end = relative.find("/", end + 1)
        return bool(self.ignored(relative, relative[relative.rfind("/") + 1 :], directory))


def _without_trailing_spaces(line: str) -> str:
    """git drops spaces at the end unless a backslash stands before them, and drops nothing else."""
    end = 0
    position = 0
    while position < len(line):
        if line[position] == "\\":
            position += 2
            end = position
        else:
            position += 1
            if line[position - 1] != " ":
                end = position
    return line[:end]


class _Glob:
    """A line that needs matching, compiled when the first name comes by that has its literal part in it."""

    __slots__ = ("_body", "_regex", "anchored", "index", "literal")

    def __init__(self, body: str, anchored: bool, index: int) -> None:
        self.anchored = anchored
        self.index = index
        # Brackets hold anything, and `**/` may stand for nothing: what is literal must be there.
        self.literal = max(_NOT_LITERAL.split(body.partition("[")[0]), key=len)
        self._body: str | None = body
        self._regex: re.Pattern[str] | None = None

    def matches(self, subject: str) -> bool:
        if self._body is not None:
            with contextlib.suppress(ValueError):
                self._regex = compiled(self._body)
            self._body = None
        return self._regex is not None and self._regex.match(subject) is not None


@dataclass(frozen=True, slots=True)
class Chain:
    """The ignore files that apply in one directory, the deepest first."""

    patterns: Patterns
    cut: int  # a path of the walk loses this many characters and gains `lead` ...
    lead: str  # ... and is then relative to where the ignore file lies
    above: Chain | None


def is_ignored(chain: Chain | None, path: str, is_directory: bool) -> bool:
    """Is this path of the walk ignored, given that nothing above it is?"""
    if chain is None:
        return False
    name = path[path.rfind(os.sep) + 1 :]
    while chain is not None:
        relative = chain.lead + path[chain.cut :]
        if os.sep != "/":
            relative = relative.replace(os.sep, "/")
        verdict = chain.patterns.ignored(relative, name, is_directory)
        if verdict is not None:
            return verdict
        chain = chain.above
    return False


def read(path: str) -> Patterns:
    """The patterns of an ignore file of at most 1 MiB. Raises OSError, for a link too: git reads none here."""
    data = door.read(path, _MOST_BYTES)
    # fsdecode, so that a pattern meets a name that is not UTF-8 in the same spelling.
    text = os.fsdecode(data.removeprefix(b"\xef\xbb\xbf"))
    return Patterns(line.removesuffix("\r") for line in text.split("\n"))


def above(real: str, cut: int) -> Chain | None:
    """The ignore files that reach down into the directory `real` from further up in its repository.

    None when they leave out that very directory: it was named, so they do not count. `cut` is the length
    of what the walk puts before the paths below `real`. Files that cannot be read are passed over, as in
    git.
    """
    directories = [real]
    top = worktree_of(real)
    while top is not None and directories[-1] != top:
        directories.append(os.path.dirname(directories[-1]))
    directories.reverse()
    found: list[tuple[str, Patterns]] = []
    for directory, below in itertools.pairwise(directories):
        exclude = exclude_file(directory) if directory is directories[0] else None
        for file in (exclude, os.path.join(directory, ".gitignore")):
            if file is not None and os.path.isfile(file):
                with contextlib.suppress(OSError):
                    found.append((os.path.join(directory, ""), read(file)))
        seen: Chain | None = None
        for base, patterns in found:
            seen = Chain(patterns, len(base), "", seen)
        if is_ignored(seen, below, True):
            return None
    chain: Chain | None = None
    for base, patterns in found:
        chain = Chain(patterns, cut, os.path.join(real, "")[len(base) :], chain)
    return chain
