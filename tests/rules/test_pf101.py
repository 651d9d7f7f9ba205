"""PF101: a dtype that chooses a precision."""

from __future__ import annotations

import re

import pytest

from tests.tools import check_kept, check_not_a_site, check_reported, check_rewritten, codes, rewritten


@pytest.mark.parametrize(
    "expression",
    [
        "x.to(torch.bfloat16)",
        "x.to(dtype=torch.bfloat16)",
        'x.to("cuda", torch.bfloat16)',
        'x.to(torch.device("cuda", 0), torch.bfloat16, non_blocking=True)',
        "x.to(torch.bfloat16, copy=True).mean()",
        "torch.set_default_dtype(torch.bfloat16)",
        "torch.zeros(2, 3, dtype=torch.bfloat16)",
        "torch.zeros(2, 3, device=device, dtype=torch.bfloat16, requires_grad=True)",
        "torch.tensor([1.0], dtype=torch.bfloat16).cuda()",
        "x.new_zeros(3, dtype=torch.bfloat16)",
        "torch.finfo(torch.bfloat16).max",
        "torch.promote_types(x.dtype, torch.bfloat16)",
        "torch.cuda.FloatTensor(1).to(torch.bfloat16)",
        "nn.Linear(3, 4, dtype=torch.bfloat16)",
        'load(path, torch_dtype=torch.bfloat16, device_map="auto")',
        "Pipeline.from_pretrained(name, torch_dtype=torch.bfloat16)",
        "fully_shard(model, mp_policy=MixedPrecision(param_dtype=torch.bfloat16, reduce_dtype=torch.bfloat16))",
        "x.to(torch.bfloat16 if half else torch.float32)",
        "x.to(torch.float32 if full else torch.bfloat16)",
        "x.to(dtype or torch.bfloat16)",
        "lambda x: x.to(torch.bfloat16)",
        "[x.to(torch.bfloat16) for x in xs]",
        "{name: x.to(torch.bfloat16) for name, x in xs.items()}",
        'f"{x.to(torch.bfloat16).sum()}"',
        "functools.partial(nn.Linear, dtype=torch.bfloat16)",
        "(yield x.to(torch.bfloat16))",
        "await run(x, dtype=torch.bfloat16)",
    ],
)
def test_an_expression(expression: str) -> None:
    text = f"import torch\nasync def f(x):\n    {expression}\n"
    if expression.startswith("await"):
        check_rewritten(text, text.replace("bfloat16", "float32"), code="PF101")
    else:
        text = text.replace("async ", "")
        check_rewritten(text, text.replace("bfloat16", "float32"), code="PF101")


def test_the_method_type_casts() -> None:
    check_rewritten("import torch\ny = x.type(torch.bfloat16)\n", "import torch\ny = x.type(torch.float32)\n")


def test_a_default_of_a_parameter() -> None:
    check_rewritten(
        """\
        import torch
        def f(x, dtype=torch.bfloat16, *, other: torch.dtype = torch.bfloat16):
            return x.to(dtype), x.to(other)
        """,
        """\
        import torch
        def f(x, dtype=torch.float32, *, other: torch.dtype = torch.float32):
            return x.to(dtype), x.to(other)
        """,
        code="PF101",
    )


def test_a_default_that_nothing_reads_here() -> None:
    check_rewritten(
        "import torch\ndef f(dtype: torch.dtype = torch.bfloat16) -> None: ...\n",
        "import torch\ndef f(dtype: torch.dtype = torch.float32) -> None: ...\n",
    )


def test_an_assigned_value() -> None:
    check_rewritten(
        """\
        import torch
        dtype = torch.bfloat16
        self.dtype: torch.dtype = torch.bfloat16
        config["dtype"] = torch.bfloat16
        a = b = torch.bfloat16
        first, second = torch.bfloat16, torch.float16
        x.to(first)
        if (chosen := torch.bfloat16) and x:
            x.to(chosen)
        model.to(dtype)
        """,
        """\
        import torch
        dtype = torch.float32
        self.dtype: torch.dtype = torch.float32
        config["dtype"] = torch.float32
        a = b = torch.float32
        first, second = torch.float32, torch.float16
        x.to(first)
        if (chosen := torch.float32) and x:
            x.to(chosen)
        model.to(dtype)
        """,
    )


