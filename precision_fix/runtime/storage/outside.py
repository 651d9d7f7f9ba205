"""Children whose weights their parent computes with itself: `F.normalize(self.codebook.weight)`.

Nothing stands between such a read and the arithmetic, so these children stay float32. They are found in the source
of the parent's class; what builds, initializes or converts a model is not looked at. A read is harmless where it
only asks (`.device`, `.shape`), casts (`.to(...)`), ties, or hands the weight to a function that `reads` wraps.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
import weakref
from collections.abc import Iterator
from typing import Any

from torch import nn

_READ = {"weight", "bias"}
_ASKS = {"device", "dtype", "dim", "is_cuda", "is_meta", "ndim", "numel", "requires_grad", "shape", "size", "to"}
_VIEWS = {"T", "mT", "t", "transpose"}
_WRAPPED = {
    "linear", "matmul", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
}  # fmt: skip
#: Parts of the names of methods that do not run when the model does.
_BEFORE = ("init", "reset", "load", "save", "tie", "convert", "merge", "fuse", "resize", "quantize", "from_", "prune")

_FOUND: weakref.WeakKeyDictionary[type, tuple[frozenset[str], frozenset[str]]] = weakref.WeakKeyDictionary()
#: Modules that a parent reads, as far as they were registered in it.
_MODULES: weakref.WeakSet[nn.Module] = weakref.WeakSet()


def note(parent: nn.Module, name: str, child: nn.Module | None, everywhere: bool) -> None:
    """`child` is `parent.name`: remember it if it is read there."""
    if child is not None and not child._modules and name in read(type(parent), everywhere):
        _MODULES.add(child)


def note_all(model: nn.Module, everywhere: bool) -> None:
    """The same for each module of a model that is there already."""
    for parent in model.modules():
        for name, child in parent._modules.items():
            note(parent, name, child, everywhere)


def is_read(module: nn.Module) -> bool:
    """Whether a parent computes with the weights of this module."""
    return module in _MODULES


def read(kind: type[nn.Module], everywhere: bool) -> frozenset[str]:
    """The names of the children that the methods of this class read.

    `everywhere`: under the runtime, which turns a cast to a weight's dtype into one to float32; without it, to ask
    for the dtype of a weight, in order to cast to it, is a read too.
    """
    if kind not in _FOUND:
        _FOUND[kind] = _scan(kind, False), _scan(kind, True)
    return _FOUND[kind][everywhere]


def _scan(kind: type[nn.Module], everywhere: bool) -> frozenset[str]:
    found: set[str] = set()
    for base in kind.__mro__:
        if base.__module__.split(".", maxsplit=1)[0] == "torch" or base is object:
            continue
        for name, value in vars(base).items():
            function = inspect.unwrap(value) if callable(value) else None
            if isinstance(function, types.FunctionType) and not any(part in name for part in _BEFORE):
                found |= set(_in_function(function, everywhere))
    return frozenset(found)


def _in_function(function: types.FunctionType, everywhere: bool) -> Iterator[str]:
    if not _mentions(function.__code__):
        return
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError, TypeError):  # no source: every name that the code speaks of
        yield from function.__code__.co_names
        return
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in _READ and isinstance(node.ctx, ast.Load):
            child = _child_of_self(node.value)
            if child is not None and not _harmless(node, parents, everywhere):
                yield child


def _mentions(code: types.CodeType) -> bool:
    return bool(_READ & set(code.co_names)) or any(
        _mentions(inner) for inner in code.co_consts if isinstance(inner, types.CodeType)
    )


def _child_of_self(node: ast.expr) -> str | None:
    """`name` of `self.name`."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return node.attr
    return None


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
