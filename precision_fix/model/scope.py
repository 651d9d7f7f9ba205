"""Names: which scope binds them, to what, and where they are read. One walk over the tree, without recursion."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_SCOPED = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


@dataclass(slots=True, eq=False)
class Scope:
    """A module, class or function body: the nodes that bind each name, and those that read it here."""

    node: ast.AST
    parent: Scope | None
    bindings: dict[str, list[ast.AST]] = field(default_factory=dict)
    loads: dict[str, list[ast.Name]] = field(default_factory=dict)
    children: list[Scope] = field(default_factory=list)
    outer: set[str] = field(default_factory=set)

    @property
    def is_class(self) -> bool:
        return isinstance(self.node, ast.ClassDef)

    def bind(self, name: str, node: ast.AST) -> None:
        scope = self
        while name in scope.outer and scope.parent is not None:
            scope = scope.parent
        scope.bindings.setdefault(name, []).append(node)

    def owner(self, name: str) -> Scope | None:
        """The scope that binds a name read here; what a class body binds is not seen from the functions within."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.bindings and (scope is self or not scope.is_class):
                return scope
            scope = scope.parent
        return None

    def readers(self, name: str) -> Iterator[ast.Name]:
        """Every read of a name that this scope binds, here and in the scopes within."""
        yield from self.loads.get(name, ())
        pending = [] if self.is_class else list(self.children)
        while pending:
            scope = pending.pop()
            if name in scope.bindings and not scope.is_class:
                continue
            yield from scope.loads.get(name, ())
            pending.extend(scope.children)


@dataclass(slots=True)
class Names:
    """What one walk finds: scopes, parents, and by name the calls, attributes, keywords, words and definitions."""

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

    def scope_of(self, node: ast.AST) -> Scope:
        """The scope in which an expression is evaluated."""
        child, above = node, self.parents.get(node)
        beneath: ast.AST | None = None
        while above is not None:
            scope = self.scopes.get(above)
            if scope is not None:
                outside = _is_outside(above, child, beneath)
                return scope.parent if outside and scope.parent is not None else scope
            beneath, child, above = child, above, self.parents.get(above)
        return self.root


def build(tree: ast.Module) -> Names:
    """Walk the tree once."""
    root = Scope(tree, None)
    names = Names(root)
    names.scopes[tree] = root
    parents = names.parents
    pending: list[tuple[ast.AST, Scope]] = [(tree, root)]
    while pending:
        node, scope = pending.pop()
        scope = _enter(node, scope, names)
        children = list(ast.iter_child_nodes(node))
        # The stack turns the order round: the last child goes in first, so that bindings come in source order.
        for child in reversed(children):
            parents[child] = node
            pending.append((child, scope))
    return names


def _enter(node: ast.AST, scope: Scope, names: Names) -> Scope:
    """Note what a node binds or reads; return the scope of its children.

    Decorators, annotations and defaults are put into the inner scope, which finds outer names all the same.
    """
    match node:
        case ast.Name():
            if isinstance(node.ctx, ast.Load):
                scope.loads.setdefault(node.id, []).append(node)
            else:
                scope.bind(node.id, node)
        case ast.Attribute():
            names.attributes.setdefault(node.attr, []).append(node)
        case ast.Constant():
            if isinstance(node.value, str):
                names.strings.append(node)
        case ast.Call():
            func = node.func
            called = func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""
            names.calls.setdefault(called, []).append(node)
        case ast.keyword():
            names.keywords.append(node)
        case ast.arg():
            scope.bind(node.arg, node)
            names.parameters.append(node)
        case ast.Import() | ast.ImportFrom():
            for alias in node.names:
                if alias.name == "*" and isinstance(node, ast.ImportFrom):
                    names.star_imports.append(node.module or "")
                scope.bind((alias.asname or alias.name).split(".")[0], alias)
        case ast.Global() | ast.Nonlocal():
            scope.outer.update(node.names)
        case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar():
            if node.name:
                scope.bind(node.name, node)
        case _ if isinstance(node, _SCOPED):
            if isinstance(node, Definition):
                scope.bind(node.name, node)
                names.definitions.setdefault(node.name, []).append(node)
            inner = Scope(node, scope)
            scope.children.append(inner)
            names.scopes[node] = inner
            return inner
    return scope


def _is_outside(definition: ast.AST, child: ast.AST, beneath: ast.AST | None) -> bool:
    """A default, a decorator, a base or an annotation is evaluated around the definition, not in it."""
    if isinstance(child, ast.arguments):
        return not isinstance(beneath, ast.arg)
    if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
        return child is definition.returns or child in definition.decorator_list
    if isinstance(definition, ast.ClassDef):
        return child in definition.decorator_list or child in definition.bases or child in definition.keywords
    return False
