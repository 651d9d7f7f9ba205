"""What is found in each line of small programs by what stands around it, and of what is brought from outside."""

# A line, what is found in it and what becomes of it read best side by side.
# ruff: noqa: E501
from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.lines import check_lines

PROGRAMS = {
    ("PF913 to PF915: what is brought", "a.py", "float32"): """
        import torch, transformers, vllm, peft, sentence_transformers, safetensors
        assert torch.bfloat16  #: PF001 keep compared with a
        from safetensors.torch import load_file
        from safetensors import safe_open
        transformers.AutoModel.from_pretrained(name)  #: PF913 manual no dtype is
        transformers.AutoModel.from_pretrained(name, dtype=torch.float32)
        transformers.AutoModel.from_pretrained(name, torch_dtype=kind)
        transformers.AutoModel.from_pretrained(name, **options)
        transformers.AutoTokenizer.from_pretrained(name)
        transformers.AutoConfig.from_pretrained(name, trust_remote_code=True)
        transformers.AutoModel.from_pretrained(name, trust_remote_code=True)  #: PF914 manual runs code of
        transformers.AutoModel.from_pretrained(name, dtype=kind, trust_remote_code=False)
        make(name, trust_remote_code=True)  #: PF914 manual runs code of
        vllm.LLM(name)  #: PF913 manual no dtype is
        transformers.pipeline("text")  #: PF913 manual no dtype is
        mine.pipeline("text")
        state = load_file(path)  #: PF915 keep its tensors are
        model.load_state_dict(state)
        weights = load_file(path)  #: PF915 manual a tensor may
        layer.weight = weights["a"]
        seen = load_file(path)  #: PF915 keep its tensors are
        print(seen["a"].shape)
        for key in seen.keys(): pass
        cast = load_file(path)["a"].float()  #: PF915 keep its tensors are
        kept = torch.load(path)  #: PF915 manual a tensor may
        y = x @ kept["w"]
        epoch = torch.load(path)  #: PF915 keep its tensors are
        z = epoch["epoch"] + 1
        made = torch.load(path)  #: PF915 manual a tensor may
        p = torch.nn.Parameter(made["w"])
        q = use(torch.load(path))  #: PF915 manual a tensor may
        with safe_open(path) as file:  #: PF915 manual a tensor may
            w = file.get_tensor("a")
            layer.weight.data = w
        with safe_open(path) as file2:  #: PF915 keep its tensors are
            v = file2.get_slice("a")
        hub = torch.hub.load("a", "b")  #: PF915 manual a tensor may
        hub2 = torch.hub.load_state_dict_from_url("a")  #: PF915 keep its tensors are
        one = safetensors.torch.load(data)["a"] @ x  #: PF915 manual a tensor may
        peft.AutoPeftModelForCausalLM.from_pretrained(name)  #: PF913 manual no dtype is
        peft.PeftConfig.from_pretrained(name)
        sentence_transformers.SentenceTransformer(name)  #: PF913 manual no dtype is
        transformers.AutoProcessor.from_pretrained(name)
        transformers.AutoFeatureExtractor.from_pretrained(name)
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=True)
        def read(path):
            return torch.load(path)  #: PF915 manual a tensor may
        class Net:
            def __init__(self, path):
                self.kept = torch.load(path)  #: PF915 manual a tensor may
        with safe_open(path) as (a, b): pass  #: PF915 manual a tensor may
        for each in torch.load(path): pass  #: PF915 manual a tensor may
        [each for each in torch.load(path)]  #: PF915 manual a tensor may
        table = {"a": torch.load(path)}  #: PF915 manual a tensor may
        len(torch.load(path)), isinstance(torch.load(path), dict), sorted(torch.load(path)), set(torch.load(path)), list(torch.load(path)), type(torch.load(path))  #: PF915 keep its tensors are ; PF915 keep its tensors are ; PF915 keep its tensors are ; PF915 keep its tensors are ; PF915 keep its tensors are ; PF915 keep its tensors are
        f"{torch.load(path)}"  #: PF915 keep its tensors are
        torch.load(path).shape, torch.load(path).dtype, torch.load(path).device, torch.load(path).numel(), torch.load(path).size(), torch.load(path).dim()  #: PF915 keep its tensors are ; PF915 keep its tensors are ; PF915 keep its tensors are ; PF915 keep its tensors are ; PF915 keep its tensors are ; PF915 keep its tensors are
        torch.load(path).metadata(), torch.load(path).half(), torch.load(path).double(), torch.load(path).to(x), torch.load(path).float  #: PF915 keep its tensors are ; PF915 keep its tensors are ; PF915 keep its tensors are ; PF915 keep its tensors are ; PF915 manual a tensor may
        torch.load(path).other()  #: PF915 manual a tensor may
        u1 = torch.load(path).get("a").other()  #: PF915 keep its tensors are
        u2 = torch.load(path).pop("a") @ x  #: PF915 manual a tensor may
        layer.bias = torch.load(path)["b"]  #: PF915 manual a tensor may
        layer.other = torch.load(path)["b"]  #: PF915 keep its tensors are
        torch.add(torch.load(path)["b"], 1)  #: PF915 manual a tensor may
        other(torch.load(path)["b"])  #: PF915 keep its tensors are
        other(torch.load(path))  #: PF915 manual a tensor may
        torch.load(path) + 1  #: PF915 manual a tensor may
        if torch.load(path)["a"] == 1: pass  #: PF915 keep its tensors are
        asked = torch.load(path)  #: PF915 keep its tensors are
        if asked: pass
        r = torch.load(path)  #: PF915 keep its tensors are
        del r["a"]
        s = r.get("a")
        t = s * 2
        """,
    ("kernels that are launched and files of them", "kernels/a.py", "float32"): """
        import torch
        def f(x):
            x = x.to(torch.bfloat16)  #: PF101 manual@4 moves together with
            assert x.dtype == torch.bfloat16  #: PF106 manual guards a compiled
            return x
        """,
    ("kernels near by", "a.py", "float32"): """
        import torch, triton
        def launches(x):
            x = x.to(torch.bfloat16)  #: PF101 manual@4 moves together with
            assert x.dtype == torch.bfloat16  #: PF106 manual guards a compiled
            kernel[grid](x)
        def layers(self, x):
            x = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => x = x.to(torch.float32)
            assert x.dtype == torch.bfloat16  #: PF106 rewrite asserts what is => assert x.dtype == torch.float32
            return self.layers[0](x)
        def imports(x):
            from flash_attn import flash_attn_func  #: PF912 keep imported where it
            x = x.to(torch.bfloat16)  #: PF101 manual@13 moves together with
            assert x.dtype == torch.bfloat16  #: PF106 manual guards a compiled
        def triton_here(x):
            import triton.language as tl
            x = x.to(torch.bfloat16)  #: PF101 manual@17 moves together with
            assert x.dtype == torch.bfloat16  #: PF106 manual guards a compiled
        def calls(x):
            x = x.to(torch.bfloat16)  #: PF902 manual@21 the tensor goes
            assert x.dtype == torch.bfloat16  #: PF106 manual guards a compiled
            return torch.ops.mine.run(x)
        def plain(x):
            x = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => x = x.to(torch.float32)
            assert x.dtype == torch.bfloat16  #: PF106 rewrite asserts what is => assert x.dtype == torch.float32
            return x
        """,
    ("where nobody comes on this GPU", "a.py", "float32"): """
        import torch
        def never(q):
            assert q.dtype == torch.bfloat16  #: PF001 keep compared with a
            return flash_attn_func(q)
        def other_way(q):
            assert q.dtype == torch.bfloat16  #: PF106 manual nothing in reach
            if x:
                return flash_attn_func(q)
            return scaled_dot_product_attention(q)
        def guarded(q):
            if q.dtype not in (torch.float16, torch.bfloat16):  #: PF001 keep compared with a
                raise ValueError
            return flash_attn_varlen_func(q.to(torch.bfloat16))  #: PF902 manual@13 goes to a
        """,
    ("arms and mirrors", "a.py", "float32"): """
        import torch
        def f(x, dtype, flag):
            a = torch.bfloat16 if flag else torch.float16  #: PF101 rewrite chooses a precision => a = torch.float32 if flag else torch.float16
            x.to(a)
            b = torch.bfloat16 if dtype is torch.bfloat16 else dtype  #: PF001 keep compared with a ; PF006 keep mirrors the dtype
            x.to(b)
            c = torch.empty_like(x, dtype=torch.bfloat16 if dtype == torch.bfloat16 else torch.float32)  #: PF001 keep compared with a ; PF006 keep mirrors the dtype
            if flag:
                kind = torch.bfloat16  #: PF101 rewrite chooses a precision => kind = torch.float32
            elif dtype == torch.bfloat16:  #: PF001 keep compared with a
                kind = torch.bfloat16  #: PF101 rewrite chooses a precision => kind = torch.float32
            else:
                kind = torch.float16
            x.to(kind)
            if dtype not in (torch.float16, torch.bfloat16):  #: PF001 keep compared with a
                dtype = torch.bfloat16  #: PF101 rewrite chooses a precision => dtype = torch.float32
            x.to(dtype)
            y = x if x.dtype in (torch.float16, torch.bfloat16) else x.to(torch.bfloat16)  #: PF001 keep compared with a ; PF101 rewrite chooses a precision => y = x if x.dtype in (torch.float16, torch.bfloat16) else x.to(torch.float32)
            return c, y
        """,
    ("words and the other words of their readers", "a.py", "float32"): """
        import torch
        def f(args, half):
            word = "bf16" if half else "fp32"  #: PF201 keep a word whose
            use(dtype=word)
            if half:
                dtype = "bf16"  #: PF201 rewrite dtype chooses a => dtype = "no"
            elif x:
                dtype = "no"
            else:
                dtype = "fp16"
            run(dtype=dtype)
            kind = "bf16"  #: PF201 keep a word whose
            table = {"bf16": 1, "fp32": 2}[kind]  #: PF007 keep compared, or looked
            mode_dtype = "bf16"  #: PF201 rewrite mode_dtype chooses a => mode_dtype = "fp32"
            if mode_dtype == "bf16":  #: PF007 keep compared, or looked
                y = torch.bfloat16  #: PF101 rewrite chooses a precision => y = torch.float32
            else:
                y = torch.float32
            x.to(y)
            other_dtype = "bf16"  #: PF201 rewrite other_dtype chooses a => other_dtype = "float32"
            if other_dtype == "bf16":  #: PF007 keep compared, or looked
                z = torch.bfloat16  #: PF101 rewrite chooses a precision => z = torch.float32
            elif other_dtype == "float32":
                z = torch.float32
            x.to(z)
        """,
    ("state that is cast before it is loaded", "a.py", "float32"): """
        import torch
        assert torch.bfloat16  #: PF001 keep compared with a
        def f(model, state, dtype):
            for k in state:
                state[k] = state[k].float()
            model.load_state_dict(state, assign=True)
        def g(model, state, dtype):
            state = {k: v.to(dtype) for k, v in state.items()}
            model.load_state_dict(state, assign=True)
        def h(model, state, dtype):
            for k in state:
                state[k] = state[k].cpu()
            model.load_state_dict(state, assign=True)  #: PF906 manual assign=True brings back
        def i(model, state, dtype):
            model.load_state_dict(state, assign=True)
            model.eval().to(dtype)
        def j(model, state, dtype):
            model.load_state_dict(state, assign=True)  #: PF906 manual assign=True brings back
            if dtype:
                model.to(dtype)
        def k(model, state, dtype):
            model.load_state_dict(state, assign=True)  #: PF906 manual assign=True brings back
            model.to("cuda")
        def m(model, state, dtype):
            model.to(dtype)
            model.load_state_dict(state, assign=True)  #: PF906 manual assign=True brings back
        def n(model, state, dtype):
            model.load_state_dict({k: v.half() for k, v in state.items()}, assign=True)
        def o(model, state, dtype):
            for k, v in state.items():
                new = v.to(dtype=dtype)
                state[k] = new
            model.load_state_dict(state, assign=True)
        def p(model, other, state, dtype):
            model.load_state_dict(state, assign=True)  #: PF906 manual assign=True brings back
            other.to(dtype)
        def q(model, state, dtype):
            model.load_state_dict(state, assign=True)
            model.to("cuda", torch.float16)
        def r(model, state, precision):
            model.load_state_dict(state, assign=True)
            model.to("cuda", precision)
        def s(model, state, dtype):
            model.load_state_dict(state, assign=True)  #: PF906 manual assign=True brings back
            model.float(1)
        """,
}


@pytest.mark.parametrize(("title", "path", "to"), PROGRAMS)
def test_each_line(title: str, path: str, to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_lines(PROGRAMS[title, path, to], path=path, to=to)
