"""Names: which scope binds them, to what, and where they are read. One walk over the tree, without recursion."""

from __future__ import annotations

import ast
from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from precision_fix.model.syntax import called
from precision_fix.model.vocabulary.needles import MARKS

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Node = TypeVar("_Node", ast.Call, ast.Attribute, Definition)
COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(slots=True, eq=False)
class Scope:
    """A module, class or function body: the nodes that bind each name, and those that read it here."""

    node: ast.AST
    parent: Scope | None
    bindings: dict[str, list[ast.AST]] = field(default_factory=dict)
    loads: dict[str, list[ast.Name]] = field(default_factory=dict)
    children: list[Scope] = field(default_factory=list)

    @property
    def is_class(self) -> bool:
        return isinstance(self.node, ast.ClassDef)

    def bind(self, name: str, node: ast.AST) -> None:
        bound = self.bindings.setdefault(name, [])
        if bound and _place(node) < _place(bound[-1]):
            insort(bound, node, key=_place)  # in the order of the text, whatever was parsed first
        else:
            bound.append(node)

    def owner(self, name: str) -> Scope | None:
        """The scope that binds a name read here; what a class body binds is not seen from the functions within."""
        scope: Scope | None = self
        inside = True
        while scope is not None:
            if name in scope.bindings and (inside or not scope.is_class):
                return scope
            inside = inside and isinstance(scope.node, COMPREHENSIONS)
            scope = scope.parent
        return None

    def seen(self) -> Iterator[Scope]:
        """The scopes whose names are seen here. What a comprehension in a class body goes through is read in that."""
        scope: Scope | None = self
        inside = True
        while scope is not None:
            if inside or not scope.is_class:
                yield scope
            inside = inside and isinstance(scope.node, COMPREHENSIONS)
            scope = scope.parent


@dataclass(slots=True)
class Names:
    """What one walk finds: scopes, parents, and by name the calls, attributes and definitions.

    Of strings, keywords and parameters only those with one of `MARKS` are kept ("16", "flash"; and the word "auto"):
    the others are no sites.
    """

    root: Scope
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    scopes: dict[ast.AST, Scope] = field(default_factory=dict)
    calls: dict[str, list[ast.Call]] = field(default_factory=dict)
    attributes: dict[str, list[ast.Attribute]] = field(default_factory=dict)
    definitions: dict[str, list[Definition]] = field(default_factory=dict)
    parameters: list[ast.arg] = field(default_factory=list)
    keywords: list[ast.keyword] = field(default_factory=list)
    strings: list[ast.Constant] = field(default_factory=list)
    star_imports: list[str] = field(default_factory=list)
    # Where `global` and `nonlocal` stand: the names and the scope.
    outer: list[tuple[ast.Global | ast.Nonlocal, Scope]] = field(default_factory=list)
    # The scopes that read a name, and the reads of it by the scopes that are meant.
    readings: dict[str, list[Scope]] = field(default_factory=dict)
    _readers: dict[str, dict[Scope, list[ast.Name]]] = field(default_factory=dict)
    _scope_of: dict[ast.AST, Scope] = field(default_factory=dict)
    _calls: dict[str, Sequence[ast.Call]] = field(default_factory=dict)
    _attributes: dict[str, Sequence[ast.Attribute]] = field(default_factory=dict)
    _definitions: dict[str, Sequence[Definition]] = field(default_factory=dict)

    def calls_of(self, name: str) -> Sequence[ast.Call]:
        """The calls of what has this name, in the order of the text."""
        return _in_order(self.calls, self._calls, name)

    def attributes_of(self, name: str) -> Sequence[ast.Attribute]:
        """The attributes of this name, in the order of the text."""
        return _in_order(self.attributes, self._attributes, name)

    def definitions_of(self, name: str) -> Sequence[Definition]:
        """The functions and classes of this name, in the order of the text."""
        return _in_order(self.definitions, self._definitions, name)

    def readers(self, scope: Scope, name: str) -> list[ast.Name]:
        """Every read of a name that a scope binds, in it and in the scopes within."""
        found = self._readers.get(name)
        if found is None:
            read = (each for scope in self.readings.get(name, ()) for each in self._read_in(scope, name))
            found = self._readers[name] = _by_scope(read, name)
        return found.get(scope, [])

    def _read_in(self, scope: Scope, name: str) -> Iterator[tuple[Scope, list[ast.Name]]]:
        """The reads that a scope holds, by the scopes that they are evaluated in: `def f(x, kind=kind)` reads two."""
        reads, around = scope.loads[name], scope.parent
        if around is None or name not in scope.bindings or isinstance(scope.node, COMPREHENSIONS):
            yield scope, reads
            return
        inside: list[ast.Name] = []
        outside: list[ast.Name] = []
        for read in reads:
            (outside if self.scope_of(read) is around else inside).append(read)
        yield around, outside
        yield scope, inside

    def forget(self) -> None:
        """More was read, and may bind or read what was asked for."""
        self._readers.clear()

    def scope_of(self, node: ast.AST) -> Scope:
        """The scope in which an expression is evaluated."""
        found = self._scope_of.get(node)
        if found is None:
            found = self._scope_of[node] = self._find_scope(node)
        return found

    def _find_scope(self, node: ast.AST) -> Scope:
        child, above = node, self.parents.get(node)
        beneath: ast.AST | None = None
        while above is not None:
            scope = self.scopes.get(above)
            if scope is not None:
                outside = _is_outside(above, child, beneath)
                return scope.parent if outside and scope.parent is not None else scope
            beneath, child, above = child, above, self.parents.get(above)
        return self.root


