"""PF902: an operator that takes nothing else."""

from __future__ import annotations

from textwrap import dedent

import pytest

from precision_fix.model.finding import Action
from tests.tools import check_kept, check_reported, check_rewritten, findings, rewritten


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
    "body",
    [
        "return hadamard(x.to(torch.bfloat16))",
        "quant = hadamard\n    return quant(x.to(torch.bfloat16), out_type=torch.bfloat16)",
        "quant = hadamard if fast else gemm\n    return quant(x.to(torch.bfloat16))",
        "ops = q8_kernels.functional\n    return ops.linear(x.bfloat16())",
        "linear = q8_kernels.functional.linear\n    y = x.to(torch.bfloat16)\n    return linear(y)",
        "return self.ops.linear(x.to(torch.bfloat16))",
        "return self.gemm(x.to(torch.bfloat16))",
    ],
)
def test_pf902_a_package_of_kernels_under_names_of_the_file(body: str) -> None:
    check_reported(
        "import torch\nimport q8_kernels.functional\nfrom q8_kernels.ops import hadamard\nfrom my_kernel import gemm\n"
        "class A:\n  def __init__(self):\n    self.ops = q8_kernels.functional\n    self.gemm = gemm\n"
        f"  def run(self, x, fast):\n    {body}\n",
        code="PF902",
    )


@pytest.mark.parametrize(
    "body",
    [
        "self.other(x.to(torch.bfloat16))",
        "plain = mine\n    plain(x.to(torch.bfloat16))",
        "rms_norm(x.to(torch.bfloat16))",
    ],
)
def test_another_name_beside_a_package_of_kernels(body: str) -> None:
    text = (
        "import torch\nimport q8_kernels\nfrom kernels_of_mine import mine\nfrom liger_kernel.ops import rms_norm\n"
        f"class A:\n  def __init__(self):\n    self.other = mine\n  def run(self, x):\n    {body}\n"
    )
    check_rewritten(text, text.replace("bfloat16", "float32"))


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
        ("IntxWeightOnlyConfig", "quantize_(model, IntxWeightOnlyConfig(weight_dtype=torch.int4))"),
        ("Int8DynamicActivationInt8WeightConfig", "quantize_(model, Int8DynamicActivationInt8WeightConfig())"),
        ("int8_dynamic_activation_int8_weight", "quantize_(model, int8_dynamic_activation_int8_weight())"),
        ("Int8WeightOnlyConfig as C", "quantize_(model, C())"),
        ("int8_weight_only as a, float8_weight_only as b", "quantize_(model, a() if small else b())"),
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
    ],
)
def test_pf902_weights_in_four_bits_are_for_bfloat16(config: str, call: str) -> None:
    text = EIGHT_BITS.format(config=config, call=call)
    assert "PF902" in {each.code for each in findings(text) if each.action is Action.MANUAL}


TABLED = """\
import torch
from torchao.quantization import Float8WeightOnlyConfig, {more}quantize_ as shrink
KINDS = {{"int8": {first}, "float8": Float8WeightOnlyConfig()}}
class Kind:
    def __init__(self, name):
        self.config = KINDS[name]
def load(kind):
    model = Model.load("a", torch_dtype=torch.bfloat16)
    shrink(model, kind.config)
    return model
"""


def test_configs_of_a_table_that_an_object_holds() -> None:
    text = TABLED.format(more="Int8WeightOnlyConfig, ", first="Int8WeightOnlyConfig()")
    check_rewritten(text, text.replace("bfloat16", "float32"))
    for more, first in (("Int4WeightOnlyConfig, ", "Int4WeightOnlyConfig()"), ("", "made()")):
        found = findings(TABLED.format(more=more, first=first))
        assert {each.code for each in found if each.action is Action.MANUAL} == {"PF902"}


