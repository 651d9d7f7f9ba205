"""PF103: an autocast region is turned off (note 9)."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.finding import Action
from tests.project.programs import patched
from tests.tools import check_reported, check_rewritten, codes, rewritten

_BF = "torch.bfloat16"
_F = "torch.float32"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f'autocast("cuda", dtype={_BF})', f'autocast("cuda", dtype={_F}, enabled=False)'),
        (f'autocast("cuda", {_BF})', f'autocast("cuda", {_F}, enabled=False)'),
        (f'autocast("cuda", {_BF}, True)', f'autocast("cuda", {_F}, False)'),
        (f'autocast("cuda", {_BF}, amp, False)', f'autocast("cuda", {_F}, False, False)'),
        (f'autocast("cuda", enabled=amp, dtype={_BF})', f'autocast("cuda", enabled=False, dtype={_F})'),
        (f'autocast("cuda", dtype={_BF}, enabled=amp)', f'autocast("cuda", dtype={_F}, enabled=False)'),
        (f'autocast("cuda", dtype={_BF}, enabled=False)', f'autocast("cuda", dtype={_F}, enabled=False)'),
        (f'autocast("cuda", {_BF}, enabled = not x.is_cpu)', f'autocast("cuda", {_F}, enabled = False)'),
        (f'autocast(device_type="cuda", dtype={_BF})', f'autocast(device_type="cuda", dtype={_F}, enabled=False)'),
        (f"autocast(x.device.type, dtype={_BF})", f"autocast(x.device.type, dtype={_F}, enabled=False)"),
        (
            f'autocast("cuda", dtype={_BF}, cache_enabled=False)',
            f'autocast("cuda", dtype={_F}, cache_enabled=False, enabled=False)',
        ),
        (f'autocast("cpu", dtype={_BF})', f'autocast("cpu", dtype={_F}, enabled=False)'),
        (f"cuda.amp.autocast(dtype={_BF})", f"cuda.amp.autocast(dtype={_F}, enabled=False)"),
        (f"cuda.amp.autocast(True, {_BF})", f"cuda.amp.autocast(False, {_F})"),
        (f"cuda.amp.autocast(True, dtype={_BF})", f"cuda.amp.autocast(False, dtype={_F})"),
        (f"cuda.amp.autocast(enabled=True, dtype={_BF})", f"cuda.amp.autocast(enabled=False, dtype={_F})"),
        (f'amp.autocast("cuda", dtype={_BF})', f'amp.autocast("cuda", dtype={_F}, enabled=False)'),
        (f'amp.autocast("cuda", {_BF}, True)', f'amp.autocast("cuda", {_F}, False)'),
    ],
)
def test_a_call(before: str, after: str) -> None:
    check_rewritten(f"import torch\nctx = torch.{before}\n", f"import torch\nctx = torch.{after}\n", code="PF103")
    check_rewritten(
        f"import torch\nwith open(p), torch.{before} as c:\n    y = model(x)\n",
        f"import torch\nwith open(p), torch.{after} as c:\n    y = model(x)\n",
    )
    check_rewritten(
        f"import torch\n@torch.{before}\n@other\ndef f(x):\n    return x\n",
        f"import torch\n@torch.{after}\n@other\ndef f(x):\n    return x\n",
    )


def test_by_its_own_name() -> None:
    check_rewritten(
        "import torch\nfrom torch.cuda.amp import autocast as ac\nwith ac(True, torch.bfloat16):\n    f()\n",
        "import torch\nfrom torch.cuda.amp import autocast as ac\nwith ac(False, torch.float32):\n    f()\n",
    )
    check_rewritten(
        'import torch\nfrom torch import autocast\nc = autocast("cuda", dtype=torch.bfloat16)\n',
        'import torch\nfrom torch import autocast\nc = autocast("cuda", dtype=torch.float32, enabled=False)\n',
    )


def test_through_partial() -> None:
    check_rewritten(
        """\
        import torch
        from functools import partial
        a = partial(torch.autocast, "cuda", dtype=torch.bfloat16)
        b = partial(torch.autocast, "cuda", torch.bfloat16, True)
        c = partial(torch.cuda.amp.autocast, True, torch.bfloat16)
        d = partial(torch.autocast, device_type="cuda", dtype=torch.bfloat16, enabled=on)
        """,
        """\
        import torch
        from functools import partial
        a = partial(torch.autocast, "cuda", dtype=torch.float32, enabled=False)
        b = partial(torch.autocast, "cuda", torch.float32, False)
        c = partial(torch.cuda.amp.autocast, False, torch.float32)
        d = partial(torch.autocast, device_type="cuda", dtype=torch.float32, enabled=False)
        """,
    )


def test_over_several_lines_with_comments() -> None:
    check_rewritten(
        """\
        import torch
        with torch.autocast(
            "cuda",  # where
            dtype=torch.bfloat16,  # short
        ):
            y = model(x)
        with torch.autocast(
            device_type="cuda",
            # in short
            dtype=torch.bfloat16
        ):
            y = model(x)
        """,
        """\
        import torch
        with torch.autocast(
            "cuda",  # where
            dtype=torch.float32,  # short
            enabled=False,
        ):
            y = model(x)
        with torch.autocast(
            device_type="cuda",
            # in short
            dtype=torch.float32,
            enabled=False
        ):
            y = model(x)
        """,
    )


def test_a_trailing_comma() -> None:
    check_rewritten(
        'import torch\nc = torch.autocast("cuda", dtype=torch.bfloat16,)\n',
        'import torch\nc = torch.autocast("cuda", dtype=torch.float32, enabled=False,)\n',
    )


def test_an_imported_dtype_and_an_imported_autocast() -> None:
    check_rewritten(
        'from torch import autocast, bfloat16\nwith autocast("cuda", bfloat16):\n    f()\n',
        'from torch import autocast, bfloat16, float32\nwith autocast("cuda", float32, enabled=False):\n    f()\n',
    )


@pytest.mark.parametrize("call", ['"cuda", dtype=torch.bfloat16, **options', "*where, dtype=torch.bfloat16"])
def test_enabled_is_never_given_twice(call: str) -> None:
    """It may be among the arguments that the file does not show: the runtime decides, or a person."""
    text = f"import torch\nc = torch.autocast({call})\n"
    assert "enabled" not in rewritten(text)
    assert codes(text)


def test_a_variable_dtype_is_left_to_the_runtime() -> None:
    check_rewritten(
        'import torch\ndtype = torch.bfloat16\nc = torch.autocast("cuda", dtype=dtype)\n',
        'import torch\ndtype = torch.float32\nc = torch.autocast("cuda", dtype=dtype)\n',
    )


def test_to_float16_it_stays_on() -> None:
    check_rewritten(
        'import torch\nc = torch.autocast("cuda", dtype=torch.bfloat16)\n',
        'import torch\nc = torch.autocast("cuda", dtype=torch.float16)\n',
        to="float16",
    )


def test_a_region_in_another_precision_stays() -> None:
    text = 'import torch\nc = torch.autocast("cuda", dtype=torch.float16)\nd = x.bfloat16()\n'
    assert rewritten(text) == text.replace(".bfloat16", ".float")


def test_an_own_autocast_is_no_region() -> None:
    text = "import torch\nfrom mine import autocast\nc = autocast(dtype=torch.bfloat16)\n"
    assert rewritten(text) == text.replace("bfloat16", "float32")


def test_a_comment_keeps_all_of_it() -> None:
    text = 'import torch\nc = torch.autocast("cuda", dtype=torch.bfloat16)  # precision-fix: keep\n'
    assert rewritten(text) == text
    assert codes(text, Action.KEEP) == ["PF103"]


SHORT = {
    "a test around it": (
        "def f(layer, x):\n    if layer.weight.dtype == torch.float8_e4m3fn:\n"
        "        with torch.autocast('cuda', dtype=torch.bfloat16):\n            return layer(x)\n"
    ),
    "another method puts the module into it": (
        "class Generator:\n    def __init__(self, net, small):\n        if small:\n"
        "            self.net = net.to(dtype=torch.float8_e4m3fn)\n"
        "    def run(self, x):\n        with torch.autocast(x.device.type, dtype=torch.bfloat16):\n"
        "            return self.net(x)\n"
    ),
    "a variable says so": (
        "def load(net):\n    kept = torch.float8_e5m2\n    return net.to(kept)\n"
        "def run(net, x):\n    with torch.autocast('cuda', dtype=torch.bfloat16, enabled=True):\n"
        "        return net(x)\n"
    ),
    "the name of the checkpoint": (
        "NET = 'edit-v1-FP8.safetensors'\ndef run(net, x):\n    load(net, NET)\n"
        "    with torch.cuda.amp.autocast(True, torch.bfloat16):\n        return net(x)\n"
    ),
}


@pytest.mark.parametrize("how", SHORT)
def test_what_casts_float8_weights_stays_on(how: str) -> None:
    text = f"import torch\n{SHORT[how]}"
    check_rewritten(text, text.replace("bfloat16", "float32"), code="PF103")


@pytest.mark.parametrize(
    "beside",
    [
        "def check(w):\n    if w.dtype == torch.float8_e4m3fn:\n        raise TypeError(w)\n",
        "# torch.float8_e4m3fn would be smaller\n",
        "def check(w):\n    return w.dtype in (torch.float8_e4m3fn, torch.float8_e5m2)\n",
    ],
)
def test_who_only_speaks_of_float8_has_no_such_weights(beside: str) -> None:
    text = f"import torch\n{beside}with torch.autocast('cuda', dtype=torch.bfloat16):\n    run()\n"
    assert "dtype=torch.float32, enabled=False)" in rewritten(text)


@pytest.mark.parametrize(
    ("made", "used"),
    [
        ("region = functools.partial(torch.autocast, 'cuda', dtype=torch.bfloat16)", "region(enabled=fast)"),
        ("region = partial(torch.cuda.amp.autocast, dtype=torch.bfloat16)", "region(enabled=True)"),
        ("net.region = partial(torch.autocast, dtype=torch.bfloat16)", "net.region('cuda', enabled=fast)"),
        ("pass", "partial(torch.autocast, 'cuda', dtype=torch.bfloat16)(enabled=fast)"),
        ("here = partial(torch.autocast, 'cuda', dtype=torch.bfloat16)", "here(enabled=False)"),
    ],
)
def test_a_part_of_a_region_that_is_turned_on_where_it_is_opened(made: str, used: str) -> None:
    text = f"import functools, torch\nfrom functools import partial\n{made}\ndef f(net, x, fast):\n    with {used}:\n"
    text += "        return net(x)\n"
    off = used.replace("enabled=fast", "enabled=False").replace("enabled=True", "enabled=False")
    after = text.replace(used, off).replace("dtype=torch.bfloat16", "dtype=torch.float32, enabled=False")
    check_rewritten(text, after, code="PF103")


@pytest.mark.parametrize(
    ("made", "used"),
    [
        ("partial(torch.cuda.amp.autocast, dtype=torch.bfloat16)", "here(fast)"),
        ("partial(torch.cuda.amp.autocast, dtype=torch.bfloat16)", "here(False)"),
        ("partial(torch.autocast, 'cuda', torch.bfloat16)", "here(True)"),
    ],
)
def test_a_part_of_a_region_that_is_told_by_position_whether_it_is_on(made: str, used: str) -> None:
    # With `enabled=` in the partial as well, the call has two values for it.
    text = f"import torch\nfrom functools import partial\nhere = {made}\n\ndef f(net, x, fast):\n    with {used}:\n"
    check_reported(f"{text}        return net(x)\n", code="PF904")


@pytest.mark.parametrize(
    ("made", "opened", "after"),
    [
        ("here = torch.autocast", "here('cuda', dtype={})", "dtype={}, enabled=False"),
        ("here = partial(torch.autocast, 'cuda')", "here(dtype={})", "dtype={}, enabled=False"),
        ("here = partial(torch.autocast, 'cuda')", "here({}, fast)", "{}, False"),
        ("here = partial(partial(torch.autocast, 'cuda'), enabled=True)", "here(dtype={})", "dtype={}, enabled=False"),
        # An argument by position cannot be given again.
        ("here = partial(torch.cuda.amp.autocast, True)", "here(dtype={})", "dtype={}"),
    ],
)
def test_a_region_by_a_name_of_its_own(tmp_path: Path, made: str, opened: str, after: str) -> None:
    head = f"import torch\nfrom functools import partial\n{made}\n"
    use = "def f(net, x, fast):\n    with {}:\n        return net(x)\n"
    before, dtype = use.format(opened.format(_BF)), after.format(_F)
    meant = use.format(f"{opened.partition('(')[0]}({dtype})")
    if "'cuda', dtype" in opened:
        meant = meant.replace("(dtype", "('cuda', dtype")
    check_rewritten(head + before, head + meant, code="PF103")
    imports = {"here": "from amp import here", "amp.here": "import amp", "h": "from amp import here as h"}
    for name, line in imports.items():
        top = f"import torch\n{line}\n"
        files = {"amp.py": head, "main.py": top + before.replace("here", name)}
        found, _ = patched(tmp_path / name, files)
        assert found == {"amp.py": head, "main.py": top + meant.replace("here", name)}


def test_a_region_that_an_object_holds() -> None:
    before = """\
        import torch
        from functools import partial
        class A:
            def __init__(self):
                self.here = partial(torch.autocast, "cuda")
            def f(self, x):
                with self.here(dtype=torch.bfloat16):
                    return self.net(x)
        """
    check_rewritten(before, before.replace("dtype=torch.bfloat16", "dtype=torch.float32, enabled=False"), code="PF103")


def test_a_partial_of_another_device_stays() -> None:
    text = "import torch\nfrom functools import partial\nhere = partial(torch.autocast, 'xpu')\n"
    assert rewritten(text + "with here(dtype=torch.bfloat16):\n    f()\n") == text + (
        "with here(dtype=torch.bfloat16):\n    f()\n"
    )


def test_a_partial_that_another_file_turns_on_is_told(tmp_path: Path) -> None:
    made = "import torch\nfrom functools import partial\nhere = partial(torch.autocast, 'cuda', dtype=torch.bfloat16)\n"
    opens = "import amp\ndef f(net, x, fast):\n    with amp.here({}):\n        return net(x)\n"
    files, found = patched(tmp_path / "on", {"amp.py": made, "main.py": opens.format("enabled=fast")})
    assert files["amp.py"] == made
    assert [each.reason for each in found.findings if each.code == "PF904"] == [
        "what opens the region says whether it is on (main.py:3): take enabled= out there"
    ]
    for said in ("", "enabled=False"):
        files, _ = patched(tmp_path / f"plain{said}", {"amp.py": made, "main.py": opens.format(said)})
        assert files["amp.py"] == made.replace("dtype=torch.bfloat16", "dtype=torch.float32, enabled=False")


#: A model in float16 that a region in bfloat16 works with.
HALF = {
    "a function makes it": (
        "def load(name):\n    return Vae.from_pretrained(name, torch_dtype=torch.float16)\n"
        "vae = load(name).eval()\nvae = vae.to(device)\nwith {}:\n    y = vae.decode(x).sample\n"
    ),
    "another function is given it": (
        "def draw(vae, x):\n    with {}:\n        return vae(x)\nnet = Net().half()\ny = draw(net, x)\n"
    ),
    "an object holds it": (
        "class Draws:\n    def __init__(self, name):\n        self.vae = Vae.from_pretrained(name)\n"
        "        self.vae.to(dtype=torch.half)\n    @{}\n    def draw(self, x):\n        return self.vae.decode(x)\n"
    ),
    "it is used further below": (
        "class Draws:\n    def __init__(self, vae):\n        self.vae = vae\n    def decode(self, x):\n"
        "        return self.vae.decode(x)\n"
        "    def draw(self, x):\n        with {}:\n            return self.decode(x)\n"
        "kind = torch.float16\nDraws(vae=Vae.from_pretrained(name, torch_dtype=kind)).draw(x)\n"
    ),
    "it is called as an attribute": (
        "class Draws:\n    def __init__(self):\n        self.vae = Vae().half()\n    def draw(self, x):\n"
        "        with {}:\n            return self.vae(x)\n"
    ),
    "a loop puts each": (
        "parts = [Net(), Net()]\nfor part in parts:\n    part.half()\ndef draw(x):\n    with {}:\n"
        "        for each in parts:\n            x = each(x)\n"
    ),
    "a table holds it": "nets = dict()\nnets = {{'vae': Net().half()}}\nwith {}:\n    nets['vae'](x)\n",
    "a part of it is": "net = Net()\nnet.encoder.half()\nwith {}:\n    net(x)\n",
    "an object of the file has it": (
        "class Pipe:\n    def __init__(self, vae):\n        self.vae = vae\np = Pipe(Net().half())\n"
        "with {}:\n    p.vae(x)\n"
    ),
    "its constructor makes it": (
        "class Own(nn.Module):\n    def __init__(self):\n        self.a = nn.Linear(4, 4, dtype=torch.float16)\n"
        "net = Own()\nwith {}:\n    net(x)\n"
    ),
    "it puts itself": (
        "class Own(nn.Module):\n    def __init__(self):\n        self.a = nn.Linear(4, 4)\n        self.half()\n"
        "    @{}\n    def forward(self, x):\n        return self.a(x)\n"
    ),
    "a default says so": (
        "def load(dtype=torch.float16):\n    return Net().to(device=device, dtype=dtype)\nnet = load()\n"
        "with {}:\n    net(x)\n"
    ),
    "an attribute says so": (
        "class Own:\n    def __init__(self, dtype):\n        self.dtype = dtype\n"
        "        self.net = Net().to(self.dtype)\n    def run(self, x):\n        with {}:\n"
        "            return self.net(x)\nOwn(torch.float16).run(x)\n"
    ),
    "the default dtype is": "torch.set_default_dtype(torch.float16)\nnet = Net()\nwith {}:\n    net(x)\n",
    "a product has it": "w = torch.ones(4, dtype=torch.float16)\nwith {}:\n    y = x @ w\n",
    "a parameter is": (
        "class Own:\n    def __init__(self):\n        self.w = nn.Parameter(torch.ones(4, dtype=torch.half))\n"
        "    def run(self, x):\n        with {}:\n            return F.linear(x, self.w)\n"
    ),
    "a stack enters it": (
        "w = torch.ones(4).half()\nwith ExitStack() as stack:\n    stack.enter_context({})\n    y = x @ w\n"
    ),
    "the device is handed on": (
        "def load(device):\n    return Net().half().to(device)\nnet = load(where)\nwith {}:\n    net(x)\n"
    ),
    "the input is": "x = x.half()\nctx = {}\nwith ctx:\n    y = net(x)\n",
    "a host brings it back": (
        "def made(name):\n    return Vae.from_pretrained(name, torch_dtype=torch.float16)\n"
        "class Loads:\n    def load(self, name):\n        vae = made(name)\n        return (vae,)\n"
        "class Decodes:\n    def decode(self, vae, x):\n        with {}:\n            return vae.decode(x)\n"
    ),
}
_HERE = 'torch.autocast("cuda", dtype={})'


@pytest.mark.parametrize("how", HALF)
def test_what_casts_float16_stays_on(how: str) -> None:
    # With the region off, weights in float16 meet what is float32 now.
    text = f"import torch\n{HALF[how]}"
    check_rewritten(text.format(_HERE.format(_BF)), text.format(_HERE.format(_F)), code="PF103")


@pytest.mark.parametrize(
    "beside",
    [
        "net = Net().half().float()\nwith {}:\n    net(x)\n",
        "net = Net()\nif args.fp16:\n    net.half()\nwith {}:\n    net(x)\n",
        "net = Net()\nif not args.fp16:\n    net.float()\nelse:\n    net.half()\nwith {}:\n    net(x)\n",
        "net = Net()\nif args.precision == 'fp16':\n    net.half()\nwith {}:\n    net(x)\n",
        "other = Net().half()\nwith {}:\n    net(x)\n",
        "net = Net.from_pretrained(n, dtype=torch.float16 if low else torch.float32)\nwith {}:\n    net(x)\n",
    ],
)
def test_what_is_not_seen_to_be_in_float16_needs_no_region(beside: str) -> None:
    text = f"import torch\n{beside}"
    off = _HERE.format(_F).replace(")", ", enabled=False)")
    check_rewritten(text.format(_HERE.format(_BF)), text.format(off), code="PF103")


@pytest.mark.parametrize("test", ["half_disabled", "no_half", "skip_fp16", "not args.no_half", "not args.fp16"])
def test_what_is_in_float16_where_nobody_asked_for_it_needs_its_region(test: str) -> None:
    named = test if "args" in test else f"args.{test}"
    text = f"import torch\nnet = Net()\nif {named}:\n    net.half()\nwith {{}}:\n    net(x)\n"
    check_rewritten(text.format(_HERE.format(_BF)), text.format(_HERE.format(_F)), code="PF103")


def test_weights_in_float16_from_another_file(tmp_path: Path) -> None:
    files = {
        "vae.py": "import torch\ndef build(name):\n    return Vae.from_pretrained(name, torch_dtype=torch.float16)\n",
        "main.py": "from pipe import Pipe\nfrom vae import build\nPipe(build(name)).draw(x)\n",
        "pipe.py": "from draw import sample\nclass Pipe:\n    def __init__(self, vae: object) -> None:\n"
        "        self.vae = vae\n    def draw(self, x):\n        return sample(x, vae=self.vae)\n",
        "draw.py": f"import torch\ndef sample(x, vae):\n    with {_HERE.format(_BF)}:\n        return vae.decode(x)\n",
    }
    after, _ = patched(tmp_path, files)
    assert after["draw.py"] == files["draw.py"].replace("bfloat16", "float32")


def test_on_the_cpu_a_region_over_float16_is_told() -> None:
    check_reported(
        "import torch\nnet = Net().half()\nwith torch.autocast('cpu', dtype=torch.bfloat16):\n    net(x)\n",
        code="PF904",
    )
