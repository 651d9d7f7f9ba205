"""The attention of released programs, with what stands in for flash-attn and xformers, beside SDPA and float64.

`python -m tests.bench.attention`. Each file of a program is copied from `.trees/` and runs under `precision-fix run` as
it is, but for assertions that its tensors are on a CUDA device. With xformers installed (its Python files are enough),
each of its own masks is read by the stand-in and by the runtime's patch of the installed package. transformers' flash
path is tests/frameworks/test_flash_attention.py.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.tools import REPOSITORY

TREES = REPOSITORY / ".trees"
#: So much may differ: what float32 rounds.
CLOSE = 2e-5
_ON_CUDA = re.compile(r"q\.device\.type == 'cuda' and ")

#: What every program begins with: lengths of sequences, and attention of each by itself, in float32 and in float64.
_HELP = """
import torch
from torch.nn.functional import scaled_dot_product_attention as sdpa
torch.manual_seed(0)
QUERIES, KEYS = [3, 6], [5, 4]
def apart(q, k, v, dtype, causal=False):
    # Of (batch, length, heads, width), with as many keys as each sequence has.
    found = []
    for row, (own, others) in enumerate(zip(QUERIES, KEYS)):
        given = [each[row:row + 1, :length].to(dtype).transpose(1, 2)
                 for each, length in ((q, own), (k, others), (v, others))]
        mask = torch.ones(own, others).tril(others - own).bool() if causal else None
        found.append(sdpa(*given, attn_mask=mask, enable_gqa=q.shape[2] != k.shape[2]).transpose(1, 2)[0])
    return found
def told(got, *given, **how):
    for dtype in (torch.float32, torch.float64):
        pairs = list(zip(got, apart(*given, dtype, **how), strict=True))
        print(dtype, max(float((one.to(dtype) - other).abs().max()) for one, other in pairs))
q, k, v = (torch.randn(2, 6, heads, 16, dtype=torch.bfloat16) for heads in (4, 4, 4))
assert q.dtype == torch.float32
"""


@dataclass(frozen=True)
class Program:
    """`file` of a tree becomes the module `attention`; `text` calls it. `always` where the user chooses flash-attn."""

    name: str
    file: str
    text: str
    always: bool = False


PROGRAMS = (
    Program(
        "Wan2.1: varlen",
        "Wan2.1/wan/modules/attention.py",
        "from attention import flash_attention\n"
        "KEYS[0] = KEYS[1] = 6; QUERIES[0] = QUERIES[1] = 6\n"
        "told(flash_attention(q, k, v), q, k, v)\n"
        "KEYS[:] = [5, 4]\n"
        "told(flash_attention(q, k, v, k_lens=torch.tensor(KEYS)), q, k, v)\n",
    ),
    Program(
        "ComfyUI-WanVideoWrapper: varlen, by its flash_attn_2",
        "nodes/ComfyUI-WanVideoWrapper/wanvideo/modules/attention.py",
        "from attention import attention\n"
        "QUERIES[:] = [6, 6]\n"
        "told(attention(q, k, v, k_lens=torch.tensor(KEYS), attention_mode='flash_attn_2'), q, k, v)\n",
        always=True,
    ),
    Program(
        "HunyuanVideo: varlen, by its default",
        "unseen/HunyuanVideo/hyvideo/modules/attenion.py",
        "from attention import attention\n"
        "QUERIES[:] = KEYS[:] = [6, 6]\n"
        "ends = torch.tensor([0, 6, 12], dtype=torch.int32)\n"
        "got = attention(q, k, v, cu_seqlens_q=ends, cu_seqlens_kv=ends,\n"
        "    max_seqlen_q=6, max_seqlen_kv=6, batch_size=2)\n"
        "told(got.unflatten(2, (4, 16)), q, k, v)\n",
    ),
    Program(
        "index-tts: varlen, and a paged kv-cache",
        "unseen/index-tts/indextts/accel/attention.py",
        "import sys, types\n"
        "triton = sys.modules['triton'] = types.ModuleType('triton')\n"
        "language = sys.modules['triton.language'] = types.ModuleType('triton.language')\n"
        "triton.jit, language.constexpr, triton.language = (lambda function: function), int, language\n"
        "from attention import Attention, set_forward_context\n"
        "layer = Attention(4, 16, 16 ** -0.5, 2)\n"
        "k, v = (torch.randn(2, 6, 2, 16, dtype=torch.bfloat16) for _ in 'kv')\n"
        "KEYS[:] = [3, 6]\n"
        "ends = torch.tensor([0, 3, 9], dtype=torch.int32)\n"
        "set_forward_context(True, ends, ends, 6, 6)\n"
        "flat = [torch.cat([each[0, :3], each[1]]) for each in (q, k, v)]\n"
        "told(layer(*flat).view(9, 4, 16).split([3, 6]), q, k, v, causal=True)\n"
        "QUERIES[:] = [1, 1]\n"
        "pages, table = torch.zeros(2, 4, 4, 2, 16), torch.tensor([[2, 0], [1, 3]], dtype=torch.int32)\n"
        "for kind, each in enumerate((k, v)):\n"
        "    for row in range(2):\n"
        "        for at in range(KEYS[row]):\n"
        "            pages[kind, table[row, at // 4], at % 4] = each[row, at]\n"
        "layer.k_cache, layer.v_cache = pages\n"
        "set_forward_context(False, context_lens=torch.tensor(KEYS, dtype=torch.int32), block_tables=table)\n"
        "told(layer(q[:, 0], k[:, 0], v[:, 0]).view(2, 1, 4, 16), q, k, v)\n",
    ),
)

#: Each mask of xformers, made by its own class and by ours, with how many queries and keys it is for.
_MASKS = """
import xformers.ops
from xformers.ops.fmha import attn_bias as real
from precision_fix.runtime.flash import biases, efficient
own, others, room = [3, 5, 2], [4, 7, 2], 8
slopes = torch.randn(1, 2, 10, 10)
def masks(of):
    many, same = of.BlockDiagonalMask.from_seqlens(own, others), of.BlockDiagonalMask.from_seqlens(own)
    yield of.LowerTriangularMask(), 10, 10
    yield of.LowerTriangularMaskWithTensorBias(slopes), 10, 10
    yield of.LowerTriangularFromBottomRightMask(), 6, 10
    yield of.LowerTriangularFromBottomRightLocalAttentionMask(3), 6, 10
    yield of.LocalAttentionFromBottomRightMask(window_left=2, window_right=1), 6, 10
    for each in (same, same.make_causal(), same.make_local_attention(2)):
        yield each, 10, 10
    for each in (many, many.make_causal_from_bottomright(), many.make_local_attention_from_bottomright(2)):
        yield each, 10, 13
    for name in ("BlockDiagonalPaddedKeysMask", "BlockDiagonalCausalWithOffsetPaddedKeysMask"):
        yield getattr(of, name).from_seqlens(own, room, others), 10, 24