def test_a_conditional_value() -> None:
    check_rewritten(
        "import torch\ndtype = torch.bfloat16 if args.bf16 else torch.float32\n",
        "import torch\ndtype = torch.float32 if args.bf16 else torch.float32\n",
    )


def test_the_arm_behind_a_kept_comparison_is_a_site_of_its_own() -> None:
    """Note 3."""
    check_rewritten(
        """\
        import torch
        def pick(args, x):
            if args.precision == "bf16":
                return torch.bfloat16
            if x.dtype == torch.float16:
                x = x.to(torch.bfloat16)
            return x
        """,
        """\
        import torch
        def pick(args, x):
            if args.precision == "bf16":
                return torch.float32
            if x.dtype == torch.float16:
                x = x.to(torch.float32)
            return x
        """,
    )


def test_a_list_that_is_looped_over() -> None:
    check_rewritten(
        """\
        import torch
        for dtype in [torch.float16, torch.bfloat16]:
            bench(torch.zeros(1, dtype=dtype))
        """,
        """\
        import torch
        for dtype in [torch.float16, torch.float32]:
            bench(torch.zeros(1, dtype=dtype))
        """,
    )


def test_a_list_that_is_chosen_from() -> None:
    check_rewritten(
        """\
        import random, torch
        DTYPES = (torch.float16, torch.bfloat16)
        dtype = random.choice(DTYPES)
        model.to(dtype)
        other.to(DTYPES[1])
        """,
        """\
        import random, torch
        DTYPES = (torch.float16, torch.float32)
        dtype = random.choice(DTYPES)
        model.to(dtype)
        other.to(DTYPES[1])
        """,
    )


def test_the_cases_of_a_parametrized_test() -> None:
    check_rewritten(
        """\
        import pytest, torch
        @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
        def test_it(dtype):
            torch.zeros(1, dtype=dtype)
        """,
        """\
        import pytest, torch
        @pytest.mark.parametrize("dtype", [torch.float32, torch.float32])
        def test_it(dtype):
            torch.zeros(1, dtype=dtype)
        """,
    )


# Names are resolved (note 8).


def test_another_name_for_torch() -> None:
    check_rewritten(
        "import torch as th\nx = th.zeros(1, dtype=th.bfloat16)\n",
        "import torch as th\nx = th.zeros(1, dtype=th.float32)\n",
    )


def test_a_variable_that_is_torch() -> None:
    check_rewritten(
        "import torch\ndtypes = torch\nx = y.to(dtypes.bfloat16)\n",
        "import torch\ndtypes = torch\nx = y.to(dtypes.float32)\n",
    )


def test_torch_imported_within_a_function() -> None:
    check_rewritten(
        "def f(x):\n    import torch\n    return x.to(torch.bfloat16)\n",
        "def f(x):\n    import torch\n    return x.to(torch.float32)\n",
    )


def test_torch_imported_from_elsewhere() -> None:
    check_rewritten(
        "from .compat import torch\ny = x.to(torch.bfloat16)\n",
        "from .compat import torch\ny = x.to(torch.float32)\n",
    )


def test_an_imported_name_brings_its_replacement() -> None:
    check_rewritten(
        "from torch import bfloat16 as bf16\ny = x.to(bf16)\nz = x.to(dtype=bf16)\n",
        "from torch import bfloat16 as bf16, float32\ny = x.to(float32)\nz = x.to(dtype=float32)\n",
    )


def test_an_imported_name_beside_the_module() -> None:
    check_rewritten(
        "import torch as th\nfrom torch import bfloat16, nn\ny = x.to(bfloat16)\n",
        "import torch as th\nfrom torch import bfloat16, nn\ny = x.to(th.float32)\n",
    )


def test_an_import_over_several_lines() -> None:
    check_rewritten(
        """\
        from torch import (
            bfloat16,  # the short one
            nn,
        )
        y = x.to(bfloat16)
        """,
        """\
        from torch import (
            bfloat16,  # the short one
            nn, float32,
        )
        y = x.to(float32)
        """,
    )


