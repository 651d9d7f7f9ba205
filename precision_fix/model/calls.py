"""What a call does with an argument: it casts, compares, prints, reads bytes, asks for a size."""

from __future__ import annotations

import ast
from typing import NamedTuple

from precision_fix.model.attending import ATTENTION, is_forced
from precision_fix.model.built import is_compiled, is_kernels_name
from precision_fix.model.fate import Fate
from precision_fix.model.kernels import is_kernel, is_unseen, needs_ampere
from precision_fix.model.module import Function, Module, remembered
from precision_fix.model.quantized import stores_in_eight_bits
from precision_fix.model.vocabulary import callees
from precision_fix.model.vocabulary.callees import Role

_OF_PYTHON = (Role.SEQUENCE, Role.PICK)


class Use(NamedTuple):
    """What a callee does with an argument; `guessed` where only its last name tells."""

    role: Role
    guessed: bool


def role(module: Module, call: ast.Call, node: ast.AST, keyword: str | None) -> Role:
    """What `call` does with the argument `node` (passed as `keyword` if named)."""
    return use(module, call, node, keyword).role


def use(module: Module, call: ast.Call, node: ast.AST, keyword: str | None) -> Use:
    """The same, and whether it is a guess."""
    name = module.resolve(call.func)
    is_method = isinstance(call.func, ast.Attribute)
    last = name.rpartition(".")[2] if name else call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if needs_ampere(name, last) or (last == ATTENTION and is_forced(module, call)):
        return Use(Role.NEVER, name is None)
    takes_no_other = is_unseen(module, name) and not stores_in_eight_bits(module, call)
    here = None if takes_no_other else _by_argument(module, call, node, last)
    if here is not None:
        return Use(here, False)
    known = Role.KERNEL if takes_no_other else callees.KNOWN.get(name or "")
    if known is not None:
        # What the file calls `print` may be its own.
        module.ensure_bound(last)
        return Use(known, bool(module.names.definitions_of(last)))
    if name is not None and name.startswith("torch."):
        guess = _by_name(last, is_method)
        return Use(guess, True) if guess in callees.OF_TORCH else Use(Role.CAST, False)
    if is_method and last in callees.KEY_METHODS and keyword is None and call.args[:1] == [node]:
        return Use(Role.KEY, True)
    by_name = _by_name(last, is_method)
    if by_name in _OF_PYTHON and not is_method and module.definition(last) is not None:
        by_name = None  # a function of the file's own, which is called as one of Python's
    if name in callees.OF_HOSTS and module.around.definition(module, name) is None:
        return Use(callees.OF_HOSTS[name], False)
    guess = by_name or _by_shape(module, call, last)
    if guess is Role.OTHER and isinstance(call.func, ast.Attribute) and is_compiled(module, call.func.value):
        return Use(Role.KERNEL, False)
    if guess is Role.OTHER and is_kernels_name(module, call.func):
        return Use(Role.KERNEL, False)
    return Use(guess, True)


def _by_argument(module: Module, call: ast.Call, node: ast.AST, last: str) -> Role | None:
    """What depends on which argument it is, whatever is called."""
    if _is_default(module, call, node, last):
        return Role.DEFAULT
    if last == "getattr" and call.args and module.resolve(call.args[0]) == "torch":
        return Role.CAST
    if last == "eval" and isinstance(call.func, ast.Name) and module.index(call.args, node) == 0:
        return Role.CAST
    if last in ("isinstance", "issubclass", "hasattr", "getattr") and call.args and call.args[0] is node:
        # `isinstance(dtype, str)` asks for the type of the variable, not which dtype it is.
        return Role.NOTHING
    return None


def _by_name(last: str, is_method: bool) -> Role | None:
    if last.endswith(callees.RAISED):
        return Role.TEXT
    return (callees.METHODS.get(last) if is_method else None) or callees.GUESSES.get(last)


