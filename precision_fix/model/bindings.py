"""Where a value is bound again: names, attributes of a class, parameters, what a function returns; across files."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TypeVar

from precision_fix.model.around import Kin, TooMany
from precision_fix.model.callers import given_to
from precision_fix.model.classes import COMMON, class_around, constructed, is_instance, is_own, is_self, validators
from precision_fix.model.fate import Fate
from precision_fix.model.held import Shape
from precision_fix.model.module import Function, Module, unparsed
from precision_fix.model.rebound import Sort
from precision_fix.model.records import asking, ensure_asking
from precision_fix.model.syntax import called
from precision_fix.model.uses import later, may_follow
from precision_fix.model.worklist import MOST_OF_TENSORS, Worklist

_Found = TypeVar("_Found")
_Reader = TypeVar("_Reader", bound=ast.expr)
_PROPERTIES = frozenset({"property", "cached_property", "lazy", "lru_property", "lazyproperty"})
_ENVIRONMENT = "os.environ"
_ASK_ENVIRONMENT = (_ENVIRONMENT, f"{_ENVIRONMENT}.get", f"{_ENVIRONMENT}.pop", "os.getenv")


class Bindings(Worklist):
    """The part of a follower that knows of names."""

    def assigned(self, target: ast.expr, shape: Shape | None = None) -> None:
        shape = shape or self.held.shape
        if isinstance(target, ast.Name):
            self.name(target, shape)
        elif isinstance(target, ast.Attribute):
            self.attribute(target, shape)
        elif isinstance(target, ast.Tuple | ast.List):
            self._unpacked(target, shape)
        elif isinstance(target, ast.Subscript) and shape is Shape.VALUE:
            self._item(target)
        else:
            self.end(Fate.STORED, target)

    def _unpacked(self, target: ast.Tuple | ast.List, shape: Shape) -> None:
        if (
            shape is Shape.ITEMS
            and isinstance(self.held.key, int)
            and not any(isinstance(e, ast.Starred) for e in target.elts)
        ):
            for item in target.elts[self.held.key : self.held.key + 1]:
                self.assigned(item, Shape.VALUE)
        elif shape in (Shape.VALUE, Shape.ITEMS):
            # A record was unpacked: any of the names may be the one.
            for item in target.elts:
                self.assigned(item.value if isinstance(item, ast.Starred) else item, Shape.VALUE)
        else:
            self.end(Fate.STORED, target)

    def _item(self, target: ast.Subscript) -> None:
        """`settings["dtype"] = ...`: whoever reads the map may find it."""
        self.end(Fate.STORED, target)
        key = target.slice.value if isinstance(target.slice, ast.Constant) else None
        of_object = object_of(target.value)
        if of_object is not None:
            self.put(of_object, key if isinstance(key, str) else None, Shape.VALUE)
        elif key is None or isinstance(key, str | int):
            for reader in self.looking(self.module.readers(target.value) if isinstance(target.value, ast.Name) else ()):
                if reader is not target.value and may_follow(self.module, target, reader):
                    self.same(reader, Shape.MAP, key)
            for module, reader_there in self.looking(self.elsewhere(target.value)):
                self.same(reader_there, Shape.MAP, key, module=module)
        if isinstance(key, str) and self.module.resolve(target.value) == _ENVIRONMENT:
            self.environment(key)

    def environment(self, name: str) -> None:
        """`os.environ["KIND"] = ...`: whoever asks the environment for it, in whatever file."""
        for module, reader in self.looking(self.module.around.keyed(name)):
            asked = reader.func if isinstance(reader, ast.Call) else getattr(reader, "value", None)
            resolved = module.resolve(asked) if asked is not None else None
            if resolved in _ASK_ENVIRONMENT:
                self.same(reader, Shape.VALUE, module=module)

    def name(self, target: ast.Name, shape: Shape) -> None:
        module = self.module
        scope = module.scope_of(target)
        owner = scope.owner(target.id) or scope
        if owner is module.names.root or owner.is_class:
            module.ensure(target.id)
        found = False
        sort = self.sort(shape)
        readers = later(module, target, owner)
        for reader in self.looking(self._asking(module, readers, shape)):
            if may_follow(module, target, reader, sort):
                found = True
                self.same(reader, shape)
        if shape is Shape.OBJECT and not found:
            found = any(may_follow(module, target, reader, sort) for reader in readers)
        elsewhere = module.around.readers(module, target.id) if owner is module.names.root else ()
        for other, reader_there in self.looking(elsewhere):
            if any(self._asking(other, [reader_there], shape)):
                self.same(reader_there, shape, module=other)
        if owner.is_class and isinstance(owner.node, ast.ClassDef):
            self.field(owner.node, target.id, shape)
        elif not found and not elsewhere:
            self.end(Fate.STORED if owner is module.names.root else Fate.TEXT, target)

    def _asking(
        self, module: Module, readers: Iterable[_Reader], shape: Shape | None, key: str | int | None = None
    ) -> Iterable[_Reader]:
        """The readers that may get at the value, where it is held so; `shape` and `key` are those of `same`."""
        if (shape or self.held.shape) is not Shape.OBJECT:
            return readers
        as_it_is = shape is None or (shape is self.held.shape and key is None)
        return asking(module, readers, self.held.key if as_it_is else key)

    # Attributes.

    def attribute(self, target: ast.Attribute, shape: Shape) -> None:
        self.put(target.value, target.attr, shape)
        self.end(Fate.STORED, target)

    def put(self, base: ast.expr, attr: str | None, shape: Shape) -> None:
        """It becomes an attribute of an object, by an assignment or `setattr`: whoever holds that may read it."""
        if attr is None:
            return
        cls = class_around(self.module, base) if is_self(base) else None
        if cls is not None:
            self.field(cls, attr, shape)
            return
        text = unparsed(self.module, base)
        self.module.ensure("." + attr)
        for reader in self.looking(self.module.names.attributes_of(attr)):
            if isinstance(reader.ctx, ast.Load) and unparsed(self.module, reader.value) == text:
                self.same(reader, shape)
        if shape is Shape.VALUE and not self.held.tensor:
            for name in self.looking(
                asking(self.module, self.module.readers(base), attr) if isinstance(base, ast.Name) else ()
            ):
                if name is not base and may_follow(self.module, base, name):
                    self.same(name, Shape.OBJECT, attr)
            for module, reader_there in self.looking(self.elsewhere(base)):
                if any(asking(module, [reader_there], attr)):
                    self.same(reader_there, Shape.OBJECT, attr, module=module)
            self._of_its_class(base, attr)
            if self.sort(Shape.VALUE) is not Sort.DTYPE:
                self._at_its_callers(base, attr)

    def elsewhere(self, base: ast.expr) -> Iterator[tuple[Module, ast.expr]]:
        """Where other files read the object that a variable of a module holds: `shared.args`, whoever imports it."""
        found = None if self.held.tensor else _variable(self.module, base)
        if found is None:
            return
        home, variable = found
        for reader in home.readers(variable) if home is not self.module else ():
            yield home, reader
        for other, reader_there in home.around.readers(home, variable.id):
            if other is not self.module:
                yield other, reader_there

    def _at_its_callers(self, base: ast.expr, attr: str) -> None:
        """`def fill(config): config.attr = ...`: who hands the object over, from wherever, reads it there, too.

        For a flag or a word. A dtype that all of a trainer reads so ends at one of its kernels (axolotl).
        """
        pending = [(self.module, base)]
        seen: set[ast.arg] = set()
        while pending:
            taker, name = pending.pop()
            bound = taker.bindings(name) if isinstance(name, ast.Name) else []
            if len(bound) != 1 or not isinstance(bound[0], ast.arg) or bound[0] in seen:
                continue
            seen.add(bound[0])
            for home, given in self.looking(given_to(taker, bound[0])):
                pending.append((home, given))
                readers = home.readers(given) if isinstance(given, ast.Name) else ()
                for reader in self.looking(asking(home, readers, attr)):
                    if reader is not given and may_follow(home, given, reader):
                        self.same(reader, Shape.OBJECT, attr, module=home)

    def _of_its_class(self, base: ast.expr, attr: str) -> None:
        """`config = Config()`, `config.attr = ...`: the methods of that class read it too."""
        home, variable = _variable(self.module, base) or (self.module, base)
        named = constructed(home, variable)
        dotted = home.resolve(named) if named is not None else None
        own = home.definition(dotted) if dotted is not None and "." not in dotted else None
        there = home.around.definition(home, dotted) if dotted is not None and own is None else None
        module, cls = (home, own) if own is not None else there or (home, None)
        if not isinstance(cls, ast.ClassDef):
            return
        kin = module.around.kin(module, cls)
        for each, _ in self.looking(module.around.family(module, cls, attr)):
            each.ensure("." + attr)
            for reader in each.names.attributes_of(attr):
                if is_own(reader) and isinstance(reader.ctx, ast.Load) and _is_of(each, reader.value, kin):
                    self.same(reader, Shape.VALUE, module=each)

    def field(self, cls: ast.ClassDef, attr: str, shape: Shape) -> None:
        """An attribute of a class: its own methods read it, those of its family, and who holds one of them."""
        module = self.module
        self.held = self.held._replace(within=None)
        for parameter in validators(module, cls, attr):
            self.parameter(parameter, shape)
        kin = module.around.kin(module, cls)
        for each in self._all(module.around.holders(module, cls, attr), cls):
            if shape is Shape.OBJECT:
                ensure_asking(each, attr, self.held.key)
            else:
                each.ensure("." + attr)
            for reader in self.looking(self._asking(each, each.names.attributes_of(attr), shape)):
                if isinstance(reader.ctx, ast.Load) and _may_read(each, reader.value, attr, kin, each is module):
                    self.same(reader, shape, module=each)
            for call in self.looking(_looked_up(each, attr)):
                if _is_of(each, call.args[0], kin):
                    self.same(call, shape, module=each)

    def _all(self, found: Iterable[_Found], at: ast.AST) -> Iterator[_Found]:
        """What is found, and LOST where there is more of it."""
        try:
            yield from found
        except TooMany:
            self.end(Fate.LOST, at)

    # Where it leaves a function, or goes into one.

    def returned(self, statement: ast.AST, shape: Shape | None = None, key: int | None = None) -> None:
        function = self.module.function(statement)
        if function is None:
            self.end(Fate.RETURNED, statement)
            return
        shape, key = (shape, key) if shape else (self.held.shape, self.held.key)  # type: ignore[assignment]
        cls = class_around(self.module, function)
        if any(_last(each) in _PROPERTIES for each in function.decorator_list) and cls is not None:
            self.field(cls, function.name, shape)
            if not function.name.startswith("_"):
                self.end(Fate.STORED, statement)  # as with an attribute, whoever holds an object may ask for it
            return
        found = False
        if self.held.within is function:
            self.leave(function, shape, self.held.key if shape is self.held.shape and key is None else key)
            return
        calls = self._calls_of(function, cls)
        if self.held.tensor and cls is None and self.module.around.users(self.module, function.name) > MOST_OF_TENSORS:
            # As it would be after the first so many calls. Those in the file are near, and some may mind the dtype.
            self.end(Fate.LOST, statement)
            calls = chain(self._calls_here(function), _calls_by(self.module.around.minding(self.module, function.name)))
        for module, call in self.looking(self._all(calls, function)):
            found = True
            self.same(call, shape, key, module=module)
        if not found or not function.name.startswith("_"):
            self.end(Fate.RETURNED, statement)

    def _calls_here(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[Module, ast.Call]]:
        self.module.ensure(function.name)
        for call in [*self.module.names.calls_of(function.name)]:
            yield self.module, call

    def _calls_of(
        self, function: ast.FunctionDef | ast.AsyncFunctionDef, cls: ast.ClassDef | None
    ) -> Iterator[tuple[Module, ast.Call]]:
        module, name = self.module, function.name
        yield from self._calls_here(function)
        if cls is None:
            yield from _called_under_another_name(module, function)
            yield from _calls_by(module.around.readers(module, name))
            return
        kin = module.around.kin(module, cls)
        family = module.around.family(module, cls, name)
        others = module.around.holders(module, cls, name) if name not in COMMON else (home for home, _ in family)
        for other in _once(others, module):
            other.ensure(name)
            for call in [*other.names.calls_of(name)]:
                if isinstance(call.func, ast.Attribute) and _may_read(other, call.func.value, name, kin, False):
                    yield other, call

    def returned_by_lambda(self, function: ast.Lambda) -> None:
        above = self.module.parent(function)
        target = above.targets[0] if isinstance(above, ast.Assign) else None
        readers = self.module.readers(target) if isinstance(target, ast.Name) else []
        called = [self.module.parent(reader) for reader in readers]
        for call, reader in self.looking(zip(called, readers, strict=True)):
            if isinstance(call, ast.Call) and call.func is reader:
                self.same(call)
        if not called:
            self.end(Fate.UNKNOWN, function)

    def parameter(self, parameter: ast.arg, shape: Shape | None = None, key: str | int | None = None) -> None:
        inner = self.module.scope_of(parameter)
        readers = self.module.names.readers(inner, parameter.arg)
        sort = self.sort(shape or self.held.shape)
        for reader in self.looking(self._asking(self.module, readers, shape, key)):
            if may_follow(self.module, parameter, reader, sort):
                self.same(reader, shape, key)
        if not readers:
            self.end(Fate.UNKNOWN, parameter)


def object_of(mapping: ast.expr) -> ast.expr | None:
    """The object whose attributes a map holds: `vars(args)`, `args.__dict__`."""
    if isinstance(mapping, ast.Call) and called(mapping) == "vars" and len(mapping.args) == 1:
        return mapping.args[0]
    return mapping.value if isinstance(mapping, ast.Attribute) and mapping.attr == "__dict__" else None


def _variable(module: Module, base: ast.expr) -> tuple[Module, ast.Name] | None:
    """The variable at the margin of a file that an expression stands for, where that is bound but once."""
    if isinstance(base, ast.Name) and not module.is_imported(base):
        return (module, base) if module.scope_of(base).owner(base.id) is module.names.root else None
    dotted = module.resolve(base) if isinstance(base, ast.Name | ast.Attribute) else None
    home, value = (module.around.bound(module, dotted) if dotted is not None else None) or (None, None)
    above = home.parent(value) if home is not None and value is not None else None
    target = above.targets[0] if isinstance(above, ast.Assign) else getattr(above, "target", None)
    return (home, target) if home is not None and isinstance(target, ast.Name) else None


def _may_read(module: Module, base: ast.expr, attr: str, kin: Kin, at_home: bool) -> bool:
    """Whether `base.attr` may be that of a class of the family: its own, or of what is known to be one of them."""
    known = _is_of(module, base, kin)
    return known if known is not None else at_home or attr not in COMMON


def _is_of(module: Module, base: ast.expr, kin: Kin) -> bool | None:
    """Whether an expression is an instance of a class of the family; None where nothing tells."""
    if isinstance(base, ast.Name) and base.id in ("self", "cls"):
        own = class_around(module, base)
        return own is not None and (module.real, own.name) in kin.members
    return is_instance(module, base, kin.names)


def _looked_up(module: Module, attr: str) -> Iterator[ast.Call]:
    """`getattr(self, "attr")`."""
    module.ensure_looked_up(attr)
    for call in module.names.calls_of("getattr"):
        if len(call.args) > 1 and isinstance(call.args[1], ast.Constant) and call.args[1].value == attr:
            yield call


def _once(modules: Iterable[Module], but: Module) -> Iterator[Module]:
    seen = {but}
    for each in modules:
        if each not in seen:
            seen.add(each)
            yield each


def _calls_by(readers: Iterable[tuple[Module, ast.expr]]) -> Iterator[tuple[Module, ast.Call]]:
    for module, reader in readers:
        above = module.parent(reader)
        if isinstance(above, ast.Call) and above.func is reader:
            yield module, above


def _called_under_another_name(module: Module, function: ast.AST) -> Iterator[tuple[Module, ast.Call]]:
    """`f = kind; f()`."""
    assert isinstance(function, Function)
    for reader in module.names.readers(module.scope_of(function), function.name):
        above = module.parent(reader)
        if isinstance(above, ast.Assign) and above.value is reader and isinstance(above.targets[0], ast.Name):
            for other in module.readers(above.targets[0]):
                call = module.parent(other)
                if isinstance(call, ast.Call) and call.func is other:
                    yield module, call


def _last(decorator: ast.expr) -> str:
    if isinstance(decorator, ast.Call):
        return _last(decorator.func)
    return decorator.attr if isinstance(decorator, ast.Attribute) else getattr(decorator, "id", "")
