"""Which functions of the project a call may go into, and what its argument becomes there."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from precision_fix.model.classes import COMMON, class_around, constructed, is_own, method
from precision_fix.model.module import Function, Module, remembered
from precision_fix.model.scope import Definition

_Function = ast.FunctionDef | ast.AsyncFunctionDef
#: A definition in its module, and how many of its parameters come before the arguments.
Found = tuple[Module, Definition, int]
# So many names are gone past from what is called to what it is a name for.
_MOST_NAMES = 4


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


def is_partial(module: Module, call: ast.Call) -> bool:
    """`functools.partial(f, ...)`, which hands on what it is given."""
    return module.resolve(call.func) in ("functools.partial", "partial") and bool(call.args)


def callees(module: Module, call: ast.Call, node: ast.AST | None, keyword: str | None) -> list[Callee]:
    """Where an argument may go; none where the callee is not the project's, or the place cannot be told."""
    func, before = call.func, 0
    if is_partial(module, call):
        func, before = call.args[0], 1
    return _among(functions_of(module, func), module, call, node, keyword, before)


def callees_that_mind(module: Module, call: ast.Call, node: ast.AST | None, keyword: str | None) -> list[Callee]:
    """Of the methods of a crowd (`crowded`), those that show something to which a tensor's dtype matters."""
    cls, func = class_around(module, call), call.func
    if cls is None or not isinstance(func, ast.Attribute):
        return []
    homes = module.around.minding_family(module, cls, func.attr)
    found = [each for home, member in homes for each in _methods_of(home, member, func.attr)]
    return _among(found, module, call, node, keyword)


def _among(
    found: Iterable[Found],
    module: Module,
    call: ast.Call,
    node: ast.AST | None,
    keyword: str | None,
    before: int = 0,
) -> list[Callee]:
    place = module.index(call.args, node) if node is not None else None
    index = place - before if place is not None and place >= before else None
    if _first_unpacked(module, call) <= (place or before):
        return []
    entered = (_entered(each, keyword, index) for each in found)
    return [each for each in dict.fromkeys(entered) if each is not None]


def _entered(found: Found, keyword: str | None, index: int | None) -> Callee | None:
    home, definition, shift = found
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


@remembered
def functions_of(module: Module, func: ast.expr) -> list[Found]:
    """The definitions that may be called: all that a name is given to in its scope, in each class of a family."""
    found = [*_named(module, func, _MOST_NAMES)]
    dotted = module.resolve(func) if not found else None
    if dotted is not None and dotted.endswith(".apply"):
        found = _applied(module, dotted.removesuffix(".apply"))
    if not found and dotted is not None and "." in dotted:
        there = module.around.definition(module, dotted)
        found = [(*there, 0)] if there is not None else []
    if not found and isinstance(func, ast.Attribute | ast.Name | ast.Call):
        return _called_instance(module, func)
    return found


def _named(module: Module, func: ast.expr, most: int) -> Iterator[Found]:
    """What an expression is a name for, past `most` names of it: `one if fast else two`, `TABLE[word]`."""
    if isinstance(func, ast.Attribute):
        dotted = None if is_own(func) else module.resolve(func)
        there = module.around.definition(module, dotted) if dotted is not None and most < _MOST_NAMES else None
        yield from [(*there, 0)] if there is not None else _methods(module, func) if dotted is None else ()
    elif isinstance(func, ast.Name):
        yield from _bound(module, func, most)
    elif isinstance(func, ast.IfExp):
        yield from _named(module, func.body, most)
        yield from _named(module, func.orelse, most)
    elif isinstance(func, ast.Subscript) and isinstance(func.value, ast.Name):
        for bound in module.bindings(func.value):
            table = module.assigned_value(bound)
            for value in table.values if isinstance(table, ast.Dict) else ():
                yield from _named(module, value, most)


def _bound(module: Module, name: ast.Name, most: int) -> Iterator[Found]:
    module.ensure_bound(name.id)
    for bound in module.bindings(name) if most else ():
        dotted = module.imported(bound)
        value = module.assigned_value(bound)
        if isinstance(bound, Definition):
            if not _is_overload(bound):
                yield module, bound, 0
        elif dotted is not None:
            there = module.around.definition(module, dotted) if "." in dotted else None
            if there is not None:
                yield *there, 0
        elif isinstance(value, ast.Call) and is_partial(module, value):
            for home, definition, shift in _named(module, value.args[0], most - 1):
                yield home, definition, shift + len(value.args) - 1
        elif isinstance(value, ast.Name | ast.IfExp | ast.Subscript):
            yield from _named(module, value, most - 1)


def _is_overload(definition: Definition) -> bool:
    """`@overload` tells of types alone: what is called stands below."""
    return any(ast.unparse(each).endswith("overload") for each in definition.decorator_list)


def _applied(module: Module, name: str) -> list[Found]:
    """`Dispatch.apply(x)` of an autograd.Function: its `forward`, behind the context."""
    local = module.definition(name) if "." not in name else None
    home, cls = (module, local) if local is not None else module.around.definition(module, name) or (module, None)
    if not isinstance(cls, ast.ClassDef) or not any(ast.unparse(base).endswith("Function") for base in cls.bases):
        return []
    home.ensure_bound("forward")
    found = method(cls, "forward")
    return [(home, found, 1)] if found is not None else []


def _methods(module: Module, func: ast.Attribute) -> Iterator[Found]:
    """`self.load(...)`, in the class and its family; `thing.load(...)`, where it shows what the thing is."""
    if is_own(func):
        cls = class_around(module, func)
        # Of half a library's classes those matter in whose files a function of that name is defined.
        homes = module.around.family(module, cls, f"def {func.attr}") if cls is not None else ()
        for home, each in homes:
            yield from _methods_of(home, each, func.attr)
        local = module.definition(func.attr)
        if isinstance(local, Function) and cls is None:
            yield module, local, 1
        return
    named = constructed(module, func.value)
    owner = _class(module, named) if named is not None else None
    if owner is not None:
        yield from _methods_of(*owner, func.attr)


@remembered
def crowded(module: Module, func: ast.expr, most: int) -> bool:
    """Whether more than so many classes of a family may define a method of `self`."""
    cls = class_around(module, func) if isinstance(func, ast.Attribute) and is_own(func) else None
    if cls is None or not isinstance(func, ast.Attribute):
        return False
    return module.around.relatives(module, cls, f"def {func.attr}") > most


def _methods_of(home: Module, cls: ast.ClassDef, name: str) -> Iterator[Found]:
    home.ensure_bound(name)
    for each in cls.body:
        if isinstance(each, Function) and each.name == name and not _is_overload(each):
            yield home, each, 0 if _is_static(each) else 1


def _called_instance(module: Module, func: ast.expr) -> list[Found]:
    """`layer(x)`, where `layer` was made of a class of the project: its `forward`."""
    if isinstance(func, ast.Call):
        named: ast.expr | None = func.func
    elif isinstance(func, ast.Name) and module.definition(func.id) is not None:
        return []
    else:
        named = constructed(module, func)
    owner = _class(module, named) if named is not None else None
    for name in ("forward", "__call__") if owner is not None else ():
        assert owner is not None
        owner[0].ensure_bound(name)
        found = method(owner[1], name)
        if found is not None:
            return [(owner[0], found, 1)]
    return []


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
    module.ensure_bound("__init__")
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
