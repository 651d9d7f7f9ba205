"""PF9xx: what is reported only."""

from __future__ import annotations

from textwrap import dedent

import pytest

from precision_fix.model.finding import Action
from tests.tools import check_kept, check_not_a_site, check_reported, check_rewritten, findings, rewritten


def test_pf901_a_list_whose_use_is_out_of_sight() -> None:
    check_reported("import torch\nDTYPES = [torch.float32, torch.bfloat16]\n", code="PF901")


@pytest.mark.parametrize(
    "text",
    [
        "import triton.language as tl\nx = y.to(tl.bfloat16)\n",
        "from triton import language as tl\n@jit\ndef k(x):\n    return x.to(tl.bfloat16)\n",
        "from flash_attn import flash_attn_func as fa\ndef f(q):\n    q = q.bfloat16()\n    return fa(q, q, q)\n",
        "import torch\ndef f(x):\n    return torch.ops.mine.gemm(x.to(torch.bfloat16))\n",
        "import torch\ndef f(x):\n    return torch._weight_int4pack_mm(x.to(torch.bfloat16), w, 32, s)\n",
        "import torch\ndef f(a):\n    return torch._scaled_mm(a, a, out_dtype=torch.bfloat16)\n",
        "import torch\ndef f(x):\n    # the kernel only supports bfloat16\n    return g(x.to(torch.bfloat16))\n",
        "import torch\ndef f(x):\n    x = x.to(torch.bfloat16)  # must be bf16\n    return g(x)\n",
    ],
)
def test_pf902_an_operator_that_takes_nothing_else(text: str) -> None:
    check_reported(text, code="PF902")


def test_pf903_a_guard_that_would_refuse() -> None:
    """Note 4: a default and the guard that checks it move together or not at all."""
    check_reported(
        """\
        import torch
        def f(x, dtype=torch.bfloat16):
            assert dtype in (torch.float16, torch.bfloat16)
            return x.to(dtype)
        """,
        code="PF903",
    )
    check_reported(
        """\
        import torch
        HALF = (torch.float16, torch.bfloat16)
        def f(x, dtype=torch.bfloat16):
            if dtype not in HALF:
                raise ValueError(dtype)
            return x.to(dtype)
        """,
        code="PF903",
    )


def test_pf903_a_guard_that_lets_float32_through() -> None:
    check_rewritten(
        """\
        import torch
        def f(x, dtype=torch.bfloat16):
            assert dtype in (torch.float32, torch.bfloat16)
            return x.to(dtype)
        """,
        """\
        import torch
        def f(x, dtype=torch.float32):
            assert dtype in (torch.float32, torch.bfloat16)
            return x.to(dtype)
        """,
    )


@pytest.mark.parametrize(("device", "to"), [("cpu", "float32"), ("cuda", "float16")])
def test_pf904_float8_weights(device: str, to: str) -> None:
    """On the CPU a region in float32 turns itself off, and one in float16 casts no weights up."""
    check_reported(
        f"""\
        import torch
        def f(layer, x):
            if layer.weight.dtype == torch.float8_e4m3fn:
                with torch.autocast("{device}", dtype=torch.bfloat16):
                    return layer(x)
        """,
        code="PF904",
        to=to,
    )


@pytest.mark.parametrize("device", ["mps", "xpu", "npu", "hpu"])
def test_pf904_another_device(device: str) -> None:
    check_kept(f'import torch\nwith torch.autocast("{device}", dtype=torch.bfloat16):\n    f()\n', code="PF904")


@pytest.mark.parametrize(
    "line",
    [
        "x.to(getattr(torch, cfg.dtype))",
        "dtype = getattr(torch, name)",
        'torch_dtype = getattr(torch, config["torch_dtype"], torch.float32)',
        "load(dtype=getattr(torch, args.precision))",
    ],
)
def test_pf905_a_computed_name(line: str) -> None:
    check_reported(f"import torch\n{line}\n", code="PF905")
    assert all(each.runtime for each in findings(f"import torch\n{line}\n"))


@pytest.mark.parametrize(
    "line", ["f = getattr(torch, name)", "x = getattr(self, dtype)", 'y = getattr(torch, "compile")']
)
def test_pf905_any_other_lookup(line: str) -> None:
    check_not_a_site(f"import torch\n{line}\n")


@pytest.mark.parametrize(
    "line",
    [
        'm = load(x, torch_dtype="auto")',
        "m = load(x, dtype='auto')",
        "m.load_state_dict(sd, strict=False, assign=True)",
    ],
)
def test_pf906_the_checkpoint_decides(line: str) -> None:
    check_reported(line + "\n", code="PF906")


