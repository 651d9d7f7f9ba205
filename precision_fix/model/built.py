"""Objects whose methods are compiled kernels: an extension that the program builds, a class of a package of kernels."""

from __future__ import annotations

import ast

from precision_fix.model.callees import functions_of
from precision_fix.model.classes import constructed
from precision_fix.model.kernels import is_kernel
from precision_fix.model.module import Function, Module, remembered

# What torch.utils.cpp_extension's load and load_inline are given: the files or texts that are compiled.
_SOURCES = frozenset({"sources", "cuda_sources", "cpp_sources"})


def is_compiled(module: Module, base: ast.expr) -> bool:
    """Whether what a method is called on is such an object, as far as the program shows how it was made."""
    made = constructed(module, base) if isinstance(base, ast.Name | ast.Attribute | ast.Call) else None
    return made is not None and _makes_compiled(module, made)


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
