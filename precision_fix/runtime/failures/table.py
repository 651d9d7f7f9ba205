"""What ends programs below compute capability 8.0: one row a failure, with the message and where it comes from.

A pattern is looked for in "Type: message". The lines are format strings over `Facts`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from precision_fix.gpu import ComputeCapability, kernels


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known where the program failed."""

    #: "Tesla T4 (7.5)", or "this GPU".
    gpu: str = "this GPU"
    #: "7.5", or "below 8.0".
    capability: str = "below 8.0"
    #: How to start the program: "precision-fix run main.py".
    run: str = "precision-fix run PROGRAM"
    #: The folder of the program.
    folder: str = "DIR"
    #: Whether weights are stored in two bytes already.
    stored: bool = False
    #: Whether torch itself has kernels for the GPU, as far as is known: then it is an extension that has none.
    has_kernels: bool = False
    #: Whether it is a notebook, which nobody starts by a command.
    notebook: bool = False
    #: Whether the program computes in float16, and not in float32.
    halves: bool = False
    #: What brings a torch with kernels for it.
    wheel: str = kernels.advice([ComputeCapability(6, 0)])


@dataclass(frozen=True, slots=True)
class Failure:
    name: str
    pattern: re.Pattern[str]
    #: What it means on this GPU, and what to do: at most three lines in all.
    lines: tuple[str, ...]
    #: Where the message is raised.
    source: str
    #: What is said instead of `lines` where a fact of this name is so.
    when: tuple[str, tuple[str, ...]] = ("", ())
    #: The fact without which it is another failure: this one is not said then.
    only: str = ""


def _row(
    name: str,
    pattern: str,
    *lines: str,
    source: str,
    when: tuple[str, tuple[str, ...]] = ("", ()),
    only: str = "",
) -> Failure:
    return Failure(name, re.compile(pattern, re.DOTALL), lines, source, when, only)


