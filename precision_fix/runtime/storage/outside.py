"""Children whose weights their parent computes with itself: `F.normalize(self.codebook.weight)`.

Nothing stands between such a read and the arithmetic, so these children, and what is read below them, stay float32.
They are found in the source of the parent's class; what builds, initializes or converts a model is not looked at. A
read is harmless where it only asks (`.device`, `.shape`), casts (`.to(...)`), ties, or hands the weight to a function
that `reads` wraps.
"""

from __future__ import annotations

import ast
import types
import weakref
from collections.abc import Iterator
from typing import Any

from torch import nn

from precision_fix.runtime.storage import sources, stacked

_READ = {"weight", "bias"}
_ASKS = {"device", "dtype", "dim", "is_cuda", "is_meta", "ndim", "numel", "requires_grad", "shape", "size", "to"}
_VIEWS = {"T", "mT", "t", "transpose"}
_WRAPPED = {
    "linear", "matmul", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
}  # fmt: skip

#: The way from a module to one below it: names of children, `_EACH` for all of a container.
Path = tuple[str, ...]
_EACH = "*"
_CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)

#: By class, and by whether under the runtime: what `read` found.
_FOUND: weakref.WeakKeyDictionary[type, dict[bool, frozenset[Path]]] = weakref.WeakKeyDictionary()
#: By class: the attributes of anything but itself that it computes with.
_OTHERS: weakref.WeakKeyDictionary[type, dict[bool, frozenset[str]]] = weakref.WeakKeyDictionary()
#: Modules that a parent reads, as far as they were registered in it.
_MODULES: weakref.WeakSet[nn.Module] = weakref.WeakSet()


def note(parent: nn.Module, name: str, child: nn.Module | None, everywhere: bool) -> list[nn.Module]:
    """`child` is `parent.name`: remember what is read there of it and below it, and give that back."""
    if child is None or isinstance(parent, _CONTAINERS):
        return []
    found = [
        module
        for path in read(type(parent), everywhere)
        if path[0] == name
        for module in _at(child, path[1:])
        if not module._modules or stacked.stacks(module)
    ]
    for module in _inside(child):
        stacks = set(stacked.stacks(module)) - _READ
        if stacks and not stacks.isdisjoint(_others(type(parent), everywhere)):
            found.append(module)
    _MODULES.update(found)
    return found


def note_all(model: nn.Module, everywhere: bool) -> None:
    """The same for each module of a model that is there already."""
    for parent in model.modules():
        for name, child in parent._modules.items():
            note(parent, name, child, everywhere)


def is_read(module: nn.Module) -> bool:
    """Whether a parent computes with the weights of this module."""
    return module in _MODULES


def read(kind: type[nn.Module], everywhere: bool) -> frozenset[Path]:
    """The ways to the modules whose weight or bias the methods of this class read.

    `everywhere`: under the runtime, which turns a cast to a weight's dtype into one to float32; without it, to ask
    for the dtype of a weight, in order to cast to it, is a read too.
    """
    known = _FOUND.setdefault(kind, {})
    if everywhere not in known:
        functions = [function for _, function in sources.methods(kind)]
        known[everywhere] = frozenset(path for each in functions for path in _in_function(each, everywhere))
    return known[everywhere]


def _others(kind: type[nn.Module], everywhere: bool) -> frozenset[str]:
    """The attributes of other objects than itself, `x` of `experts.x`, that the methods of this class read."""
    known = _OTHERS.setdefault(kind, {})
    if everywhere not in known:
        found: set[str] = set()
        for _, function in sources.methods(kind):
            tree = sources.tree(function)
            found |= set(function.__code__.co_names) if tree is None else {n.attr for n in _loads(tree, everywhere)}
        known[everywhere] = frozenset(found)
    return known[everywhere]


def _loads(tree: ast.Module, everywhere: bool) -> Iterator[ast.Attribute]:
    """Reads of an attribute of anything but `self` that are not harmless."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            itself = isinstance(node.value, ast.Name) and node.value.id == "self"
            if not itself and not _harmless(node, parents, everywhere):
                yield node


def _at(module: Any, path: Path) -> list[nn.Module]:
    """The modules that this way leads to; of a list, whatever the index."""
    found = [module]
    for name in path:
        below = [part._modules.values() if name == _EACH else [part._modules.get(name)] for part in found]
        found = [part for parts in below for part in parts if part is not None]
    return found


def _inside(child: nn.Module) -> Iterator[nn.Module]:
    """The child, or what its container holds."""
    if not isinstance(child, _CONTAINERS):
        yield child
        return
    for part in child._modules.values():
        if part is not None:
            yield from _inside(part)


def _in_function(function: types.FunctionType, everywhere: bool) -> Iterator[Path]:
    if not _mentions(function.__code__):
        return
    tree = sources.tree(function)
    if tree is None:  # every name that the code speaks of
        yield from ((name,) for name in function.__code__.co_names)
        return
    names = _aliases(tree)
    for node in _loads(tree, everywhere):
        if node.attr in _READ:
            yield from (path for path in _paths(node.value, names) if path)


def _mentions(code: types.CodeType) -> bool:
    return bool(_READ & set(code.co_names)) or any(
        _mentions(inner) for inner in code.co_consts if isinstance(inner, types.CodeType)
    )


def _aliases(tree: ast.Module) -> dict[str, set[Path]]:
    """The local names that stand for something below the module: `part = self.part`, `for layer in self.layers`."""
    names: dict[str, set[Path]] = {"self": {()}}
    for node in ast.walk(tree):  # outer statements come first
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, paths = node.targets[0], _paths(node.value, names)
        elif isinstance(node, ast.For | ast.comprehension):
            target, paths = node.target, {(*path, _EACH) for path in _paths(node.iter, names)}
            if isinstance(node.iter, ast.Call) and node.iter.args:  # enumerate(self.layers)
                paths = {(*path, _EACH) for path in _paths(node.iter.args[0], names)}
                target = target.elts[-1] if isinstance(target, ast.Tuple) else target
        else:
            continue
        if paths and isinstance(target, ast.Name):
            names.setdefault(target.id, set()).update(paths)
    return names


def _paths(node: ast.expr, names: dict[str, set[Path]]) -> set[Path]:
    """`("name", "*", "part")` of `self.name[0].part`; nothing for what does not begin with one of `names`."""
    if isinstance(node, ast.Name):
        return names.get(node.id, set())
    if not isinstance(node, ast.Attribute | ast.Subscript):
        return set()
    last = node.attr if isinstance(node, ast.Attribute) else _EACH
    return {(*path, last) for path in _paths(node.value, names)}


def _harmless(node: ast.expr, parents: dict[Any, Any], everywhere: bool) -> bool:
    user = parents.get(node)
    while isinstance(user, ast.Attribute) and user.attr in _VIEWS:  # w.T, w.t(), w.transpose(0, 1)
        call = parents.get(user)
        node = call if isinstance(call, ast.Call) and call.func is user else user
        user = parents.get(node)
    if isinstance(user, ast.Attribute):
        return user.attr in _ASKS and (everywhere or user.attr != "dtype")
    if isinstance(user, ast.Assign):  # self.head.weight = self.embedding.weight
        return all(isinstance(target, ast.Attribute) for target in user.targets)
    if isinstance(user, ast.BinOp) and isinstance(user.op, ast.MatMult):
        return True
    if isinstance(user, ast.Call):
        called = user.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        return name in _WRAPPED or name in ("isinstance", "hasattr") or (everywhere and name == "embedding")
    return isinstance(user, ast.Compare) and all(isinstance(op, ast.Is | ast.IsNot) for op in user.ops)
