"""What a call does with an argument: it casts, compares, prints, reads bytes, asks for a size."""

from __future__ import annotations

import ast
import re
from enum import Enum, auto

from precision_fix.model.fate import Fate
from precision_fix.model.kernels import is_kernel, needs_ampere
from precision_fix.model.module import Module


class Role(Enum):
    """What the callee does with one of its arguments."""

    CAST = auto()
    TEXT = auto()
    TEST = auto()
    BYTES = auto()
    SIZE = auto()
    KERNEL = auto()
    NEVER = auto()
    KEY = auto()
    SEQUENCE = auto()
    PICK = auto()
    APPEND = auto()
    CASES = auto()
    REGISTER = auto()
    NOTHING = auto()
    DEFAULT = auto()
    OTHER = auto()


# Attributes of a dtype that describe it.
DESCRIBES = frozenset({"itemsize", "is_floating_point", "is_complex", "is_signed", "__name__"})

_TEXT_FUNCTIONS = frozenset({"print", "str", "repr", "format", "warn", "warn_once", "print_rank_0"})
_TEXT_METHODS = frozenset(
    {"debug", "info", "warning", "error", "exception", "critical", "log", "format", "write", "join", "echo"}
    | {"warning_once", "info_once", "rank_zero_info", "rank_zero_warn", "rank_zero_debug", "fail", "skip", "skipTest"}
)
_TESTS = frozenset({"isinstance", "issubclass", "hasattr", "type", "id", "hash", "startswith", "endswith"})
_SEQUENCES = frozenset(
    {"set", "frozenset", "list", "tuple", "sorted", "reversed", "iter", "enumerate", "zip", "product", "chain", "cycle"}
    | {"permutations", "combinations"}
)
_PICKS = frozenset({"choice", "next", "max", "min", "sample", "choices"})
_APPENDS = frozenset({"append", "add", "insert", "extend", "appendleft"})
_KEY_METHODS = frozenset({"get", "pop", "setdefault", "index", "count", "remove", "discard", "__contains__"})
# Callees that read or lay out stored bytes (PyTorch documents frombuffer, view and from_file as reinterpreting).
_BYTES = frozenset(
    {"frombuffer", "from_file", "TypedStorage", "UntypedStorage", "_rebuild_tensor", "_rebuild_tensor_v2"}
    | {"from_buffer", "view_dtype", "memmap", "fromfile"}
)
_SIZE = re.compile(r"(?:^|_)(?:size|sizeof|nbytes|itemsize|bytes|bits|bitwidth|n_bytes|numbytes)(?:$|_)")
# Operators whose CUDA kernel takes or gives bfloat16 alone (aten/native_functions: _weight_int4pack_mm and its
# conversion; _scaled_mm row-wise; _scaled_grouped_mm) and the packages whose kernels need a half precision.
_KERNELS = frozenset(
    {"_weight_int4pack_mm", "_convert_weight_to_int4pack", "_scaled_mm", "_scaled_grouped_mm", "_grouped_mm"}
    | {"_flash_attention_forward", "varlen_attn", "get_ptr"}
)
# Callees that answer a question, and those that build a kernel for the dtype that they are given.
_PREDICATE = re.compile(r"^_?(?:can|is|has|supports?|should)_|_(?:available|supported|works|ok)$")
_COMPILES = re.compile(r"(?:^|_)(?:jit|compile|cpp|codegen|kernel)(?:$|_)")
_CASTS = frozenset({"to", "type", "new_zeros", "new_ones", "new_empty", "new_full", "new_tensor", "astype"})


def role(module: Module, call: ast.Call, node: ast.AST, keyword: str | None) -> Role:
    """What `call` does with the argument `node` (passed as `keyword` if named)."""
    name = module.resolve(call.func)
    last = name.rpartition(".")[2] if name else call.func.attr if isinstance(call.func, ast.Attribute) else ""
    is_method = isinstance(call.func, ast.Attribute)
    of_torch = name is not None and name.startswith("torch.")
    if needs_ampere(name, last):
        return Role.NEVER
    if last in _KERNELS or is_kernel(name):
        return Role.KERNEL
    if last in _BYTES or (last == "view" and is_method):
        return Role.BYTES
    if (
        last in _TEXT_FUNCTIONS
        or (is_method and last in _TEXT_METHODS)
        or last.endswith(("Error", "Exception", "Warning"))
    ):
        return Role.TEXT
    if _is_default(module, call, node, last):
        return Role.DEFAULT
    if last == "getattr" and module.resolve(call.args[0]) == "torch":
        return Role.CAST
    if last in ("isinstance", "issubclass", "hasattr", "getattr") and call.args and call.args[0] is node:
        # `isinstance(dtype, str)` asks for the type of the variable, not which dtype it is.
        return Role.NOTHING
    if (last in _TESTS and not (is_method and last == "type")) or (_PREDICATE.search(last) and not of_torch):
        return Role.TEST
    if _COMPILES.search(last) and not of_torch:
        return Role.KERNEL
    if of_torch or last in _CASTS:
        return Role.SIZE if last == "_element_size" else Role.CAST
    if last == "register_buffer":
        return Role.REGISTER
    if last == "parametrize":
        return Role.CASES
    if is_method and last in _KEY_METHODS and keyword is None and call.args and call.args[0] is node:
        return Role.KEY
    if last in _SEQUENCES:
        return Role.SEQUENCE
    if last in _PICKS:
        return Role.PICK
    if is_method and last in _APPENDS:
        return Role.APPEND
    return Role.SIZE if _SIZE.search(last.lower()) and module.definition(last) is None else Role.OTHER


def _is_default(module: Module, call: ast.Call, node: ast.AST, last: str) -> bool:
    """`getattr(config, "dtype", DEFAULT)`, `options.get("dtype", DEFAULT)`, `os.getenv("DTYPE", DEFAULT)`."""
    index = next((i for i, argument in enumerate(call.args) if argument is node), None)
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
    names = module.names.attributes.get("bfloat16", ())
    return isinstance(call.func, ast.Subscript) and any(
        module.resolve(node) == "triton.language.bfloat16" for node in names
    )
