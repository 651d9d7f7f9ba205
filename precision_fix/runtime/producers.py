"""Stand-ins for what creates a tensor in a dtype that the caller names.

PyTorch's argument parsers take the dtype of nearly all of these by keyword alone, so a stand-in costs one
look into its keywords; `_POSITIONS` lists the others. A function that is not listed here and yet returns
bfloat16 is found by tests/runtime/test_whole.py, which calls everything public.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from precision_fix.runtime.patching import Patches
from precision_fix.runtime.swap import Swap

Function = Callable[..., Any]

_FACTORIES = """
    arange as_tensor asarray bartlett_window blackman_window empty empty_permuted empty_strided eye full
    hamming_window hann_window kaiser_window linspace logspace normal ones rand randint randn randperm range
    scalar_tensor sparse_bsc_tensor sparse_bsr_tensor sparse_compressed_tensor sparse_coo_tensor
    sparse_csc_tensor sparse_csr_tensor tensor zeros _efficientzerotensor tril_indices triu_indices
"""
_LIKE = "empty_like full_like ones_like rand_like randint_like randn_like zeros_like"
_REDUCTIONS = """
    cumprod cumsum mean nanmean nansum prod sum norm softmax log_softmax native_norm hash_tensor
    _foreach_norm _foreach_powsum _segment_reduce _safe_softmax _sparse_sum _sparse_csr_sum _sparse_csr_prod
    _nested_tensor_from_tensor_list
"""
_PRODUCTS = "addmm baddbmm bmm mm"
_METHODS = """
    addmm baddbmm bmm mm cumprod cumprod_ cumsum cumsum_ log_softmax mean nanmean nansum new_empty
    new_empty_strided new_full new_ones new_tensor new_zeros norm prod softmax sum to_dense to_mkldnn
"""

#: Where the functions stand. `torch.linalg.norm` and `torch._C._linalg.linalg_norm` are one object and get
#: one stand-in.
TABLE: tuple[tuple[str, str], ...] = (
    ("torch", " ".join((_FACTORIES, _LIKE, _REDUCTIONS, _PRODUCTS))),
    ("torch.Tensor", _METHODS),
    ("torch.functional", "norm"),
    ("torch.linalg", "norm vector_norm matrix_norm"),
    ("torch._C._linalg", "linalg_norm linalg_vector_norm linalg_matrix_norm"),
    ("torch.fft", "fftfreq rfftfreq"),
    ("torch._C._fft", "fft_fftfreq fft_rfftfreq"),
    ("torch.special", "softmax log_softmax"),
    ("torch._C._special", "special_softmax special_log_softmax"),
    ("torch.sparse", "softmax log_softmax"),
    ("torch._C._sparse", "_sparse_softmax _sparse_log_softmax"),
    ("torch._C._nested", "nested_tensor"),
)

#: Where a dtype may also stand by position: name -> index among the arguments (a method's self is not
#: counted).
_POSITIONS = {
    "torch": {
        "softmax": 2, "log_softmax": 2, "norm": 5, "mm": 2, "bmm": 2, "addmm": 3, "baddbmm": 3,
        "_safe_softmax": 2, "_nested_tensor_from_tensor_list": 1,
    },
    "torch.functional": {"norm": 5},
    "torch.Tensor": {
        "softmax": 1, "log_softmax": 1, "norm": 3, "to_dense": 0, "to_mkldnn": 0,
        "mm": 1, "bmm": 1, "addmm": 2, "baddbmm": 2,
    },
    "torch.special": {"softmax": 2, "log_softmax": 2},
    "torch.sparse": {"softmax": 2, "log_softmax": 2},
    "torch._C._special": {"special_softmax": 2, "special_log_softmax": 2},
    "torch._C._sparse": {"_sparse_softmax": 2, "_sparse_log_softmax": 2},
}  # fmt: skip

#: Functions whose first argument may be raw bytes: then the dtype says how to read them.
_READS_BYTES = {"asarray"}


def resolve(path: str) -> Any | None:
    """The module or class of this dotted name, None where this version has none."""
    try:
        return importlib.import_module(path)
    except ImportError:
        parent, _, name = path.rpartition(".")
        return getattr(resolve(parent), name, None) if parent else None


def patch(patches: Patches, swap: Swap) -> None:
    """Wrap every function of `TABLE` that this version of torch has."""
    for path, names in TABLE:
        owner = resolve(path)
        if owner is None:
            patches.skipped.append(f"{path}: this version does not have it")
            continue
        positions = _POSITIONS.get(path, {})
        for name in names.split():
            _wrap(patches, swap, owner, name, positions.get(name))
    _patch_defaults(patches, swap)


def _wrap(patches: Patches, swap: Swap, owner: Any, name: str, position: int | None) -> None:
    def make(original: Function) -> Function:
        special = swap.maker(original, name, swap, isinstance(owner, type)) if swap.maker is not None else None
        if special is not None:
            return special
        keyword = "out_dtype" if name in _PRODUCTS.split() else "dtype"
        if isinstance(owner, type):
            return method_standin(original, swap, keyword, position)
        return function_standin(original, swap, keyword, position, name in _READS_BYTES)

    patches.wrap(owner, name, make)


def replaced(
    args: tuple[Any, ...], kwargs: dict[str, Any], swap: Swap, keyword: str, position: int | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with `swap.target` in the place of `swap.source`, unless they go to an `out=` in the
    source.
    """
    out = kwargs.get("out")
    if out is not None and getattr(out, "dtype", None) is swap.source:
        return args, kwargs
    if kwargs.get(keyword) is swap.source:
        kwargs[keyword] = swap.target  # the dict of `**kwargs` is the call's own
    if position is not None and len(args) > position and args[position] is swap.source:
        args = (*args[:position], swap.target, *args[position + 1 :])
    return args, kwargs


