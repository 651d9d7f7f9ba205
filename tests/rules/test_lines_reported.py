"""What is found in each line of small programs: bytes, kernels, guards, copies, names."""

# A line, what is found in it and what becomes of it read best side by side.
# ruff: noqa: E501
from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.lines import check_lines

PROGRAMS = {
    ("PF401: bytes", "a.py", "float32"): """
        import torch
        def f(b, x, dtype):
            a = torch.frombuffer(b, dtype=torch.bfloat16)  #: PF401 rewrite reads bfloat16 bytes, then => a = torch.frombuffer(b, dtype=torch.bfloat16).to(torch.float32)
            c = torch.frombuffer(b, dtype=torch.bfloat16).to(torch.float32)  #: PF005 keep stored bytes, which are
            d = torch.frombuffer(b, dtype=torch.bfloat16).float()  #: PF005 keep stored bytes, which are
            e = torch.frombuffer(b, dtype=torch.bfloat16)  #: PF401 manual a view of bfloat16
            e.copy_(x)
            g = torch.frombuffer(b, dtype=torch.bfloat16)  #: PF401 manual a view of bfloat16
            g[0] = 1
            h = torch.frombuffer(b, dtype=torch.bfloat16)  #: PF401 manual a view of bfloat16
            h.view(2).fill_(1)
            i = torch.frombuffer(b, dtype=torch.bfloat16)  #: PF401 manual a view of bfloat16
            dist.recv(i)
            j = torch.frombuffer(b, dtype=torch.bfloat16)  #: PF401 manual a view of bfloat16
            torch.add(x, x, out=j)
            k = torch.frombuffer(b, dtype=torch.bfloat16)  #: PF401 rewrite reads bfloat16 bytes, then => k = torch.frombuffer(b, dtype=torch.bfloat16).to(torch.float32)
            k.add(1)
            m = torch.frombuffer(b, dtype=torch.bfloat16)  #: PF401 rewrite reads bfloat16 bytes, then => m = torch.frombuffer(b, dtype=torch.bfloat16).to(torch.float32)
            use(m)
            n = torch.frombuffer(b, dtype=torch.bfloat16)  #: PF401 rewrite reads bfloat16 bytes, then => n = torch.frombuffer(b, dtype=torch.bfloat16).to(torch.float32)
            print(n[0])
            return x.view(torch.bfloat16)  #: PF401 rewrite reads bfloat16 bytes, then => return x.view(torch.bfloat16).to(torch.float32)
        def g(x):
            return x.view(torch.bfloat16).reshape(2)  #: PF401 rewrite reads bfloat16 bytes, then => return x.view(torch.bfloat16).to(torch.float32).reshape(2)
        def h(x):
            y = x.view(torch.bfloat16)  #: PF401 rewrite reads bfloat16 bytes, then => y = x.view(torch.bfloat16).to(torch.float32)
            return y
        def i(x):
            y = x.view(torch.bfloat16)  #: PF401 manual a view of bfloat16
            use(y)
        def j(x):
            y = x.view(torch.bfloat16)  #: PF401 manual a view of bfloat16
            use(y)
            return y
        def k(x):
            z = x.view(torch.bfloat16).float()  #: PF005 keep stored bytes, which are
            return x.view(torch.bfloat16).to("cuda", torch.float32), x.view(torch.bfloat16).shape  #: PF005 keep stored bytes, which are ; PF401 manual a view of bfloat16
        """,
    ("PF401: bytes by a variable", "a.py", "float32"): """
        import torch
        kind = torch.bfloat16  #: PF401 manual@3 what is read so
        y = torch.frombuffer(b, dtype=kind)
        use(y)
        def f(b, kind=torch.bfloat16):  #: PF401 keep says how stored bytes
            return torch.frombuffer(b, dtype=kind).float()
        """,
    ("PF901: lists whose use is not seen", "a.py", "float32"): """
        import torch
        KINDS = [torch.float16, torch.bfloat16]  #: PF901 manual a list whose use
        def f(x):
            for kind in WALKED:
                x.to(kind)
            assert x.dtype in WALKED
        WALKED = [torch.float16, torch.bfloat16]  #: PF903 manual@6 the guard on line
        hand(KINDS)
        """,
    ("PF902: words of the author", "a.py", "float32"): """
        import torch
        def f(x):
            a = x.to(torch.bfloat16)  # must match the bf16 base  #: PF101 rewrite chooses a precision => a = x.to(torch.float32)  # must match the bf16 base
            b = x.to(torch.bfloat16)  # needs the same bf16 as w  #: PF101 rewrite chooses a precision => b = x.to(torch.float32)  # needs the same bf16 as w
            c = x.to(torch.bfloat16)  # only agrees with bfloat16  #: PF101 rewrite chooses a precision => c = x.to(torch.float32)  # only agrees with bfloat16
            d = x.to(torch.bfloat16)  # same shape; only takes bf16  #: PF902 manual the author says that
            return a, b, c, d
        """,
    ("PF902: operators", "a.py", "float32"): """
        import torch, flash_attn  #: PF912 manual the file needs the
        def f(x, w):
            y = x.to(torch.bfloat16)  #: PF902 manual@4 goes to a kernel
            return torch._scaled_mm(y, w)  #: PF916 manual products of float8 need
        def g(x):
            # must only use bfloat16 here
            return x.to(torch.bfloat16)  #: PF902 manual the author says that
        def h(x):
            # requires bfloat16, falls back otherwise
            return x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => return x.to(torch.float32)
        def i(x):
            # only use bfloat16 if it is there
            return x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => return x.to(torch.float32)
        def j(x):
            if x:
                log("the kernel needs bf16")
                return x.to(torch.bfloat16)  #: PF902 manual the author says that
        def k(x):
            if x:
                assert y, "the kernel needs bf16"
                return x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => return x.to(torch.float32)
        def m(x):
            out = torch.empty(2, dtype=torch.bfloat16)  #: PF902 manual an output buffer of
            lib.fill(x, out)
            return out
        def n(x):
            out = torch.empty(2, dtype=torch.bfloat16)  #: PF101 rewrite chooses a precision => out = torch.empty(2, dtype=torch.float32)
            y = lib.fill(x, out)
            return out
        def o(x):
            out = torch.zeros(2, dtype=torch.bfloat16)  #: PF101 rewrite chooses a precision => out = torch.zeros(2, dtype=torch.float32)
            lib.fill(x, out)
            return out
        def p(x):
            out = torch.empty(2, dtype=torch.bfloat16)  #: PF101 rewrite chooses a precision => out = torch.empty(2, dtype=torch.float32)
            torch.add(x, x, out=out)
            return out
        def q(x):
            out = x.new_empty(2, dtype=torch.bfloat16)  #: PF902 manual an output buffer of
            lib.fill(x, out=out)
            return out
        def fill_here(x, out): pass
        def r(x):
            out = torch.empty(2, dtype=torch.bfloat16)  #: PF101 rewrite chooses a precision => out = torch.empty(2, dtype=torch.float32)
            fill_here(x, out)
            return out
        def s(x):
            return flash_attn.flash_attn_func(x.to(torch.bfloat16))  #: PF902 manual@48 goes to a kernel
        def t(x):
            y = x.to(torch.bfloat16)  #: PF902 manual@51 goes to a kernel
            torch._scaled_mm(y, w)  #: PF916 manual products of float8 need
            z = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => z = x.to(torch.float32)
            return z
        def u(x, dtype=torch.bfloat16):  #: PF902 manual@55 goes to a kernel
            torch._scaled_mm(x.to(dtype), w)  #: PF916 manual products of float8 need
            return x.to(dtype)
        """,
    ("PF903: guards that refuse", "a.py", "float32"): """
        import torch
        def f(x, dtype=torch.bfloat16):  #: PF903 manual@3 the guard on line
            assert dtype in (torch.float16, torch.bfloat16)  #: PF001 keep compared with a dtype,
            return x.to(dtype)
        def g(x):
            y = x.to(torch.bfloat16)  #: PF903 manual@7 the guard on line
            if y.dtype not in (torch.float16, torch.bfloat16):  #: PF001 keep compared with a dtype,
                raise ValueError
            return y
        def h(x, dtype=torch.bfloat16):  #: PF903 manual@11 the test on line
            return x if dtype == torch.bfloat16 else x.to(torch.float16)  #: PF001 keep compared with a dtype,
        def i(x):
            y = x.bfloat16()  #: PF903 manual@14 the guard on line
            assert y.dtype in (torch.float16, torch.bfloat16)  #: PF001 keep compared with a dtype,
            return y
        def j(x, dtype="bfloat16"):  #: PF903 manual@17 the guard on line
            assert dtype in ("bfloat16", "float16")  #: PF007 keep compared, or looked up
            load(dtype=dtype)
        def k(x):
            y = x.bfloat16()  #: PF902 manual@21 goes to a kernel
            return torch._scaled_mm(y, y)  #: PF916 manual products of float8 need
        def m(x):
            y = torch.float16 if x.bfloat16().dtype != torch.bfloat16 else 1  #: PF001 keep compared with a dtype, ; PF102 rewrite casts to bfloat16 => y = torch.float16 if x.float().dtype != torch.bfloat16 else 1
        """,
    ("PF906: checkpoints", "a.py", "float32"): """
        import torch
        AutoModel.from_pretrained(name, torch_dtype="auto")  #: PF906 manual "auto" takes the dtype
        use(torch_dtype="auto")
        pipeline("x", dtype="auto")  #: PF906 manual "auto" takes the dtype
        model.load_state_dict(state, assign=True)  #: PF906 manual assign=True brings back the
        model.load_state_dict({"a": x}, assign=True)
        given = {"a": x}
        model.load_state_dict(given, assign=True)
        empty = {}
        model.load_state_dict(empty, assign=True)  #: PF906 manual assign=True brings back the
        model.load_state_dict(state)
        later = Model()
        later.load_state_dict(state, assign=True)
        later.to(torch.float32)
        cast = {k: v.float() for k, v in state.items()}
        model.load_state_dict(cast, assign=True)
        """,
    ("PF908: what follows needs half", "a.py", "float32"): """
        import torch, flash_attn  #: PF912 manual the file needs the
        def f(x, dtype):
            dtype = dtype if dtype in (torch.float16, torch.bfloat16) else torch.bfloat16  #: PF001 keep compared with a dtype, ; PF908 manual@4 stands in for every
            return flash_attn.flash_attn_func(x.to(dtype))
        def g(x, dtype):
            dtype = dtype if dtype in (torch.float16, torch.bfloat16) else torch.bfloat16  #: PF001 keep compared with a dtype, ; PF908 manual@7 stands in for every
            return dtype
        def h(x, dtype):
            dtype = dtype if dtype in (torch.float32, torch.bfloat16) else torch.bfloat16  #: PF001 keep compared with a dtype, ; PF101 rewrite chooses a precision => dtype = dtype if dtype in (torch.float32, torch.bfloat16) else torch.float32
            return x.to(dtype)
        def i(x, dtype):
            if dtype not in (torch.float16, torch.bfloat16):  #: PF001 keep compared with a dtype,
                dtype = torch.bfloat16  #: PF908 manual@14 stands in for every
            return somebody(x.to(dtype))
        def j(x):
            return somebody(x if x.dtype in (torch.float16, torch.bfloat16) else x.bfloat16())  #: PF001 keep compared with a dtype, ; PF908 manual@16 stands in for every
        """,
    ("PF909: aliases", "a.py", "float32"): """
        import torch
        BF16 = torch.bfloat16  #: PF909 manual this name is compared
        x.to(BF16)
        if y.dtype == BF16: pass
        KIND = torch.bfloat16  #: PF101 rewrite chooses a precision => KIND = torch.float32
        x.to(KIND)
        if y.dtype == KIND: pass
        SHORT_BF16 = torch.bfloat16  #: PF101 rewrite chooses a precision => SHORT_BF16 = torch.float32
        x.to(SHORT_BF16)
        """,
    ("PF912: the package", "a.py", "float32"): """
        import flash_attn  #: PF912 manual the file needs the
        from flash_attn import flash_attn_func
        try:
            from flash_attn import flash_attn_func
        except ImportError:
            pass
        if x:
            import flash_attn
        def f():
            from flash_attn.bert_padding import unpad_input
        import flash_attn_interface
        import flash_attention
        """,
    ("to float16", "a.py", "float16"): """
        import torch
        def f(x, model):
            x = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => x = x.to(torch.float16)
            assert x.dtype == torch.bfloat16  #: PF106 rewrite asserts what is rewritten => assert x.dtype == torch.float16
            assert x.dtype in (torch.float16, torch.bfloat16)  #: PF001 keep compared with a dtype,
            with torch.autocast("cuda", dtype=torch.bfloat16): pass  #: PF103 rewrite an autocast region in => with torch.autocast("cuda", dtype=torch.float16): pass
            model.bfloat16()  #: PF102 rewrite casts to bfloat16 => model.half()
            y = torch.cuda.BFloat16Tensor(2)  #: PF104 rewrite a tensor type in => y = torch.cuda.HalfTensor(2)
            z = torch.frombuffer(b, dtype=torch.bfloat16)  #: PF401 rewrite reads bfloat16 bytes, then => z = torch.frombuffer(b, dtype=torch.bfloat16).to(torch.float16)
            Trainer(precision="bf16-mixed", mixed_precision="bf16")  #: PF202 rewrite the library's word for ; PF202 rewrite the library's word for => Trainer(precision="16-mixed", mixed_precision="fp16")
            load(torch_dtype="bfloat16")  #: PF201 rewrite torch_dtype chooses a precision => load(torch_dtype="float16")
            kind = "bf16" if x.dtype == torch.bfloat16 else "fp16"  #: PF001 keep compared with a dtype, ; PF007 keep part of a message
            a = torch.bfloat16 if x else torch.float16  #: PF001 keep given to a name
        def g(x, dtype):
            dtype = dtype if dtype in (torch.float16, torch.bfloat16) else torch.bfloat16  #: PF001 keep compared with a dtype, ; PF101 rewrite chooses a precision => dtype = dtype if dtype in (torch.float16, torch.bfloat16) else torch.float16
            assert dtype != torch.float32
            return dtype
        def h(x, dtype=torch.bfloat16):  #: PF101 rewrite chooses a precision => def h(x, dtype=torch.float16):
            return x if dtype == torch.bfloat16 else x.to(torch.float16)  #: PF001 keep compared with a dtype,
        """,
    ("by whatever name", "a.py", "float32"): """
        import torch as th
        from torch import bfloat16, float32
        from torch import bfloat16 as bf
        import torch.nn as nn
        def f(x):
            return x.to(th.bfloat16), x.to(bfloat16), x.to(bf), nn.Linear(2, 2, dtype=th.bfloat16)  #: PF101 rewrite chooses a precision ; PF101 rewrite chooses a precision ; PF101 rewrite chooses a precision ; PF101 rewrite chooses a precision => return x.to(th.float32), x.to(th.float32), x.to(th.float32), nn.Linear(2, 2, dtype=th.float32)
        def g(bfloat16, x):
            return x.to(bfloat16)
        def h(th, x):
            return x.to(th.bfloat16)
        """,
    ("a name that means something else", "a.py", "float32"): """
        from torch import bfloat16
        float32 = "mine"
        x.to(bfloat16)  #: PF101 manual float32 already means something
        """,
    ("casts that stay copies", "a.py", "float32"): """
        import torch
        def f(model, x):
            saved = {k: v.to(torch.bfloat16) for k, v in model.state_dict().items()}  #: PF101 rewrite chooses a precision => saved = {k: v.to(torch.float32, copy=True) for k, v in model.state_dict().items()}
            kept = {k: v.detach().bfloat16() for k, v in model.named_parameters()}  #: PF102 rewrite casts to bfloat16 => kept = {k: v.detach().float().clone() for k, v in model.named_parameters()}
            plain = {k: v.to(torch.bfloat16) for k, v in more.items()}  #: PF101 rewrite chooses a precision => plain = {k: v.to(torch.float32) for k, v in more.items()}
        def g(x, p):
            y = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => y = x.to(torch.float32, copy=True)
            y += 1
            z = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => z = x.to(torch.float32, copy=True)
            z.add_(1)
            w = x.to(torch.bfloat16, copy=True)  #: PF101 rewrite chooses a precision => w = x.to(torch.float32, copy=True)
            w.add_(1)
            v = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => v = x.to(torch.float32)
            v[mask] = 1
            u = (x * 2).to(torch.bfloat16)  #: PF101 rewrite chooses a precision => u = (x * 2).to(torch.float32)
            u.add_(1)
            t = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => t = x.to(torch.float32, copy=True)
            t.view(2).zero_()
            s = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => s = x.to(torch.float32, copy=True)
            s.data.copy_(p)
            r = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => r = x.to(torch.float32)
            r[0] = 1
            q = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => q = x.to(torch.float32)
            q.add(1)
            self.kept = x.detach().to(torch.bfloat16)  #: PF101 rewrite chooses a precision => self.kept = x.detach().to(torch.float32, copy=True)
            self.kept = a = x.detach().to(torch.bfloat16)  #: PF101 rewrite chooses a precision => self.kept = a = x.detach().to(torch.float32, copy=True)
            b = c = x.detach().to(torch.bfloat16)  #: PF101 rewrite chooses a precision => b = c = x.detach().to(torch.float32)
            p.data = p.data.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => p.data = p.data.to(torch.float32)
            things.append(x.detach().to(torch.bfloat16))  #: PF101 rewrite chooses a precision => things.append(x.detach().to(torch.float32, copy=True))
            self.cpu = x.detach().to(torch.bfloat16).cpu()  #: PF101 rewrite chooses a precision => self.cpu = x.detach().to(torch.float32, copy=True).cpu()
            self.other = x.detach().to(torch.bfloat16).sum()  #: PF101 rewrite chooses a precision => self.other = x.detach().to(torch.float32).sum()
            n = x.bfloat16()  #: PF102 rewrite casts to bfloat16 => n = x.float().clone()
            n.T.mul_(2)
            m = x.type(torch.bfloat16)  #: PF101 rewrite chooses a precision => m = x.type(torch.float32).clone()
            m.mul_(2)
            return y, z
        def h(x):
            y = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => y = x.to(torch.float32, copy=True)
            x.mul_(2)
            return y
        def i(x):
            z = x + 1
            y = z.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => y = z.to(torch.float32)
            y.mul_(2)
            return y
        def j(x):
            z = x + 1
            y = z.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => y = z.to(torch.float32, copy=True)
            y.mul_(2)
            return y, z
        """,
}


@pytest.mark.parametrize(("title", "path", "to"), PROGRAMS)
def test_each_line(title: str, path: str, to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_lines(PROGRAMS[title, path, to], path=path, to=to)
