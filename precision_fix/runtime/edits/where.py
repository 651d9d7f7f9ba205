"""Which project a module belongs to: the program's own, one that the program names, or a package that is left alone.

A package is what was installed: the standard library, site-packages, and folders that an editable installation put on
the path. Everything else that is imported was named by the program, its path or its user.
"""

# As the program starts, pathlib may not be there yet.
# ruff: noqa: PTH109, PTH111, PTH118, PTH119, PTH120, PTH206
from __future__ import annotations

import contextlib
import os
import sys
from functools import cache
from pathlib import Path

from precision_fix.tops import top_of

_STANDARD = os.path.join(os.path.dirname(os.__file__), "")
#: This package, where it is run from a checkout: editing what edits goes round in a ring.
_OURS = os.path.join(__file__.removesuffix(os.path.join("runtime", "edits", "where.py")), "")
_LIBRARIES = (_STANDARD, _OURS)
_PACKAGES = ("site-packages", "dist-packages")
#: What comes with a checkpoint's repository, copied to a folder of the user's. Sources: transformers
#: (utils/hub.py, TRANSFORMERS_DYNAMIC_MODULE_NAME), diffusers (utils/constants.py, DIFFUSERS_DYNAMIC_MODULE_NAME).
REMOTE = ("transformers_modules.", "diffusers_modules.")


class Where:
    """The projects of a program, which lies in `folder`."""

    def __init__(self, folder: str) -> None:
        self._folder = os.path.realpath(folder)
        self.top = _top(self._folder)

    def narrow(self) -> bool:
        """Take the program's folder alone for its project; False where it is that already."""
        narrower, self.top = self.top != self._folder, self._folder
        return narrower

    def project_of(self, path: str, module: str) -> str | None:
        """The folder of the project of a module's file, both free of links; None for a package."""
        real = os.path.realpath(path)
        if module.startswith(REMOTE):
            return os.path.dirname(real)
        if _is_below(real, self.top) and not _is_package(real, self.top):
            return self.top
        if any(_is_below(real, folder) for folder in _installed()) or _is_package(real, ""):
            return None
        if any(_is_below(real, folder) for folder in _editable()):
            return None
        return _top(os.path.dirname(real))


def is_library(path: str) -> bool:
    """Whether a file is seen to be a package's by its path alone, as nearly all are."""
    # Asked of every module there is.
    return "site-packages" in path or "dist-packages" in path or path.startswith(_LIBRARIES)


def folder_of_program() -> str:
    """The folder that the running program lies in; the current one for a notebook, `-c`, `-m` and a console script."""
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if not file or getattr(main, "__spec__", None) is not None:
        return os.getcwd()
    return folder_of(file)


def folder_of(file: str) -> str:
    """The folder of a program's file; the current one where that is a script of an environment, as torchrun is."""
    folder = os.path.dirname(os.path.realpath(file))
    is_installed = _is_package(folder + os.sep, "") or any(_is_below(folder, each) for each in _installed())
    return os.getcwd() if is_installed else folder


def _top(folder: str) -> str:
    """The project around a folder; a home, or the root of a disk, is no project."""
    top = str(top_of(Path(folder)))
    home = os.path.realpath(os.path.expanduser("~"))
    return folder if top in (home, os.path.dirname(top)) else top


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))


def _is_package(real: str, top: str) -> bool:
    parts = real[len(top) :].split(os.sep)
    return any(each in parts for each in _PACKAGES)


@cache
def _installed() -> tuple[str, ...]:
    """Where Python and this package lie."""
    here = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    folders = [os.path.dirname(os.__file__), here]
    if sys.prefix != sys.base_prefix:
        folders.append(sys.prefix)
    return tuple({os.path.realpath(each) for each in folders})


def _editable() -> set[str]:
    """The folders of packages that were installed from a checkout: by lines of `.pth` files, by setuptools' finders."""
    found = set(_of_pth_files())
    for name, module in list(sys.modules.items()):
        if name.startswith("__editable__"):
            mapping = getattr(module, "MAPPING", None)
            folders = mapping.values() if isinstance(mapping, dict) else ()
            found.update(os.path.realpath(each) for each in folders if isinstance(each, str))
    return found


@cache
def _of_pth_files() -> frozenset[str]:
    found: set[str] = set()
    for folder in sys.path:
        if os.path.basename(folder) not in _PACKAGES:
            continue
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                if name.endswith(".pth"):
                    with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                        lines = [line.strip() for line in file.read(1 << 16).splitlines()]
                    named = [each for each in lines if each and not each.startswith(("#", "import ", "import\t"))]
                    found.update(os.path.realpath(os.path.join(folder, each)) for each in named)
    return frozenset(found)
