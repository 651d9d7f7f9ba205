"""Weights of three dimensions and more in a module of its own: the experts of a mixture, stacked.

transformers' experts, and gpt-fast's, hold most of a model's bytes so, under names of their own. They may be stored
where nothing but the module's `forward` computes with them: its source shows which of its methods read them, and
the source of its parent whether that does (`outside`). Smaller parameters of such a module are left alone: they
gain nothing, and a table that somebody looks into is one of them.
"""

from __future__ import annotations

import ast
import weakref

from torch import nn

from precision_fix.runtime.storage import sources

#: Dimensions of a parameter from which it is a stack of weights.
LEAST = 3

_FOUND: weakref.WeakKeyDictionary[type, frozenset[str]] = weakref.WeakKeyDictionary()


def names(module: nn.Module) -> tuple[str, ...]:
    """The names of this module's stacks that only its `forward`, and what that calls of the module, reads."""
    held = stacks(module)
    if not held:
        return ()
    kind = type(module)
    if kind not in _FOUND:
        _FOUND[kind] = _in_forward(kind)
    return tuple(name for name in held if name in _FOUND[kind])


def stacks(module: nn.Module) -> list[str]:
    """The names of this module's own parameters of that many dimensions, where it alone has parameters."""
    held = [name for name, p in module._parameters.items() if p is not None and p.dim() >= LEAST]
    return held if held and not any(_holds(child) for child in module._modules.values()) else []


def _holds(child: nn.Module | None) -> bool:
    """An activation holds nothing."""
    return child is not None and any(part._parameters or part._buffers for part in child.modules())


def _in_forward(kind: type) -> frozenset[str]:
    """The attributes of itself that `forward`, and the methods that it calls, read, and no other method does. Without
    a source, none.
    """
    read: dict[str, set[str]] = {}
    for name, function in sources.methods(kind):
        tree = sources.tree(function)
        if tree is None:
            return frozenset()
        found = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
        }
        read[name] = read.get(name, set()) | found
    reached, new = set(), {"forward"} & read.keys()
    while new:
        reached |= new
        new = {name for each in new for name in read[each] if name in read} - reached
    inside = {attribute for name in reached for attribute in read[name]}
    return frozenset(inside.difference(*(read[name] for name in read.keys() - reached)))