for (theirs, queries, keys), (ours, *_) in zip(masks(real), masks(biases), strict=True):
    q, k, v = (torch.randn(1, length, 2, 16) for length in (queries, keys, keys))
    dense = theirs.materialize((1, 2, queries, keys), torch.float64)
    expected = sdpa(*(each.double().transpose(1, 2) for each in (q, k, v)), attn_mask=dense).transpose(1, 2)
    for attend, mask in (
        (xformers.ops.memory_efficient_attention, theirs),
        (efficient.memory_efficient_attention, theirs),
        (efficient.memory_efficient_attention, ours),
    ):
        got = attend(q, k, v, attn_bias=mask)
        print(type(theirs).__name__, float((got.double() - expected.nan_to_num(0)).abs().max()))
"""


def main() -> int:
    """0 where each came close."""
    print("| program | largest difference from |\n|---|---|")
    return int(not all([_shown(each) for each in PROGRAMS] + [_masks()]))


def _shown(program: Program) -> bool:
    path = TREES / program.file
    if not path.is_file():
        print(f"| {program.name} | {path}: not there |")
        return False
    text = _ON_CUDA.sub("", path.read_text(encoding="utf-8"))
    return _run(program.name, program.text, attention=text, always=program.always)


def _masks() -> bool:
    import importlib.util

    if importlib.util.find_spec("xformers") is None:
        print("| masks of xformers | not installed, and left out |")
        return True
    return _run("masks of xformers: in the installed package, in the stand-in, and ours", _MASKS)


def _run(name: str, text: str, attention: str = "", *, always: bool = False) -> bool:
    """Run a program and print how far from SDPA it was; whether that was near enough."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "attention.py").write_text(attention, encoding="utf-8")
        Path(folder, "main.py").write_text(f"{_HELP}{text}", encoding="utf-8")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PRECISION_FIX")}
        path = os.pathsep.join(filter(None, (str(REPOSITORY), kept.get("PYTHONPATH"))))
        done = subprocess.run(
            [sys.executable, "-m", "precision_fix", "run", "main.py"],
            cwd=folder,
            env={**kept, "PYTHONPATH": path, "PRECISION_FIX": "force"}
            | ({"PRECISION_FIX_FLASH_ATTN": "always"} if always else {}),
            capture_output=True,
            text=True,
            check=False,
        )
    found: dict[str, float] = {}
    for line in done.stdout.splitlines():
        what, _, number = line.rpartition(" ")
        with_number = re.fullmatch(r"[\d.e+-]+|nan", number)
        if with_number:
            found[what] = max(found.get(what, 0.0), float(number))
    fits = done.returncode == 0 and bool(found) and all(each < CLOSE for each in found.values())
    said = ", ".join(f"{what}: {number:.1e}" for what, number in found.items())
    print(f"| {name} | {said or 'nothing'} |", flush=True)
    if not fits:
        print(done.stderr[-2000:], file=sys.stderr)
    return fits


if __name__ == "__main__":
    sys.exit(main())