#: The first row whose pattern is found is the one that is said.
TABLE = (
    _row(
        "flash attention",
        r"FlashAttention (?:only|forward only|backward only)?.*supports? Ampere|Ampere GPUs or newer",
        "flash-attn's kernels begin at compute capability 8.0, {gpu} has none.",
        'Choose SDPA or eager attention, in transformers attn_implementation="sdpa".',
        source="flash-attn: csrc/flash_attn/flash_api.cpp, mha_fwd",
    ),
    _row(
        "flash attention without a stand-in",
        r"No module named '(?:flash_attn_interface|flash_attn_3|flash_attn_2_cuda|flash_attn\.|xformers\.)"
        r"|cannot import name .* from '(?:flash_attn|xformers)\b",
        "{gpu} cannot run this part of flash-attn or xformers, and nothing stands in for it.",
        "Choose SDPA or eager attention in its settings, or flash-attn 2, which has one.",
        source="Python: importlib",
    ),
    _row(
        "flash attention is missing",
        r"(?:ImportError|ModuleNotFoundError).*flash[_-]attn"
        r"|FlashAttention\d? has been toggled on.*not (?:seem to be )?installed"
        r"|AssertionError.*(?i:flash[ _-]?att)"
        r"|(?:NameError: name '|NoneType' object is not callable in: .*)_?flash_attn",
        "The program wants flash-attn, which cannot run on {gpu}: installing it does not help.",
        "PRECISION_FIX_FLASH_ATTN=always {run}   # computed by PyTorch's attention",
        source="transformers: modeling_utils.py; dynamic_module_utils.py, check_imports",
    ),
    _row(
        "Triton",
        r"too old to be supported by the triton GPU compiler|Triton only supports devices of CUDA Capability",
        "torch.compile's Triton needs compute capability 7.0, {gpu} is older.",
        "TORCHDYNAMO_DISABLE=1 {run}   # the same program, not compiled",
        source="torch: _inductor/scheduler.py, create_backend; _inductor/exc.py, GPUTooOldForTriton",
    ),
    _row(
        "no kernels for this GPU",
        r"no kernel image is available for execution on the device|cudaErrorNoKernelImageForDevice",
        "This build of PyTorch, or of an extension, has no kernels for {gpu}.",
        "PyTorch: {wheel}",
        "If torch.cuda.get_arch_list() names it, it is an extension: build that for {capability}.",
        source="CUDA: cudaErrorNoKernelImageForDevice",
        when=(
            "has_kernels",
            (
                "An extension has no kernels for {gpu}; PyTorch itself has them.",
                "Build it for this GPU (TORCH_CUDA_ARCH_LIST={capability}), or do without it.",
            ),
        ),
    ),
    _row(
        "bfloat16 in a compiled kernel",
        r"(?:Feature|feature) '(?:cvt\.)?\.?bf16.*requires \.target sm_\d+"
        r"|bfloat16.*(?:requires|only supported on).*(?:sm_?80|compute capability|Ampere)"
        r"|Bfloat16 is only supported on GPUs with compute capability",
        "A kernel computes in bfloat16, which {gpu} has no units for.",
        "precision-fix {folder}   # what names it becomes float32; a kernel with no other dtype is reported",
        source="ptxas; vLLM: platforms/cuda.py, check_if_supports_dtype",
    ),
    _row(
        "a library refuses bfloat16 or TF32",
        r"(?:bf16|BF16|tf32).{0,60}(?:requires|only supported|isn't supported|not supported|need)"
        r".{0,80}(?:Ampere|GPU|gpu|cuda)"
        r"|Your setup doesn't support bf16",
        "bf16 and tf32 need compute capability 8.0, {gpu} has less.",
        "precision-fix {folder}   # turns both off in scripts, configs and launch lines",
        source="transformers: training_args.py; accelerate: state.py",
    ),
    _row(
        "float8",
        r"torch\._scaled_mm is only supported|[Ff]loat8.*(?:compute capability|8\.9)",
        "Products of float8 need compute capability 8.9; weights in float8 that are cast up do not.",
        "Turn the program's fast float8 off (in ComfyUI leave out --fast, or fp8_e4m3fn_fast).",
        source="torch: aten/src/ATen/native/cuda/Blas.cpp, _scaled_mm",
    ),
    _row(
        "a guard asks for the bfloat16 of a config",
        r"AssertionError.*, where \S+ is torch\.bfloat16$",
        "This asks for bfloat16, as a word of a config or a command has it; tensors are float32 here.",
        "precision-fix {folder}   # edits configs and launch lines as well: then start it as before",
        source="Python: assert; a config's dtype by getattr(torch, word)",
    ),
    _row(
        "bf16 in the program and in its config",
        r"mismatch TrainingArguments values.*ds bf16\.",
        "bf16 was turned off in the program; its DeepSpeed config, a file, is not edited in memory.",
        "precision-fix {folder}   # turns it off in both: then start it as before",
        source="transformers: integrations/deepspeed.py, trainer_config_finalize",
    ),
    _row(
        "two dtypes meet",
        r"(?:(?:to|must) have the same dtype|expected scalar type|should be the same).*(?:BFloat16|Half)"
        r"|(?:Input type .*|expected scalar type )(?:BFloat16|Half).*(?:should be the same|but found)",
        "{met}",
        "{audits}   # where bfloat16 is left, by line",
        "precision-fix {folder} --check   # what is left by hand, with its lines",
        source="torch: aten/src/ATen/native/cuda/Blas.cpp; TensorBody.h, data_ptr",
    ),
    _row(
        "out of memory",
        r"OutOfMemoryError|CUDA out of memory",
        "{taken}",
        "{stores}   # weights and caches in two bytes",
        "{lower}",
        source="torch: c10/cuda/CUDACachingAllocator.cpp",
        when=(
            "stored",
            (
                "{taken}; weights are in two bytes already.",
                "{lower}",
                "precision-fix plan {folder}   # what fits, and what a unit of each setting costs",
            ),
        ),
    ),
    _row(
        "NaN in float16",
        r"(?i)probability tensor contains either `inf`, `nan`|(?:contains|is|got|found|became|encountered)\W+nan\b"
        r"|\bnans? (?:in|encountered|detected|loss)|unscale_.*inf|non-?finite",
        "float16 overflows above 65504: models that were trained in bfloat16 give inf and NaN in it.",
        "PRECISION_FIX_TO=float32 {run}   # the same program in float32",
        source="torch: aten/src/ATen/native/Distributions.cpp, multinomial; Tongyi-MAI/Z-Image#14, #15",
        only="halves",
    ),
    _row(
        "no such operator in bfloat16",
        r"not implemented for 'BFloat16'|Got unsupported ScalarType BFloat16|[Uu]nsupported dtype BFloat16",
        "bfloat16 reached an operator that has none.",
        "{audits}   # where bfloat16 is left, by line",
        source="torch: AT_DISPATCH; Tensor.numpy",
    ),
)