@pytest.mark.parametrize(
    ("config", "call"),
    [
        ("NVFP4WeightOnlyConfig", "quantize_(model, NVFP4WeightOnlyConfig())"),
        ("Float8DynamicActivationFloat8WeightConfig as C", "quantize_(model, config=C())"),
        ("Int4WeightOnlyConfig", "quantize_(model, config)"),
        ("Int8WeightOnlyConfig", "quantize_(model, *configs)"),
    ],
)
def test_of_a_config_that_is_none_we_know_no_more_is_said_than_that(config: str, call: str) -> None:
    found = findings(EIGHT_BITS.format(config=config, call=call))
    assert {each.code for each in found if each.action is Action.MANUAL} == {"PF902"}
    assert {each.reason for each in found if each.line == 4} == {
        "what torchao makes of it may take nothing else: see the config (line 6)"
    }


PRODUCT = "y = torch._scaled_mm(x.to(torch.float8_e4m3fn), w)"
WAYS_AROUND = {
    "a branch": f"if fp8:\n            {PRODUCT}\n        else:\n            y = x @ w.to(kind)",
    "a return before it": f"if not fp8:\n            return x @ w.to(kind)\n        {PRODUCT}",
    "a try": f"try:\n            {PRODUCT}\n        except RuntimeError:\n            y = x @ w.to(kind)",
    "a case": f"match how:\n            case 8: {PRODUCT}\n            case _: y = x @ w.to(kind)",
}
NO_WAYS_AROUND = {
    "a statement": PRODUCT,
    "both branches": f"if fp8:\n            {PRODUCT}\n        else:\n            {PRODUCT}",
    "a region": f"with torch.no_grad():\n            {PRODUCT}",
    "a loop": f"for w in ws:\n            {PRODUCT}",
    "an error": f"if not fp8:\n            raise ValueError\n        {PRODUCT}",
}
HOW = """\
    import torch
    def f(x, w, ws, fp8, how):
        kind = torch.bfloat16
        x = x.to(kind)
        {}
        return y
    """


@pytest.mark.parametrize("way", WAYS_AROUND)
def test_a_function_with_a_way_around_the_product_is_moved(way: str) -> None:
    before = HOW.format(WAYS_AROUND[way])
    check_rewritten(before, before.replace("torch.bfloat16", "torch.float32"))


@pytest.mark.parametrize("way", NO_WAYS_AROUND)
def test_a_function_without_one_does_not_run_here(way: str) -> None:
    check_reported(HOW.format(NO_WAYS_AROUND[way]), code="PF902")


@pytest.mark.parametrize(
    ("kernel", "stood_in"),
    [
        ("flash_attn.flash_attn_func(q, q, q)", True),
        ("flash_attn.flash_attn_interface.flash_attn_varlen_func(q, q, q)", True),
        ("flash_attn_interface.flash_attn_func(q, q, q)", False),
        ("torch._scaled_mm(q, flash_attn.flash_attn_func(q, q, q))", False),
    ],
)
def test_what_the_runtime_has_another_for_needs_no_hand(kernel: str, stood_in: bool) -> None:
    text = "import torch, flash_attn, flash_attn_interface\ndef f(q, kind=torch.bfloat16):\n    q = q.to(kind)\n"
    text += f"    return {kernel}\n"
    assert [each.runtime for each in findings(text) if each.code == "PF902"] == [stood_in]


