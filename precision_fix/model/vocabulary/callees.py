"""What a called function does with a dtype that it is given, by its whole name; and guesses by the last name alone.

A whole name is one that imports lead to: `torch.frombuffer`, whatever it is called in the file. Most values that
methods are called on have none (`logger.info`, `x.to`): there the last name is all there is, and the answer a guess.
"""

from __future__ import annotations

import re
from enum import Enum, auto


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


def _are(role: Role, names: str, module: str = "") -> dict[str, Role]:
    return {f"{module}.{name}" if module else name: role for name in names.split()}


#: Packages whose functions are CUDA, CUTLASS or Triton kernels compiled for half precisions.
KERNEL_PACKAGES = frozenset(
    {"flash_attn", "flash_attn_interface", "flashinfer", "sgl_kernel", "deep_gemm", "deep_ep", "flash_mla", "cutlass"}
    | {"tilelang", "fbgemm_gpu", "transformer_engine", "aiter", "vllm_flash_attn", "grouped_gemm", "sageattention"}
    | {"torchao", "causal_conv1d", "mamba_ssm", "flash_attn_3", "fast_hadamard_transform", "quack", "deepgemm"}
)
#: What is called as such a package, and computes in Triton in whichever dtype it is given, float32 among them (Liger's
#: tests compare both).
OF_EVERY_PRECISION = frozenset({"liger_kernel"})
#: Of KERNEL_PACKAGES, what has no kernel below compute capability 8.0 (flash-attention's README): what leads there
#: alone does not run on a GPU without bfloat16.
AMPERE_PACKAGES = frozenset({"flash_attn", "flash_attn_interface", "flash_attn_3", "vllm_flash_attn"})
_AMPERE = (
    "flash_attn_func flash_attn_varlen_func flash_attn_qkvpacked_func flash_attn_varlen_qkvpacked_func"
    " flash_attn_with_kvcache flash_attn_kvpacked_func flash_attn_varlen_kvpacked_func"
)
#: Of torchao's configs, those that store weights in up to 8 bits and give their products in the dtype of the input,
#: whichever it is (torchao/quantization/quant_api.py; quantize_/workflows: Int8Tensor, IntxUnpackedToInt8Tensor).
EIGHT_BITS = re.compile(
    r"^(?:(?:int8|intx|float8|fp8)_?weight_?only|int8_?dynamic_?activation_?int[8x]_?weight)(?:_?config)?$",
    re.IGNORECASE,
)
#: Those whose layout is made for bfloat16 alone.
FOUR_BITS = re.compile(r"int4", re.IGNORECASE)
#: Integers of the size of bfloat16, in which its bits are read.
TWO_BYTES = frozenset({"int16", "uint16"})
#: Builtins that take the bytes of what they are given.
COPY_BYTES = frozenset({"bytes", "bytearray", "memoryview"})
#: Attributes of a dtype that describe it.
DESCRIBES = frozenset({"itemsize", "is_floating_point", "is_complex", "is_signed", "__name__"})