def test_an_import_within_a_function() -> None:
    check_rewritten(
        "def f(x):\n    from torch import bfloat16\n    return x.to(bfloat16)\n",
        "def f(x):\n    from torch import bfloat16, float32\n    return x.to(float32)\n",
    )


def test_the_replacement_is_imported_already() -> None:
    check_rewritten(
        "from torch import bfloat16, float32\ny = x.to(bfloat16).to('cuda')\nz = y.to(float32)\n",
        "from torch import bfloat16, float32\ny = x.to(float32).to('cuda')\nz = y.to(float32)\n",
    )


def test_a_star_import() -> None:
    check_rewritten("from torch import *\ny = x.to(bfloat16)\n", "from torch import *\ny = x.to(float32)\n")


def test_a_replacement_whose_name_is_taken() -> None:
    check_reported("from torch import bfloat16\nfloat32 = 4\ny = x.to(bfloat16)\n", code="PF101")


@pytest.mark.parametrize(
    "text",
    [
        "import jax.numpy as jnp\nx = jnp.zeros(1, dtype=jnp.bfloat16)\n",
        "from jax import numpy as jnp\nx = jnp.zeros(1).astype(jnp.bfloat16)\n",
        "import numpy as np, ml_dtypes\nx = np.zeros(1, dtype=ml_dtypes.bfloat16)\n",
        "from ml_dtypes import bfloat16\nx = np.zeros(1).astype(bfloat16)\n",
        "import tensorflow as tf\nx = tf.cast(x, tf.bfloat16)\n",
        "import mlx.core as mx\nx = mx.zeros(1, dtype=mx.bfloat16)\n",
        "import paddle\nx = paddle.zeros([1], dtype=paddle.bfloat16)\n",
        "from jax.numpy import bfloat16\nx = bfloat16(1)\n",
        "bfloat16 = make_type()\nx = f(dtype=bfloat16)\n",
        "class Types:\n    bfloat16 = 1\nx = f(dtype=Types.bfloat16)\n",
        "def f(bfloat16):\n    return g(dtype=bfloat16)\n",
        "import numpy as torchlike\nx = f(dtype=torchlike.bfloat16)\n",
        "x = f(dtype=bfloat16_like)\n",
    ],
)
def test_what_only_looks_alike(text: str) -> None:
    check_not_a_site(text)


def test_two_libraries_in_one_file() -> None:
    check_rewritten(
        """\
        import jax.numpy as jnp, torch
        a = jnp.zeros(1, dtype=jnp.bfloat16)
        b = torch.zeros(1, dtype=torch.bfloat16)
        """,
        """\
        import jax.numpy as jnp, torch
        a = jnp.zeros(1, dtype=jnp.bfloat16)
        b = torch.zeros(1, dtype=torch.float32)
        """,
    )


# What stands around an edit stays.


def test_comments_and_formatting_survive() -> None:
    check_rewritten(
        """\
        import torch
        x = torch.zeros (  # how many
            2 , 3,         # by how many

            dtype = torch.bfloat16 , # short
            device= "cuda",
        )  ; y = x . to( torch  .  bfloat16 )  # and so on
        """,
        """\
        import torch
        x = torch.zeros (  # how many
            2 , 3,         # by how many

            dtype = torch.float32 , # short
            device= "cuda",
        )  ; y = x . to( torch  .  float32 )  # and so on
        """,
    )


