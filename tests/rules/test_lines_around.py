"""What is found in each line of small programs by what stands around it, and of what is brought from outside."""

# A line, what is found in it and what becomes of it read best side by side.
# ruff: noqa: E501
from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.lines import check_lines

PROGRAMS = {
    ("PF915: a state that is walked, and one that is read where it is made", "a.py", "float32"): """
        import torch
        from safetensors.torch import load_file
        x = torch.bfloat16  #: PF101 rewrite chooses a precision => x = torch.float32
        def a(net):
            state = torch.load(path)  #: PF915 keep its tensors are copied
            renamed = {}
            for key, value in state.items():
                renamed[key.replace("a", "b")] = value
            net.load_state_dict(renamed)
        def b(net):
            state = {k: v for k, v in load_file(path).items() if v.ndim > 1}  #: PF915 keep its tensors are copied
            net.load_state_dict(state)
        def c(net):
            for value in torch.load(path).values():  #: PF915 keep its tensors are copied
                print(value.shape, value.float())
        def d(net):
            state = torch.load(path)  #: PF915 keep its tensors are copied
            if "model" in state:
                state = state["model"]
            elif "net" in state:
                state = state["net"]
            net.load_state_dict(state)
        def e(net):
            for key, value in torch.load(path).items():  #: PF915 manual a tensor may be
                setattr(net, key, value)
        def f(net):
            made = {}
            for key, value in torch.load(path).items():  #: PF915 manual a tensor may be
                made[key] = value
            return made
        def g(net):
            return {k: v for k, v in torch.load(path).items()}  #: PF915 manual a tensor may be
        def h(net):
            for key, value in torch.load(path).items():  #: PF915 manual a tensor may be
                net.table[key] = value
        def i(net):
            for item in torch.load(path).items():  #: PF915 manual a tensor may be
                net(item)
        def j(net):
            for key, value in torch.load(path).items():  #: PF915 manual a tensor may be
                net.weight.data = value
        """,
    ("PF913: a pipeline on the CPU", "a.py", "float32"): """
        import torch
        from transformers import pipeline
        x = torch.bfloat16  #: PF101 rewrite chooses a precision => x = torch.float32
        pipeline("depth", device="cpu")  #: PF913 keep it stays on the
        pipeline("depth", device=-1)  #: PF913 keep it stays on the
        pipeline("depth", device=torch.device("cpu"))  #: PF913 keep it stays on the
        pipeline("depth", device=0)  #: PF913 manual no dtype is named,
        pipeline("depth", device=torch.device(kind))  #: PF913 manual no dtype is named,
        pipeline("depth")  #: PF913 manual no dtype is named,
        """,
    ("PF203: what allows TF32", "a.py", "float32"): """
        import argparse, torch
        parser = argparse.ArgumentParser()
        parser.add_argument("--tf32", action=argparse.BooleanOptionalAction, default=True)  #: PF203 keep allows TF32, which this
        args = parser.parse_args()
        torch.backends.cuda.matmul.allow_tf32 = args.tf32
        torch.backends.cudnn.allow_tf32 = args.tf32
        """,
    ("PF913 to PF915: what is brought", "a.py", "float32"): """
        import torch, transformers, vllm, peft, sentence_transformers, safetensors
        assert torch.bfloat16  #: PF001 keep compared with a dtype,
        from safetensors.torch import load_file
        from safetensors import safe_open
        transformers.AutoModel.from_pretrained(name)  #: PF913 manual no dtype is named,
        transformers.AutoModel.from_pretrained(name, dtype=torch.float32)
        transformers.AutoModel.from_pretrained(name, torch_dtype=kind)
        transformers.AutoModel.from_pretrained(name, **options)
        transformers.AutoTokenizer.from_pretrained(name)
        transformers.AutoConfig.from_pretrained(name, trust_remote_code=True)
        transformers.AutoModel.from_pretrained(name, trust_remote_code=True)  #: PF914 manual runs code of the
        transformers.AutoModel.from_pretrained(name, dtype=kind, trust_remote_code=False)
        make(name, trust_remote_code=True)  #: PF914 manual runs code of the
        vllm.LLM(name)  #: PF913 manual no dtype is named,
        transformers.pipeline("text")  #: PF913 manual no dtype is named,
        mine.pipeline("text")
        state = load_file(path)  #: PF915 keep its tensors are copied
        model.load_state_dict(state)
        weights = load_file(path)  #: PF915 manual a tensor may be
        layer.weight = weights["a"]
        seen = load_file(path)  #: PF915 keep its tensors are copied
        print(seen["a"].shape)
        for key in seen.keys(): pass
        cast = load_file(path)["a"].float()  #: PF915 keep its tensors are copied
        kept = torch.load(path)  #: PF915 manual a tensor may be
        y = x @ kept["w"]
        epoch = torch.load(path)  #: PF915 keep its tensors are copied
        z = epoch["epoch"] + 1
        made = torch.load(path)  #: PF915 manual a tensor may be
        p = torch.nn.Parameter(made["w"])
        q = use(torch.load(path))  #: PF915 manual a tensor may be
        with safe_open(path) as file:  #: PF915 manual a tensor may be
            w = file.get_tensor("a")
            layer.weight.data = w
        with safe_open(path) as file2:  #: PF915 keep its tensors are copied
            v = file2.get_slice("a")
        hub = torch.hub.load("a", "b")  #: PF915 manual a tensor may be
        hub2 = torch.hub.load_state_dict_from_url("a")  #: PF915 keep its tensors are copied
        one = safetensors.torch.load(data)["a"] @ x  #: PF915 manual a tensor may be
        peft.AutoPeftModelForCausalLM.from_pretrained(name)  #: PF913 manual no dtype is named,
        peft.PeftConfig.from_pretrained(name)
        sentence_transformers.SentenceTransformer(name)  #: PF913 manual no dtype is named,
        transformers.AutoProcessor.from_pretrained(name)
        transformers.AutoFeatureExtractor.from_pretrained(name)
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=True)
        def read(path):
            return torch.load(path)  #: PF915 manual a tensor may be
        def steps(path, net):
            net.steps: int = torch.load(path)["steps"]  #: PF915 keep its tensors are copied
            net.bias = net.other = torch.load(path)["b"]  #: PF915 manual a tensor may be
            return torch.load(path)["epoch"]  #: PF915 keep its tensors are copied
        class Net:
            def __init__(self, path):
                self.kept = torch.load(path)  #: PF915 manual a tensor may be
        with safe_open(path) as (a, b): pass  #: PF915 manual a tensor may be
        for each in torch.load(path): pass  #: PF915 manual a tensor may be
        [each for each in torch.load(path)]  #: PF915 manual a tensor may be
        table = {"a": torch.load(path)}  #: PF915 manual a tensor may be
        len(torch.load(path)), isinstance(torch.load(path), dict), sorted(torch.load(path)), set(torch.load(path)), list(torch.load(path)), type(torch.load(path))  #: PF915 keep its tensors are copied ; PF915 keep its tensors are copied ; PF915 keep its tensors are copied ; PF915 keep its tensors are copied ; PF915 keep its tensors are copied ; PF915 keep its tensors are copied
        f"{torch.load(path)}"  #: PF915 keep its tensors are copied
        torch.load(path).shape, torch.load(path).dtype, torch.load(path).device, torch.load(path).numel(), torch.load(path).size(), torch.load(path).dim()  #: PF915 keep its tensors are copied ; PF915 keep its tensors are copied ; PF915 keep its tensors are copied ; PF915 keep its tensors are copied ; PF915 keep its tensors are copied ; PF915 keep its tensors are copied
        torch.load(path).metadata(), torch.load(path).half(), torch.load(path).double(), torch.load(path).to(x), torch.load(path).float  #: PF915 keep its tensors are copied ; PF915 keep its tensors are copied ; PF915 keep its tensors are copied ; PF915 keep its tensors are copied ; PF915 manual a tensor may be
        torch.load(path).other()  #: PF915 manual a tensor may be
        u1 = torch.load(path).get("a").other()  #: PF915 keep its tensors are copied
        u2 = torch.load(path).pop("a") @ x  #: PF915 manual a tensor may be
        layer.bias = torch.load(path)["b"]  #: PF915 manual a tensor may be
        layer.other = torch.load(path)["b"]  #: PF915 keep its tensors are copied
        torch.add(torch.load(path)["b"], 1)  #: PF915 manual a tensor may be
        other(torch.load(path)["b"])  #: PF915 keep its tensors are copied
        other(torch.load(path))  #: PF915 manual a tensor may be
        torch.load(path) + 1  #: PF915 manual a tensor may be
        if torch.load(path)["a"] == 1: pass  #: PF915 keep its tensors are copied
        asked = torch.load(path)  #: PF915 keep its tensors are copied
        if asked: pass
        r = torch.load(path)  #: PF915 keep its tensors are copied
        del r["a"]
        s = r.get("a")
        t = s * 2
        """,
    ("kernels that are launched and files of them", "kernels/a.py", "float32"): """
        import torch
        def f(x):
            x = x.to(torch.bfloat16)  #: PF101 manual@4 moves together with line
            assert x.dtype == torch.bfloat16  #: PF106 manual guards a compiled kernel,
            return x
        """,
    ("kernels near by", "a.py", "float32"): """
        import torch, triton
        def launches(x):
            x = x.to(torch.bfloat16)  #: PF101 manual@4 moves together with line
            assert x.dtype == torch.bfloat16  #: PF106 manual guards a compiled kernel,
            kernel[grid](x)
        def layers(self, x):
            x = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => x = x.to(torch.float32)
            assert x.dtype == torch.bfloat16  #: PF106 rewrite asserts what is rewritten => assert x.dtype == torch.float32
            return self.layers[0](x)
        def imports(x):
            from flash_attn import flash_attn_func  #: PF912 keep imported where it is
            x = x.to(torch.bfloat16)  #: PF101 manual@13 moves together with line
            assert x.dtype == torch.bfloat16  #: PF106 manual guards a compiled kernel,
        def triton_here(x):
            import triton.language as tl
            x = x.to(torch.bfloat16)  #: PF101 manual@17 moves together with line
            assert x.dtype == torch.bfloat16  #: PF106 manual guards a compiled kernel,
        def calls(x):
            x = x.to(torch.bfloat16)  #: PF902 manual@21 the tensor goes to
            assert x.dtype == torch.bfloat16  #: PF106 manual guards a compiled kernel,
            return torch.ops.mine.run(x)
        def plain(x):
            x = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => x = x.to(torch.float32)
            assert x.dtype == torch.bfloat16  #: PF106 rewrite asserts what is rewritten => assert x.dtype == torch.float32
            return x
        """,
    ("where nobody comes on this GPU", "a.py", "float32"): """
        import torch
        def never(q):
            assert q.dtype == torch.bfloat16  #: PF001 keep compared with a dtype,
            return flash_attn_func(q)
        def other_way(q):
            assert q.dtype == torch.bfloat16  #: PF106 manual nothing in reach that
            if x:
                return flash_attn_func(q)
            return scaled_dot_product_attention(q)
        def guarded(q):
            if q.dtype not in (torch.float16, torch.bfloat16):  #: PF001 keep compared with a dtype,
                raise ValueError
            return flash_attn_varlen_func(q.to(torch.bfloat16))  #: PF902 manual@13 goes to a kernel
        """,
    ("arms and mirrors", "a.py", "float32"): """
        import torch
        def f(x, dtype, flag):
            a = torch.bfloat16 if flag else torch.float16  #: PF101 rewrite chooses a precision => a = torch.float32 if flag else torch.float16
            x.to(a)
            b = torch.bfloat16 if dtype is torch.bfloat16 else dtype  #: PF001 keep compared with a dtype, ; PF006 keep mirrors the dtype that
            x.to(b)
            c = torch.empty_like(x, dtype=torch.bfloat16 if dtype == torch.bfloat16 else torch.float32)  #: PF001 keep compared with a dtype, ; PF006 keep mirrors the dtype that
            if flag:
                kind = torch.bfloat16  #: PF101 rewrite chooses a precision => kind = torch.float32
            elif dtype == torch.bfloat16:  #: PF001 keep compared with a dtype,
                kind = torch.bfloat16  #: PF101 rewrite chooses a precision => kind = torch.float32
            else:
                kind = torch.float16
            x.to(kind)
            if dtype not in (torch.float16, torch.bfloat16):  #: PF001 keep compared with a dtype,
                dtype = torch.bfloat16  #: PF101 rewrite chooses a precision => dtype = torch.float32
            x.to(dtype)
            y = x if x.dtype in (torch.float16, torch.bfloat16) else x.to(torch.bfloat16)  #: PF001 keep compared with a dtype, ; PF101 rewrite chooses a precision => y = x if x.dtype in (torch.float16, torch.bfloat16) else x.to(torch.float32)
            return c, y
        """,
    ("words and the other words of their readers", "a.py", "float32"): """
        import torch
        def f(args, half):
            word = "bf16" if half else "fp32"  #: PF201 keep a word whose reader
            use(dtype=word)
            if half:
                dtype = "bf16"  #: PF201 rewrite dtype chooses a precision => dtype = "no"
            elif x:
                dtype = "no"
            else:
                dtype = "fp16"
            run(dtype=dtype)
            kind = "bf16"  #: PF201 keep a word whose reader
            table = {"bf16": 1, "fp32": 2}[kind]  #: PF007 keep compared, or looked up
            mode_dtype = "bf16"  #: PF201 rewrite mode_dtype chooses a precision => mode_dtype = "fp32"
            if mode_dtype == "bf16":  #: PF007 keep compared, or looked up
                y = torch.bfloat16  #: PF101 rewrite chooses a precision => y = torch.float32
            else:
                y = torch.float32
            x.to(y)
            other_dtype = "bf16"  #: PF201 rewrite other_dtype chooses a precision => other_dtype = "float32"
            if other_dtype == "bf16":  #: PF007 keep compared, or looked up
                z = torch.bfloat16  #: PF101 rewrite chooses a precision => z = torch.float32
            elif other_dtype == "float32":
                z = torch.float32
            x.to(z)
        """,
    ("state that is cast before it is loaded", "a.py", "float32"): """
        import torch
        assert torch.bfloat16  #: PF001 keep compared with a dtype,
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
            model.load_state_dict(state, assign=True)  #: PF906 manual assign=True brings back the
        def i(model, state, dtype):
            model.load_state_dict(state, assign=True)
            model.eval().to(dtype)
        def j(model, state, dtype):
            model.load_state_dict(state, assign=True)  #: PF906 manual assign=True brings back the
            if dtype:
                model.to(dtype)
        def k(model, state, dtype):
            model.load_state_dict(state, assign=True)  #: PF906 manual assign=True brings back the
            model.to("cuda")
        def m(model, state, dtype):
            model.to(dtype)
            model.load_state_dict(state, assign=True)  #: PF906 manual assign=True brings back the
        def n(model, state, dtype):
            model.load_state_dict({k: v.half() for k, v in state.items()}, assign=True)
        def o(model, state, dtype):
            for k, v in state.items():
                new = v.to(dtype=dtype)
                state[k] = new
            model.load_state_dict(state, assign=True)
        def p(model, other, state, dtype):
            model.load_state_dict(state, assign=True)  #: PF906 manual assign=True brings back the
            other.to(dtype)
        def q(model, state, dtype):
            model.load_state_dict(state, assign=True)
            model.to("cuda", torch.float16)
        def r(model, state, precision):
            model.load_state_dict(state, assign=True)
            model.to("cuda", precision)
        def s(model, state, dtype):
            model.load_state_dict(state, assign=True)  #: PF906 manual assign=True brings back the
            model.float(1)
        """,
    ("sites and what stands around them", "a.py", "float32"): """
        import torch, os
        def f(x, a, b, args, config):
            x.bfloat16(memory_format=1)
            x.bfloat16(1)
            assert a.dtype == b.dtype == torch.bfloat16  #: PF106 rewrite asserts what is rewritten => assert a.dtype == b.dtype == torch.float32
            if a.dtype == b.dtype == torch.bfloat16: pass  #: PF001 keep compared with a dtype,
            if not (a.dtype == torch.bfloat16 == b.dtype): raise ValueError  #: PF106 rewrite asserts what is rewritten => if not (a.dtype == torch.float32 == b.dtype): raise ValueError
            kinds = tuple([torch.float16, torch.bfloat16])  #: PF101 rewrite chooses a precision => kinds = tuple([torch.float16, torch.float32])
            for kind in kinds: x.to(kind)
            supported = set([torch.float16, torch.bfloat16])  #: PF002 keep supported lists what is
            allowed = list((torch.bfloat16,))  #: PF002 keep allowed lists what is
            permitted = tuple([torch.bfloat16])  #: PF002 keep permitted lists what is
            run(["accelerate", "launch", "--mixed_precision", "bf16"])  #: PF202 rewrite the library's word for => run(["accelerate", "launch", "--mixed_precision", "no"])
            run(["a", "--name", "bf16"])  #: PF201 keep a word whose reader
            getattr(config, "dtype", "bf16")  #: PF007 keep part of a message
            config.get("dtype", "bf16")  #: PF007 keep part of a message
            config.pop("dtype", "bf16")  #: PF007 keep part of a message
            config.setdefault("dtype", "bf16")  #: PF201 rewrite dtype chooses a precision => config.setdefault("dtype", "fp32")
            os.getenv("DTYPE", "bf16")  #: PF007 keep part of a message
            os.putenv("DTYPE", "bf16")  #: PF201 rewrite DTYPE chooses a precision => os.putenv("DTYPE", "fp32")
            os.environ["DTYPE"] = "bf16"  #: PF201 rewrite DTYPE chooses a precision => os.environ["DTYPE"] = "fp32"
            args["bf16"] = True  #: PF203 rewrite bf16 turns bfloat16 on => args["bf16"] = False
            args["bf16"]["enabled"] = True  #: PF203 rewrite bf16 turns bfloat16 on => args["bf16"]["enabled"] = False
            args["bf16"]["other"] = True  #: PF007 keep compared, or looked up
            args.setdefault("bf16", True)  #: PF203 rewrite bf16 turns bfloat16 on => args.setdefault("bf16", False)
            setattr(args, "bf16", True)  #: PF203 rewrite bf16 turns bfloat16 on => setattr(args, "bf16", False)
            setattr("bf16", True)  #: PF203 rewrite bf16 turns bfloat16 on => setattr("bf16", False)
            p.add_argument("--bf16/--no-bf16", default=True)  #: PF203 rewrite --bf16/--no-bf16 turns bfloat16 on => p.add_argument("--bf16/--no-bf16", default=False)
            p.add_argument("bf16", default=True)  #: PF201 keep a word whose reader
            q = lambda bf16=True: bf16  #: PF203 rewrite bf16 turns bfloat16 on => q = lambda bf16=False: bf16
            kind, other = torch.bfloat16, 1  #: PF101 rewrite chooses a precision => kind, other = torch.float32, 1
            x.to(kind)
            y = [*[torch.bfloat16], 1]  #: PF901 manual a list whose use
            z = [torch.bfloat16] + more  #: PF001 keep given to a name
            sizes = {"a": (torch.bfloat16, 2)}  #: PF901 manual a list whose use
            return torch.bfloat16, 1  #: PF901 manual a list whose use
        def g(*, bf16: bool = True, **kw):  #: PF203 rewrite bf16 turns bfloat16 on => def g(*, bf16: bool = False, **kw):
            return use(bf16=bf16)
        class A(torch.nn.Module):
            use_bf16: bool = True  #: PF203 rewrite use_bf16 turns bfloat16 on => use_bf16: bool = False
            _bf16 = True
            def h(self, use_bf16=True, /): return hand(use_bf16)  #: PF203 rewrite use_bf16 turns bfloat16 on => def h(self, use_bf16=False, /): return hand(use_bf16)
        """,
}


@pytest.mark.parametrize(("title", "path", "to"), PROGRAMS)
def test_each_line(title: str, path: str, to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_lines(PROGRAMS[title, path, to], path=path, to=to)
