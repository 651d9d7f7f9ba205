"""Which function of the project a call goes into, and what its argument becomes there."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from precision_fix.model.classes import COMMON, class_around, constructed, is_own, method
from precision_fix.model.module import Function, Module, remembered
from precision_fix.model.scope import Definition

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Callee:
    """A parameter of a function; or, of a class without a constructor of its own, a field.

    `by_keyword` says that the parameter is `**kwargs`, and under which key the argument stands in it.
    """

    module: Module
    parameter: ast.arg | None = None
    by_keyword: str | None = None
    cls: ast.ClassDef | None = None
    field: str | None = None


def callee(module: Module, call: ast.Call, node: ast.AST | None, keyword: str | None) -> Callee | None:
    """Where an argument goes; None where the callee is not the project's, or the place cannot be told."""
    func, before = call.func, 0
    if module.resolve(func) in ("functools.partial", "partial") and call.args:
        func, before = call.args[0], 1
    found = function_of(module, func)
    if found is None:
        return None
    home, definition, shift = found
    place = module.index(call.args, node) if node is not None else None
    index = place - before if place is not None and place >= before else None
    if _first_unpacked(module, call) <= (place or before):
        return None
    if isinstance(definition, ast.ClassDef):
        built = _constructor(home, definition)
        if built is None:
            field = keyword if keyword is not None else _nth_field(definition, index)
            return Callee(home, cls=definition, field=field) if field else None
        home, definition, shift = built[0], built[1], 1
    return _parameter(home, definition, keyword, None if index is None else index + shift)


@remembered
def _first_unpacked(module: Module, call: ast.Call) -> int:
    unpacked = (place for place, argument in enumerate(call.args) if isinstance(argument, ast.Starred))
    return next(unpacked, len(call.args) + 1)


def guessed(module: Module, call: ast.Call, node: ast.AST | None, keyword: str | None) -> list[Callee]:
    """The same for a method of what nobody knows: by its last name, where the project has few of that name."""
    if not isinstance(call.func, ast.Attribute) or _is_of_import(module, call.func):
        return []
    if call.func.attr in COMMON and (keyword is None or keyword in COMMON):
        return []
    index = module.index(call.args, node) if node is not None else None
    found = []
    for home, function in module.around.named(module, call.func.attr):
        names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        shift = 1 if names[:1] in (["self"], ["cls"]) else 0
        entered = _parameter(home, function, keyword, None if index is None else index + shift)
        if entered is not None and entered.by_keyword is None:
            found.append(entered)
    return found


def _is_of_import(module: Module, func: ast.Attribute) -> bool:
    base: ast.expr = func
    while isinstance(base, ast.Attribute):
        base = base.value
    return isinstance(base, ast.Name) and module.is_imported(base)


def _parameter(module: Module, function: _Function, keyword: str | None, index: int | None) -> Callee | None:
    arguments = function.args
    parameters = [*arguments.posonlyargs, *arguments.args]
    if keyword is not None:
        named = _by_name(module, function).get(keyword)
        if named is None and arguments.kwarg is not None:
            return Callee(module, arguments.kwarg, keyword)
        return Callee(module, named) if named is not None else None
    return Callee(module, parameters[index]) if index is not None and index < len(parameters) else None


@remembered
def _by_name(module: Module, function: _Function) -> dict[str, ast.arg]:
    arguments = function.args
    return {each.arg: each for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}


def function_of(module: Module, func: ast.expr) -> tuple[Module, Definition, int] | None:
    """The definition that is called, in its module, and how many parameters come before the arguments."""
    if isinstance(func, ast.Attribute) and (is_own(func) or module.resolve(func) is None):
        found = _method(module, func)
    elif isinstance(func, ast.Name) and (local := module.definition(func.id)) is not None:
        return module, local, 0
    else:
        found = None
    dotted = module.resolve(func)
    if found is None and dotted is not None and dotted.endswith(".apply"):
        found = _applied(module, dotted.removesuffix(".apply"))
    if found is None and dotted is not None and ("." in dotted):
        there = module.around.definition(module, dotted)
        if there is not None:
            return there[0], there[1], 0
    if found is None and isinstance(func, ast.Attribute | ast.Name | ast.Call):
        return _called_instance(module, func)
    return found


def _applied(module: Module, name: str) -> tuple[Module, Definition, int] | None:
    """`Dispatch.apply(x)` of an autograd.Function: its `forward`, behind the context."""
    local = module.definition(name) if "." not in name else None
    home, cls = (module, local) if local is not None else module.around.definition(module, name) or (module, None)
    if not isinstance(cls, ast.ClassDef) or not any(ast.unparse(base).endswith("Function") for base in cls.bases):
        return None
    home.ensure("forward")
    found = method(cls, "forward")
    return (home, found, 1) if found is not None else None


def _method(module: Module, func: ast.Attribute) -> tuple[Module, Definition, int] | None:
    """`self.load(...)`, in the class or its family; `thing.load(...)`, where it shows what the thing is."""
    if is_own(func):
        cls = class_around(module, func)
        homes = module.around.family(module, cls, func.attr) if cls is not None else ()
        for home, each in homes:
            home.ensure(func.attr)
            found = method(each, func.attr)
            if found is not None:
                return home, found, 0 if _is_static(found) else 1
        local = module.definition(func.attr)
        return (module, local, 1) if isinstance(local, Function) and cls is None else None
    named = constructed(module, func.value)
    owner = _class(module, named) if named is not None else None
    if owner is None:
        return None
    owner[0].ensure(func.attr)
    found = method(owner[1], func.attr)
    return (owner[0], found, 0 if _is_static(found) else 1) if found is not None else None


def _called_instance(module: Module, func: ast.expr) -> tuple[Module, Definition, int] | None:
    """`layer(x)`, where `layer` was made of a class of the project: its `forward`."""
    if isinstance(func, ast.Call):
        named: ast.expr | None = func.func
    elif isinstance(func, ast.Name) and module.definition(func.id) is not None:
        return None
    else:
        named = constructed(module, func)
    owner = _class(module, named) if named is not None else None
    if owner is None:
        return None
    for name in ("forward", "__call__"):
        owner[0].ensure(name)
        found = method(owner[1], name)
        if found is not None:
            return owner[0], found, 1
    return None


def _class(module: Module, named: ast.expr) -> tuple[Module, ast.ClassDef] | None:
    if isinstance(named, ast.Name):
        local = module.definition(named.id)
        if isinstance(local, ast.ClassDef):
            return module, local
    dotted = module.resolve(named)
    there = module.around.definition(module, dotted) if dotted is not None and "." in dotted else None
    return (there[0], there[1]) if there is not None and isinstance(there[1], ast.ClassDef) else None


def _constructor(module: Module, cls: ast.ClassDef) -> tuple[Module, _Function] | None:
    """The `__init__` of a class, or of the base of the project that it takes it from."""
    module.ensure("__init__")
    own = method(cls, "__init__")
    if own is not None:
        return module, own
    for base in cls.bases:
        found = _class(module, base)
        if found is not None and found[1] is not cls:
            return _constructor(*found)
    return None


def _nth_field(cls: ast.ClassDef, index: int | None) -> str | None:
    fields = [
        each.target.id for each in cls.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    ]
    return fields[index] if index is not None and index < len(fields) else None


def _is_static(function: _Function) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "staticmethod" for each in function.decorator_list)