@pytest.mark.parametrize(
    "text",
    [
        "model.load_state_dict(sd, assign=True)\nmodel = model.to(device=device, dtype=precision)\n",
        "self.net.load_state_dict(sd, strict=False, assign=True)\nself.net.eval().to(dtype)\n",
        "with torch.no_grad():\n    m.load_state_dict(read(f), assign=True)\nm.float()\n",
        "s = read(f)\nfor k, v in s.items():\n    v = v.to(dtype)\n    s[k] = v\nm.load_state_dict(s, assign=True)\n",
        "sd = {k: v.to(dtype) for k, v in read(f).items()}\nm.load_state_dict(sd, assign=True)\n",
        "m.load_state_dict({k: v.float() for k, v in sd.items()}, assign=True)\n",
    ],
)
def test_pf906_the_program_casts_by_itself(text: str) -> None:
    check_not_a_site(f"import torch\n{text}")


@pytest.mark.parametrize(
    "text",
    [
        "model.load_state_dict(sd, assign=True)\nmodel = model.to(device)\n",
        "model.load_state_dict(sd, assign=True)\nother.to(dtype=precision)\n",
        "model.to(dtype)\nmodel.load_state_dict(sd, assign=True)\n",
        "model.load_state_dict(sd, assign=True)\nif half:\n    model.half()\n",
        "def f(model):\n    model.load_state_dict(sd, assign=True)\ndef g(model):\n    model.float()\n",
        "sd = {k: v.to(device) for k, v in read(f).items()}\nm.load_state_dict(sd, assign=True)\n",
        "sd = load_file(f)\nfor k, v in sd.items():\n    sd[k] = v.contiguous()\nm.load_state_dict(sd, assign=True)\n",
    ],
)
def test_pf906_the_program_does_not_cast(text: str) -> None:
    check_reported(f"import torch\n{text}", code="PF906")


@pytest.mark.parametrize("line", ['m = load(x, device="auto")', "m.load_state_dict(sd, assign=False)"])
def test_pf906_nothing_to_say(line: str) -> None:
    check_not_a_site(line + "\n")


@pytest.mark.parametrize(
    "text",
    [
        'if not torch.cuda.is_bf16_supported():\n    raise RuntimeError("no")\n',
        "if not torch.cuda.is_bf16_supported():\n    print('no')\n    sys.exit(1)\n",
        "if torch.cuda.is_bf16_supported():\n    f()\nelse:\n    raise RuntimeError\n",
        "assert torch.cuda.is_bf16_supported(), 'no'\n",
        "assert torch.cuda.is_available() and torch.cuda.is_bf16_supported()\n",
        "if args.bf16 and not torch.cuda.is_bf16_supported():\n    raise ValueError\n",
    ],
)
def test_pf907_a_probe_that_raises(text: str) -> None:
    check_reported(f"import sys, torch\n{text}", code="PF907")


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    return x.dtype if x.dtype in (torch.float16, torch.bfloat16) else torch.bfloat16\n",
        "def f(x):\n  if x.dtype not in (torch.float16, torch.bfloat16):\n    x = x.bfloat16()\n  return attend(x)",
    ],
)
def test_pf908_what_follows_needs_a_half(text: str) -> None:
    check_reported(f"import torch\n{text}", code="PF908")


def test_pf909_an_alias_that_is_compared_too() -> None:
    check_reported(
        "import torch\nBF16 = torch.bfloat16\ndef f(x):\n    return x if x.dtype == BF16 else x.to(BF16)\n",
        code="PF909",
    )


KERNEL = """\
import torch
from torch.utils.cpp_extension import load, load_inline
ops = load(name="ops", sources=["ops.cpp", "ops.cu"])
class Layer(torch.autograd.Function):
    def __init__(self):
        self.ops = load_inline("ops", cpp_sources="", cuda_sources=SOURCE)
    @staticmethod
    def forward(self, x):
        y = torch.empty(2, dtype=torch.bfloat16)
        {}
        return y
"""


@pytest.mark.parametrize(
    "call", ["ops.forward(x, y)", "self.ops.go(2, y)", "made = load(sources=S)\n        made.go(y)"]
)
def test_pf902_an_extension_that_the_program_builds(call: str) -> None:
    check_reported(KERNEL.format(call), code="PF902")


def test_pf902_a_method_of_an_object_of_the_program() -> None:
    assert "torch.float32" in rewritten(KERNEL.format("torch.add(y, y, out=y)"))


@pytest.mark.parametrize(
    "call",
    ["Dispatch.apply(x)", "send(x)", "Dispatch.apply(x, 1)[0]", "Own().apply(x)"],
)
def test_pf902_through_an_autograd_function(call: str) -> None:
    text = f"""\
        import deep_ep
        import torch
        class Dispatch(torch.autograd.Function):
            @staticmethod
            def forward(ctx, tensor, much=0):
                return deep_ep.dispatch(tensor)
        send = Dispatch.apply
        class Own:
            def apply(self, x):
                return x
        def f(x):
            x = x.to(torch.bfloat16)
            return {call}
        """
    assert rewritten(text) == dedent(text) if "Own" not in call else "torch.float32" in rewritten(text)