_TL = "import torch\nimport triton\nimport triton.language as tl\n"
_KERNEL = """\
@triton.jit
def kernel(x_ptr, n, {flag}: tl.constexpr):
    if {test}:
        tl.store(x_ptr, y.to(tl.bfloat16))
    else:
        tl.store(x_ptr, y.to(tl.float16))
def launch(x, n, half):
    {line}
"""
_BF = "x.dtype == torch.bfloat16"
FOLLOWS = {
    "an arm": "def f(a, b):\n    return tl.bfloat16 if torch.bfloat16 in (a.dtype, b.dtype) else tl.float32\n",
    "an arm of two": "def f(a):\n    return tl.bfloat16 if wide and a.dtype == torch.bfloat16 else tl.float32\n",
    "a table": "OF = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16}\n",
    "asked in the kernel": _KERNEL.format(flag="N", test="x_ptr.dtype.element_ty == tl.bfloat16", line="pass"),
    "a flag": _KERNEL.format(flag="IS", test="IS", line=f"kernel[(n,)](x, n, IS=({_BF}))"),
    "by position, from a name": _KERNEL.format(
        flag="IS", test="IS", line=f"short = {_BF}\n    kernel[(n,)](x, n, short)"
    ),
    "by way of another kernel": _KERNEL.format(flag="IS", test="IS", line=f"outer[(n,)](x, n, {_BF})")
    + "@triton.jit\ndef outer(x_ptr, n, SO: tl.constexpr):\n    kernel(x_ptr, n, SO)\n",
}
NAMES_IT = {
    "a flag of the user": _KERNEL.format(flag="IS", test="IS", line="kernel[(n,)](x, n, IS=half)"),
    "a flag of which one launch says otherwise": _KERNEL.format(
        flag="IS", test="IS", line=f"kernel[(n,)](x, n, IS=({_BF}))\n    kernel[(n,)](x, n, IS=True)"
    ),
    "a flag of which another kernel says otherwise": _KERNEL.format(
        flag="IS", test="IS", line=f"kernel[(n,)](x, n, IS=({_BF}))"
    )
    + "@triton.jit\ndef outer(x_ptr, n):\n    kernel(x_ptr, n, True)\n",
    "a flag at a place that is not known": _KERNEL.format(flag="IS", test="IS", line=f"kernel[(n,)](x, *sizes, {_BF})"),
    "either": "def f(a):\n    return tl.bfloat16 if wide or a.dtype == torch.bfloat16 else tl.float32\n",
    "nobody launches it": _KERNEL.format(flag="IS", test="IS", line="pass"),
    "the other arm": "def f(a):\n    return tl.float32 if a.dtype == torch.bfloat16 else tl.bfloat16\n",
    "a table of words": "OF = {'fp32': tl.float32, 'bf16': tl.bfloat16}\n",
}


@pytest.mark.parametrize("how", FOLLOWS)
def test_a_kernel_that_names_it_for_what_comes_in_it_alone(how: str) -> None:
    check_kept(_TL + FOLLOWS[how], code="PF902")


@pytest.mark.parametrize("how", NAMES_IT)
def test_a_kernel_that_names_it_whatever_comes(how: str) -> None:
    found = [each for each in findings(_TL + NAMES_IT[how]) if each.code == "PF902" and each.token == "tl.bfloat16"]
    assert [each.action for each in found] == [Action.MANUAL]


@pytest.mark.parametrize(
    ("body", "is_plain"),
    [
        ("    out = torch.empty((1,), dtype=x.dtype)\n    out.data = x.data\n    return out", True),
        ("    return torch.add(x, 1)", True),
        ("    return torch.ops.mine.add(x, 1)", False),
        ("    return built.add(x, torch.empty(1))", False),
        ("    return x", False),
        ("    d = torch.cdist(x.float(), x.float())\n    return (-d).pow(2).exp().to(x.dtype)", True),
        ("    return x.float().square().sum(-1)", True),
        ("    for each in x.unbind(0):\n        x = x + each\n    return torch.exp(x)", True),
        ("    ops = load()\n    return ops.rbf(x)", False),
        ("    return x.ops.rbf(x)", False),
        ("    import ops\n    return torch.exp(x)", False),
        ("    lib = x.lib\n    return lib.run(torch.exp(x))", False),
        ("    return varlen_attn(torch.exp(x))", False),
    ],
)
def test_pf902_a_function_that_is_called_a_kernel_and_calls_torch_alone(body: str, is_plain: bool) -> None:
    text = f"import torch\ndef _kernel_make(x):\n{body}\ndef f(n):\n    x = torch.zeros(n, dtype=torch.bfloat16)\n"
    text += "    return _kernel_make(x)\n"
    assert ("torch.float32" in rewritten(text)) is is_plain
