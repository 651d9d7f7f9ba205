"""Places from real projects whose meaning is easily mistaken, each line marked by what must become of it.

A line that ends in `# -> TEXT` must become TEXT; one that ends in `# =` must stay. All other lines must stay as well.
"""

# A line and what becomes of it read best side by side.
# ruff: noqa: E501
from __future__ import annotations

import pytest

from precision_fix.engine.render import render
from precision_fix.model.target import FLOAT32
from precision_fix.sources import python
from precision_fix.sources.python import analyse

CASES = {
    "an alias named bfloat16 that is compared too": """
        _BF16 = torch.bfloat16  # =
        def run(x, kernel, dtype):
            if x.dtype == dtype == _BF16:
                return kernel(x)
            return F.silu(x).to(_BF16)
        """,
    "an alias that is a choice": """
        DTYPE = torch.bfloat16  # -> DTYPE = torch.float32
        x = x.to(DTYPE)
        assert x.dtype == DTYPE
        """,
    "the guard of a backend": """
        def forward(self, q, k, v):
            from sol_attn import sol_attn
            if q.dtype != torch.bfloat16:  # =
                raise TypeError(f"Sol-Attn requires bfloat16, got {q.dtype}")
            return sol_attn(q, k, v)
        """,
    "a bare guard with nothing rewritten": """
        from mypkg import _C
        def g(x):
            assert x.dtype == torch.bfloat16  # =
            return _C.run(x)
        """,
    "a guard that asks more, beside the cast": """
        def go(fused, x):
            return fused(x, x.to(torch.bfloat16))  # -> return fused(x, x.to(torch.float32))
        def fused(a, aux):
            assert aux.dtype == torch.bfloat16 and aux.shape == a.shape  # -> assert aux.dtype == torch.float32 and aux.shape == a.shape
        """,
    "names that only contain bf16": """
        XPU_KEEPS_EXPLICIT_BF16 = True
        _k[(4,)](x, out, STORE_BF16=True)
        layer.dequantized_bf16 = True
        y = quant(w, keep_bf16=True, bf16_stochastic_round=True)
        table(capabilities={"bf16": True})
        """,
    "a registry key": """
        @register_config(module_name="vae", precision="bf16")  # =
        class VAE: ...
        """,
    "Lightning's own word": """
        import lightning as L
        t = L.Trainer(precision="bf16")  # -> t = L.Trainer(precision="32-true")
        """,
    "autocast that casts float8 weights": """
        if vlm.dtype.itemsize == 1:
            with torch.autocast("cuda", dtype=torch.bfloat16, enabled=on):  # -> with torch.autocast("cuda", dtype=torch.float32, enabled=on):
                run()
        if any(use_fp8):
            acc = accelerate.Accelerator(mixed_precision="bf16")  # =
        """,
    "a default that only stands in for what is no half": """
        def fa(q, dtype=torch.bfloat16):  # =
            half = lambda x: x if x.dtype in (torch.float16, torch.bfloat16) else x.to(dtype)
            return flash_attn.flash_attn_func(half(q))
        """,
    "the output of a kernel": """
        def f(x, d):
            mod = load_ext()
            o = torch.empty(4, dtype=torch.bfloat16, device=d)  # =
            mod.gemm(x, o)
            return o
        """,
    "a dtype kept for its size": """
        class Pool:
            def __init__(self):
                self.rope_dtype = torch.bfloat16  # =
            def bytes(self, n, r):
                return n + r * self.rope_dtype.itemsize
        """,
    "a supported list that is printed": """
        _SUPPORTED = (torch.bfloat16, torch.float16)  # =
        def check(t):
            if t.dtype not in _SUPPORTED:
                raise ValueError(f"{[str(d) for d in _SUPPORTED]}")
        """,
    "the default of a compared look-up": """
        same = getattr(p, "orig_dtype", torch.bfloat16) == torch.bfloat16  # =
        """,
    "a question": """
        if can_use_fused_store(torch.bfloat16, loc.dtype):  # =
            go()
        """,
    "a split into two halves": """
        hi = w.to(torch.bfloat16)  # =
        lo = w - hi.float()
        """,
    "words that are printed and passed on": """
        mixed_precision = "bf16"  # -> mixed_precision = "no"
        print(f"precision: {mixed_precision}")
        a = Accelerator(mixed_precision=mixed_precision)
        """,
    "a word that a lookup in torch reads": """
        def main(path, dtype: str = "bfloat16"):  # -> def main(path, dtype: str = "float32"):
            dt = getattr(torch, dtype, None)
            if dt is None:
                raise ValueError(f"{dtype} is no dtype")
        """,
    "defaults in other forms": """
        @dataclass
        class Config:
            lora_dtype: str = field(default="bfloat16")  # -> lora_dtype: str = field(default="float32")
            prec: Literal["bf16", "fp32"] = "bf16"  # -> prec: Literal["bf16", "fp32"] = "fp32"
            half: Literal["bf16", "fp16"] = "bf16"  # =
            bf16: bool = field(default=True)  # -> bf16: bool = field(default=False)
        dt = to_dtype(cfg.get("param_dtype", "bf16"))  # -> dt = to_dtype(cfg.get("param_dtype", "fp32"))
        text_precisions = ("bf16",)  # -> text_precisions = ("fp32",)
        """,
    "flags that are turned on by an expression": """
        a = TrainingArguments("o", bf16=not a.fp16, fp16=a.fp16)  # -> a = TrainingArguments("o", bf16=False, fp16=a.fp16)
        a.bf16 = True if a.bf16 is None else a.bf16  # -> a.bf16 = False if a.bf16 is None else a.bf16
        kw.setdefault("bf16", True)  # -> kw.setdefault("bf16", False)
        setattr(args, "bf16", True)  # -> setattr(args, "bf16", False)
        p.add_argument("--bf16", action="store_true", default=True)  # -> p.add_argument("--bf16", action="store_true", default=False)
        """,
    "transformers' own probe": """
        from transformers.utils import is_torch_bf16_gpu_available
        ok = is_torch_bf16_gpu_available()  # -> ok = False
        """,
    "a buffer that mirrors what it is given": """
        def back(input_dtype, w):
            g = torch.empty_like(w, dtype=torch.bfloat16 if input_dtype == torch.bfloat16 else torch.float32)  # =
            return g
        """,
    "a requirement said in a message": """
        def update_dtype(self, dtype):
            if dtype != torch.bfloat16:
                logger.warning(f"Setting dtype to {dtype}, but only bfloat16 is supported right now.")
                dtype = torch.bfloat16  # =
            return dtype
        """,
    "bytes that are written": """
        dst = torch.frombuffer(shm.buf, dtype=torch.bfloat16)  # =
        dst.copy_(src)
        torch.frombuffer(shm.buf, dtype=torch.bfloat16).reshape(s).copy_(src)  # =
        """,
    "a buffer that bytes are read into": """
        buf = torch.empty(16, dtype=torch.bfloat16)  # =
        f.readinto(buf.view(torch.uint8).numpy())
        out = torch.empty(3, dtype=torch.bfloat16).view(torch.int16).copy_(bits)  # =
        """,
    "the old type()": """
        y = x.type(torch.bfloat16)  # -> y = x.type(torch.float32)
        z = x.type(torch.BFloat16Tensor)  # -> z = x.type(torch.FloatTensor)
        w = x.type("torch.cuda.BFloat16Tensor")  # -> w = x.type("torch.cuda.FloatTensor")
        """,
    "a map with members of an enum": """
        TABLE = {D.BF16: torch.bfloat16, D.FP32: torch.float32}  # -> TABLE = {D.BF16: torch.float32, D.FP32: torch.float32}
        def load(m, d):
            return m.to(TABLE[d])
        """,
    "a map that is turned round": """
        NAMES = {"bf16": torch.bfloat16, "fp32": torch.float32}  # =
        BACK = {v: k for k, v in NAMES.items()}
        """,
    "attention that falls back by itself": """
        # SDPA only supports bf16/fp16 fast; fp32 falls back to the math backend.
        if q.dtype == torch.float32:
            q, k = q.bfloat16(), k.bfloat16()  # -> q, k = q.float(), k.float()
        """,
    "the command line of a child": """
        run(["accelerate", "launch", "--mixed_precision", "bf16", "t.py"])  # -> run(["accelerate", "launch", "--mixed_precision", "no", "t.py"])
        run(["vllm", "serve", m, "--dtype", "bfloat16"])  # -> run(["vllm", "serve", m, "--dtype", "float32"])
        """,
    "GGUF's word": """
        out_dtype = "f16" if half else "bf16"  # -> out_dtype = "f16" if half else "f32"
        """,
    "choices behind a type": """
        p.add_argument("--a", type=str, default="bf16", choices=["bf16", "fp16", "float32"])  # -> p.add_argument("--a", type=str, default="float32", choices=["bf16", "fp16", "float32"])
        p.add_argument("--b", type=str, default="bf16", choices=["bf16", "fp16"])  # =
        gr.Radio(["float", "fp16", "bf16"], value=cfg.get("save_precision", "bf16"))  # -> gr.Radio(["float", "fp16", "bf16"], value=cfg.get("save_precision", "float"))
        """,
    "an option that is compared": """
        p.add_argument("--dtype", type=str, default="bf16", help="bf16 or fp16")  # =
        args = p.parse_args()
        if args.dtype == "bf16":
            dtype = torch.bfloat16  # -> dtype = torch.float32
        else:
            dtype = torch.float16
        """,
    "flash attention by another name": """
        from torch.nn.attention.varlen import varlen_attn
        y = varlen_attn(q.to(torch.bfloat16), k, v)  # =
        """,
    "a kernel that takes pointers": """
        A = A.to(torch.bfloat16)  # =
        lib.gemv_bf16(get_ptr(A), n)
        b = b.bfloat16()  # =
        lib.gemv_bf16(b.data_ptr(), n)
        """,
    "a default whose kernel's guard stays": """
        import triton
        def gemm(a, b, out_dtype=torch.bfloat16):  # =
            assert out_dtype == torch.bfloat16  # =
            return kernel[(1,)](a, b)
        """,
    "a test that would choose float16": """
        dit_dtype = torch.bfloat16  # =
        mp = "fp16" if dit_dtype != torch.bfloat16 else "x"
        other = torch.bfloat16  # =
        kind = torch.bfloat16 if other == torch.bfloat16 else torch.float16
        model.to(other)
        """,
    "names that only contain a word": """
        @dataclass
        class Config:
            model_dtype: str = "bfloat16"  # -> model_dtype: str = "float32"
            stage2_dtype: str = "bf16"  # -> stage2_dtype: str = "fp32"
            kv_cache_dtype: str = "bfloat16"  # =
            stored_dtype: str = "bfloat16"  # =
        """,
    "autocast beside Transformer Engine's own": """
        def context(precision):
            if precision == Precision.BF16:
                with torch.autocast("cuda", dtype=torch.bfloat16, enabled=True):  # -> with torch.autocast("cuda", dtype=torch.float32, enabled=False):
                    yield
            elif precision == Precision.FP8:
                with te.fp8_autocast(enabled=True):
                    yield
        """,
    "expectations of a test": """
        assert resolve(None, full_bf16=True) == torch.bfloat16  # =
        assert plan == {"input_dtype": "bf16"}  # =
        metadata["ss_mixed_precision"] = "bf16"  # =
        """,
    "a state that was built here": """
        state = {"w": self.w}
        model.load_state_dict(state, assign=True)
        """,
}


def _dedent(text: str) -> list[str]:
    return ["import torch", *(line.removeprefix(" " * 8) for line in text.strip("\n").split("\n"))]


@pytest.mark.parametrize("name", CASES)
def test_meaning(name: str) -> None:
    lines = _dedent(CASES[name])
    source = "\n".join(line.split("  # =")[0].split("  # -> ")[0] for line in lines)
    expected = []
    for line in lines:
        before, arrow, after = line.partition("  # -> ")
        indent = before[: len(before) - len(before.lstrip())]
        expected.append(indent + after if arrow else before.split("  # =")[0])
    analysis = analyse("module.py", source, FLOAT32)
    assert render(python, "module.py", source, analysis, FLOAT32).split("\n") == expected
