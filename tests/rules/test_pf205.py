"""PF205 and PF912: flash attention in Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.finding import Action
from precision_fix.model.vocabulary.attention import STOOD_IN
from tests.project.programs import patched
from tests.tools import check_kept, check_not_a_site, check_reported, check_rewritten, findings, rewritten

LOAD = "model = AutoModel.from_pretrained(x, attn_implementation={})\n"


@pytest.mark.parametrize(
    "line",
    [
        'AutoModel.from_pretrained(x, attn_implementation="flash_attention_2")',
        "AutoModel.from_pretrained(x, attn_implementation='flash_attention_3')",
        'AutoModel.from_pretrained(x, attn_implementation="flash_attention_2" if fast else "eager")',
        'config._attn_implementation = "flash_attention_2"',
        'config.llm_config.attn_implementation = "flash_attention_2"',
        'kwargs["attn_implementation"] = "flash_attention_2"',
        'kwargs = {"attn_implementation": "flash_attention_2"}',
        'kwargs = dict(attn_implementation="flash_attention_2")',
        'def load(x, attn_implementation="flash_attention_2"): ...',
        'TransformersEngine(x, attn_impl="flash_attention_2")',
        'p.add_argument("--attn_implementation", default="flash_attention_2")',
        'class A:\n    attn_implementation: str = field(default="flash_attention_2")',
        'attn = config.get("attn_implementation", "flash_attention_2")',
        'attn = "flash_attention_2"\nAutoModel.from_pretrained(x, attn_implementation=attn)',
        'attn = "flash_attention_2" if fast else "sdpa"',
        'f(attn_implementation="kernels-community/flash-attn3")',
    ],
)
def test_a_word(line: str) -> None:
    after = line
    for word in ("flash_attention_2", "flash_attention_3", "kernels-community/flash-attn3"):
        after = after.replace(word, "sdpa")
    check_rewritten(line + "\n", after + "\n", code="PF205")


TO = "AutoModel.from_pretrained(x, attn_implementation={})\n"
NAMED = [
    f"impl = WORD\n{TO.format('impl')}",
    f"def load(x, impl=WORD):\n    return {TO.format('impl')}",
    f"def load(x, impl):\n    return {TO.format('impl')}load(x, WORD)\n",
    f"class A:\n    impl = WORD\n    def load(self):\n        return {TO.format('self.impl')}",
    f"class A:\n    def __init__(self):\n        self.a = WORD\n    def get(self):\n        {TO.format('self.a')}",
    f"if fast:\n    which = WORD\nelse:\n    which = 'eager'\n{TO.format('which')}",
    f"p.add_argument('--backend', default=WORD)\nargs = p.parse_args()\n{TO.format('args.backend')}",
    f"def kind():\n    return WORD\n{TO.format('kind()')}",
    "impl = WORD\nconfig._attn_implementation = impl\n",
    "impl = WORD\nkwargs['attn_implementation'] = impl\n",
]


@pytest.mark.parametrize("text", NAMED)
def test_a_word_under_a_name_of_the_programs_own(text: str) -> None:
    text = text.replace("WORD", "'flash_attention_2'")
    check_rewritten(text, text.replace("flash_attention_2", "sdpa"), code="PF205")


@pytest.mark.parametrize(
    "text",
    [
        f"KINDS = {{'flash_attention': 'flash_attention_2'}}\n{TO.format('KINDS[x]')}",
        f"def build(impl):\n    {TO.format('impl')}try:\n    build('flash_attention_2')\nexcept E:\n    pass\n",
    ],
)
def test_a_word_that_names_it_or_is_tried(text: str) -> None:
    check_kept(text, code="PF205")


@pytest.mark.parametrize("other", ["engine.start(impl)\n", "engine.start(kind=impl)\n", "use(x, [impl])\n"])
def test_a_word_that_something_else_takes_as_well(other: str) -> None:
    check_reported(f"impl = 'flash_attention_2'\n{TO.format('impl')}{other}", code="PF205")


@pytest.mark.parametrize(
    "line",
    ["f(x, use_flash_attention_2=True)", "f(use_flash_attn=True)", "config.use_flash_attn = True"],
)
def test_a_flag(line: str) -> None:
    check_rewritten(line + "\n", line.replace("True", "False") + "\n", code="PF205")


@pytest.mark.parametrize(
    "line",
    [
        'if config._attn_implementation == "flash_attention_2": f()',
        'assert config._attn_implementation == "flash_attention_2"',
        'if config._attn_implementation in ("flash_attention_2", "flash_attention_3"): f()',
        'CLASSES = {"flash_attention_2": FlashAttention, "sdpa": Sdpa}',
        'ALL.register("flash_attention_2", f)',
        'p.add_argument("--attn_implementation", choices=["sdpa", "flash_attention_2"])',
        'raise ValueError("flash_attention_2")',
        'class Attention(Enum):\n    FLASH_ATTENTION_2 = "flash_attention_2"',
        'ALIASES = {"flash_attention": "flash_attention_2"}',
    ],
)
def test_what_only_names_it(line: str) -> None:
    check_kept(line + "\n", code="PF205")


def test_packed_examples_need_it() -> None:
    check_reported('if args.packing:\n    args.attn_implementation = "flash_attention_2"\n', code="PF205")


@pytest.mark.parametrize(
    "line", ["f(use_flash_attn=False)", "f(use_flash_attention_2=fast)", 'f(attn_implementation="sdpa")', "x = 'flash'"]
)
def test_no_site(line: str) -> None:
    check_not_a_site(line + "\n")


def test_pf912_the_package() -> None:
    check_reported("from flash_attn import flash_attn_func\n", code="PF912")
    check_reported("import flash_attn_interface\nfrom flash_attn import x\n", code="PF912")
    check_kept("try:\n    from flash_attn import flash_attn_func\nexcept ImportError:\n    f = None\n", code="PF912")
    check_kept("if is_flash_attn_2_available():\n    from flash_attn import flash_attn_func\n", code="PF912")
    check_not_a_site("from flash_attn.bert_padding import unpad_input\n")
    check_not_a_site("from flash_attn import f\n", path="flash_attn/layers.py")


@pytest.mark.parametrize(
    ("text", "runtime"),
    [
        ("from flash_attn import flash_attn_func\n", True),
        ("import flash_attn.layers.rotary as rotary\n", True),
        ("import flash_attn_interface\n", False),
        ("from flash_attn.cute import flash_attn_func\n", False),
        ("import flash_attn, flash_attn_2_cuda\n", False),
        ("try:\n    import flash_attn_interface\nexcept ImportError:\n    pass\n" + "TRIED", True),
    ],
)
def test_pf912_says_where_the_runtime_has_a_stand_in(text: str, runtime: bool) -> None:
    whole = text.replace("TRIED", TRIED + next(iter(UNASKED.values())))
    (found,) = [each for each in findings(whole) if each.code == "PF912"]
    assert found.action is Action.MANUAL and found.runtime is runtime
    assert ("the runtime computes it" in found.reason) is runtime


def test_what_stands_in_is_the_same_here_and_there() -> None:
    pytest.importorskip("torch")
    from precision_fix.runtime.flash import package

    assert {name for name in package._MODULES if name.startswith("flash_attn")} == STOOD_IN


REGION = """\
from torch.nn.attention import SDPBackend, sdpa_kernel
import torch
ONLY = [SDPBackend.FLASH_ATTENTION]
def att(q, k, v):
    with {}:
        return torch.nn.functional.scaled_dot_product_attention(q, k, v)
