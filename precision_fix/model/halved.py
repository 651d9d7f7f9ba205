"""Whether what an autocast region works with is in float16: the region is then what makes its products meet.

Weights in float16 run below a region in bfloat16, which casts both sides of each product. With the region off they meet
what is float32 by now.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from precision_fix.model.callees import callees, functions_of
from precision_fix.model.classes import class_around, is_own
from precision_fix.model.module import Function, Module, remembered, unparsed
from precision_fix.model.scope import Definition
from precision_fix.model.unasked import calls_of

_HALF = "float16"
# So many places are gone back to from one region, and so many functions below it are looked into.
_MOST = 120
_DEEPEST = 2
# What gives the same module or tensor, and says nothing of its dtype.
_SAME = frozenset({"to", "cuda", "cpu", "eval", "train", "requires_grad_", "compile", "detach", "clone", "contiguous"})
_WRAPS = frozenset({"compile", "DataParallel", "DistributedDataParallel", "FullyShardedDataParallel", "prepare"})
_CASTS = frozenset({"float", "bfloat16", "double"})
# `if args.fp16: model.half()`: what the user asks for by itself.
_CHOSEN = re.compile(r"(?i)half|fp_?16|float_?16")
_Place = tuple[Module, ast.expr]


@remembered
def meets_half(module: Module, region: ast.Call) -> bool:
    """Whether what is called or handed over within a region was put into float16, whatever the user asks for."""
    return any(_is_half(module, home, node) for home, node in _taken(module, region))


def _is_half(module: Module, home: Module, node: ast.expr) -> bool:
    """For all that read a variable the same, and found out once."""
    owner = home.scope_of(node).owner(node.id) if isinstance(node, ast.Name) else None
    if owner is None or not isinstance(node, ast.Name):
        return _comes_from_half(module, home, node)
    key = _is_half, home, owner, node.id
    return module.around.trace.remember(module.memory, key, _comes_from_half, module, home, node)


def _comes_from_half(module: Module, home: Module, node: ast.expr) -> bool:
    pending: list[_Place] = [(home, node)]
    seen: set[ast.AST] = set()
    while pending and len(seen) < _MOST:
        home, node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        found = _before(home, node)
        if found is None:
            return True
        pending += found or (_of_a_host(home, node) if home is module and isinstance(node, ast.Name) else [])
    return False


def _taken(module: Module, region: ast.Call) -> Iterator[_Place]:
    """The objects whose methods are called below a region, and what is handed to these calls."""
    pending = [(module, each, 0) for each in _below(module, region)]
    seen: set[ast.AST] = set()
    for home, block, depth in pending:
        for call in (each for each in ast.walk(block) if isinstance(each, ast.Call)):
            func = call.func.value if isinstance(call.func, ast.Attribute) else call.func
            for each in (func, *call.args, *(keyword.value for keyword in call.keywords)):
                if isinstance(each, ast.Name | ast.Attribute):
                    yield home, each
            for there, function, _ in functions_of(home, call.func) if depth < _DEEPEST else ():
                if isinstance(function, Function) and function not in seen and len(seen) < _MOST:
                    seen.add(function)
                    pending.append((there, function, depth + 1))


def _below(module: Module, region: ast.Call) -> Iterator[ast.AST]:
    above = module.parent(region)
    items: list[ast.AST | None] = [above]
    if isinstance(above, ast.Assign) and isinstance(above.targets[0], ast.Name):
        items = [module.parent(reader) for reader in module.readers(above.targets[0])]
    for item in items:
        opened = module.parent(item) if isinstance(item, ast.withitem) else item
        if isinstance(opened, ast.With | ast.AsyncWith | Function):
            yield from opened.body


def _before(module: Module, node: ast.expr) -> list[_Place] | None:
    """What a value comes from; None where it is put into float16 there."""
    match node:
        case ast.Call():
            return _of_call(module, node)
        case ast.Name():
            return _of_name(module, node)
        case ast.Attribute() if is_own(node):
            return _of_attribute(module, node)
        case ast.Attribute() | ast.Await() | ast.NamedExpr():
            return [(module, node.value)]
        case ast.IfExp():
            return [(module, node.body), (module, node.orelse)]
    return []


def _of_call(module: Module, call: ast.Call) -> list[_Place] | None:
    told = _told(module, call)
    if told is not None:
        return None if told == _HALF and not _is_chosen(module, call) else []
    func = call.func
    if isinstance(func, ast.Attribute) and func.attr in _SAME and module.resolve(func) is None:
        return [(module, func.value)]
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    if name in _WRAPS:
        return [(module, each) for each in call.args]
    if module.resolve(func) is not None and isinstance(func, ast.Attribute) and func.attr in _SAME:
        return [(module, func.value)]
    return [
        (home, each.value)
        for home, function, _ in functions_of(module, func)
        if isinstance(function, Function)
        for each in ast.walk(function)
        if isinstance(each, ast.Return) and each.value is not None and home.function(each) is function
    ]


def _told(module: Module, call: ast.Call) -> str | None:
    """The dtype that a call names for what it gives; None where it names none."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if name == "half" and not call.args:
        return _HALF
    if name in _CASTS and not call.args:
        return name
    named = [each.value for each in call.keywords if each.arg in ("dtype", "torch_dtype")]
    named += call.args if name in ("to", "type") else []
    return next((told for each in named if (told := _dtype(module, each)) is not None), None)


