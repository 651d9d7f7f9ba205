"""Compiled kernels: whether a callee is one, and whether a place stands near one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import partial
from pathlib import PurePath

from precision_fix.model.module import Function, Module, remembered
from precision_fix.model.paths import always
from precision_fix.model.syntax import called
from precision_fix.model.vocabulary.attention import STOOD_IN
from precision_fix.model.vocabulary.callees import (
    AMPERE_PACKAGES,
    FLOAT8_PRODUCTS,
    GUESSES,
    KERNEL_PACKAGES,
    OF_EVERY_PRECISION,
    Role,
)

# Compiled extension modules by their usual names: `_C`, `_custom_ops`, `moe_cuda`.
_EXTENSION = re.compile(r"^_C$|^_?custom_ops$|_(?:cuda|ext)$")
# Packages of them: `sgl_kernel`, `q8_kernels`.
_PACKAGE = re.compile(r"_kernels?$")
_PATH = re.compile(r"(?i)kernel|triton|cutlass|cute|csrc|tilelang|deep_?gemm|flash_?(?:attn|mla|infer)")
_TWOS = frozenset({"int16", "uint16", "<u2", "<i2", "u2", "i2"})
# What gives a library of compiled functions.
_LOADS = frozenset({"ctypes.CDLL", "ctypes.PyDLL", "ctypes.WinDLL", "ctypes.cdll.LoadLibrary"})


def is_kernel(name: str | None) -> bool:
    """Whether a resolved callee is a compiled kernel: of one of the packages, or a custom operator of torch.ops."""
    if name is None:
        return False
    parts = name.split(".")
    if parts[:2] == ["torch", "ops"]:
        return len(parts) > 2 and parts[2] not in ("aten", "prims", "torchvision")
    if len(parts) > 1 and _PACKAGE.search(parts[0]) and parts[0] not in OF_EVERY_PRECISION:
        return True
    return parts[0] in KERNEL_PACKAGES or any(_EXTENSION.search(part) for part in parts[:-1])


def is_unseen(module: Module, name: str | None) -> bool:
    """Whether it is a kernel of which no more than the name is known: `my_kernels.rbf` may stand in the project."""
    if name is None or not is_kernel(name):
        return False
    return _PACKAGE.search(name.partition(".")[0]) is None or module.around.definition(module, name) is None


def needs_ampere(name: str | None, last: str) -> bool:
    """Whether a callee runs from compute capability 8.0 on alone."""
    return GUESSES.get(last) is Role.NEVER or (name is not None and name.partition(".")[0] in AMPERE_PACKAGES)


def cannot_run(module: Module, node: ast.AST) -> bool:
    """Whether each way through the function around a node calls such a kernel: on this GPU nobody goes it."""
    function = module.function(node)
    return function is not None and _calls_such(module, function)


@remembered
def _calls_such(module: Module, function: Function) -> bool:
    return always(function.body, partial(_calls, module))


def _calls(module: Module, node: ast.AST) -> bool:
    calls = (each for each in ast.walk(node) if isinstance(each, ast.Call))
    return any(needs_ampere(module.resolve(call.func), called(call)) for call in calls)


def stood_in(module: Module, node: ast.AST) -> bool:
    """Whether what a node goes to is a function of flash-attn, in whose place the runtime has another."""
    function = module.function(node)
    return function is not None and _calls_stood_in(module, function)


@remembered
def _calls_stood_in(module: Module, function: Function) -> bool:
    calls = (each for each in ast.walk(function) if isinstance(each, ast.Call))
    names = [module.resolve(call.func) or "" for call in calls if needs_ampere(module.resolve(call.func), called(call))]
    return any(name.rpartition(".")[0] in STOOD_IN for name in names) and not FLOAT8_PRODUCTS.intersection(names)


def to_native(module: Module, address: ast.Attribute) -> bool:
    """Whether `x.data_ptr` is called to hand the memory of `x` to a function of C, which takes it for one dtype.

    Not where the function around it tests a dtype: it may have one for each.
    """
    call = module.parent(address)
    taker = module.parent(call) if isinstance(call, ast.Call) and call.func is address else None
    if not isinstance(taker, ast.Call) or taker.func is call:
        return False
    name = module.resolve(taker.func) or ""
    lies_over = _lies_over(taker.func) or read_in_twos(module, taker)
    if not name.startswith("ctypes.") and not _is_library(module, taker.func) and not lies_over:
        return False
    function = module.function(address)
    return function is None or not _tests_a_dtype(module, function)


def _lies_over(func: ast.expr) -> bool:
    """`(ctypes.c_uint16 * n).from_address`, which reads what lies there as that; not bytes, of which there are more."""
    if not isinstance(func, ast.Attribute) or func.attr != "from_address":
        return False
    names = {getattr(each, "attr", getattr(each, "id", "")) for each in ast.walk(func.value)}
    return names.isdisjoint({"c_uint8", "c_int8", "c_byte", "c_ubyte", "c_char"})


def read_in_twos(module: Module, array: ast.Call) -> bool:
    """Whether NumPy reads an array of bytes two by two: `np.frombuffer((c_uint8 * n).from_address(p), np.uint16)`."""
    held = [array, *_read_by(module, array)]
    for call in (module.parent(each) for each in held):
        if isinstance(call, ast.Call) and called(call) in ("frombuffer", "as_array", "asarray", "array"):
            behind = module.parent(module.parent(call) or call)
            views = behind.args if isinstance(behind, ast.Call) and called(behind) == "view" else []
            given = [*call.args, *(each.value for each in call.keywords), *views]
            if any(getattr(each, "attr", getattr(each, "value", "")) in _TWOS for each in given):
                return True
    return False


def _read_by(module: Module, array: ast.AST, deep: bool = True) -> Iterator[ast.AST]:
    """What stands for an array: the reads of a name for it, and the calls of the function that gives it."""
    above = module.parent(array)
    for name in above.targets if isinstance(above, ast.Assign) else ():
        for reader in module.readers(name) if isinstance(name, ast.Name) else ():
            yield reader
            yield from _read_by(module, reader, deep) if isinstance(module.parent(reader), ast.Return) else ()
    function = module.function(array) if isinstance(above, ast.Return) and deep else None
    if isinstance(function, ast.FunctionDef):
        module.ensure(function.name)
        for call in module.names.calls_of(function.name):
            yield call
            yield from _read_by(module, call, deep=False)


def _is_library(module: Module, func: ast.expr) -> bool:
    """`lib.product`, where `lib = ctypes.CDLL(...)`."""
    base = func.value if isinstance(func, ast.Attribute) else None
    bound = module.bindings(base) if isinstance(base, ast.Name) else []
    value = module.assigned_value(bound[0]) if len(bound) == 1 else None
    loads = module.resolve(value.func) if isinstance(value, ast.Call) else None
    return loads in _LOADS


@remembered
def _tests_a_dtype(module: Module, function: Function) -> bool:
    sides = (
        side for each in ast.walk(function) if isinstance(each, ast.Compare) for side in (each.left, *each.comparators)
    )
    return any(isinstance(side, ast.Attribute) and side.attr == "dtype" for side in sides)


def is_of_kernels(module: Module) -> bool:
    """Whether a file is one of kernels, by its folders; where the clone itself lies says nothing."""
    return _PATH.search("/".join(PurePath(module.path).parts[-3:])) is not None


def near_kernel(module: Module, node: ast.AST) -> bool:
    """Whether the function around a node launches a kernel, or its file is one of kernels."""
    return is_of_kernels(module) or _holds_kernel(module, module.function(node) or module.tree)


@remembered
def _holds_kernel(module: Module, around: ast.AST) -> bool:
    from precision_fix.model.built import is_compiled

    for inner in ast.walk(around):
        if isinstance(inner, ast.Call):
            # `kernel[grid](...)`; a layer of a list, `self.blocks[i](x)`, is none.
            launches = isinstance(inner.func, ast.Subscript) and isinstance(inner.func.value, ast.Name)
            if launches or is_kernel(module.resolve(inner.func)):
                return True
            if isinstance(inner.func, ast.Attribute) and is_compiled(module, inner.func.value):
                return True
        elif isinstance(inner, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in inner.names] if isinstance(inner, ast.Import) else [inner.module or ""]
            if any(name.split(".")[0] in (KERNEL_PACKAGES | {"triton"}) for name in names):
                return True
    return False
