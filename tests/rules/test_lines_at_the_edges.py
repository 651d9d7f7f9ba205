"""What is found in each line of small programs: shapes that few programs have, each beside its like that differs."""

# A line, what is found in it and what becomes of it read best side by side.
# ruff: noqa: E501
from __future__ import annotations

from dataclasses import replace

import pytest

from precision_fix.engine.render import render
from precision_fix.model.target import FLOAT32
from tests.rules.lines import check_lines
from tests.tools import source_of

PROGRAMS = {
    "copies that an item of is changed": """
        import torch
        def f(x):
            y = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => y = x.to(torch.float32, copy=True)
            y[0].add_(1)
            return x, y
        def g(x):
            y = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => y = x.to(torch.float32, copy=True)
            y[1:] = 2
            return x, y
        def h(x):
            y = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => y = x.to(torch.float32)
            y[0] = y[0].add(1)
            return x, y
        """,
    "a choice that the test before it has passed": """
        import torch
        class A:
            def f(self, cpu):
                if self.precision == "x" and cpu:
                    self.precision = "bf16"  #: PF201 rewrite precision chooses a precision => self.precision = "fp32"
                else:
                    self.precision = "no"
                return use(dtype=self.precision)
            def g(self, cpu):
                if cpu:
                    self.other_precision = "bf16"  #: PF201 rewrite other_precision chooses a precision => self.other_precision = "no"
                else:
                    self.other_precision = "no"
                return use(dtype=self.other_precision)
        """,
    "a list that is made of another": """
        import torch
        def f(x):
            x = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => x = x.to(torch.float32)
            assert x.dtype in set([torch.bfloat16, torch.float32])  #: PF001 keep compared with a dtype,
            return x
        def g(x):
            x = x.to(torch.bfloat16)  #: PF101 manual@8 moves together with line
            assert x.dtype in set([torch.bfloat16])  #: PF001 keep compared with a dtype,
            return x
        def h(x):
            x = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => x = x.to(torch.float32)
            assert x.dtype in set(kinds, [torch.bfloat16])  #: PF001 keep compared with a dtype,
            return x
        """,
    "a function within, that calls a kernel": """
        import torch, flash_attn  #: PF912 manual the file needs the
        def f(x):
            x = x.to(torch.bfloat16)  #: PF101 manual@4 moves together with line
            assert x.dtype == torch.bfloat16  #: PF106 manual guards a compiled kernel,
            def g(y):
                return flash_attn.flash_attn_func(y)
            return x
        def h(x):
            assert x.dtype == torch.bfloat16  #: PF001 keep compared with a dtype,
            return flash_attn.flash_attn_func(x)
        """,
    "guards of choices, and of what is none": """
        import torch
        def f(kind):
            assert kind() == torch.bfloat16, "only bfloat16 is supported"  #: PF106 manual guards what needs bfloat16,
        def g(x, kind):
            assert x.dtype == torch.bfloat16, "only bfloat16 is supported"  #: PF106 manual guards what needs bfloat16,
        def h(x, kind=torch.bfloat16):  #: PF101 manual@7 moves together with line
            assert kind == torch.bfloat16, "only bfloat16 is supported"  #: PF106 manual guards what needs bfloat16,
            table[kind] = 1
        def i(x, kind=torch.bfloat16):  #: PF101 rewrite chooses a precision => def i(x, kind=torch.float32):
            assert kind == torch.bfloat16, "only bfloat16 is supported"  #: PF106 rewrite asserts what is rewritten => assert kind == torch.float32, "only bfloat16 is supported"
            return x.to(kind)
        def j(x, kind=torch.bfloat16):  #: PF902 manual@15 the tensor goes to
            assert kind == torch.bfloat16, "only bfloat16 is supported"  #: PF106 manual guards what needs bfloat16,
            return run(x.to(kind))
        def run(y): return torch.ops.mine.gemm(y)
        """,
    "bound anew by a definition, an import, an annotation": """
        import torch
        def f(x):
            kind = torch.bfloat16  #: PF101 rewrite chooses a precision => kind = torch.float32
            y = x.to(kind)
            def kind(): return 1
            return buf.view(kind)
        def g(x):
            kind = torch.bfloat16  #: PF101 rewrite chooses a precision => kind = torch.float32
            y = x.to(kind)
            from a import kind
            return buf.view(kind)
        def h(x):
            kind = torch.bfloat16  #: PF101 rewrite chooses a precision => kind = torch.float32
            y = x.to(kind)
            class kind: pass
            return buf.view(kind)
        def i(x):
            kind = torch.bfloat16  #: PF101 rewrite chooses a precision => kind = torch.float32
            y = x.to(kind)
            kind: torch.dtype = torch.int8
            return buf.view(kind)
        def j(x):
            kind = torch.bfloat16  #: PF401 manual@26 what is read so
            y = x.to(kind)
            kind: torch.dtype
            return buf.view(kind)
        """,
    "weights that are cast once they are loaded": """
        import torch
        def f(model, s, dtype):
            model.load_state_dict(s, assign=True)  #: PF906 manual assign=True brings back the
            model.to("cuda")
        def g(model, s, dtype):
            model.load_state_dict(s, assign=True)
            model.to("cuda", dtype)
        def h(model, s, dtype):
            model.load_state_dict(s, assign=True)
            model.half()
        def i(model, s, dtype):
            model.load_state_dict(s, assign=True)  #: PF906 manual assign=True brings back the
            model.half(1)
        def j(model, s, dtype):
            load_state_dict(s, assign=True)  #: PF906 manual assign=True brings back the
            to(torch.float16)
        def k(model, s, dtype):
            model.load_state_dict(s, assign=True)
            model.to(device, dtype=x)
        def l(model, s, dtype):
            model.load_state_dict(s, assign=True)  #: PF906 manual assign=True brings back the
            if s:
                model.half()
        def m(model, s, dtype):
            model.half()
            model.load_state_dict(s, assign=True)  #: PF906 manual assign=True brings back the
        def n(model, s, dtype):
            model.load_state_dict(half(s), assign=True)  #: PF906 manual assign=True brings back the
            other.half()
        """,
    "words for what a test has found": """
        import torch
        def f(x, out):
            if x.other:
                out["name"] = "bf16"  #: PF201 keep a word whose reader
            if x.dtype == torch.bfloat16:  #: PF001 keep compared with a dtype,
                out["name"] = "bf16"  #: PF007 keep names the dtype that
            if kind == "bf16":  #: PF007 keep compared, or looked up
                self.word = "bf16"  #: PF007 keep names the precision that
            if kind == "fp16":
                self.word = "bf16"  #: PF201 keep a word whose reader
            if kind == "bf16":  #: PF007 keep compared, or looked up
                out["name"] = "bf16"  #: PF007 keep names the precision that
                out["dtype"] = "bf16"  #: PF201 rewrite dtype chooses a precision => out["dtype"] = "fp32"
            if kind == "bfloat16":  #: PF007 keep compared, or looked up
                return "bfloat16"  #: PF007 keep names the precision that
            if not (x.dtype == torch.bfloat16):  #: PF001 keep compared with a dtype,
                other = "bf16"  #: PF007 keep names the precision that
            return other
        """,
    "switches of classes that a library reads, and of others": """
        import torch
        from dataclasses import dataclass
        from collections import OrderedDict
        from lib import Base
        def use(x): y.to(x)
        @dataclass
        class A(OrderedDict):
            bf16: bool = False
            def f(self): use(torch.bfloat16 if self.bf16 else torch.float16)  #: PF101 rewrite chooses a precision => def f(self): use(torch.float32 if self.bf16 else torch.float16)
        A(bf16=True)  #: PF203 keep@9 without it float16 is
        @dataclass
        class B(Base):
            bf16: bool = False
            def f(self): use(torch.bfloat16 if self.bf16 else torch.float16)  #: PF101 rewrite chooses a precision => def f(self): use(torch.float32 if self.bf16 else torch.float16)
        B(bf16=True)  #: PF203 manual@14 bf16 turns bfloat16 on,
        @dataclass
        class C(A, Base):
            bf16: bool = False
            def f(self): use(torch.bfloat16 if self.bf16 else torch.float16)  #: PF101 rewrite chooses a precision => def f(self): use(torch.float32 if self.bf16 else torch.float16)
        C(bf16=True)  #: PF203 manual@19 bf16 turns bfloat16 on,
        @dataclass
        class D(make()):
            bf16: bool = False
            def f(self): use(torch.bfloat16 if self.bf16 else torch.float16)  #: PF101 rewrite chooses a precision => def f(self): use(torch.float32 if self.bf16 else torch.float16)
        D(bf16=True)  #: PF203 keep@24 without it float16 is
        """,
    "words of options without choices": """
        import torch, argparse
        p = argparse.ArgumentParser()
        p.add_argument("--precision", default="bf16")  #: PF007 keep compared, or looked up
        made = p.parse_args()
        flag = made.precision == "bf16"  #: PF007 keep compared, or looked up
        p.add_argument("--dtype", default="amp_bf16")  #: PF204 rewrite the default chooses a => p.add_argument("--dtype", default="fp32")
        a = Dropdown(value="bf16")  #: PF204 rewrite the default chooses a => a = Dropdown(value="fp32")
        b = Dropdown(label="bf16")  #: PF201 keep a word whose reader
        c = Dropdown(["bf16", "fp32"], value="bf16")  #: PF007 keep one of a list ; PF204 rewrite the option's own word => c = Dropdown(["bf16", "fp32"], value="fp32")
        d = Dropdown(["bf16", "fp16"], value="bf16")  #: PF007 keep one of a list ; PF204 manual the option offers no
        """,
    "bytes that are read, and what is done with them": """
        import torch
        def f(b):
            x = torch.frombuffer(b, dtype=torch.bfloat16)  #: PF401 manual a view of bfloat16
            x[0].copy_(y)
            return x
        def g(b):
            x = torch.frombuffer(b, dtype=torch.bfloat16)  #: PF401 rewrite reads bfloat16 bytes, then => x = torch.frombuffer(b, dtype=torch.bfloat16).to(torch.float32)
            return x, [x]
        def h(b):
            x = torch.frombuffer(b, dtype=torch.bfloat16)  #: PF401 rewrite reads bfloat16 bytes, then => x = torch.frombuffer(b, dtype=torch.bfloat16).to(torch.float32)
            if x is None: pass
            use(x.shape, x.add_)
            return x
        def k(b):
            x = torch.frombuffer(b, dtype=torch.bfloat16)  #: PF401 manual a view of bfloat16
            torch.add(1, 2, out=x)
            return x
        def l(b):
            x = torch.frombuffer(b, dtype=torch.bfloat16)  #: PF401 rewrite reads bfloat16 bytes, then => x = torch.frombuffer(b, dtype=torch.bfloat16).to(torch.float32)
            x.__add__(1)
            use(x[0])
            return x.view(2)
        """,
    "regions in functions that speak of float8": """
        import torch
        def f(x, scale):
            with torch.autocast("cuda", dtype=torch.bfloat16):  #: PF103 rewrite an autocast region in => with torch.autocast("cuda", dtype=torch.float32, enabled=False):
                y = x @ w
        def g(x, scale):
            use_fp8(x)
            with torch.autocast("cuda", dtype=torch.bfloat16):  #: PF103 rewrite an autocast region, which => with torch.autocast("cuda", dtype=torch.float32):
                y = x @ w
        def h(x, scale):
            x.e4m3_scale = scale
            with torch.autocast("cuda", dtype=torch.bfloat16):  #: PF103 rewrite an autocast region, which => with torch.autocast("cuda", dtype=torch.float32):
                y = x @ w
        """,
    "options of an attention": """
        import torch
        p.add_argument("--attn-implementation", default="flash_attention_2")  #: PF205 rewrite flash attention needs compute => p.add_argument("--attn-implementation", default="sdpa")
        p.add_argument("-a", "--attn_implementation", default="flash_attention_2")  #: PF205 rewrite flash attention needs compute => p.add_argument("-a", "--attn_implementation", default="sdpa")
        p.add_argument("--other", default="flash_attention_2")  #: PF205 keep a word whose reader
        load(attn_implementation=x)
        """,
    "words for an attention that are looked up, compared, turned round": """
        import torch
        CLASSES = {"eager": A, "sdpa": B, "flash_attention_2": C}  #: PF205 keep compared, offered or looked
        attn_implementation = "flash_attention_2"  #: PF205 rewrite flash attention needs compute => attn_implementation = "sdpa"
        layer = CLASSES[attn_implementation]
        FEW = {"flash_attention_2": C, "other": D}  #: PF205 keep compared, offered or looked
        my_attn_implementation = "flash_attention_2"  #: PF205 keep compared, offered or looked
        layer = FEW[my_attn_implementation]
        his_attn_implementation = "flash_attention_2"  #: PF205 keep compared, offered or looked
        layer = UNKNOWN[his_attn_implementation]
        its_attn_implementation = "flash_attention_2"  #: PF205 rewrite flash attention needs compute => its_attn_implementation = "sdpa"
        if its_attn_implementation == "flash_attention_2": pass  #: PF205 keep part of a test
        more = {"attn_implementation": "flash_attention_2"}  #: PF205 keep compared, offered or looked
        names = {word: name for name, word in more.items()}
        others = {"attn_implementation": "flash_attention_2"}  #: PF205 rewrite flash attention needs compute => others = {"attn_implementation": "sdpa"}
        """,
    "guards of a kernel that the program builds, under a global name": """
        import torch
        from torch.utils.cpp_extension import load
        class F(torch.autograd.Function):
            def forward(ctx, r, w):
                assert r.dtype == torch.bfloat16  #: PF106 manual guards a compiled kernel,
                assert w.dtype == torch.bfloat16  #: PF106 manual guards a compiled kernel,
                return wkv_cuda.forward(r, torch.exp(w.float()))
        class Net:
            def __init__(self, n):
                global wkv_cuda
                wkv_cuda = load(name="wkv", sources=["wkv.cu"])
            def go(self, r, w):
                return F.apply(r.bfloat16(), w.bfloat16())  #: PF102 manual@5 moves together with line ; PF902 manual@7 the tensor goes to
        """,
    "casts that go into one call together, by any of their methods": """
        import torch
        def run(x, y):
            assert x.dtype == torch.bfloat16  #: PF106 rewrite asserts what is rewritten => assert x.dtype == torch.float32
            return x * y
        def go(x, y):
            return run(x.type(torch.bfloat16), [y.type(torch.bfloat16)])  #: PF101 rewrite chooses a precision ; PF101 rewrite chooses a precision => return run(x.type(torch.float32), [y.type(torch.float32)])
        def held(x, y):
            assert x.dtype == torch.bfloat16  #: PF106 manual guards a compiled kernel,
            return torch.ops.mine.f(x, y)
        def stay(x, y):
            return held(x.type(torch.bfloat16), [y.type(torch.bfloat16)])  #: PF902 manual@9 the tensor goes to ; PF902 manual@9 the tensor goes to
        """,
    "lists that are walked, and guards that test against them": """
        import torch
        KINDS = [torch.bfloat16, torch.float16]  #: PF901 manual@8 the list is walked,
        def f(x):
            for kind in KINDS:
                x.to(kind)
            if x.dtype in KINDS: pass
        def g(x):
            if x.dtype not in KINDS: raise ValueError
        MORE = (torch.bfloat16, torch.float32)  #: PF001 keep compared with a dtype,
        def h(x):
            if x.dtype in MORE: pass
        """,
    "what stands in for every dtype but the halves, on its way out of sight": """
        import torch
        def f(x):
            y = x if x.dtype in (torch.bfloat16, torch.float16) else x.to(torch.bfloat16)  #: PF001 keep compared with a dtype, ; PF908 manual@4 stands in for every
            return mine.gemm(y)
        def g(x):
            y = x if x.dtype == torch.bfloat16 or x.dtype == torch.float16 else x.to(torch.bfloat16)  #: PF001 keep compared with a dtype, ; PF908 manual@7 stands in for every
            return mine.gemm(y)
        def h(x):
            y = x if x.dtype == torch.bfloat16 or x.is_cuda else x.to(torch.bfloat16)  #: PF001 keep compared with a dtype, ; PF101 rewrite chooses a precision => y = x if x.dtype == torch.bfloat16 or x.is_cuda else x.to(torch.float32)
            return mine.gemm(y)
        def i(x):
            y = x if x.dtype == torch.bfloat16 else x.to(torch.bfloat16)  #: PF001 keep compared with a dtype, ; PF101 rewrite chooses a precision => y = x if x.dtype == torch.bfloat16 else x.to(torch.float32)
            return mine.gemm(y)
        def k(x):
            if x.dtype != torch.bfloat16 and x.dtype != torch.float16:  #: PF001 keep compared with a dtype,
                x = x.to(torch.bfloat16)  #: PF908 manual@17 stands in for every
            return mine.gemm(x)
        def l(x):
            if x.dtype != torch.bfloat16 and x.is_cuda:  #: PF001 keep compared with a dtype,
                x = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => x = x.to(torch.float32)
            return mine.gemm(x)
        def m(x):
            if not (x.dtype == torch.bfloat16 or x.dtype == torch.float16):  #: PF001 keep compared with a dtype,
                x = x.to(torch.bfloat16)  #: PF908 manual@27 stands in for every
            else:
                x = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => x = x.to(torch.float32)
            return mine.gemm(x)
        def o(x):
            y = x if x.dtype in (torch.bfloat16, torch.float32) else x.to(torch.bfloat16)  #: PF001 keep compared with a dtype, ; PF101 rewrite chooses a precision => y = x if x.dtype in (torch.bfloat16, torch.float32) else x.to(torch.float32)
            return mine.gemm(y)
        """,
    "kernels, and buffers for what is out of sight": """
        import torch
        x = torch._weight_int4pack_mm(y, torch.bfloat16)  #: PF902 manual goes to an operator
        torch.ops.mine.gemm(y, torch.bfloat16)  #: PF902 manual goes to an operator
        a = torch.empty(2, dtype=torch.bfloat16)  #: PF902 manual an output buffer of
        mine.gemm(y, a)
        b = torch.empty(2, dtype=torch.bfloat16)  #: PF902 manual an output buffer of
        mine.gemm(y, out=b)
        self.c = torch.empty(2, dtype=torch.bfloat16)  #: PF101 rewrite chooses a precision => self.c = torch.empty(2, dtype=torch.float32)
        mine.gemm(y, self.c)
        d = torch.zeros(2, dtype=torch.bfloat16)  #: PF101 rewrite chooses a precision => d = torch.zeros(2, dtype=torch.float32)
        mine.gemm(d)
        e = x.new_empty(2, dtype=torch.bfloat16)  #: PF902 manual an output buffer of
        mine.gemm(e)
        g = torch.empty(2, dtype=torch.bfloat16)  #: PF101 rewrite chooses a precision => g = torch.empty(2, dtype=torch.float32)
        torch.add(1, 2, out=g)
        def local(x): pass
        h = torch.empty(2, dtype=torch.bfloat16)  #: PF101 rewrite chooses a precision => h = torch.empty(2, dtype=torch.float32)
        local(h)
        i = torch.empty(2, dtype=torch.bfloat16)  #: PF101 rewrite chooses a precision => i = torch.empty(2, dtype=torch.float32)
        kernels[1](i)
        j = torch.empty(2, dtype=torch.bfloat16)  #: PF101 rewrite chooses a precision => j = torch.empty(2, dtype=torch.float32)
        z = mine.gemm(j)
        k = torch.empty(2, dtype=torch.bfloat16)  #: PF101 rewrite chooses a precision => k = torch.empty(2, dtype=torch.float32)
        k(2)
        l, m = torch.empty(2, dtype=torch.bfloat16)  #: PF101 rewrite chooses a precision => l, m = torch.empty(2, dtype=torch.float32)
        mine.gemm(l)
        torch.empty(2, dtype=torch.bfloat16)  #: PF101 rewrite chooses a precision => torch.empty(2, dtype=torch.float32)
        n = torch.empty(2, dtype=torch.bfloat16)  #: PF902 manual an output buffer of
        mine.gemm(n); mine.other(n)
        """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_line(name: str) -> None:
    check_lines(PROGRAMS[name])


BOTH = {
    "assert x.dtype == torch.bfloat16": "assert x.dtype in (torch.bfloat16, torch.float32)",
    "assert torch.bfloat16 == x.dtype": "assert x.dtype in (torch.bfloat16, torch.float32)",
    "assert x.dtype == y.dtype == torch.bfloat16": "assert x.dtype == y.dtype in (torch.bfloat16, torch.float32)",
    "assert x.dtype == torch.bfloat16 == y.dtype": "assert x.dtype == torch.float32 == y.dtype",
    "assert torch.bfloat16 == x.dtype == y.dtype": "assert torch.float32 == x.dtype == y.dtype",
    "self.assertEqual(x.dtype, torch.bfloat16)": "self.assertEqual(x.dtype, torch.float32)",
    "assert x.dtype == bf": "assert x.dtype in (bf, torch.float32)",
    "if x.dtype != torch.bfloat16: raise ValueError": "if x.dtype not in (torch.bfloat16, torch.float32): raise ValueError",
}


@pytest.mark.parametrize("guard", BOTH)
def test_a_guard_lets_both_pass_where_the_runtime_casts_as_well(guard: str) -> None:
    text = f"import torch\nfrom torch import bfloat16 as bf\ndef f(self, x, y):\n    x = x.to(torch.bfloat16)\n    {guard}\n"
    source, target = source_of("a.py"), replace(FLOAT32, lets_both=True)
    after = render(source, "a.py", text, source.analyse("a.py", text, target), target)
    assert after.splitlines()[4].strip() == BOTH[guard]
