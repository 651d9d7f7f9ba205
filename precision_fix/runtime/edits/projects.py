"""The projects of a running program, each read once."""

from __future__ import annotations

import os
import threading
from functools import partial
from types import CodeType
from typing import TYPE_CHECKING

from precision_fix import caches
from precision_fix.caches import digest
from precision_fix.errors import PrecisionFixError
from precision_fix.runtime import swap
from precision_fix.runtime.edits import ahead, helper, hooks, prints
from precision_fix.runtime.edits.shelf import Made, Shelf, made_of

if TYPE_CHECKING:
    from precision_fix.runtime.edits.where import Where
    from precision_fix.runtime.gate import Decision

# A program that writes modules and imports them has its project read again; so often, and not for ever.
_MOST_READ = 20


class Projects:
    """What becomes of the modules of a program, and which were `given` to it so."""

    def __init__(self, where: Where, decision: Decision) -> None:
        self.given: set[str] = set()
        self._where = where
        self._target = decision.target
        self._stores = decision.storage != "float32"
        self._known: dict[str, _Project] = {}
        self._lock = threading.RLock()

    def code_of(self, path: str, module: str, data: bytes) -> CodeType | None:
        """The code of a file that holds `data`; None where it stays as it is. Raises PrecisionFixError and OSError."""
        with self._lock:
            top = self._where.project_of(path, module)
            if top is None:
                return None
            project = self._project(top)
            name, real, marks = project.edited(os.path.realpath(path), data)
            if real:
                swap.REAL[path] = frozenset(real)
            if "calls" in marks or "asks" in marks:
                from precision_fix.runtime.flash import asked

                asked.note(path, calls="calls" in marks, asks="asks" in marks)
            if not name:
                return None
            code = project.shelf.code(name, path)
            hooks.show(path, partial(project.shelf.text, name))
            self.given.add(path)
            return code

    def ahead(self) -> None:
        """Have the program's own project read before a module of it asks."""
        with self._lock:
            self._project(self._where.top).ahead()

    def is_untouched(self, path: str) -> bool:
        """Whether a file of a project that was read is known to stay as it is, without a look at what it holds."""
        return any(project.is_untouched(path) for project in [*self._known.values()])

    def _project(self, top: str) -> _Project:
        if top not in self._known:
            project = _Project(top, self._target, stores=self._stores)
            if project.is_too_large() and top == self._where.top and self._where.narrow():
                project = self._project(self._where.top)
            self._known[top] = project
        return self._known[top]


class _Project:
    """One folder, and what becomes of the files below it."""

    def __init__(self, top: str, target: str, *, stores: bool) -> None:
        self.top = top
        self._target = target
        self._stores = stores
        state = digest("\n".join(sorted(caches.of_package())).encode())
        self._key = "\n".join((top, target, str(stores), state))
        self.shelf = Shelf(self._key)
        self._files = prints.look(top)
        self._made: Made | None = None
        self._read = 0
        self._is_made_ahead = False
        self._lead = os.path.join(top, "")  # noqa: PTH118

    def ahead(self) -> None:
        """Take what is kept; where that is of another state, have another process begin to make it."""
        kept = self.shelf.load()
        if kept is not None and kept.files == self._files:
            self._made = kept
            return
        if self._files is None:
            return
        self._is_made_ahead = True
        try:
            lock = self.shelf.lock(0)
        except TimeoutError:  # another start of it makes it
            return
        if lock is not None:
            try:
                self.shelf.clear()
                ahead.make(lock, key=self._key, top=self.top, to=self._target, stores=self._stores)
            finally:
                os.close(lock)

    def is_untouched(self, path: str) -> bool:
        """Whether a file is known to stay as it is, from its size and its time."""
        if self._made is None or not path.startswith(self._lead):
            return False
        name = path[len(self._lead) :].replace(os.sep, "/")
        print_ = self._made.files.get(name)
        return print_ is not None and name not in self._made.edited and prints.of(path) == print_

    def is_too_large(self) -> bool:
        return self._files is None

    def edited(self, path: str, data: bytes) -> tuple[str, list[int], list[str]]:
        """The digest of the text that is run in the place of a file, "" where it stays as it is; its real lines, and
        what is to be known of it for flash-attn.
        """
        name = prints.name(path, self.top)
        if self._made is None and self._is_made_ahead:
            if self.shelf.stays(name, prints.of(path)):
                return "", [], []
            self._is_made_ahead = False
        made = self._made or self._up_to_date()
        if made.files.get(name) != prints.of(path) and self._read < _MOST_READ:
            # It was written since, or has only now been put there.
            self._files = prints.look(self.top)
            made = self._up_to_date()
        before, after = made.edited.get(name, ("", ""))
        if before != digest(data):
            return "", [], []
        return after, made.real.get(name, []), made.marks.get(name, [])

    def _up_to_date(self) -> Made:
        if self._files is None:
            raise PrecisionFixError(f"{self.top} holds too many files to be one project")
        kept = self.shelf.load()
        if kept is None or kept.files != self._files:
            with self.shelf.alone():
                kept = self.shelf.load()  # another process may have been faster
                if kept is None or kept.files != self._files:
                    kept = self._made_anew(self._files)
        self._made = kept
        return kept

    def _made_anew(self, files: prints.Prints) -> Made:
        self._read += 1
        try:
            rows = helper.edited(self.top, self._target, stores=self._stores)
        except PrecisionFixError:
            self._made = Made(files)  # what fails once is not tried for each module
            raise
        made, texts = made_of(self.top, files, rows)
        self.shelf.keep(made, texts)
        return made