def _dtype(module: Module, node: ast.expr) -> str | None:
    """A dtype, also by a name that is set once or a parameter's default; "" for one that something else decides."""
    name = module.dtype_name(node)
    if name is not None or not isinstance(node, ast.Name):
        return name
    bound = module.bindings(node)
    given = module.assigned_value(bound[0]) if len(bound) == 1 else None
    return "" if given is None else module.dtype_name(given)


def _is_chosen(module: Module, call: ast.Call) -> bool:
    tests = (each.test for each in module.ancestors(call) if isinstance(each, ast.If | ast.IfExp))
    return any(_CHOSEN.search(unparsed(module, test)) for test in tests)


def _of_name(module: Module, name: ast.Name) -> list[_Place] | None:
    found: list[_Place] = []
    for bound in module.bindings(name):
        value = module.assigned_value(bound)
        if value is not None:
            found.append((module, value))
        elif isinstance(bound, ast.arg):
            found += _given(module, bound)
    return None if any(_put(module, each) for each in module.readers(name)) else found


def _of_attribute(module: Module, attribute: ast.Attribute) -> list[_Place] | None:
    """What is stored as `self.name` in the class and its family."""
    cls = class_around(module, attribute)
    found: list[_Place] = []
    for home, each in module.around.family(module, cls, f".{attribute.attr}") if cls is not None else ():
        home.ensure("." + attribute.attr)
        for other in home.names.attributes_of(attribute.attr):
            if is_own(other) and class_around(home, other) is each:
                if _put(home, other):
                    return None
                value = home.assigned_value(other)
                found += [(home, value)] if value is not None else []
    return found


def _put(module: Module, node: ast.expr) -> bool:
    """`model.half()`, whose result nobody takes."""
    above = module.parent(node)
    call = module.parent(above) if isinstance(above, ast.Attribute) else None
    is_done = isinstance(call, ast.Call) and call.func is above and isinstance(module.parent(call), ast.Expr)
    return is_done and isinstance(call, ast.Call) and _told(module, call) == _HALF and not _is_chosen(module, call)


def _of_a_host(module: Module, name: ast.Name) -> list[_Place]:
    """What another program hands to a method of which nothing of the project is seen to make use: what the file makes
    is handed out and comes back so (a node of ComfyUI loads a model, another one runs it).
    """
    if class_around(module, name) is None or not any(isinstance(each, ast.arg) for each in module.bindings(name)):
        return []
    for each in [*module.names.root.bindings]:
        module.ensure(each)
    calls = (each for found in [*module.names.calls.values()] for each in found)
    return [(module, each) for each in calls if isinstance(each.func, ast.Name)]


def _given(module: Module, parameter: ast.arg) -> list[_Place]:
    """What the callers of a function, or the makers of an object, hand to a parameter."""
    function = module.function(parameter)
    found: list[_Place] = []
    owner: Definition | None = function if isinstance(function, Definition) else None
    if owner is not None and owner.name == "__init__":
        owner = class_around(module, owner)
    for home, call in calls_of(module, owner) if owner is not None else ():
        given: list[tuple[ast.expr, str | None]] = [(each, None) for each in call.args]
        given += [(each.value, each.arg) for each in call.keywords]
        for value, keyword in given:
            taken = callees(home, call, value if keyword is None else None, keyword)
            if any(each.parameter is parameter for each in taken):
                found.append((home, value))
    return found