def _by_scope(reading: Iterable[tuple[Scope, list[ast.Name]]], name: str) -> dict[Scope, list[ast.Name]]:
    """The reads of a name by the scopes that may be meant, in the order of the text, whatever was parsed first."""
    found: dict[Scope, list[ast.Name]] = {}
    for scope, read_here in reading:
        for above in scope.seen():
            if name in above.bindings:
                found.setdefault(above, []).extend(read_here)
                if not above.is_class:
                    break
    for reads in found.values():
        reads.sort(key=_place)
    return found


def _in_order(found: dict[str, list[_Node]], known: dict[str, Sequence[_Node]], name: str) -> Sequence[_Node]:
    """In the order of the text, whatever was parsed first: of two guards the same one is told each time."""
    nodes = found.get(name, ())
    ordered = known.get(name, ())
    if len(ordered) != len(nodes):
        ordered = known[name] = sorted(nodes, key=_place)
    return ordered


def _place(node: ast.AST) -> tuple[int, int]:
    return node.lineno, node.col_offset  # type: ignore[attr-defined]


def build(tree: ast.Module) -> Names:
    """Walk the tree once."""
    root = Scope(tree, None)
    names = Names(root)
    names.scopes[tree] = root
    _walk(names, [(tree, root)])
    return names


def grow(names: Names, statements: list[ast.stmt], holder: ast.Module | ast.ClassDef) -> None:
    """Take in statements that were parsed later, as part of the module's body or of a class's."""
    for statement in statements:
        names.parents[statement] = holder
        holder.body.append(statement)
    _walk(names, [(statement, names.scopes[holder]) for statement in statements])
    names.forget()


def _walk(names: Names, pending: list[tuple[ast.AST, Scope]]) -> None:
    """Over a large tree this loop is most of the work, hence its shape: a table in place of `ast.iter_child_nodes`,
    and nodes without children are never put on the stack."""
    parents = names.parents
    while pending:
        node, scope = pending.pop()
        enter = _ENTER.get(type(node))
        if enter is not None:
            scope = enter(node, scope, names)
        for name in _FIELDS[type(node)]:
            value = getattr(node, name, None)
            if value is None:
                continue
            for child in value if type(value) is list else (value,):
                kind = type(child)
                if kind is ast.Name:
                    parents[child] = node
                    _name(child, scope, names)
                elif kind is ast.Constant:
                    parents[child] = node
                    _constant(child, scope, names)
                elif kind in _FIELDS:
                    parents[child] = node
                    pending.append((child, scope))
    if names.outer:
        _give_to_owners(names)


def _fields() -> dict[type[ast.AST], tuple[str, ...]]:
    """The fields of each node class that can hold nodes worth a visit: contexts and operators are not."""
    plain = {"ctx", "op", "ops", "id", "attr", "arg", "name", "asname", "level", "kind", "type_comment", "is_async"}
    leaves = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.type_ignore)
    found: dict[type[ast.AST], tuple[str, ...]] = {}
    for each in vars(ast).values():
        if isinstance(each, type) and issubclass(each, ast.AST) and not issubclass(each, leaves):
            found[each] = tuple(field for field in each._fields if field not in plain)
    return found


_FIELDS = _fields()