"""


@pytest.mark.parametrize(
    "region",
    [
        "sdpa_kernel(SDPBackend.FLASH_ATTENTION)",
        "sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION])",
        "sdpa_kernel(backends=(SDPBackend.FLASH_ATTENTION,))",
        "sdpa_kernel(ONLY)",
        "torch.backends.cuda.sdp_kernel(enable_flash=True, enable_math=False, enable_mem_efficient=False)",
    ],
)
def test_a_region_that_allows_the_flash_kernel_alone(region: str) -> None:
    check_reported(REGION.format(region), code="PF205")


@pytest.mark.parametrize(
    "region",
    [
        "sdpa_kernel(SDPBackend.MATH)",
        "sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH])",
        "sdpa_kernel(chosen())",
        "torch.backends.cuda.sdp_kernel(enable_flash=True)",
    ],
)
def test_a_region_with_another_way(region: str) -> None:
    check_not_a_site(REGION.format(region))


def test_a_region_where_the_gpu_has_it() -> None:
    body = REGION.format("sdpa_kernel(ONLY)").replace("    with", "    if capability >= 8:\n     with")
    check_kept(body.replace("        return", "         return"), code="PF205")


@pytest.mark.parametrize("cast", ["q.to(torch.bfloat16)", "q.bfloat16()"])
def test_what_is_cast_for_such_a_region(cast: str) -> None:
    region = REGION.format("sdpa_kernel(SDPBackend.FLASH_ATTENTION)")
    check_reported(region.replace("    with", f"    q = {cast}\n    with"), code="PF902")


def test_what_has_another_way_beside_such_a_region() -> None:
    before = REGION.format("sdpa_kernel(ONLY)").replace(
        "    with", "    q = q.to(torch.bfloat16)\n    if mask is None:\n     with"
    )
    before = (
        before.replace("        return", "         return")
        + "    return torch.nn.functional.scaled_dot_product_attention(q, k, v, mask)\n"
    )
    assert rewritten(before) == before.replace("torch.bfloat16", "torch.float32")


TRIED = "try:\n    from flash_attn import flash_attn_func\n    HAS = True\nexcept ImportError:\n    HAS = False\n"
UNASKED = {
    "a function of the margin": "def run(q):\n    return flash_attn_func(q, q, q)\nrun(1)\n",
    "two calls deep": (
        "def inner(q):\n    return flash_attn_func(q, q, q)\ndef outer(q):\n    return inner(q)\nprint(outer(1))\n"
    ),
    "a part of a module": (
        "class Attention:\n    def forward(self, q):\n        return flash_attn_func(q, q, q)\n"
        "class Block:\n    def __init__(self):\n        self.attention = Attention()\n"
    ),
    "one of its functions or another": (
        "import flash_attn\ndef run(q, mask):\n    if mask is None:\n        return flash_attn_func(q, q, q)\n"
        "    else:\n        return flash_attn.flash_attn_varlen_func(q, mask)\nrun(1, 2)\n"
    ),
    "asserted": "def run(q):\n    assert HAS\n    return flash_attn_func(q, q, q)\nrun(1)\n",
    "or nothing": "def run(q):\n    if HAS:\n        return flash_attn_func(q)\n    else:\n        raise Error\nrun(1)",
}
ASKED = {
    "another way": "def run(q):\n    if HAS:\n        return flash_attn_func(q)\n    return q\nrun(1)\n",
    "the other way first": "def run(q):\n    if not HAS:\n        return q\n    return flash_attn_func(q)\nrun(1)\n",
    "tried": "def run(q):\n    try:\n        return flash_attn_func(q)\n    except OSError:\n        return q\nrun(1)",
    "its caller asks": (
        "def fast(q):\n    return flash_attn_func(q)\ndef run(q):\n    return fast(q) if HAS else q\nrun(1)\n"
    ),
    "one of a table": (
        "class Flash:\n    def forward(self, q):\n        return flash_attn_func(q)\n"
        "class Plain:\n    pass\nKINDS = {'flash': Flash, 'plain': Plain}\n"
        "def make():\n    return Flash()\n"
    ),
    "made where it is asked for": (
        "class Flash:\n    def forward(self, q):\n        return flash_attn_func(q)\n"
        "class Block:\n    def __init__(self, config):\n        if config.flash:\n            self.inner = Flash()\n"
    ),
    "what stands in for it": "flash_attn_func = flash_attn_func if HAS else slow\nflash_attn_func(1)\n",
    "not called": "def run(q):\n    return q\n",
}


@pytest.mark.parametrize("name", UNASKED)
def test_a_tried_import_whose_calls_have_no_other_way(name: str) -> None:
    check_reported(TRIED + UNASKED[name], code="PF912")


@pytest.mark.parametrize("name", ASKED)
def test_a_tried_import_whose_calls_have_another_way(name: str) -> None:
    check_kept(TRIED + ASKED[name], code="PF912")


def test_the_place_in_another_file_is_named(tmp_path: Path) -> None:
    program = {
        "ops.py": TRIED + "def attend(q):\n    assert HAS\n    return flash_attn_func(q)\n",
        "net.py": "from ops import attend\nclass Net:\n    def forward(self, q):\n        return attend(q)\nn = Net()",
    }
    _, found = patched(tmp_path, program)
    (said,) = found.findings
    assert "net.py:4 has no way without it" in said.reason


LOADS = """\
def load(path):
    attn_impl_primary = "flash_attention_2"
    try:
        return Model.from_pretrained(path, attn_implementation=attn_impl_primary)
    except Exception as e:
        {}
        return Model.from_pretrained(path, attn_implementation="sdpa")
