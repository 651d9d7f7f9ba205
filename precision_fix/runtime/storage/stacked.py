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

_FOUND: weakref.WeakKeyDictionary[type, frozenset[str] | None] = weakref.WeakKeyDictionary()


def names(module: nn.Module) -> tuple[str, ...]:
    """The names of this module's stacks that only its `forward`, and what that calls of the module, reads."""
    held = stacks(module)
    if not held:
        return ()
    kind = type(module)
    if kind not in _FOUND:
        _FOUND[kind] = _elsewhere(kind)
    elsewhere = _FOUND[kind]
    return () if elsewhere is None else tuple(name for name in held if name not in elsewhere)


def stacks(module: nn.Module) -> list[str]:
    """The names of this module's own parameters of that many dimensions, where it alone has parameters."""
    held = [name for name, p in module._parameters.items() if p is not None and p.dim() >= LEAST]
    return held if held and not any(_holds(child) for child in module._modules.values()) else []


def _holds(child: nn.Module | None) -> bool:
    """An activation holds nothing."""
    return child is not None and any(part._parameters or part._buffers for part in child.modules())


def _elsewhere(kind: type) -> frozenset[str] | None:
    """The attributes of itself that methods read which `forward` does not call. None: the source is not there."""
    read: dict[str, set[str]] = {}
    for name, function in sources.methods(kind):
        tree = sources.tree(function)
        if tree is None:
            return None
        found = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
        }
        read[name] = read.get(name, set()) | found
    reached, new = set(), {"forward"}
    while new:
        reached |= new
        new = {name for each in new for name in read.get(each, ()) if name in read} - reached
    return frozenset(attribute for name, found in read.items() if name not in reached for attribute in found)
