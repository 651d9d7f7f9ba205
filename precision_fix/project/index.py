"""A project's files as one: who reads a module's names, what a name stands for, which classes are of one family."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from precision_fix import door
from precision_fix.model.around import Kin, TooMany
from precision_fix.model.blocks import Blocks, NotApart, parsed, reads
from precision_fix.model.classes import COMMON
from precision_fix.model.module import Function, Module
from precision_fix.model.scope import Definition
from precision_fix.model.target import Target
from precision_fix.model.trace import FACTS, HOLDS, Trace
from precision_fix.project.arrays import Arrays
from precision_fix.project.imports import MOST_BYTES, Imports, look_through
from precision_fix.project.kept import Kept
from precision_fix.project.launched import Programs
from precision_fix.project.links import Links, Member, Origin
from precision_fix.project.names import is_test, stem_of
from precision_fix.project.readings import aliases, asks_for, attributes, items, reads_of, unbound, unexplained
from precision_fix.project.texts import Texts
from precision_fix.sources.text import Undecodable, decode

_LOOKS_EACH = 4
_MOST_ALIKE = 2
_MOST_HOLDERS = 64

Readers = Sequence[tuple[Module, ast.expr]]


class Project:
    """The files below one folder. Answers `model.around.Around`."""

    def __init__(self, top: Path, target: Target, imports: Callable[[], Imports] | None = None) -> None:
        self.top = str(top)
        self.target = target
        self._look = imports or (lambda: look_through(Path(top)))
        self._imports: Imports | None = None
        self._tests: dict[str, bool] = {}
        self._texts = Texts()
        self._whole: set[str] = set()
        # The file that is judged, and the text of it that was judged first.
        self._judged = self._first = ""
        self._files = 0
        self._asked: set[tuple[str, str]] = set()
        self.trace = Trace()
        self._known_tables: dict[tuple[()], Any] = {}
        self._mentions: dict[str, Sequence[str]] = {}
        self._readers: dict[tuple[str, str], Any] = {}
        self._kin: dict[Member, Any] = {}
        self._relatives: dict[tuple[str, str, str], list[Member]] = {}
        self._minding: dict[tuple[str, str], Any] = {}
        self._holders: dict[tuple[str, str, str], Any] = {}
        self._kept = Kept(self._readers, self._minding, self._known_tables)

    @property
    def programs(self) -> Programs:
        self.trace.note(FACTS)
        return self._programs

    @cached_property
    def _programs(self) -> Programs:
        return Programs(self.top, self.imports, self._load, self.trace)

    @property
    def imports(self) -> Imports:
        self.trace.note(FACTS)
        if self._imports is None:
            with self.trace.unheard():
                self._imports = self._look()
        return self._imports

    @cached_property
    def _arrays(self) -> Arrays:
        return Arrays(self.top, self.imports.files)

    def without_torch(self, path: str, program: str = "") -> str:
        self.trace.note(FACTS)
        return self._arrays.without_torch(path, self._programs.reached(program) if program else ())

    @property
    def _links(self) -> Links:
        self.trace.note(FACTS)
        return self._linked

    @cached_property
    def _linked(self) -> Links:
        return Links(self.top, self.imports, self._binds, self.trace)

    def shown(self, path: str) -> str:
        return os.path.relpath(path, self.top).replace(os.sep, "/")

    # Files.

    def begin(self) -> None:
        """Between two files: of what was parsed for the others, what was not asked for lately is let go."""
        self._kept.put_back()
        if self._judged and not self._kept.is_lent(self._judged) and self._is_test(self._judged):
            self._kept.forget([self._judged])  # nobody will ask for it
        self._judged = ""
        self._files += 1
        if self._files % _LOOKS_EACH == 0:
            self._kept.let_go_of_some()
        self.trace.begin()

    def read_whole(self, path: str) -> None:
        """Parse a file as a whole from now on: one of its blocks does not parse apart."""
        self._whole.add(path)
        self._kept.drop(path)

    def own(self, path: str, text: str, hits: Iterable[int]) -> Module:
        """The module of a file that is judged, with the blocks at these places. Raises NotApart."""
        real = os.path.abspath(path)  # noqa: PTH100
        if real != self._judged:
            self._judged, self._first = real, text
        if text == self._first:
            self._kept.put_back()
        else:
            self._kept.set_aside(real)
        known = self._kept.get(real)
        if known is not None and known.text == text:
            known.path = path
            known.take(hits)
            self._kept.put(real, known)
            return known
        module = self._parsed(path, text, hits, real in self._whole)
        self._kept.drop(real)
        self._kept.put(real, module)
        return module

    def _parsed(self, path: str, text: str, hits: Iterable[int], whole: bool) -> Module:
        if whole:
            return Module(path, text, parsed(text), self.target, None, self)
        blocks = Blocks(text)
        return Module(path, text, parsed(blocks.take(hits)), self.target, blocks, self)

    def _load(self, path: str) -> Module | None:
        self.trace.note(path)
        self._kept.lend(path)
        module = self._kept.get(path) if path in self._kept else self._read(path)
        self._kept.put(path, module)
        return module

    def _read(self, path: str) -> Module | None:
        try:
            text = decode(door.start(path, MOST_BYTES), coding=True).text
            try:
                return self._parsed(path, text, (), path in self._whole)
            except NotApart:
                return self._parsed(path, text, (), True)
        except (OSError, Undecodable, NotApart):
            return None

    def _may_see(self, asking: str, path: str) -> bool:
        """What a test does with a name is the test's own: the program does not run it."""
        return not self._is_test(path) or self._is_test(asking)

    def _is_test(self, path: str) -> bool:
        if path not in self._tests:
            self._tests[path] = is_test(self.shown(path))
        return self._tests[path]

    # Names.

    def _origin(self, path: str, dotted: str) -> Origin | None:
        return self._links.origin(path, dotted)

    def _binds(self, path: str, name: str) -> tuple[bool, list[str]]:
        """Whether a file binds a name at its margin, and the names that it imports under it."""
        module = self._load(path) if self._holds(path, name) else None
        if module is None:
            return False, []
        module.ensure_bound(name)
        bindings = module.names.root.bindings.get(name, ())
        return bool(bindings), [dotted for bound in bindings if (dotted := module.imported(bound)) is not None]

    def definition(self, module: Module, dotted: str) -> tuple[Module, Definition] | None:
        found = self._origin(module.real, dotted)
        if found is None or not found[1]:
            return None
        home, rest = self._load(found[0]), found[1]
        if home is None:
            return None
        home.ensure_bound(rest[0])
        for bound in home.names.root.bindings.get(rest[0], ()):
            if isinstance(bound, Definition) and len(rest) == 1:
                return home, bound
            if isinstance(bound, ast.ClassDef) and len(rest) == 2:
                home.ensure_bound(rest[1])
                inner = next((e for e in bound.body if isinstance(e, Definition) and e.name == rest[1]), None)
                return (home, inner) if inner is not None else None
        return None

    def named(self, module: Module, name: str) -> Sequence[tuple[Module, ast.FunctionDef | ast.AsyncFunctionDef]]:
        paths = [path for path in self.imports.by_definition.get(name, ()) if self._may_see(module.real, path)]
        found = []
        for path in paths if len(paths) <= _MOST_ALIKE else ():
            home = self._load(path)
            if home is not None:
                home.ensure_bound(name)
                defined = home.names.definitions_of(name)
                found += [(home, each) for each in defined if isinstance(each, Function)]
        return found if len(found) <= _MOST_ALIKE else ()

    def bound(self, module: Module, dotted: str) -> tuple[Module, ast.expr] | None:
        found = self._origin(module.real, dotted)
        home = self._load(found[0]) if found is not None and len(found[1]) == 1 else None
        if found is None or home is None:
            return None
        bindings = home.names.root.bindings.get(found[1][0], ())
        value = home.assigned_value(bindings[0]) if len(bindings) == 1 else None
        return (home, value) if value is not None else None

    def readers(self, module: Module, name: str) -> Readers:
        key = module.real, name
        if key in self._asked:
            return ()  # they import each other
        self._asked.add(key)
        try:
            return self.trace.remember(self._readers, key, lambda: [*self._find_readers(*key)])
        finally:
            self._asked.discard(key)

    def minding(self, module: Module, name: str) -> Readers:
        key = module.real, name
        return self.trace.remember(self._minding, key, lambda: [*self._find_readers(*key, self._minds)])

    def _find_readers(
        self, path: str, name: str, matters: Callable[[str], bool] | None = None
    ) -> Iterator[tuple[Module, ast.expr]]:
        meant = self._links.handed(path, name) - {None}
        for other in self._users(path, name, name, matters):
            other.ensure(name)
            for local, alias in aliases(other, name, stem_of(path)):
                dotted = other.imported(alias)
                there = self._origin(other.real, dotted) if dotted is not None else None
                if there in meant:
                    yield from ((other, reader) for reader in reads_of(other, alias, local))
                    if local != name and alias in other.names.root.bindings.get(local, ()):
                        yield from self.readers(other, local)
            yield from self._through_module(other, meant, name)
            if stem_of(path) in (star.rpartition(".")[2] for star in other.names.star_imports):
                yield from ((other, reader) for reader in unbound(other, name))

    def _through_module(self, other: Module, meant: set[Origin | None], name: str) -> Iterator[tuple[Module, ast.expr]]:
        """`layout.DTYPE`."""
        for reader in other.names.attributes_of(name):
            dotted = other.resolve(reader)
            if dotted is not None and isinstance(reader.ctx, ast.Load) and self._origin(other.real, dotted) in meant:
                yield other, reader

    def users(self, module: Module, name: str) -> int:
        return sum(1 for _ in self._using(module.real, name, name))

    def _users(self, path: str, name: str, word: str, matters: Callable[[str], bool] | None = None) -> Iterator[Module]:
        for each in self._using(path, name, word):
            other = self._load(each) if matters is None or matters(each) else None
            if other is not None:
                yield other

    def _using(self, path: str, name: str, word: str) -> Iterator[str]:
        """The files that import a name of a file, and in which a word stands as well."""
        return (each for each in self._links.users(path, name) if self._may_see(path, each) and self._holds(each, word))

    def _holds(self, path: str, word: str) -> bool:
        """Whether a word is in a file at all; asked of its bytes, before anything of it is parsed."""
        self.trace.note(path)
        text = self._kept.text_of(path)
        if text is not None:
            return word in text
        return self._texts.hold(path, word)

    def _minds(self, path: str) -> bool:
        """Whether a file shows something to which a tensor's dtype matters; asked of its bytes, too."""
        self.trace.note(path)
        return self._texts.mind(path)

    def _asks_another(self, path: str, word: str) -> bool:
        self.trace.note(path)
        return self._texts.ask_another(path, word)

    # Classes.

    def family(self, module: Module, cls: ast.ClassDef, word: str) -> Iterator[tuple[Module, ast.ClassDef]]:
        yield module, cls
        yield from self._defined(self._family(module, cls, word), cls)

    def minding_family(self, module: Module, cls: ast.ClassDef, name: str) -> Iterator[tuple[Module, ast.ClassDef]]:
        found = self._family(module, cls, f"def {name}")
        minding = {path for path in dict.fromkeys(path for path, _ in found) if self._texts.mind_within(path, name)}
        yield from self._defined((each for each in found if each.path in minding), cls)

    def _defined(self, members: Iterable[Member], cls: ast.ClassDef) -> Iterator[tuple[Module, ast.ClassDef]]:
        for path, name in members:
            home = self._load(path)
            if home is not None:
                home.ensure_bound(name)
                for each in home.names.definitions_of(name):
                    if isinstance(each, ast.ClassDef) and each is not cls:
                        yield home, each

    def relatives(self, module: Module, cls: ast.ClassDef, word: str) -> int:
        return len(self._family(module, cls, word))

    def _family(self, module: Module, cls: ast.ClassDef, word: str) -> list[Member]:
        member = Member(module.real, cls.name)
        return self.trace.remember(self._relatives, (*member, word), lambda: self._find_relatives(member, word))

    def _find_relatives(self, member: Member, word: str) -> list[Member]:
        """Those of a class's family in whose files a word stands."""
        family = self._links.family(member)
        holding = {path for path in {path for path, _ in family} if self._may_see(member.path, path)}
        holding = {path for path in holding if self._holds(path, word)}
        return [each for each in family if each.path in holding]

    def kin(self, module: Module, cls: ast.ClassDef) -> Kin:
        member = Member(module.real, cls.name)
        return self.trace.remember(self._kin, member, lambda: Kin.of(self._links.family(member)))

    def holders(self, module: Module, cls: ast.ClassDef, word: str) -> Iterator[Module]:
        member = Member(module.real, cls.name)
        paths = self.trace.remember(
            self._holders, (*member, word), lambda: [*dict.fromkeys(self._find_holders(member, word))]
        )
        # Nearly everything has a dtype; of what is not the class itself nothing tells whose it is.
        asked = f"self.{word}" if word in COMMON else f".{word}"
        for place, path in enumerate(paths):
            home = self._load(path) if place < _MOST_HOLDERS or self._texts.mind_around(path, asked) else None
            if home is not None:
                yield home
        if len(paths) > _MOST_HOLDERS:
            raise TooMany

    def _find_holders(self, member: Member, word: str) -> Iterator[str]:
        family = self._links.family(member)
        yield from (path for path, _ in family if self._may_see(member.path, path) and self._holds(path, word))
        for user in dict.fromkeys(user for each in family for user in self._links.users(*each)):
            if self._may_see(member.path, user) and self._asks_another(user, word):
                yield user

    # Keys of configs and of tables.

    def tables(self) -> Sequence[tuple[Module, ast.Dict]]:
        return self.trace.remember(self._known_tables, (), lambda: [*self._find_tables()])

    def _find_tables(self) -> Iterator[tuple[Module, ast.Dict]]:
        for path in self.imports.attending:
            module = None if self._is_test(path) else self._load(path)
            if module is not None:
                module.ensure("flash_attention_2")
                for node in [*module.names.strings]:
                    table = module.parent(node) if node.value == "flash_attention_2" else None
                    if isinstance(table, ast.Dict) and node in table.keys:
                        yield module, table

    def _mentioning(self, name: str) -> Sequence[str]:
        """The files that hold a name, from their bytes."""
        self.trace.note(HOLDS + name)
        if name not in self._mentions:
            with self.trace.unheard():
                self._mentions[name] = [path for path in self.imports.files if self._mentions_it(path, name)]
        return self._mentions[name]

    def _mentions_it(self, path: str, name: str) -> bool:
        return not self._is_test(path) and asks_for(self._texts.of(path), name)

    def keyed(self, name: str, within: Collection[str] | None = None) -> Iterator[tuple[Module, ast.expr]]:
        """Where the program reads a setting of this name: `config["name"]`, `.get("name")`, `config.name`."""
        for path in self._mentioning(name):
            if within is not None and path not in within:
                continue
            module = self._load(path)
            if module is None or next(reads(module.text, name), None) is None:
                continue
            module.ensure(name)
            yield from ((module, each) for each in attributes(module, name))
            yield from ((module, each) for each in items(module, name))
            yield from ((module, each) for each in unexplained(module, name))
