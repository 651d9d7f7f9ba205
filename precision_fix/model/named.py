"""The paths that a person names: all of them are there before anything is done with one."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator

from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import reason, shown

Pathish = str | os.PathLike[str]


def missing(paths: Iterable[Pathish]) -> Iterator[tuple[str, str]]:
    """Those that are not there, or cannot be reached, each with the reason."""
    for each in paths:
        path = os.fspath(each)
        try:
            os.stat(path)  # noqa: PTH116 - pathlib takes "" for the current directory
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            yield path, reason(error)


def check(paths: Iterable[Pathish]) -> None:
    """Raises PrecisionFixError where one of the paths is not there; it names all that are not."""
    wrong = list(missing(paths))
    if wrong:
        raise PrecisionFixError(f"{told(wrong)}; nothing was done")


def check_names(paths: Iterable[Pathish]) -> None:
    """Raises PrecisionFixError where one of the paths can be no file's, whether it is there or gone by now."""
    wrong: list[tuple[str, str]] = []
    for each in paths:
        path = os.fspath(each)
        try:
            os.lstat(path)
        except OSError as error:
            wrong += [(path, reason(error))] * (error.errno == errno.ENAMETOOLONG)
        except ValueError as error:
            wrong.append((path, reason(error)))
    if wrong:
        raise PrecisionFixError(f"{told(wrong)}; nothing was done")


def told(wrong: Iterable[tuple[str, str]]) -> str:
    """Paths with what is wrong with them, in one line."""
    return "; ".join(f"{_as_given(path)}: {why}" for path, why in wrong)


def _as_given(path: str) -> str:
    return shown(path) if path.strip() else repr(path)
