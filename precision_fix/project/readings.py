"""Where a file reads what it has from another or from a config: by an import, a key, a name of unknown origin."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from precision_fix.model.classes import COMMON, is_own
from precision_fix.model.module import Module, remembered

_SPELL = (b"str(", b"repr(")
_GETS = frozenset({"get", "pop", "getenv"})


def asks_for(data: bytes, name: str) -> bool:
    """Whether a file may read a setting of this name.

    Nearly every file speaks of a dtype; of such a name it is of interest where it is compared, or stands beside a
    dtype's name: `f"torch.{config.dtype}"`, `str(x.dtype).endswith(config.dtype)`.
    """
    word = name.encode()
    if word not in data:
        return False
    if name not in COMMON:
        return True
    compared = rb"\b%b[\"'\])]*\s*(?:==|!=\s*[\"']|(?:not )?in )" % re.escape(word)
    return any(word in line for line in _of_names(data)) or re.search(compared, data) is not None


def _of_names(data: bytes) -> Iterator[bytes]:
    """What stands behind the beginning of a dtype's name, or behind that of a dtype that something has."""
    for mark in (b"torch.{", b'"torch."', b"'torch.'", *_SPELL):
        at = data.find(mark)
        while at >= 0:
            end = data.find(b"\n", at)
            line = data[at + len(mark) : end if end >= 0 else len(data)]
            yield line if mark not in _SPELL else line.partition(b"dtype)")[2]
            at = data.find(mark, at + len(mark))


def items(module: Module, name: str) -> list[ast.expr]:
    """Where an item of this name is read, from the first line on; the file has been asked for the name before."""
    # Of what is parsed later, what was found before says nothing.
    return sorted(_items(module, len(module.names.parents)).get(name, []), key=_place)


def attributes(module: Module, name: str) -> list[ast.Attribute]:
    """Where an attribute of this name is read. Not that of `self` where the class gives itself one: what it is given is
    followed from there, and is often made of the setting, `self.dtype = DTYPES[config.dtype]`.
    """
    found = module.names.attributes_of(name)
    own = {module.enclosing_class(each) for each in found if isinstance(each.ctx, ast.Store) and is_own(each)} - {None}
    read = [each for each in found if isinstance(each.ctx, ast.Load)]
    return [each for each in read if not (is_own(each) and module.enclosing_class(each) in own)]


def _place(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


@remembered
def _items(module: Module, _parsed: int) -> dict[str, list[ast.expr]]:
    """By their names, the items that are read, as `config["name"]` or `config.get("name")`, in what is parsed."""
    found: dict[str, list[ast.expr]] = {}
    for node in module.names.parents:
        key: ast.expr | None = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            key = node.slice
        elif isinstance(node, ast.Call) and node.args and _gets(node.func):
            key = node.args[0]
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and isinstance(node, ast.expr):
            found.setdefault(key.value, []).append(node)
    return found


def _gets(func: ast.expr) -> bool:
    """`config.get`, or `getenv` under its own name."""
    if isinstance(func, ast.Attribute):
        return func.attr in _GETS
    return isinstance(func, ast.Name) and func.id == "getenv"


def unexplained(module: Module, name: str) -> list[ast.expr]:
    """Reads of a variable of that name that a caller gives, or nobody seen, from the first line on."""
    found: list[ast.expr] = []
    for scope in [*module.names.scopes.values()]:
        for read in scope.loads.get(name, ()):
            owner = scope.owner(name)
            if owner is None or any(isinstance(bound, ast.arg) for bound in owner.bindings[name]):
                found.append(read)
    return sorted(found, key=_place)


def aliases(module: Module, *names: str) -> Iterator[tuple[str, ast.alias]]:
    """The imports of one of these names, whatever the file calls it, each with what it calls it."""
    for scope in [*module.names.scopes.values()]:
        for local, bindings in [*scope.bindings.items()]:
            for bound in bindings:
                if isinstance(bound, ast.alias) and bound.name.rpartition(".")[2] in names:
                    yield local, bound


def reads_of(module: Module, alias: ast.alias, local: str) -> list[ast.Name]:
    """The reads of a name that an import binds."""
    if alias in module.names.root.bindings.get(local, ()):
        module.ensure(local)
        return module.names.readers(module.names.root, local)
    owner = next((scope for scope in module.names.scopes.values() if alias in scope.bindings.get(local, ())), None)
    return module.names.readers(owner, local) if owner is not None else []


def unbound(module: Module, name: str) -> list[ast.Name]:
    """The reads of a name that nothing in the file binds: a `*` has brought it."""
    found = [read for scope in module.names.scopes.values() for read in scope.loads.get(name, ())]
    return [read for read in found if not module.bindings(read)]