def _by_shape(module: Module, call: ast.Call, last: str) -> Role:
    if callees.PREDICATE.search(last):
        return Role.TEST
    if callees.COMPILES.search(last) and not _is_plain(module, call.func):
        return Role.KERNEL
    return Role.SIZE if callees.SIZE.search(last.lower()) and module.definition(last) is None else Role.OTHER


def _is_plain(module: Module, func: ast.expr) -> bool:
    """Whether a function of the project, whatever its name says, calls PyTorch alone, and no operator of others."""
    dotted = module.resolve(func)
    here = module.definition(dotted) if dotted is not None and "." not in dotted else None
    found = (module, here) if here is not None else module.around.definition(module, dotted or "")
    if found is None or not isinstance(found[1], Function) or found[1].decorator_list:
        return False
    return _calls_torch_alone(found[0], found[1])


@remembered
def _calls_torch_alone(home: Module, function: Function) -> bool:
    inside = [*ast.walk(function)]
    called = [each for each in inside if isinstance(each, ast.Call)]
    imports = any(isinstance(each, ast.Import | ast.ImportFrom) for each in inside)
    return bool(called) and not imports and all(_is_of_torch(home, each) for each in called)


def _is_of_torch(home: Module, call: ast.Call) -> bool:
    """A function of torch, or a method of a tensor: of what the function is given, or makes with such a call."""
    dotted = home.resolve(call.func) or ""
    if dotted.startswith("torch."):
        return not is_kernel(dotted)
    if not isinstance(call.func, ast.Attribute):
        return False
    role = callees.GUESSES.get(call.func.attr)
    # `ops.rbf(x, y)`: what is given may be a library, and it takes the tensors.
    takes = any(isinstance(each, ast.Name) and _is_parameter(home, each) for each in call.args)
    return (
        role not in (Role.KERNEL, Role.NEVER) and (not takes or role is Role.CAST) and _is_made(home, call.func.value)
    )


def _is_made(home: Module, value: ast.expr) -> bool:
    """Whether a value is the function's own: a parameter, or what it computes, whose calls are looked at themselves."""
    while isinstance(value, ast.Attribute | ast.Subscript):
        value = value.value
    if not isinstance(value, ast.Name):
        return isinstance(value, ast.Call | ast.BinOp | ast.UnaryOp)
    values = [home.assigned_value(each) for each in home.bindings(value) if not isinstance(each, ast.arg)]
    is_own = all(isinstance(each, ast.Call | ast.BinOp | ast.UnaryOp) for each in values)
    return is_own and value.id not in ("self", "cls") and (bool(values) or _is_parameter(home, value))


def _is_parameter(home: Module, name: ast.Name) -> bool:
    return any(isinstance(each, ast.arg) for each in home.bindings(name))


def _is_default(module: Module, call: ast.Call, node: ast.AST, last: str) -> bool:
    """`getattr(config, "dtype", DEFAULT)`, `options.get("dtype", DEFAULT)`, `os.getenv("DTYPE", DEFAULT)`."""
    index = module.index(call.args, node)
    if last == "getattr":
        return index == 2
    return last in ("get", "pop", "setdefault", "getenv") and index == 1


def fate_of_cast(module: Module, call: ast.Call) -> Fate:
    """A cast or a creation chooses, unless its result only serves to ask for a size."""
    above = module.parent(call)
    sized = isinstance(above, ast.Attribute) and above.attr in ("element_size", "itemsize", "nbytes", "bits")
    return Fate.SIZE if sized else Fate.CHOOSES


def is_launch(module: Module, call: ast.Call) -> bool:
    """`kernel[grid](...)`, in a file whose Triton kernels name bfloat16."""
    return isinstance(call.func, ast.Subscript) and _names_triton(module)


@remembered
def _names_triton(module: Module) -> bool:
    module.ensure(".bfloat16")
    names = module.names.attributes_of("bfloat16")
    return any(module.resolve(node) == "triton.language.bfloat16" for node in names)
