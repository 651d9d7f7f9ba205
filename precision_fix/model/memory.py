"""The memory of a tensor by itself, `x.untyped_storage()`: bytes, whose number and bits are those of its dtype."""

from __future__ import annotations

import ast

from precision_fix.model.module import Module
from precision_fix.model.syntax import called
from precision_fix.model.vocabulary.callees import COPY_BYTES, GUESSES, Role

#: What is asked of a tensor, or of a storage that has a dtype, to get at its memory.
GIVES = frozenset({"untyped_storage", "untyped", "_untyped_storage"})
#: Methods that read the bytes, or turn them round.
READS = frozenset({"tolist", "byteswap", "_byteswap", "_write_file", "__getitem__", "__iter__"})
#: Methods that give the same bytes elsewhere.
PASSES = frozenset({"cpu", "cuda", "clone", "to", "pin_memory", "untyped", "share_memory_"})
# Tensors of these are made by a name of their own.
_INTEGERS = frozenset({"ByteTensor", "CharTensor", "ShortTensor", "IntTensor", "LongTensor"})


def reads_bits(module: Module, call: ast.Call, node: ast.AST) -> bool:
    """Whether a call that is given a memory reads its bytes: `bytes`, a sequence, NumPy, a tensor of integers."""
    name, last = module.resolve(call.func), called(call)
    if name in COPY_BYTES or (isinstance(call.func, ast.Name) and GUESSES.get(name or "") is Role.SEQUENCE):
        return True
    if last == "set_" and isinstance(call.func, ast.Attribute):
        return node is not call.func and _is_of_integers(module, call.func.value)
    return name is not None and (name.startswith("numpy.") or name.rpartition(".")[2] in _INTEGERS)


def _is_of_integers(module: Module, tensor: ast.expr) -> bool:
    """Whether a tensor is made with a dtype of integers, here or where the one assignment to its name stands."""
    if isinstance(tensor, ast.Name):
        bound = module.bindings(tensor)
        value = module.assigned_value(bound[0]) if len(bound) == 1 else None
        return isinstance(value, ast.Call) and _is_of_integers(module, value)
    if not isinstance(tensor, ast.Call):
        return False
    dtypes = {module.dtype_name(each) for each in [*tensor.args, *(keyword.value for keyword in tensor.keywords)]}
    return called(tensor) in _INTEGERS or any(str(dtype).startswith(("int", "uint")) for dtype in dtypes)


def of_class(module: Module, call: ast.Call, node: ast.AST) -> str | None:
    """The method that is called by its class: `torch.Tensor.view(x, torch.int16)`."""
    func = call.func
    if not isinstance(func, ast.Attribute) or not _is_tensor(func.value):
        return None
    return func.attr if call.args[:1] == [node] and module.resolve(func.value) == "torch.Tensor" else None


def _is_tensor(node: ast.expr) -> bool:
    return (node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")) == "Tensor"
