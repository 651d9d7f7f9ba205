"""A parsed file, and the questions rules ask of it: what a name stands for, what surrounds a node."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Concatenate, ParamSpec, TypeVar

from precision_fix.model import newlines
from precision_fix.model.around import ALONE, Around
from precision_fix.model.blocks import (
    Blocks,
    NotApart,
    asked_at,
    assigned_at,
    binds_at,
    bound_at,
    imports_at,
    looked_up_at,
    reads,
)
from precision_fix.model.columns import Columns
from precision_fix.model.scope import Definition, Names, Scope, build, grow
from precision_fix.model.target import Target

Function = ast.FunctionDef | ast.AsyncFunctionDef
_MAX_ALIASES = 8
_FEW_NAMES = 64
_WORD = re.compile(r"\w+")


class Module:
    """The tree of a file with its names resolved. Lines count from 1, columns from 0 in UTF-8 bytes, as in `ast`.

    `blocks` are those of a text that was not parsed as a whole: what `ensure` is asked for is parsed when it is needed.
    `around` answers what the other files of the project say.
    """

    def __init__(
        self,
        path: str,
        text: str,
        tree: ast.Module,
        target: Target,
        blocks: Blocks | None = None,
        around: Around = ALONE,
    ) -> None:
        self.path = path
        self.text = text
        self.tree = tree
        self.target = target
        self.around = around
        self.names: Names = build(tree)
        # What it has cost so far to follow the values of this file (model/worklist.py).
        self.followed = 0
        self.memory: dict[object, Any] = {}
        self._imports: dict[tuple[Scope, str], ast.alias | None] = {}
        self._functions: dict[ast.AST, Function | None] = {}
        self._class_of: dict[ast.AST, ast.ClassDef | None] = {}
        self._locals: dict[Scope, dict[str, str]] = {}
        self._columns: dict[int, Columns] = {}
        self._places: dict[int, dict[ast.AST | None, int]] = {}
        self._blocks = blocks
        self._ensured: set[Hashable] = set()
        if blocks is not None:
            self._classes(tree.body, blocks)

    def ensure(self, name: str) -> None:
        """Have every block parsed that speaks of a name, or, for `.name`, of an attribute. Raises NotApart."""
        if self._blocks is None or name in self._ensured:
            return
        self._ensured.add(name)
        if len(self._ensured) <= _FEW_NAMES:
            self.take([*reads(self.text, name)])
            return
        is_attribute = name.startswith(".")
        places = self._words.get(name.lstrip("."), ())
        self.take([place for place in places if not is_attribute or self.text.startswith(".", place - 1)])

    def ensure_bound(self, name: str) -> None:
        """Have every block parsed that binds a name of the file, or defines a method of it. Raises NotApart."""
        self._ensure_at(name, "bound", lambda: self._places_bound(name))

    def ensure_assigned(self, attribute: str) -> None:
        """Have every block parsed that assigns to a `.name`. Raises NotApart."""
        self._ensure_at(attribute, "assigned", lambda: assigned_at(self.text, attribute))

    def ensure_asked(self, attribute: str, names: frozenset[str]) -> None:
        """Have every block parsed where one of these may be asked of a `.name`. Raises NotApart."""
        self._ensure_at(attribute, names, lambda: asked_at(self.text, attribute, names))

    def ensure_looked_up(self, attribute: str) -> None:
        """Have every block parsed that may look an attribute up by `getattr(it, "name")`. Raises NotApart."""
        self._ensure_at(attribute, "looked up", lambda: looked_up_at(self.text, attribute))

    def ensure_imports(self, wanted: Callable[[str], bool]) -> None:
        """Have every block parsed with an import within that names a module which is wanted. Raises NotApart."""
        if self._blocks is not None:
            self.take([at for at, name in self._imports_within if wanted(name)])

    @cached_property
    def _imports_within(self) -> list[tuple[int, str]]:
        return [*imports_at(self.text)]

    def _ensure_at(self, name: str, what: Hashable, places: Callable[[], Iterable[int]]) -> None:
        if self._blocks is not None and name not in self._ensured and (name, what) not in self._ensured:
            self._ensured.add((name, what))
            self.take(places())

    def _places_bound(self, name: str) -> Iterable[int]:
        if len(self._ensured) <= _FEW_NAMES and "global" not in self.text:
            return binds_at(self.text, name)
        return self._bound_at.get(name, ())

    @cached_property
    def _bound_at(self) -> dict[str, list[int]]:
        return bound_at(self.text)

    @cached_property
    def _words(self) -> dict[str, list[int]]:
        """Where each word stands: `str.find` is much faster for a few names, and the square of the text for many."""
        found: dict[str, list[int]] = {}
        for word in _WORD.finditer(self.text):
            found.setdefault(word[0], []).append(word.start())
        return found

    def take(self, positions: Iterable[int]) -> None:
        """Have the blocks parsed that these positions fall into. Raises NotApart."""
        if self._blocks is None:
            return
        positions = [*positions]
        for block, around in self._blocks.missing(positions):
            holder = around.node if around is not None else self.tree
            if holder is None:
                raise NotApart(self.path)  # what looks like a class stands in a string
            try:
                statements = self._blocks.parse(block, around, positions)
            except NotApart:
                raise NotApart(self.path) from None
            grow(self.names, statements, holder)
            if around is None:
                self._classes(statements, self._blocks)

    @staticmethod
    def _classes(statements: list[ast.stmt], blocks: Blocks) -> None:
        for statement in statements:
            if isinstance(statement, ast.ClassDef):
                blocks.class_node(statement)

    @cached_property
    def real(self) -> str:
        """The absolute path."""
        return os.path.abspath(self.path)  # noqa: PTH100 - links stay as they are

    @cached_property
    def lines(self) -> list[str]:
        """The lines as `ast` counts them."""
        return newlines.split(self.text)

    def source(self, node: ast.expr) -> str:
        """The text of an expression. `ast.get_source_segment` would cut the whole file into lines each time."""
        first, last = node.lineno, node.end_lineno or node.lineno
        start, end = self.column(first, node.col_offset), self.column(last, node.end_col_offset or 0)
        if first == last:
            return self.lines[first - 1][start:end]
        return "\n".join([self.lines[first - 1][start:], *self.lines[first : last - 1], self.lines[last - 1][:end]])

    def column(self, line: int, byte: int) -> int:
        """The character, from 0, that stands at a byte of a line; lines count from 1."""
        if line not in self._columns:
            self._columns[line] = Columns(self.lines[line - 1])
        return self._columns[line].character(byte)

    def comments_above(self, statement: ast.stmt) -> str:
        """The comment lines right above a statement, and what stands at the end of its first line."""
        first = last = statement.lineno - 1
        while first > 0 and self.lines[first - 1].lstrip().startswith("#"):
            first -= 1
        return "\n".join([*self.lines[first:last], *self.lines[last].split("#")[1:]])

    def index(self, items: Sequence[ast.AST | None], node: ast.AST) -> int | None:
        """The place of a node in a list of the tree, which is looked through once for all that stand in it."""
        places = self._places.get(id(items))
        if places is None:
            places = self._places[id(items)] = {each: place for place, each in enumerate(items)}
        return places.get(node)

    def parent(self, node: ast.AST) -> ast.AST | None:
        return self.names.parents.get(node)

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        above = self.names.parents.get(node)
        while above is not None:
            yield above
            above = self.names.parents.get(above)

    def statement(self, node: ast.AST) -> ast.stmt:
        """The innermost statement that holds a node."""
        if isinstance(node, ast.stmt):
            return node
        return next(above for above in self.ancestors(node) if isinstance(above, ast.stmt))

    def function(self, node: ast.AST) -> Function | None:
        """The innermost `def` around a node."""
        if node not in self._functions:
            self._functions[node] = next((above for above in self.ancestors(node) if isinstance(above, Function)), None)
        return self._functions[node]

    def enclosing_class(self, node: ast.AST) -> ast.ClassDef | None:
        if node not in self._class_of:
            self._class_of[node] = next((each for each in self.ancestors(node) if isinstance(each, ast.ClassDef)), None)
        return self._class_of[node]

    def scope_of(self, node: ast.AST) -> Scope:
        return self.names.scope_of(node)

    def bindings(self, name: ast.Name) -> list[ast.AST]:
        """The nodes that bind a name in the scope that it belongs to; none for a builtin or a star import."""
        owner = self.scope_of(name).owner(name.id)
        return owner.bindings[name.id] if owner is not None else []

    def is_imported(self, name: ast.Name) -> bool:
        owner = self.scope_of(name).owner(name.id)
        return owner is not None and self.import_in(owner, name.id) is not None

    def import_in(self, owner: Scope, name: str) -> ast.alias | None:
        """The first of the imports that bind a name in a scope."""
        key = (owner, name)
        if key not in self._imports:
            bound = owner.bindings.get(name, ())
            self._imports[key] = next((each for each in bound if isinstance(each, ast.alias)), None)
        return self._imports[key]

    def readers(self, name: ast.Name) -> list[ast.Name]:
        """Every read of the variable that a name stands for."""
        owner = self.scope_of(name).owner(name.id)
        if owner is None:
            return []
        if owner is self.names.root:
            self.ensure(name.id)
        return self.names.readers(owner, name.id)

    def definition(self, name: str) -> Definition | None:
        """The function or class of this name in the file, if there is just one."""
        self.ensure_bound(name)
        found = self.names.definitions_of(name)
        return found[0] if len(found) == 1 else None

    def resolve(self, node: ast.AST, _depth: int = 0) -> str | None:
        """The dotted name that an expression stands for, through imports and aliases: `th.cuda` -> "torch.cuda".

        A name that nothing in the file binds stands for itself (a builtin, or what a star import brought).
        """
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        base = self._resolve_name(node, _depth) if isinstance(node, ast.Name) else None
        while base is None and attributes:
            # Whatever `self.torch` and `compat.torch` came from, they are torch.
            base = "torch" if attributes.pop() == "torch" else None
        return ".".join([base, *reversed(attributes)]) if base is not None else None

    def _resolve_name(self, node: ast.Name, depth: int) -> str | None:
        owner = self.scope_of(node).owner(node.id)
        if owner is None:
            if node.id == "bfloat16" and any(m.split(".")[0] == "torch" for m in self.names.star_imports):
                return "torch.bfloat16"
            return node.id
        imported = self.import_in(owner, node.id)
        if imported is not None:
            return self._imported(imported)
        bindings = owner.bindings[node.id]
        if len(bindings) == 1 and depth < _MAX_ALIASES:
            value = self.assigned_value(bindings[0])
            if isinstance(value, ast.Name | ast.Attribute):
                return self.resolve(value, depth + 1)
            if isinstance(bindings[0], Definition):
                return node.id
        # `torch = optional_import("torch")`, a parameter called torch: nobody gives that name to another thing, unless
        # it is seen to be of a class of the file.
        return "torch" if node.id == "torch" and not any(map(self._is_instance, bindings)) else None

    def _is_instance(self, bound: ast.AST) -> bool:
        """Whether a name is bound to a class of the file, or what is made of it: `torch: Torch`, `torch = Torch()`."""
        value = bound.annotation if isinstance(bound, ast.arg) else self.assigned_value(bound)
        cls = value.func if isinstance(value, ast.Call) else value
        return isinstance(cls, ast.Name) and isinstance(self.definition(cls.id), ast.ClassDef)

    def assigned_value(self, target: ast.AST) -> ast.expr | None:
        """The value of `name = value`, asked with the node of the name."""
        above = self.parent(target)
        if isinstance(above, ast.Assign) and self.index(above.targets, target) is not None:
            return above.value
        if isinstance(above, ast.AnnAssign | ast.NamedExpr) and above.target is target:
            return above.value
        return None

    def local_name(self, dotted: str, node: ast.AST) -> str | None:
        """The name under which a module is imported where `node` stands: "th" after `import torch as th`."""
        scope: Scope | None = self.scope_of(node)
        while scope is not None:
            name = self._local_names(scope).get(dotted)
            if name is not None:
                return name
            scope = scope.parent
        return None

    def _local_names(self, scope: Scope) -> dict[str, str]:
        """What a scope imports, and the first of the names that it gives each."""
        known = self._locals.get(scope)
        if known is None:
            known = self._locals[scope] = {}
            for name, bindings in scope.bindings.items():
                for bound in bindings:
                    if isinstance(bound, ast.alias):
                        known.setdefault(self._imported(bound), name)
        return known

    def import_of(self, node: ast.Name) -> ast.ImportFrom | None:
        """The `from ... import` statement that brings a name."""
        for bound in self.bindings(node):
            statement = self.parent(bound)
            if isinstance(statement, ast.ImportFrom):
                return statement
        return None

    def release(self) -> None:
        """Cut the circles of scopes and answers, so that the tree is freed at once: no collector runs during a scan."""
        for scope in self.names.scopes.values():
            scope.children.clear()
        self.memory.clear()

    def imported(self, binding: ast.AST) -> str | None:
        """The dotted name that an import binds; None for any other binding."""
        return self._imported(binding) if isinstance(binding, ast.alias) else None

    def _imported(self, alias: ast.alias) -> str:
        statement = self.parent(alias)
        if isinstance(statement, ast.ImportFrom):
            module = "." * statement.level + (statement.module or "")
            full = f"{module}.{alias.name}" if module and not module.endswith(".") else module + alias.name
            # `from .compat import torch` brings torch, whatever the way.
            return "torch" if alias.name == "torch" else full
        return alias.name if alias.asname else alias.name.split(".")[0]

    def dtype_name(self, node: ast.AST) -> str | None:
        """`float32` for an expression that is torch.float32 (or its other name torch.float); None if it is no dtype."""
        name = self.resolve(node)
        if name is None or not name.startswith("torch."):
            return None
        name = name.removeprefix("torch.")
        return _OTHER_NAMES.get(name, name) if "." not in name else None


_P = ParamSpec("_P")
_R = TypeVar("_R")


def remembered(ask: Callable[Concatenate[Module, _P], _R]) -> Callable[Concatenate[Module, _P], _R]:
    """A question to a module whose answer is kept with it: many sites ask the same of what stands around them all."""

    def answer(module: Module, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        key = (ask, args, tuple(kwargs.items())) if kwargs else (ask, args)
        return module.around.trace.remember(module.memory, key, ask, module, *args, **kwargs)

    return answer


@remembered
def unparsed(module: Module, node: ast.AST) -> str:
    """`ast.unparse`."""
    return ast.unparse(node)


_OTHER_NAMES = {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "int": "int32",
    "long": "int64",
    "short": "int16",
}