"""


@pytest.mark.parametrize(
    "asked",
    [
        "if attn_impl_primary != 'flash_attention_2':\n            raise e",
        "print('no', attn_impl_primary == 'flash_attention_2')",
    ],
)
def test_where_loading_failed_it_is_asked_with_what(asked: str) -> None:
    text = LOADS.format(asked)
    assert rewritten(text) == text.replace('= "flash_attention_2"', '= "sdpa"')


def test_what_is_asked_beside_the_loading_is_a_persons() -> None:
    asked = "    use(attn_impl_primary == 'flash_attention_2')\n    try"
    check_reported(LOADS.format("pass").replace("    try", asked))


_OPTION = "p.add_argument('--attn_implementation', default='flash_attention_2', choices=[{}])\n"


@pytest.mark.parametrize(
    ("choices", "other"),
    [
        ("'eager', 'flash_attention_2'", "eager"),
        ("'flash_attention_2', 'sdpa', 'eager'", "sdpa"),
        ("*KNOWN", "sdpa"),
        ("'eager', *KNOWN", "sdpa"),
    ],
)
def test_the_other_word_is_one_that_the_option_takes(choices: str, other: str) -> None:
    text = _OPTION.format(choices)
    check_rewritten(text, text.replace("default='flash_attention_2'", f"default='{other}'"), code="PF205")


@pytest.mark.parametrize("choices", ["'flash_attention_2'", "'flash_attention_2', 'flash_attention_3'"])
def test_an_option_that_takes_no_other_word_is_told(choices: str) -> None:
    check_reported(_OPTION.format(choices), code="PF205")


def test_a_menu_without_it_is_told_too() -> None:
    menu = "Literal['flash_attention_2', 'xformers']"
    text = f"from typing import Literal\nattn_implementation: {menu} = 'flash_attention_2'\n"
    check_reported(text, code="PF205")


def test_a_launch_line_is_given_a_word_that_its_program_takes(tmp_path: Path) -> None:
    program = {
        "main.py": f"import argparse\np = argparse.ArgumentParser()\n{_OPTION.format(chr(34) + 'eager' + chr(34))}",
        "run.sh": "python main.py --attn_implementation flash_attention_2\n",
    }
    after, _ = patched(tmp_path, program)
    assert after["run.sh"] == "python main.py --attn_implementation eager\n"
