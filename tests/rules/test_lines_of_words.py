"""What is found in each line of small programs: words, flags, options, attention."""

# A line, what is found in it and what becomes of it read best side by side.
# ruff: noqa: E501
from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.lines import check_lines

PROGRAMS = {
    ("PF201: words that an API reads", "a.py", "float32"): """
        import torch
        load(torch_dtype="bfloat16")  #: PF201 rewrite torch_dtype chooses a precision => load(torch_dtype="float32")
        load(dtype="bf16")  #: PF201 rewrite dtype chooses a precision => load(dtype="fp32")
        load(param_dtype="torch.bfloat16")  #: PF201 rewrite param_dtype chooses a precision => load(param_dtype="torch.float32")
        load(kv_cache_dtype="bfloat16")  #: PF201 keep a word whose reader
        load(saved_dtype="bfloat16")  #: PF201 keep a word whose reader
        load(dtype_name="bfloat16")  #: PF201 keep a word whose reader
        load(mode="bfloat16")  #: PF201 keep a word whose reader
        @register(dtype="bfloat16")  #: PF201 keep registers something under this
        class A: pass
        dtype = "f16" if half else "bf16"  #: PF201 rewrite dtype chooses a precision => dtype = "f16" if half else "f32"
        other_dtype = "q8_0" if half else "bf16"  #: PF201 rewrite other_dtype chooses a precision => other_dtype = "q8_0" if half else "f32"
        third_dtype = "x" if half else "bf16"  #: PF201 rewrite third_dtype chooses a precision => third_dtype = "x" if half else "fp32"
        """,
    ("PF201: other libraries", "a.py", "float32"): """
        import torch
        import jax
        import keras
        keras.layers.Dense(2, dtype="bfloat16")  #: PF201 keep another library's word: what
        jax.numpy.zeros(2, dtype="bfloat16")  #: PF201 keep another library's word: what
        mine.zeros(2, dtype="bfloat16")  #: PF201 rewrite dtype chooses a precision => mine.zeros(2, dtype="float32")
        """,
    ("PF014: nothing of torch", "a.py", "float32"): """
        import jax.numpy as jnp
        make(dtype="bfloat16")  #: PF014 keep another library's word: jax
        """,
    ("PF201: languages of kernels", "a.py", "float32"): """
        import torch
        import tilelang
        def f(dtype="bfloat16"): pass  #: PF201 keep part of a kernel's
        """,
    ("PF202: libraries' words", "a.py", "float32"): """
        import torch
        from accelerate import Accelerator
        Accelerator(mixed_precision="bf16")  #: PF202 rewrite the library's word for => Accelerator(mixed_precision="no")
        Trainer(precision="bf16-mixed")  #: PF202 rewrite the library's word for => Trainer(precision="32-true")
        Trainer(precision="bf16-true")  #: PF202 rewrite the library's word for => Trainer(precision="32-true")
        Trainer(precision="amp_bf16")  #: PF202 rewrite the library's word for => Trainer(precision="fp32")
        if weight.dtype.itemsize == 1:
            Accelerator(mixed_precision="bf16")  #: PF202 manual the mixed precision may
        mixed_precision = "bf16"  #: PF202 rewrite the library's word for => mixed_precision = "no"
        use(mixed_precision=mixed_precision)
        """,
    ("PF203: flags that are on", "a.py", "float32"): """
        import torch
        TrainingArguments(bf16=True)  #: PF203 rewrite bf16 turns bfloat16 on => TrainingArguments(bf16=False)
        args.bf16 = not args.fp16  #: PF203 rewrite bf16 turns bfloat16 on => args.bf16 = False
        use_bf16 = precision == "bf16"  #: PF007 keep compared, or looked up ; PF203 rewrite use_bf16 turns bfloat16 on => use_bf16 = False
        class A:
            def __init__(self, precision):
                self.bf16 = precision == "bf16"  #: PF007 keep compared, or looked up
        word = "bf16"  #: PF007 keep compared, or looked up
        bf16 = word == "bf16"  #: PF007 keep compared, or looked up
        assert TrainingArguments(bf16=True)  #: PF203 keep part of what is
        SUPPORTED = {"bf16": True}  #: PF007 keep compared, or looked up
        features(bf16=True)  #: PF203 keep tells what is supported
        config = {"bf16": {"enabled": True}}  #: PF203 rewrite bf16 turns bfloat16 on => config = {"bf16": {"enabled": False}}
        config = {"bf16": dict(enabled=args.precision == "bf16")}  #: PF007 keep compared, or looked up ; PF203 rewrite bf16 turns bfloat16 on => config = {"bf16": dict(enabled=False)}
        args = {"bf16": True if x else False}  #: PF203 rewrite bf16 turns bfloat16 on => args = {"bf16": False if x else False}
        p.add_argument("--bf16", default=True)  #: PF203 rewrite --bf16 turns bfloat16 on => p.add_argument("--bf16", default=False)
        class B:
            bf16: bool = field(default=True)  #: PF203 rewrite bf16 turns bfloat16 on => bf16: bool = field(default=False)
            use_bf16: bool = Field(True)  #: PF203 rewrite use_bf16 turns bfloat16 on => use_bf16: bool = Field(False)
            other_bf16: bool = make(True)
        class C:
            bf16: bool = Option(default=True)  #: PF203 rewrite bf16 turns bfloat16 on => bf16: bool = Option(default=False)
        """,
    ("PF203: flags that choose float16 otherwise", "a.py", "float32"): """
        import torch
        def f(bf16=True):  #: PF203 keep@3 without it float16 is
            dtype = torch.bfloat16 if bf16 else torch.float16  #: PF101 rewrite chooses a precision => dtype = torch.float32 if bf16 else torch.float16
            return x.to(dtype)
        def g(use_bf16=True):  #: PF203 keep read in this file;
            dtype = torch.bfloat16 if use_bf16 else torch.float32  #: PF101 rewrite chooses a precision => dtype = torch.float32 if use_bf16 else torch.float32
            return x.to(dtype)
        def h(use_bf16=True):  #: PF203 manual@9 use_bf16 turns bfloat16 on,
            TrainingArguments(bf16=use_bf16, fp16=not use_bf16)
        def i(use_bf16=True):  #: PF203 keep@11 without it float16 is
            if use_bf16:
                y = 1
            else:
                y = x.half()
        def j(use_bf16=True):  #: PF203 keep read in this file;
            if use_bf16:
                y = 1
            elif fp16:
                y = x.half()
        def k(use_bf16=True):  #: PF203 keep@21 without it float16 is
            if not use_bf16:
                y = x.half()
        def m(use_bf16=True):  #: PF203 keep@24 without it float16 is
            y = torch.float16 if not use_bf16 else torch.bfloat16  #: PF001 keep given to a name
        """,
    ("PF203: a class of a library", "a.py", "float32"): """
        import torch
        from transformers import TrainingArguments
        class Mine(TrainingArguments):
            bf16: bool = False
        args = Mine(bf16=True)  #: PF203 rewrite bf16 turns bfloat16 on => args = Mine(bf16=False)
        class Plain:
            bf16: bool = False
        plain = Plain(bf16=True)  #: PF203 keep read in this file;
        if plain.bf16:
            x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => x.to(torch.float32)
        """,
    ("PF204: options", "a.py", "float32"): """
        p.add_argument("--dtype", default="bf16", choices=["bf16", "fp16", "fp32"])  #: PF007 keep one of a list ; PF204 rewrite the option's own word => p.add_argument("--dtype", default="fp32", choices=["bf16", "fp16", "fp32"])
        p.add_argument("--a-dtype", default="bf16", choices=["bf16", "fp16"])  #: PF007 keep one of a list ; PF204 manual the option offers no
        p.add_argument("--b-dtype", default="bfloat16")  #: PF204 rewrite the default chooses a => p.add_argument("--b-dtype", default="float32")
        p.add_argument("--c", default="bf16")  #: PF204 rewrite the default chooses a => p.add_argument("--c", default="fp32")
        click.option("--d-dtype", default="bf16", type=Choice(["bf16", "no"]))  #: PF007 keep one of a list ; PF204 rewrite the option's own word => click.option("--d-dtype", default="no", type=Choice(["bf16", "no"]))
        gr.Radio(["bf16", "float"], value="bf16")  #: PF007 keep one of a list ; PF204 rewrite the option's own word => gr.Radio(["bf16", "float"], value="float")
        gr.Dropdown(["bf16", "fp16"], value="bf16")  #: PF007 keep one of a list ; PF204 manual the option offers no
        p.add_argument("--e-dtype", default="bf16", choices=["bf16", "fp16"])  #: PF007 keep one of a list ; PF204 keep compared, or looked up
        args = p.parse_args()
        if args.e_dtype == "bf16": pass  #: PF007 keep compared, or looked up
        p.add_argument("--f-dtype", default="bf16")  #: PF007 keep compared, or looked up
        if args.f_dtype == "bf16": pass  #: PF007 keep compared, or looked up
        x = config.get("g_dtype", "bf16")  #: PF201 rewrite g_dtype chooses a precision => x = config.get("g_dtype", "fp32")
        def f(dtype: Literal["bf16", "fp32"] = "bf16"): pass  #: PF010 keep part of an annotation ; PF204 rewrite the option's own word => def f(dtype: Literal["bf16", "fp32"] = "fp32"): pass
        h_dtype = "bf16" # @param ["bf16", "fp32"]  #: PF204 rewrite the option's own word => h_dtype = "fp32" # @param ["bf16", "fp32"]
        save_dtype = "bf16" # @param ["bf16", "fp32"]  #: PF201 keep a word whose reader
        NODE = {"dtype": (["bf16", "fp32"], {"default": "bf16"})}  #: PF007 keep one of a list ; PF204 rewrite the option's own word => NODE = {"dtype": (["bf16", "fp32"], {"default": "fp32"})}
        """,
    ("PF205: attention", "a.py", "float32"): """
        import torch
        load(attn_implementation="flash_attention_2")  #: PF205 rewrite flash attention needs compute => load(attn_implementation="sdpa")
        load(use_flash_attention_2=True)  #: PF205 rewrite flash attention needs compute => load(use_flash_attention_2=False)
        if attn == "flash_attention_2": pass  #: PF205 keep part of a test
        assert model.config._attn_implementation == "flash_attention_2"  #: PF205 keep part of a test
        flash = "flash_attention_2"  #: PF205 keep a word whose reader
        FLASH_NAMES = ["flash_attention_2", "sdpa"]  #: PF205 keep compared, offered or looked
        attn_mode = "flash_attention_2"  #: PF205 rewrite flash attention needs compute => attn_mode = "sdpa"
        use(attn_mode)
        print("flash_attention_2")  #: PF205 keep a word whose reader
        p.add_argument("--attn-implementation", default="flash_attention_2")  #: PF205 rewrite flash attention needs compute => p.add_argument("--attn-implementation", default="sdpa")
        p.add_argument("--mode", default="flash_attention_2")  #: PF205 keep a word whose reader
        expected = "flash_attention_2"  #: PF205 keep a word whose reader
        mode = "flash_attention_2"  #: PF205 keep a word whose reader
        use(mode)
        if args.packing:
            load(attn_implementation="flash_attention_2")  #: PF205 manual the examples are packed,
        if varlen:
            load(attn_implementation="flash_attention_2")  #: PF205 manual the examples are packed,
        if args.other:
            load(attn_implementation="flash_attention_2")  #: PF205 rewrite flash attention needs compute => load(attn_implementation="sdpa")
        table = {"flash_attention_2": 1}  #: PF205 keep compared, offered or looked
        """,
    ("PF205: attention of no known reader", "a.py", "float32"): """
        attn = "flash_attention_2"  #: PF205 manual flash attention needs compute
        run(attn)
        """,
    ("PF205: regions", "a.py", "float32"): """
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION): pass  #: PF205 manual allows kernels for compute
        with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION]): pass  #: PF205 manual allows kernels for compute
        with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]): pass
        with sdpa_kernel(backends=[SDPBackend.CUDNN_ATTENTION]): pass  #: PF205 manual allows kernels for compute
        with torch.backends.cuda.sdp_kernel(enable_flash=True, enable_math=False, enable_mem_efficient=False): pass  #: PF205 manual allows kernels for compute
        with torch.backends.cuda.sdp_kernel(enable_flash=True, enable_math=False): pass
        with torch.backends.cuda.sdp_kernel(enable_flash=True, enable_math=True, enable_mem_efficient=False): pass
        mine = [SDPBackend.FLASH_ATTENTION]
        with sdpa_kernel(mine): pass  #: PF205 manual allows kernels for compute
        if torch.cuda.get_device_capability() >= (8, 0):
            with sdpa_kernel(SDPBackend.FLASH_ATTENTION): pass  #: PF205 keep asked for where the
        with other_kernel(SDPBackend.FLASH_ATTENTION): pass
        with sdpa_kernel([]): pass
        """,
    ("PF205: a tensor under a region of flash attention alone", "a.py", "float32"): """
        import torch
        from torch.nn.functional import scaled_dot_product_attention
        def f(q):
            q = q.to(torch.bfloat16)  #: PF902 manual@6 goes to a kernel
            with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  #: PF205 manual allows kernels for compute
                return scaled_dot_product_attention(q, q, q)
        def g(q):
            q = q.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => q = q.to(torch.float32)
            if x:
                with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  #: PF205 manual allows kernels for compute
                    return scaled_dot_product_attention(q, q, q)
            return scaled_dot_product_attention(q, q, q)
        @sdpa_kernel(SDPBackend.FLASH_ATTENTION)  #: PF205 manual allows kernels for compute
        def h(q):
            return scaled_dot_product_attention(q.to(torch.bfloat16), q, q)  #: PF902 manual@15 goes to a kernel
        def i(q):
            with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  #: PF205 manual allows kernels for compute
                def inner():
                    return scaled_dot_product_attention(q.to(torch.bfloat16), q, q)  #: PF101 rewrite chooses a precision => return scaled_dot_product_attention(q.to(torch.float32), q, q)
        """,
}


@pytest.mark.parametrize(("title", "path", "to"), PROGRAMS)
def test_each_line(title: str, path: str, to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_lines(PROGRAMS[title, path, to], path=path, to=to)
