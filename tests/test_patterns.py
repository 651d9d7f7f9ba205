"""Each alternative of the patterns by which names and texts are told: what it alone finds, and what none finds."""

# Words and what they mean read best in one line.
# ruff: noqa: E501
from __future__ import annotations

import re

import pytest

from precision_fix.model import autocast, context, declared, guard, instead, kernels, products, short
from precision_fix.project import entries
from precision_fix.rules import (
    pf009_functional_probe,
    pf101_dtype,
    pf203_flag,
    pf205_attention,
    pf902_kernel,
    pf906_checkpoint,
)
from precision_fix.rules.lines import pf013_native_asks, pf910_native
from precision_fix.rules.settings import pf601_option, pf602_switch

FOUND = {
    "weights that may be in float8": (
        context._SHORT,
        "use_float8 FP8 e4m3fn e5m2 x.itemsize int8 quantize quantise",
        "float16 fp16 int4 quantum item e3m4",
    ),
    "names of float8": (short._SHORT, "float8_x e4m3fn e5m2 fp8 use_fp8 fp8_scale", "float8 fp8_autocast xfp8 fp8x"),
    "weights that are put into float8": (
        autocast._PUTS,
        "w.to(torch.float8_e4m3fn)|x = torch.float8_e5m2",
        "# w.to(torch.float8_e4m3fn)|w.dtype == torch.float8_e4m3fn|w.dtype != torch.float8_e4m3fn|w in (torch.float8_e4m3fn)|w is torch.float8_e4m3fn",
    ),
    "files of float8": (
        autocast._FILE,
        "'a_fp8.safetensors'|\"a_float8_b.ckpt\"|'E4M3.pt'|'fp8.pth'|'fp8.bin'",
        "'a.safetensors'|'fp8.txt'|fp8.bin|'fp8'.bin",
    ),
    "types of an option that is true or false": (
        declared._TRUTH_TYPES,
        "str2bool str_to_bool strtobool boolean parse_bool to_bool bool_arg literal_eval BOOLEAN",
        "bool str int my_type",
    ),
    "what needs something": (
        guard._NEEDS,
        "it requires x|it require x|only x|supports x|support x|supported|needs x|need x|REQUIRES",
        "required|needy|lonely|unsupported",
    ),
    "a setting that a message names": (
        guard._SETTING,
        "--dtype|pass --a|kind='x'|kind=\"x\"",
        "a--b|-a|kind=x|--1|Kind = 'x'",
    ),
    "what is asked of the layout": (
        guard._LAYOUT,
        "x.is_contiguous()|x.stride(0)|x.is_cuda|x.data_ptr()|a.device.type|x.device",
        "strided|devices|x.shape|device",
    ),
    "extension modules": (
        kernels._EXTENSION,
        "_C custom_ops _custom_ops moe_cuda my_ext",
        "C custom_op cuda ext _Cx moe_cudax",
    ),
    "folders of kernels": (
        kernels._PATH,
        "kernels triton cutlass cute csrc tilelang deepgemm deep_gemm flash_attn flashmla flash_infer FLASHATTN",
        "src deep flash gemm attn",
    ),
    "the hardware is asked": (
        products._HARDWARE,
        "get_device_capability|supports_x|is_available|compatible|arch|x_arch|sm_89|sm89|is_sm90|hopper|(8, 9)|8,9|can_run",
        "search|scan_x|sm_x|18, 9|8, 90|model",
    ),
    "a choice of the user": (
        products._CHOICE,
        "fp8 float8 f8 e4m3 e5m2 scaled_mm quantize FP8",
        "fp16 f80 scaled qant",
    ),
    "what a tensor is": (
        products._TENSOR,
        "torch.float8_e4m3fn|x.dtype|isinstance(x, y)|hasattr(x, 'a')|x is None|x is not None|x.shape|x.ndim",
        "dtypes|isinstance|hasattr|is x|shape|ndim",
    ),
    "probes": (
        pf009_functional_probe._PROBE,
        "probe is_probe self_check selfcheck self_test selftest is_fast works it_works",
        "probes workshop fast xprobe",
    ),
    "what tells of something stored": (
        pf101_dtype._TELLS,
        "src_x source_x from_x orig_x original_x expected_x ref_x checkpoint_x ckpt_x file_x my_storage stored SRC_x",
        "my_src_x xsrc store reference",
    ),
    "tables of what is supported": (
        pf203_flag._TABLE,
        "supports capabilities available features allowed SUPPORT",
        "use enable able",
    ),
    "float16 where a test fails": (instead._FLOAT16, "float16 fp16 use_fp16 x.half()", "bfloat16 bfp16 x-fp16 half"),
    "names for flash attention itself": (
        pf205_attention._NAMES_IT,
        "flash_x fa2 fa3 expected supported legacy",
        "fa4 sdpa support",
    ),
    "several examples in a row": (
        pf205_attention._PACKED,
        "packing packed padding_free varlen ring_attn multipack",
        "pack padding ring",
    ),
    "transformers' other word": (
        pf205_attention._SPEAKS_TRANSFORMERS,
        "'sdpa'|\"sdpa\"|attn_implementation=x|attn_implementation = x",
        "sdpa|my_attn_implementation=x|attn_implementation",
    ),
    "what an author demands": (
        pf902_kernel._DEMAND,
        "must be bf16|only bfloat16|requires bf16|require a b torch.bfloat16|needs `bf16|need bf16|ONLY BF16",
        "only a b c d bf16|only bf16 if x|only bf16 when x|only bf16, on x|prefers bf16|only bf16x",
    ),
    "another way": (
        pf902_kernel._FALLBACK,
        "falls back|fall back|fallback|slower|otherwise|Fallsback",
        "fell back|slow|wise",
    ),
    "what loads a model": (
        pf906_checkpoint._LOADERS,
        "from_pretrained from_config pipeline load LLM",
        "from_x pipe Llm",
    ),
    "native code that asks": (
        pf013_native_asks._ASKS,
        (
            "a == b|a != b|case x:|is_same<a, b>|TORCH_CHECK(x)|STD_TORCH_CHECK(x)|AT_DISPATCH_X(|DISPATCH_X|CHECK_X|static_assert(|assert(x)"
            "|#if X|# elif X|#ifdef X|#ifndef X|#define X|#undef X|#endif|#include <x>|return x.is_bf16|is_bf16(x)|sizeof(x)"
            '|struct a;|class a;|numeric_limits<a>|typeToScalar(|m.def("x")|m.impl("x")|value(x)'
        ),
        "a = b|cases|XTORCH_CHECK|asserts|#pragma x|struct a {|m.other(|values(x)|a >= b",
    ),
    "tensor cores by name": (
        pf910_native._PTX,
        "mma.sync.m16n8k16.bf16|wgmma.x.bf16|wmma.bf16|tcgen05.x.bf16|ldmatrix.bf16|mma_x_bf16|fragment<a, bf16>",
        "mma.f16|xmma.bf16|fragment<a>; bf16|mma bf16",
    ),
    "intrinsics": (
        pf910_native._INTRINSIC,
        "__float2bfloat16(x)|__floats_bfloat16_rn(x)|__bfloat162float(x)|__low2bfloat16|__hadd(x)|__hfma2(x)",
        "float2bfloat16(x)|__hadd|__float2half(x)|bfloat16(x)",
    ),
    "options of what is stored": (
        pf601_option._STORES,
        "save saved store storage output out export save_dtype my_out quant_storage x_export_y",
        "saves storages outer exporter xsave",
    ),
    "switches that turn off": (
        pf602_switch._OFF,
        "no disable without not skip allow no_bf16 x_disable skip_y",
        "non nothing allowed know",
    ),
    "commands that start a program": (
        entries._COMMAND,
        "python a.py|python3.11 a.py|torchrun a.py|accelerate launch a.py|deepspeed a.py|uv run a.py",
        "pythons a.py|relaunch a.py|rerun a.py|bash a.py",
    ),
    "a script": (entries._SCRIPT, "a.py|x/a-b.py|'a.py'|x=a.py|(a.py|\"a/b.py\"", "a.pyc|a.txt|:a.py"),
    "a module": (entries._MODULE, "-m a.b|python -m a", "-ma|x-m a|-m 1"),
}


def each(words: str) -> list[str]:
    return words.split("|") if "|" in words else words.split()


@pytest.mark.parametrize("name", FOUND)
def test_each_alternative(name: str) -> None:
    pattern, words, others = FOUND[name]
    assert isinstance(pattern, re.Pattern)
    assert [word for word in each(words) if not pattern.search(word)] == []
    assert [word for word in each(others) if pattern.search(word)] == []