@pytest.mark.parametrize(
    "made",
    ["deep_ep.Buffer(1)", "buffer()", "cached()"],
)
def test_pf902_an_object_of_a_package_of_kernels(made: str) -> None:
    text = f"""\
        import deep_ep
        import torch
        KEPT = None
        def buffer():
            return deep_ep.Buffer(1)
        def cached():
            global KEPT
            if KEPT is None:
                KEPT = deep_ep.Buffer(1)
            return KEPT
        def f(x):
            held = {made}
            return held.dispatch(x.to(torch.bfloat16))
        """
    check_reported(text, code="PF902")


def test_what_a_function_of_such_a_package_gives_is_a_tensor() -> None:
    text = "import torch\nimport torchao\ndef f(n):\n    a = torchao.to_float8(n)\n"
    text += "    return a.add(torch.zeros(2, dtype=torch.bfloat16))\n"
    assert rewritten(text) == text.replace("torch.bfloat16", "torch.float32")


def test_a_default_dtype_casts_nothing_that_is_called_torch() -> None:
    """`torch.set_default_dtype(...)` stands alone as `model.to(...)` does, which casts the model."""
    before = "import torch\ntorch.set_default_dtype(torch.bfloat16)\ny = torch._scaled_mm(torch.ones(2), x)\n"
    check_rewritten(before, before.replace("torch.bfloat16", "torch.float32"))


def test_a_product_in_float8_that_does_not_run_here_holds_nothing_else() -> None:
    """The other way, and whatever else is made with the choice, is what runs."""
    before = """\
        import torch
        def forward(layer, kind, x):
            if layer.weight.dtype == torch.float8_e4m3fn:
                return torch._scaled_mm(x.to(torch.float8_e4m3fn), layer.weight, out_dtype=kind)
            return layer.plain(x.to(kind))
        def load(net, word):
            kind = {"fp8": torch.float8_e4m3fn, "bf16": torch.bfloat16}[word]
            net.to(kind)
            return [forward(layer, kind, 1) for layer in net]
        """
    check_rewritten(before, before.replace("torch.bfloat16", "torch.float32"), code="PF105")


@pytest.mark.parametrize(
    "guard",
    [
        'assert str(x.dtype) == "torch.bfloat16"',
        'name = str(x.dtype).split(".")[-1]\n    assert name == "bfloat16"',
        'entry = {"n": 1, "dtype": str(x.dtype)}\n    assert entry["dtype"] == "torch.bfloat16"',
        'if str(x.dtype).removeprefix("torch.") != "bfloat16":\n        raise ValueError',
        'entry = spell(x)\n    assert entry["kind"] == "torch.bfloat16"',
    ],
)
def test_pf903_a_guard_that_asks_for_the_name(guard: str) -> None:
    text = "import torch\ndef spell(y):\n    return {'kind': str(y.dtype)}\n"
    check_reported(f"{text}def f(n):\n    x = torch.zeros(n, dtype=torch.bfloat16)\n    {guard}\n", code="PF903")


@pytest.mark.parametrize("use", ["print(str(x.dtype))", 'ok = str(x.dtype) == "torch.bfloat16"', "load(str(x.dtype))"])
def test_a_name_that_nobody_insists_on(use: str) -> None:
    text = f"import torch\ndef f(n):\n    x = torch.zeros(n, dtype=torch.bfloat16)\n    {use}\n"
    check_rewritten(text, text.replace("dtype=torch.bfloat16", "dtype=torch.float32"))


EIGHT_BITS = """\
import torch
from torchao.quantization import {config}, quantize_
def load(quant):
    model = Model.load("a", torch_dtype=torch.bfloat16)
    if quant:
        {call}
    return Pipeline(model, torch_dtype=torch.bfloat16)
"""


@pytest.mark.parametrize(
    ("config", "call"),
    [
        ("float8_weight_only", 'quantize_(model, float8_weight_only(), device="cuda")'),
        ("Int8WeightOnlyConfig", "quantize_(model, config=Int8WeightOnlyConfig(group_size=32))"),
        ("int8_weight_only", "kind = int8_weight_only()\n        quantize_(model, kind)"),
    ],
)
def test_weights_in_eight_bits_are_cast_up_to_any_dtype(config: str, call: str) -> None:
    text = EIGHT_BITS.format(config=config, call=call)
    check_rewritten(text, text.replace("bfloat16", "float32"))


@pytest.mark.parametrize(
    ("config", "call"),
    [
        ("int4_weight_only", "quantize_(model, int4_weight_only())"),
        ("Int8DynamicActivationInt4WeightConfig", "quantize_(model, Int8DynamicActivationInt4WeightConfig())"),
        ("Int4WeightOnlyConfig", "quantize_(model, config)"),
    ],
)
def test_pf902_weights_in_four_bits_are_for_bfloat16(config: str, call: str) -> None:
    text = EIGHT_BITS.format(config=config, call=call)
    assert "PF902" in {each.code for each in findings(text) if each.action is Action.MANUAL}