def function_standin(
    original: Function, swap: Swap, keyword: str, position: int | None, reads_bytes: bool = False
) -> Function:
    """A function of a torch module.

    A tensor subclass or a TorchFunctionMode is told the public function, which is the stand-in: a table like
    `{torch.sum: ...}` that was written after `install()` holds the stand-in, and PyTorch's C++ would pass the
    original.
    """
    from torch.overrides import handle_torch_function, has_torch_function_variadic

    bfloat16, compiling = swap.source, swap.compiling

    def by_keyword(*args: Any, **kwargs: Any) -> Any:
        if kwargs and kwargs.get(keyword) is bfloat16 and swap.applies():
            args, kwargs = replaced(args, kwargs, swap, keyword, None)
        if has_torch_function_variadic(*args) and not compiling():
            return handle_torch_function(by_keyword, args, *args, **kwargs)
        return original(*args, **kwargs)

    def by_position(*args: Any, **kwargs: Any) -> Any:
        asked = (kwargs and kwargs.get(keyword) is bfloat16) or (len(args) > place and args[place] is bfloat16)
        if asked and swap.applies():
            args, kwargs = replaced(args, kwargs, swap, keyword, place)
        if has_torch_function_variadic(*args) and not compiling():
            return handle_torch_function(by_position, args, *args, **kwargs)
        return original(*args, **kwargs)

    def of_bytes(*args: Any, **kwargs: Any) -> Any:
        if kwargs and kwargs.get(keyword) is bfloat16 and swap.applies() and not (args and _is_raw(args[0])):
            args, kwargs = replaced(args, kwargs, swap, keyword, None)
        if has_torch_function_variadic(*args) and not compiling():
            return handle_torch_function(of_bytes, args, *args, **kwargs)
        return original(*args, **kwargs)

    if reads_bytes:
        return of_bytes
    if position is None:
        return by_keyword
    place: int = position
    return by_position


def method_standin(original: Function, swap: Swap, keyword: str, position: int | None) -> Function:
    """A method of torch.Tensor. C++ hands `__torch_function__` what it finds on torch.Tensor: the
    stand-in.
    """
    bfloat16 = swap.source

    def by_keyword(self: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs and kwargs.get(keyword) is bfloat16 and swap.applies():
            args, kwargs = replaced(args, kwargs, swap, keyword, None)
        return original(self, *args, **kwargs)

    def by_position(self: Any, *args: Any, **kwargs: Any) -> Any:
        asked = (kwargs and kwargs.get(keyword) is bfloat16) or (len(args) > place and args[place] is bfloat16)
        if asked and swap.applies():
            args, kwargs = replaced(args, kwargs, swap, keyword, place)
        return original(self, *args, **kwargs)

    if position is None:
        return by_keyword
    place: int = position
    return by_position


def _is_raw(data: object) -> bool:
    """Whether torch.asarray would read `data` as raw memory (the buffer protocol) and not as numbers."""
    module = type(data).__module__
    if module.startswith(("torch", "numpy")):
        return False
    try:
        memoryview(data).release()  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


def _patch_defaults(patches: Patches, swap: Swap) -> None:
    """torch.set_default_dtype and set_default_tensor_type, and a default that is bfloat16 already."""
    import torch

    def dtype_setter(original: Function) -> Function:
        def set_default_dtype(d: Any) -> None:
            swap.default_is_source = d is swap.source
            original(swap.target if d is swap.source and swap.applies() else d)

        return set_default_dtype

    def type_setter(original: Function) -> Function:
        def set_default_tensor_type(t: Any) -> None:
            original(tensor_type(t, swap) if swap.applies() else t)

        return set_default_tensor_type

    patches.wrap(torch, "set_default_dtype", dtype_setter)
    patches.wrap(torch, "set_default_tensor_type", type_setter)
    if torch.get_default_dtype() is swap.source:
        torch.set_default_dtype(swap.target)
        swap.default_is_source = True

        def back() -> None:
            if torch.get_default_dtype() is swap.target:
                torch.set_default_dtype(swap.source)

        patches.on_restore(back)


def tensor_type(kind: Any, swap: Swap) -> Any:
    """The legacy tensor type (`torch.cuda.BFloat16Tensor`, or its name) for `swap.target` in the place of
    bfloat16's.
    """
    import torch

    letters = "HalfTensor" if swap.target is torch.float16 else "FloatTensor"
    if isinstance(kind, str):
        return kind.replace("BFloat16Tensor", letters)
    if isinstance(kind, type) and kind.__name__ == "BFloat16Tensor":
        return getattr(resolve(kind.__module__), letters, kind)
    return kind
