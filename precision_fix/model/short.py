"""Whether a function, or what it calls in the project, puts weights into float8: an autocast region then casts them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from precision_fix.model.blocks import occurrences
from precision_fix.model.callees import functions_of
from precision_fix.model.classes import class_around
from precision_fix.model.module import Function, Module, remembered
from precision_fix.model.scope import Definition

_SHORT = re.compile(r"float8_|e4m3|e5m2|(?:^|_)fp8(?:$|_(?!autocast))")
_DEEPEST = 2


def handles_short(module: Module, node: ast.AST) -> bool:
    """Whether the function around a node speaks of float8, or something that it calls makes it, or its class does."""
    function = module.function(node)
    if function is None:
        return False
    if _speaks(module, function) or _makes(module, function, 0):
        return True
    cls = class_around(module, function)
    family = module.around.family(module, cls, "float8") if cls is not None else ()
    return any(_gives(home, each) for home, each in family)


@remembered
def _makes(module: Module, around: ast.AST, depth: int) -> bool:
    """Whether a function that is called here, or one that this calls, names a dtype of float8."""
    for home, called in _called(module, around):
        # What a class is made with may be what its methods cast to.
        cls = class_around(home, called) if isinstance(called, Function) else called
        if _gives(home, called) or (cls is not None and _gives(home, cls)):
            return True
        if depth + 1 < _DEEPEST and _makes(home, called, depth + 1):
            return True
    return False


def _called(module: Module, around: ast.AST) -> Iterator[tuple[Module, Definition]]:
    for node in ast.walk(around):
        for home, definition, _ in functions_of(module, node.func) if isinstance(node, ast.Call) else ():
            yield home, definition


@remembered
def _speaks(module: Module, function: ast.AST) -> bool:
    names = (
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute | ast.Name)
    )
    return any(map(_SHORT.search, names))


@remembered
def _gives(module: Module, around: ast.AST) -> bool:
    """Whether a dtype of float8 is named for something to become: not where a tensor's is compared with it."""
    module.take(occurrences(module.text, ("float8_",)))
    dtypes = (each for each in ast.walk(around) if isinstance(each, ast.Attribute) and each.attr.startswith("float8_"))
    return any(not isinstance(module.parent(each), ast.Compare | ast.Set | ast.Tuple) for each in dtypes)