def test_a_name_over_several_lines() -> None:
    check_rewritten(
        "import torch\nx = y.to((torch\n    # the module\n    .bfloat16))\nz = y.to(torch. \\\n  bfloat16)\n",
        "import torch\nx = y.to((torch\n    # the module\n    .float32))\nz = y.to(torch. \\\n  float32)\n",
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_endings(end: str) -> None:
    before = 'import torch\ns = """a\nb"""\nx = y.to(torch.bfloat16,\n  # ü\n  copy=True)'.replace("\n", end)
    assert rewritten(before) == before.replace("bfloat16", "float32")


@pytest.mark.parametrize("odd", ["\f", "\x0b", "\u2028", "\x1c", "\x85", "日本語 ñ 🙂"])
def test_lines_are_counted_as_python_does(odd: str) -> None:
    before = f'import torch\ns = "{odd}"\n# {odd}\n\fπ = ("{odd}", x.to(torch.bfloat16))  # {odd}\n'
    assert rewritten(before) == before.replace("bfloat16", "float32")


def test_tabs() -> None:
    before = "import torch\ndef f(x):\n\tif x:\n\t\treturn x.to(\ttorch.bfloat16)\n"
    assert rewritten(before) == before.replace("bfloat16", "float32")


def test_several_places_in_one_statement() -> None:
    before = "import torch\nf(a.to(torch.bfloat16), torch.bfloat16, b=[c.to(torch.bfloat16) for c in d])\n"
    assert rewritten(before) == before.replace("bfloat16", "float32")


def test_a_place_within_a_place() -> None:
    before = "import torch\ny = x.to(torch.bfloat16).mul(z.to(torch.bfloat16)).bfloat16()\n"
    assert rewritten(before) == before.replace(".bfloat16()", ".float()").replace("bfloat16", "float32")


def test_another_target() -> None:
    check_rewritten("import torch\ny = x.to(torch.bfloat16)\n", "import torch\ny = x.to(torch.float16)\n", to="float16")


# What is no choice.


@pytest.mark.parametrize(
    "text",
    [
        "# torch.bfloat16\n",
        '"""import torch; x.to(torch.bfloat16)"""\n',
        'def f():\n    """Casts to torch.bfloat16."""\n',
        "def f():\n    return 1  # torch.bfloat16\n",
        "import torch\ntorch.bfloat16 = None\n",
    ],
)
def test_comments_and_docstrings(text: str) -> None:
    check_not_a_site(text)


def test_what_something_is_rather_than_becomes() -> None:
    check_reported("import torch\nx = dequantize(y, src_dtype=torch.bfloat16)\n", code="PF101")


def test_a_comment_keeps_it() -> None:
    text = "import torch\ny = x.to(torch.bfloat16)  # precision-fix: keep\n"
    check_kept(text, code="PF101")
    check_kept(text.replace("keep", "keep[PF101]"), code="PF101")
    assert codes(text.replace("keep", "keep[PF102]")) == ["PF101"]
    assert "float32" in rewritten(text.replace("keep", "keep[PF102]"))


COPIES = [
    "best = {k: v.detach().to(torch.bfloat16) for k, v in net.state_dict().items()}",
    "best = [p.to(torch.bfloat16) for p in net.parameters()]",
    "for k, p in net.named_parameters():\n    shadow[k] = p.data.to(torch.bfloat16).cpu()",
    "for p in net.parameters():\n    old.append(p.view(-1).to(torch.bfloat16))",
    "self.before = x.detach().to(device, torch.bfloat16)",
    "def f(x):\n    y = x.to(torch.bfloat16)\n    y.mul_(2)\n    return y",
    "def f(x):\n    x = x.to(torch.bfloat16)\n    x += 1\n    return x",
    "def f(x):\n    y = x[0].to(torch.bfloat16)\n    y[:, 0] = 1\n    return y",
    "def f(x):\n    y = x.to(dtype=torch.bfloat16)\n    x.copy_(z)\n    return y",
    "y = x.to(torch.bfloat16).mul_(2)",
]


@pytest.mark.parametrize("line", COPIES)
def test_a_cast_that_made_a_copy_still_makes_one(line: str) -> None:
    """Of a float32 tensor, a cast to float32 is the tensor itself, which goes on changing."""
    after = rewritten(f"import torch\n{line}\n")
    assert "torch.float32, copy=True)" in after
    assert after.replace("torch.float32, copy=True", "torch.bfloat16") == f"import torch\n{line}\n"


CAST_UP = [
    ("y = p.float()\n    y.mul_(2)\n    return y, p", "p.float().clone()"),
    ("y = p.float()\n    p[:, 0] = 1\n    return y, p", "p.float().clone()"),
    ("y = p.to(torch.float32)\n    y += 1\n    return y", "p.to(torch.float32, copy=True)"),
    ("y = p.to(device, dtype=torch.float32)\n    y.zero_()\n    return y", "dtype=torch.float32, copy=True)"),
    ("return p.float().mul_(2)", "p.float().clone().mul_(2)"),
]


@pytest.mark.parametrize("make", ["p = x.to(torch.bfloat16)", "p = x.bfloat16()", "p = zeros(2, dtype=torch.bfloat16)"])
@pytest.mark.parametrize(("used", "after"), CAST_UP)
def test_a_cast_up_of_what_was_bfloat16_still_makes_a_copy(make: str, used: str, after: str) -> None:
    found = rewritten(f"import torch\ndef f(x, device):\n    {make}\n    {used}\n")
    assert after in found
    assert rewritten(found) == found


def test_two_ways_to_one_cast_up_make_one_copy() -> None:
    text = "import torch\ndef f(x, c):\n    if c:\n        p = x.bfloat16()\n    else:\n        p = c.bfloat16()\n"
    text += "    y = p.float()\n    y.mul_(2)\n    return y\n"
    assert rewritten(text) == text.replace("p.float()", "p.float().clone()").replace("bfloat16()", "float()")


@pytest.mark.parametrize(
    "used",
    [
        "return p.float()",
        "y = p.float()\n    return y + 1",
        "y = p.half()\n    y.mul_(2)",
        "y = p.float()\n    x.mul_(2)",
    ],
)
def test_a_cast_up_of_which_nobody_could_tell(used: str) -> None:
    text = f"import torch\ndef f(x):\n    p = (x * 2).to(torch.bfloat16)\n    {used}\n"
    assert rewritten(text) == text.replace("bfloat16", "float32")


@pytest.mark.parametrize("line", COPIES)
def test_a_method_that_made_a_copy(line: str) -> None:
    before = re.sub(r"to\([^()]*torch\.bfloat16\)", "bfloat16()", f"import torch\n{line}\n")
    check_rewritten(before, before.replace("bfloat16()", "float().clone()"))


@pytest.mark.parametrize(
    "line",
    [
        "y = x.to(torch.bfloat16)\nz = y.add(1)",
        "self.model = model.to(torch.bfloat16)",
        "layers = layers.to(torch.bfloat16)\nlayers[0] = layer",
        "model = model.to(torch.bfloat16)\nmodel.requires_grad_(False)",
        "for p in net.parameters():\n    p.data = p.data.to(torch.bfloat16)",
        "self.kept = (x * 2).to(torch.bfloat16)",
        "def f(a):\n    x = a + 1\n    y = x.to(torch.bfloat16)\n    y.mul_(2)",
        "best = {k: v.detach().to(torch.bfloat16, copy=True) for k, v in net.state_dict().items()}",
        "y = x.to(torch.bfloat16, **more)\ny.mul_(2)",
    ],
)
def test_a_cast_of_which_nobody_could_tell(line: str) -> None:
    text = f"import torch\n{line}\n"
    check_rewritten(text, text.replace("bfloat16", "float32"))


def test_a_copy_for_float16_is_one_anyway() -> None:
    text = "import torch\ndef f(x):\n    y = x.to(torch.bfloat16)\n    y.mul_(2)\n"
    check_rewritten(text, text.replace("bfloat16", "float16"), to="float16")


@pytest.mark.parametrize(
    "text",
    [
        "def pick(torch: Torch):\n    return torch.bfloat16\n",
        "def pick(kind):\n    torch = Torch()\n    return torch.bfloat16\n",
        "torch = Torch\ndef pick():\n    return torch.bfloat16\n",
    ],
)
def test_what_is_called_torch_and_is_of_a_class_of_the_file(text: str) -> None:
    check_not_a_site(f"class Torch:\n    bfloat16 = 1\n{text}")


@pytest.mark.parametrize(
    "text", ["def pick(torch):\n    {}\n", "torch = optional_import('torch')\ndef pick():\n    {}\n"]
)
def test_what_is_called_torch_and_is_of_nothing_seen(text: str) -> None:
    text = "class Torch:\n    bfloat16 = 1\n" + text.format("return torch.zeros(2, dtype=torch.bfloat16)")
    check_rewritten(text, text.replace("torch.bfloat16", "torch.float32"))