# Operators whose CUDA kernel takes or gives bfloat16 alone (aten/native_functions: _weight_int4pack_mm and its
# conversion; _grouped_mm), and those for other devices that take scales of one dtype with what they multiply.
_OPERATORS = (
    "_weight_int4pack_mm _convert_weight_to_int4pack _grouped_mm "
    "_weight_int4pack_mm_for_cpu _weight_int4pack_mm_with_scales_and_zeros"
)
# Products of float8 matrices, which begin at compute capability 8.9 (aten/native/cuda/Blas.cpp, _scaled_mm_out_cuda).
_FLOAT8 = "_scaled_mm _scaled_grouped_mm"
_FLOAT8_PUBLIC = "scaled_mm scaled_grouped_mm"
#: The same by their whole names.
FLOAT8_PRODUCTS = frozenset(
    f"{home}.{name}"
    for home, names in (
        *(("torch", _FLOAT8), ("torch.ops.aten", _FLOAT8)),
        ("torch.nn.functional", _FLOAT8_PUBLIC),
    )
    for name in names.split()
)
# PyTorch documents these as reading stored bytes for what they are told to be.
_READERS = "frombuffer from_file TypedStorage UntypedStorage"
_BUILTINS = (
    _are(Role.TEXT, "print str repr format len")
    | _are(Role.TEST, "isinstance issubclass hasattr type id hash")
    | _are(Role.SEQUENCE, "set frozenset list tuple sorted reversed iter enumerate zip")
    | _are(Role.PICK, "next max min")
)
_TORCH = (
    _are(Role.KERNEL, _OPERATORS, "torch")
    | _are(Role.KERNEL, _OPERATORS, "torch.ops.aten")
    | _are(Role.NEVER, _FLOAT8, "torch")
    | _are(Role.NEVER, _FLOAT8, "torch.ops.aten")
    | _are(Role.NEVER, _FLOAT8_PUBLIC, "torch.nn.functional")
    | _are(Role.BYTES, _READERS, "torch")
    | _are(Role.BYTES, "_rebuild_tensor _rebuild_tensor_v2", "torch._utils")
    | _are(Role.SIZE, "_element_size", "torch._utils")
    | _are(Role.KERNEL, "varlen_attn", "torch.nn.attention.varlen")
)
#: Whatever else torch is given a dtype for, it is to create, cast or compute in it; unless its name says one of these.
OF_TORCH = frozenset({Role.KERNEL, Role.NEVER, Role.BYTES, Role.SIZE, Role.TEXT, Role.TEST})
#: By the whole name.
KNOWN = {
    **_BUILTINS,
    **_TORCH,
    **_are(Role.BYTES, "frombuffer memmap fromfile", "numpy"),
    **_are(Role.TEXT, "debug info warning error exception critical log", "logging"),
    **_are(Role.TEXT, "warn", "warnings"),
    **_are(Role.TEXT, "fail skip", "pytest"),
    **_are(Role.CASES, "parametrize", "pytest.mark"),
    **_are(Role.SEQUENCE, "product chain cycle permutations combinations", "itertools"),
    **_are(Role.PICK, "choice sample choices", "random"),
}
#: Given a list of what a node takes, ComfyUI chooses among it by what the GPU has (comfy/model_management.py). Where it
#: is not there: in its own tree they are followed.
OF_HOSTS = _are(Role.TEST, "unet_dtype unet_manual_cast vae_dtype", "comfy.model_management")
#: By the last name, of functions and methods.
GUESSES = (
    _BUILTINS
    | _are(Role.KERNEL, _OPERATORS)
    | _are(Role.KERNEL, "get_ptr varlen_attn _flash_attention_forward")
    | _are(Role.NEVER, f"{_AMPERE} {_FLOAT8} {_FLOAT8_PUBLIC}")
    | _are(Role.BYTES, f"{_READERS} _rebuild_tensor _rebuild_tensor_v2 from_buffer view_dtype memmap fromfile")
    | _are(Role.TEXT, "warn warn_once print_rank_0")
    | _are(Role.TEST, "startswith endswith")
    | _are(Role.CAST, "to new_zeros new_ones new_empty new_full new_tensor astype")
    | _are(Role.SIZE, "_element_size")
    | _are(Role.REGISTER, "register_buffer")
    | _are(Role.CASES, "parametrize")
    | _are(Role.SEQUENCE, "product chain cycle permutations combinations")
    | _are(Role.PICK, "choice sample choices")
)
#: By the last name, of methods alone.
METHODS = (
    _are(Role.BYTES, "view")
    | _are(Role.TEXT, "debug info warning error exception critical log format write join echo warning_once info_once")
    | _are(Role.TEXT, "rank_zero_info rank_zero_warn rank_zero_debug fail skip skipTest")
    | _are(Role.CAST, "type")
    | _are(Role.APPEND, "append add insert extend appendleft")
)
#: Methods that look up their first argument.
KEY_METHODS = frozenset({"get", "pop", "setdefault", "index", "count", "remove", "discard", "__contains__"})
# Last names by their shape: what answers a question, what builds a kernel for a dtype, what is printed when it is
# raised, what counts bytes.
PREDICATE = re.compile(r"^_?(?:can|is|has|supports?|should)_|_(?:available|supported|works|ok)$")
COMPILES = re.compile(r"(?:^|_)(?:jit|compile|cpp|codegen|kernel)(?:$|_)")
RAISED = ("Error", "Exception", "Warning")
SIZE = re.compile(r"(?:^|_)(?:size|sizeof|nbytes|itemsize|bytes|bits|bitwidth|n_bytes|numbytes)(?:$|_)")
