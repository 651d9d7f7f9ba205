"""Objects whose methods are compiled kernels: an extension that the program builds, a class of a package of kernels."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from precision_fix.model.callees import functions_of
from precision_fix.model.classes import class_around, constructed, is_own
from precision_fix.model.kernels import is_kernel, is_unseen
from precision_fix.model.module import Function, Module, remembered

# What torch.utils.cpp_extension's load and load_inline are given: the files or texts that are compiled.
_SOURCES = frozenset({"sources", "cuda_sources", "cpp_sources"})


def is_compiled(module: Module, base: ast.expr) -> bool:
    """Whether what a method is called on is such an object, as far as the program shows how it was made."""
    made = constructed(module, base) if isinstance(base, ast.Name | ast.Attribute | ast.Call) else None
    return made is not None and _makes_compiled(module, made)


def is_kernels_name(module: Module, func: ast.expr) -> bool:
    """Whether what is called is a kernel under a name of the program's own: `self.ops.f`, `fast if so else slow`."""
    if not _imports_kernels(module):
        return False
    inner, behind = func, ""
    while isinstance(inner, ast.Attribute) and not is_own(inner):
        behind = f".{inner.attr}{behind}"
        inner = inner.value
    values = [arm for value in _values(module, inner) for arm in _arms(value)]
    return any(is_unseen(module, (module.resolve(each) or "") + behind) for each in values)


@remembered
def _imports_kernels(module: Module) -> bool:
    module.ensure_imports(lambda name: is_kernel(f"{name}.f"))
    bound = (each for scope in module.names.scopes.values() for some in scope.bindings.values() for each in some)
    return any(is_kernel(f"{module.imported(each) or ''}.f") for each in bound if isinstance(each, ast.alias))


def _values(module: Module, name: ast.expr) -> Iterator[ast.expr | None]:
    if isinstance(name, ast.Attribute):
        cls = class_around(module, name)
        module.ensure_assigned("." + name.attr)
        attributes = [each for each in module.names.attributes_of(name.attr) if is_own(each)]
        yield from (module.assigned_value(each) for each in attributes if class_around(module, each) is cls)
    elif isinstance(name, ast.Name):
        yield from map(module.assigned_value, module.bindings(name))


def _arms(value: ast.expr | None) -> Iterator[ast.expr]:
    if isinstance(value, ast.IfExp):
        yield from _arms(value.body)
        yield from _arms(value.orelse)
    elif value is not None:
        yield value


@remembered
def _makes_compiled(module: Module, callee: ast.expr) -> bool:
    call = module.parent(callee)
    if isinstance(call, ast.Call) and call.func is callee and any(each.arg in _SOURCES for each in call.keywords):
        return True
    if _is_class_of_kernels(module.resolve(callee)):
        return True
    found = functions_of(module, callee)
    return any(isinstance(made, Function) and _returns_compiled(home, made) for home, made, _ in found)


def _returns_compiled(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """`def get_buffer(): ... _BUFFER = deep_ep.Buffer(...); return _BUFFER`."""
    returned = (each.value for each in ast.walk(function) if isinstance(each, ast.Return))
    made = (constructed(module, value) for value in returned if isinstance(value, ast.Name | ast.Call))
    return any(each is not None and _is_class_of_kernels(module.resolve(each)) for each in made)


def _is_class_of_kernels(name: str | None) -> bool:
    """What a function of such a package gives is a tensor, like any other."""
    return is_kernel(name) and (name or "").rpartition(".")[2][:1].isupper()
