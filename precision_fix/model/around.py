"""What a module asks of the project that it lies in; `project.index` answers, and alone nothing is around it."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from precision_fix.model.trace import Trace

if TYPE_CHECKING:
    from precision_fix.model.module import Module
    from precision_fix.model.scope import Definition
    from precision_fix.model.setting import Declaration, Declared


class Programs(Protocol):
    """The programs of a project, as launch lines start them."""

    def file(self, path: str, script: str, module: bool) -> str:
        """The file that a line of `path` starts as a script or, with `-m`, a module; empty where there is none."""

    def option(self, program: str, name: str) -> Declared:
        """What a program says of an option. `Takes.UNKNOWN` where it does not show where that comes from."""

    def declaration(self, program: str, name: str) -> tuple[Module, Declaration] | None:
        """Where the files of a program declare an option, and which of them does, if one does. Raises NotApart."""

    def reached(self, program: str) -> Collection[str]:
        """The files of the project that a program is made of: its own, and those that it imports, closest first."""


class TooMany(Exception):
    """More files may be meant than are looked at."""


class Kin(NamedTuple):
    """The classes of one family, each by the file that defines it and its name there."""

    members: frozenset[tuple[str, str]]
    names: frozenset[str]

    @classmethod
    def of(cls, members: Iterable[tuple[str, str]]) -> Kin:
        found = frozenset(members)
        return cls(found, frozenset(name for _, name in found))


class Around(Protocol):
    """The other files of a project."""

    trace: Trace
    """What has been looked at in them."""

    @property
    def programs(self) -> Programs: ...

    def readers(self, module: Module, name: str) -> Sequence[tuple[Module, ast.expr]]:
        """The expressions in other files that stand for what a module binds at its margin."""

    def users(self, module: Module, name: str) -> int:
        """In how many other files `readers` has some, at most, which costs much less to know."""

    def minding(self, module: Module, name: str) -> Sequence[tuple[Module, ast.expr]]:
        """Of `readers`, those in files that show something to which a tensor's dtype matters (model/minding.py)."""

    def definition(self, module: Module, dotted: str) -> tuple[Module, Definition] | None:
        """The function or class that a resolved name of a module stands for, where another file defines it."""

    def named(self, module: Module, name: str) -> Sequence[tuple[Module, ast.FunctionDef | ast.AsyncFunctionDef]]:
        """The functions and methods of a name, where they are so few that a call by it means one of them: a guess."""

    def bound(self, module: Module, dotted: str) -> tuple[Module, ast.expr] | None:
        """What another file assigns to a name, where it does so once, and that file."""

    def family(self, module: Module, cls: ast.ClassDef, word: str) -> Iterable[tuple[Module, ast.ClassDef]]:
        """A class with those of its bases and of what is derived from it in whose files a word stands."""

    def relatives(self, module: Module, cls: ast.ClassDef, word: str) -> int:
        """How many `family` has besides the class itself, which costs much less to know."""

    def minding_family(self, module: Module, cls: ast.ClassDef, name: str) -> Iterable[tuple[Module, ast.ClassDef]]:
        """Of `family`, those whose method of this name shows something to which a tensor's dtype matters."""

    def kin(self, module: Module, cls: ast.ClassDef) -> Kin:
        """A class, its bases and what is derived from it, by their names."""

    def holders(self, module: Module, cls: ast.ClassDef, word: str) -> Iterable[Module]:
        """The files that may ask a word of an instance: those of the family, and those that import one of it.

        Raises TooMany in the end where they were not all: the base of half a library is known to half of it. Of those
        past the first, the ones that mind a dtype are given all the same.
        """

    def begin(self) -> None:
        """Another file is judged now."""

    def shown(self, path: str) -> str:
        """A path as the project's people know it."""

    def own(self, path: str, text: str, hits: Iterable[int]) -> Module:
        """The module of a file that is judged, with its blocks at these places. Raises NotApart.

        Whatever text of a file is judged after its first, an edited one, stands for it until the next file is judged.
        """

    def read_whole(self, path: str) -> None:
        """Parse another file as a whole from now on: one of its blocks does not parse apart."""

    def tables(self) -> Iterable[tuple[Module, ast.Dict]]:
        """The maps with a key "flash_attention_2"."""

    def keyed(self, name: str, within: Collection[str] | None = None) -> Iterable[tuple[Module, ast.expr]]:
        """Where Python reads a setting of this name from a config or a namespace of options.

        `within` are the files of one program, outside of which nothing reads it.
        """

    def without_torch(self, path: str, program: str = "") -> str:
        """The library that computes where a file lies, in the place of torch; empty where torch does, or who knows.

        `program` is the file that reads what stands there, if it is known.
        """


class _NoPrograms:
    def file(self, path: str, script: str, module: bool) -> str:
        return ""

    def option(self, program: str, name: str) -> Declared:
        raise NotImplementedError  # there is no program to ask

    def declaration(self, program: str, name: str) -> tuple[Module, Declaration] | None:
        return None

    def reached(self, program: str) -> Collection[str]:
        return ()


class _Alone:
    """No project: a text that is no file, or a file that is read by itself."""

    trace = Trace(heard=False)
    programs: Programs = _NoPrograms()

    def readers(self, module: Module, name: str) -> Sequence[tuple[Module, ast.expr]]:
        return ()

    def users(self, module: Module, name: str) -> int:
        return 0

    def minding(self, module: Module, name: str) -> Sequence[tuple[Module, ast.expr]]:
        return ()

    def definition(self, module: Module, dotted: str) -> tuple[Module, Definition] | None:
        return None

    def named(self, module: Module, name: str) -> Sequence[tuple[Module, ast.FunctionDef | ast.AsyncFunctionDef]]:
        return ()

    def bound(self, module: Module, dotted: str) -> tuple[Module, ast.expr] | None:
        return None

    def family(self, module: Module, cls: ast.ClassDef, word: str) -> Iterable[tuple[Module, ast.ClassDef]]:
        return ((module, cls),)

    def relatives(self, module: Module, cls: ast.ClassDef, word: str) -> int:
        return 0

    def minding_family(self, module: Module, cls: ast.ClassDef, name: str) -> Iterable[tuple[Module, ast.ClassDef]]:
        return ()

    def kin(self, module: Module, cls: ast.ClassDef) -> Kin:
        return Kin.of([(module.real, cls.name)])

    def holders(self, module: Module, cls: ast.ClassDef, word: str) -> Iterable[Module]:
        return (module,)

    def shown(self, path: str) -> str:
        return path

    def begin(self) -> None:
        pass

    def own(self, path: str, text: str, hits: Iterable[int]) -> Module:
        raise NotImplementedError  # there are no others to share it with

    def read_whole(self, path: str) -> None:
        raise NotImplementedError

    def tables(self) -> Iterable[tuple[Module, ast.Dict]]:
        return ()

    def keyed(self, name: str, within: Collection[str] | None = None) -> Iterable[tuple[Module, ast.expr]]:
        return ()

    def without_torch(self, path: str, program: str = "") -> str:
        return ""


ALONE: Around = _Alone()
