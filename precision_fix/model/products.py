"""Products of float8 matrices, which begin at compute capability 8.9: whether the program has another way, and which
choice of the user leads to them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from precision_fix.model.classes import class_around
from precision_fix.model.fate import Fate
from precision_fix.model.held import End
from precision_fix.model.module import Function, Module, remembered
from precision_fix.model.scope import Definition
from precision_fix.model.unasked import leaves_before, users
from precision_fix.model.vocabulary.callees import FLOAT8_PRODUCTS

# So many callers are gone up to.
_HIGHEST = 4
# The hardware is asked, or what was told of it.
_HARDWARE = re.compile(r"(?i)capab|support|availab|compatib|\barch|_arch|\bsm_?\d|is_sm|hopper|\b8\s*,\s*9\b|\bcan_")
# A choice of the user, and not what a tensor is.
_CHOICE = re.compile(r"(?i)fp8|float8|f8\b|e4m3|e5m2|scaled_mm|quant")
_TENSOR = re.compile(r"torch\.float8|dtype\b|isinstance\(|hasattr\(|\bis (?:not )?None|\.shape|\.ndim")
_SHOWN = 60


class Way(NamedTuple):
    """How the program comes to a product. `kept`: in another case it goes another way, which the program finds out."""

    kept: bool
    choice: str = ""
    #: The test for the choice.
    end: End | None = None


def products(module: Module) -> Iterator[ast.Call]:
    """The calls that multiply matrices of float8, by whatever name the file has for them."""
    for name in sorted({each.rpartition(".")[2] for each in FLOAT8_PRODUCTS}):
        for call in module.names.calls_of(name):
            if module.resolve(call.func) in FLOAT8_PRODUCTS:
                yield call
    for scope in [*module.names.scopes.values()]:
        for name, bound in [*scope.bindings.items()]:
            if any(module.imported(each) in FLOAT8_PRODUCTS for each in bound):
                module.ensure(name)
                for reader in module.names.readers(scope, name):
                    above = module.parent(reader)
                    if isinstance(above, ast.Call) and above.func is reader:
                        yield above


def way_to(module: Module, call: ast.Call) -> Way:
    """How the program comes to a call, from the tests around it and around those that call its function."""
    return _up(module, call, set(), 0)


def _up(module: Module, call: ast.Call, seen: set[ast.AST], height: int) -> Way:
    here = _around(module, call)
    function = module.function(call)
    if here.kept or function is None or function in seen or height >= _HIGHEST:
        return here
    seen.add(function)
    owner = class_around(module, function) or function
    above = [_up(home, user, seen, height + 1) for home, user in users(module, owner)]
    if above and all(way.kept for way in above):
        return above[0]
    return here if here.choice else next((way for way in above if way.choice), here)


def _around(module: Module, call: ast.AST) -> Way:
    """What the tests around a call, and those that leave before it, say."""
    chosen = Way(False)
    node = call
    for above in module.ancestors(call):
        if isinstance(above, ast.Try) and _goes_on(module, above, node):
            return Way(True)
        for test, holds in _tests(module, above, node):
            said = _said(module, test)
            if _HARDWARE.search(said):
                return Way(True)
            if not chosen.choice and _CHOICE.search(said) and not _TENSOR.search(said):
                chosen = Way(False, _shown(test, holds), End(Fate.COMPARED, test, module))
        if isinstance(above, Function | Definition):
            break
        node = above
    return chosen


_LEAVES = ast.Return | ast.Continue | ast.Break


def _tests(module: Module, above: ast.AST, node: ast.AST) -> Iterator[tuple[ast.expr, bool]]:
    """The tests of one node around, and whether they hold where the node within it is reached."""
    if isinstance(above, ast.If) and node is not above.test:
        yield above.test, module.index(above.body, node) is not None
    elif isinstance(above, ast.IfExp) and node is not above.test:
        yield above.test, node is above.body
    block = getattr(above, "body", None)
    for each in block if isinstance(block, list) else ():
        if isinstance(each, ast.If) and isinstance(each.body[-1], _LEAVES) and leaves_before(each, node):
            yield each.test, False


def _goes_on(module: Module, tried: ast.Try, node: ast.AST) -> bool:
    handlers = [handler.body[-1] for handler in tried.handlers]
    return module.index(tried.body, node) is not None and bool(handlers) and not any(map(_stops, handlers))


def _stops(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Raise)


@remembered
def _said(module: Module, test: ast.expr) -> str:
    """The words of a test, with those of what its names were set to."""
    names = [each for each in ast.walk(test) if isinstance(each, ast.Name)]
    values = [module.assigned_value(bound) for name in names for bound in module.bindings(name)]
    return "\n".join([ast.unparse(test), *(ast.unparse(value) for value in values if isinstance(value, ast.Call))])


def _shown(test: ast.expr, holds: bool) -> str:
    match test:
        case ast.UnaryOp(op=ast.Not()):
            test, holds = test.operand, not holds
    text = ast.unparse(test)
    text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    return f"`{text}`" if holds else f"not `{text}`"
