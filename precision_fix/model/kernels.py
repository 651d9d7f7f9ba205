"""Compiled kernels: the packages that bring them, and whether a place stands near one."""

from __future__ import annotations

import ast
import re
from pathlib import PurePath

from precision_fix.model.module import Module
from precision_fix.model.syntax import called

# Packages whose functions are CUDA, CUTLASS or Triton kernels compiled for half precisions.
PACKAGES = frozenset(
    {"flash_attn", "flash_attn_interface", "flashinfer", "sgl_kernel", "deep_gemm", "deep_ep", "flash_mla", "cutlass"}
    | {"tilelang", "fbgemm_gpu", "transformer_engine", "aiter", "vllm_flash_attn", "grouped_gemm", "sageattention"}
    | {"torchao", "causal_conv1d", "mamba_ssm", "flash_attn_3", "fast_hadamard_transform", "quack", "deepgemm"}
)
# Of these, what has no kernel below compute capability 8.0 (flash-attention's README): nothing that leads there alone
# runs on this GPU.
_AMPERE = frozenset({"flash_attn", "flash_attn_interface", "flash_attn_3", "vllm_flash_attn"})
_AMPERE_CALLS = frozenset(
    {"flash_attn_func", "flash_attn_varlen_func", "flash_attn_qkvpacked_func", "flash_attn_varlen_qkvpacked_func"}
    | {"flash_attn_with_kvcache", "flash_attn_varlen_kvpacked_func", "flash_attn_kvpacked_func"}
)
_OTHER_WAY = re.compile(r"scaled_dot_product_attention|softmax|xformers|sdpa")
# Compiled extension modules by their usual names: `_C`, `_custom_ops`, `moe_cuda`.
_EXTENSION = re.compile(r"^_C$|^_?custom_ops$|_(?:cuda|ext)$")
_PATH = re.compile(r"(?i)kernel|triton|cutlass|cute|csrc|tilelang|deep_?gemm|flash_?(?:attn|mla|infer)")


def is_kernel(name: str | None) -> bool:
    """Whether a resolved callee is a compiled kernel: of one of the packages, or a custom operator of torch.ops."""
    if name is None:
        return False
    parts = name.split(".")
    if parts[:2] == ["torch", "ops"]:
        return len(parts) > 2 and parts[2] not in ("aten", "prims", "torchvision")
    return parts[0] in PACKAGES or any(_EXTENSION.search(part) for part in parts[:-1])


def needs_ampere(name: str | None, last: str) -> bool:
    """Whether a callee runs from compute capability 8.0 on alone."""
    return last in _AMPERE_CALLS or (name is not None and name.partition(".")[0] in _AMPERE)


def cannot_run(module: Module, node: ast.AST) -> bool:
    """Whether the function around a node does nothing but call such a kernel: on this GPU nobody comes here."""
    function = module.function(node)
    if function is None:
        return False
    names = [(module.resolve(call.func), called(call)) for call in ast.walk(function) if isinstance(call, ast.Call)]
    return any(needs_ampere(*each) for each in names) and not any(
        _OTHER_WAY.search(f"{name} {last}") for name, last in names
    )


def near_kernel(module: Module, node: ast.AST) -> bool:
    """Whether the function around a node launches a kernel, or its file is one of kernels."""
    # The folders near the file; where the clone itself lies says nothing.
    if _PATH.search("/".join(PurePath(module.path).parts[-3:])):
        return True
    around: ast.AST = module.function(node) or module.tree
    for inner in ast.walk(around):
        if isinstance(inner, ast.Call):
            if isinstance(inner.func, ast.Subscript) or is_kernel(module.resolve(inner.func)):
                return True
        elif isinstance(inner, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in inner.names] if isinstance(inner, ast.Import) else [inner.module or ""]
            if any(name.split(".")[0] in (PACKAGES | {"triton"}) for name in names):
                return True
    return False
