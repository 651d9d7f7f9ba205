"""Keep the current folder, which may be a stranger's clone, off the path that modules are imported from.

`python -m` puts it first, and so does an empty entry of PYTHONPATH (`export PYTHONPATH=$PYTHONPATH:/x` makes one). What
Python itself imports before the first line of this package is out of reach; `python -P -m` and the installed command
have no such moment. This module imports only what is loaded by then, not even `__future__`.
"""

import os
import sys

_as_given: "list[str]" = []


def leave_current_folder() -> None:
    """From here on, import nothing from the current folder."""
    _as_given[:] = sys.path
    sys.path[:] = without_current_folder(sys.path)


def as_given() -> None:
    """Put back what was taken out, for a program that expects it."""
    sys.path[:] = _as_given or sys.path


class Away:
    """While it lasts, nothing is imported from the current folder: for what runs in a kernel, or a program of others.

    A notebook has that folder first on its path, and goes into a clone with `%cd`.
    """

    def __enter__(self) -> None:
        self._given = list(sys.path)
        sys.path[:] = without_current_folder(sys.path)

    def __exit__(self, *raised: object) -> None:
        sys.path[:] = self._given + [entry for entry in sys.path if entry not in self._given]


def without_current_folder(path: "list[str]") -> "list[str]":
    """The entries of a path but for the current folder; that stays where it is the home of Python's or our modules."""
    named = [entry for entry in path if entry]
    try:
        here = os.path.realpath(os.getcwd())  # noqa: PTH109 - pathlib is not loaded yet
    except OSError:
        return named
    others = [entry for entry in named if os.path.realpath(entry) != here]
    return named if len(others) == len(named) or _is_home(here) else others


def _is_home(folder: str) -> bool:
    site = sys.modules.get("site")
    homes = [os.path.dirname(os.__file__), os.path.dirname(os.path.dirname(__file__))]  # noqa: PTH120
    if site is not None:
        homes += [*site.getsitepackages(), site.getusersitepackages()]
    return folder in map(os.path.realpath, homes)


def neutral_folder() -> str:
    """A folder to start children in: it is there, and nobody's clone."""
    return os.path.abspath(os.sep)  # noqa: PTH100