def _name(node: ast.AST, scope: Scope, names: Names) -> Scope:
    assert isinstance(node, ast.Name)
    if isinstance(node.ctx, ast.Load):
        reads = scope.loads.get(node.id)
        if reads is None:
            scope.loads[node.id] = [node]
            names.readings.setdefault(node.id, []).append(scope)
        else:
            reads.append(node)
    else:
        scope.bind(node.id, node)
    return scope


_SIXTEEN, _FLASH, *_MORE = MARKS


def _is_marked(text: str) -> bool:
    return _SIXTEEN in text or _FLASH in text or (bool(_MORE) and any(mark in text for mark in _MORE))


def _constant(node: ast.AST, scope: Scope, names: Names) -> Scope:
    assert isinstance(node, ast.Constant)
    value = node.value
    if type(value) is str and (value == "auto" or _is_marked(value)):
        names.strings.append(node)
    return scope


def _attribute(node: ast.AST, scope: Scope, names: Names) -> Scope:
    assert isinstance(node, ast.Attribute)
    names.attributes.setdefault(node.attr, []).append(node)
    return scope


def _call(node: ast.AST, scope: Scope, names: Names) -> Scope:
    assert isinstance(node, ast.Call)
    names.calls.setdefault(called(node), []).append(node)
    return scope


def _keyword(node: ast.AST, scope: Scope, names: Names) -> Scope:
    assert isinstance(node, ast.keyword)
    if node.arg and _is_marked(node.arg):
        names.keywords.append(node)
    return scope


def _parameter(node: ast.AST, scope: Scope, names: Names) -> Scope:
    assert isinstance(node, ast.arg)
    scope.bind(node.arg, node)
    if _is_marked(node.arg):
        names.parameters.append(node)
    return scope


def _import(node: ast.AST, scope: Scope, names: Names) -> Scope:
    assert isinstance(node, ast.Import | ast.ImportFrom)
    for alias in node.names:
        if alias.name == "*" and isinstance(node, ast.ImportFrom):
            names.star_imports.append(node.module or "")
        scope.bind((alias.asname or alias.name).split(".")[0], alias)
    return scope


def _outer(node: ast.AST, scope: Scope, names: Names) -> Scope:
    assert isinstance(node, ast.Global | ast.Nonlocal)
    names.outer.append((node, scope))
    return scope


def _give_to_owners(names: Names) -> None:
    """What a scope binds for another goes there once all is walked: a scope's statements come in no order."""
    for node, scope in names.outer:
        for name in node.names:
            bound = scope.bindings.pop(name, ())
            owner = names.root if isinstance(node, ast.Global) else scope.owner(name) or scope
            for each in bound:
                owner.bind(name, each)
    names.outer.clear()


def _capture(node: ast.AST, scope: Scope, names: Names) -> Scope:
    assert isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar)
    if node.name:
        scope.bind(node.name, node)
    return scope


def _definition(node: ast.AST, scope: Scope, names: Names) -> Scope:
    assert isinstance(node, Definition)
    scope.bind(node.name, node)
    names.definitions.setdefault(node.name, []).append(node)
    return _body(node, scope, names)


def _body(node: ast.AST, scope: Scope, names: Names) -> Scope:
    """Decorators, annotations and defaults go into the inner scope too, which finds outer names all the same."""
    inner = Scope(node, scope)
    scope.children.append(inner)
    names.scopes[node] = inner
    return inner


_ENTER: dict[type[ast.AST], Callable[[ast.AST, Scope, Names], Scope]] = {
    ast.Attribute: _attribute,
    ast.Call: _call,
    ast.keyword: _keyword,
    ast.arg: _parameter,
    ast.Import: _import,
    ast.ImportFrom: _import,
    ast.Global: _outer,
    ast.Nonlocal: _outer,
    ast.ExceptHandler: _capture,
    ast.MatchAs: _capture,
    ast.MatchStar: _capture,
    ast.FunctionDef: _definition,
    ast.AsyncFunctionDef: _definition,
    ast.ClassDef: _definition,
    ast.Lambda: _body,
    ast.ListComp: _body,
    ast.SetComp: _body,
    ast.DictComp: _body,
    ast.GeneratorExp: _body,
}


def _is_outside(definition: ast.AST, child: ast.AST, beneath: ast.AST | None) -> bool:
    """A default, a decorator, a base or an annotation is evaluated around the definition, not in it."""
    if isinstance(child, ast.arguments):
        return not isinstance(beneath, ast.arg)
    # What stands right under a definition and is an expression is one of these.
    return isinstance(definition, Definition) and isinstance(child, ast.expr | ast.keyword)
