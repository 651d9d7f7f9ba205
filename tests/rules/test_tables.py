"""Each word of the tables of rules and settings, where it matters; see tests/test_tables.py."""

# Words and what they mean read best in one line.
# ruff: noqa: E501
from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.engine.scan import scan
from precision_fix.model.rule import LineRule, Rule, SettingRule, StartRule
from precision_fix.model.target import FLOAT32
from precision_fix.model.vocabulary import attention, precision, truth
from precision_fix.rules import below, rules, rules_of, suggested
from precision_fix.rules import codes as all_codes
from tests.test_tables import codes, each
from tests.tools import rewritten

# What tables of the rules name.
OTHERS = (
    "tensorrt onnx onnxruntime openvino coremltools tvm cutlass triton numpy ml_dtypes jax tensorflow mlx paddle"
    " mindspore cupy"
)
TAGS = "F64 F32 F16 I64 I32 I16 I8 U8 U16 BOOL F8_E4M3 F8_E5M2"
WITHOUT_TORCH = "keras keras_hub keras_nlp keras_cv tensorflow jax flax haiku mlx paddle mindspore"
SHAPES = "support allow valid accept permit known available compatible eligible un dis"


# A program, the rule that speaks of it with each of the words, and with none of the others.
BY_RULE = {
    ("PF002", "import torch\n{}_kinds = [torch.bfloat16]\n", "my fun"): SHAPES,
    ("PF003", "import torch, {0}\nx.to({{{0}.b: torch.bfloat16}}[k])\n", "another"): OTHERS,
    ("PF004", "import torch\nx.to({{'{}': 1, 'F32': 2, 'F16': 3, 'x': torch.bfloat16}}[k])\n", ""): "F32 F16",
    ("PF004", "import torch\nx.to({{'{}': 1, 'F64': 2, 'x': torch.bfloat16}}[k])\n", "x1 f32"): TAGS.replace(
        "F64 ", ""
    ),
    ("PF004", "import torch\nx.to({{'{}': 1, 'F32': 2, 'x': torch.bfloat16}}[k])\n", "x1 f32"): "F64",
    ("PF009", "import torch\ndef {}():\n    torch.zeros(1).bfloat16()\n", "workshop problem"): (
        "probe my_probe self_check selfcheck self_test selftest is_fast it_works works_here"
    ),
    ("PF401", "import torch\ndef f(x):\n    return x.view(torch.bfloat16).{}(1)\n", ""): (
        "view reshape flatten unsqueeze squeeze transpose permute t"
    ),
    ("PF904", "import torch\nwith torch.autocast('{}', dtype=torch.bfloat16): pass\n", "cuda another"): (
        "xpu mps hpu npu xla ipu mtia musa mlu"
    ),
}
# A program that stays as it is with each of the words, and with none of the others.
KEPT = {
    ("import torch, {0}\n{0}.make(dtype='bfloat16')\n", "another"): WITHOUT_TORCH,
    ("import {}\nmake(dtype='bfloat16')\n", "another"): "jax jax.numpy mlx mlx.core mlx.nn",
    ("import torch, {}\nmake(dtype='bfloat16')\n", "another jax"): "tilelang cutlass helion cute",
    ("import torch\nmake({}_dtype=torch.bfloat16)\n", "my my_src"): (
        "src source from orig original expected ref checkpoint ckpt file stored"
    ),
    ("{}_x(bf16=True)\n", "use"): "support capab avail feature allow",
    ("import torch\nx = torch.frombuffer(b, dtype=torch.bfloat16)\n{}(x)\n", "another"): (
        "recv irecv broadcast all_reduce all_gather readinto copyto numpy"
    ),
    ("import torch\nx = torch.frombuffer(b, dtype=torch.bfloat16)\nx.{}(1).add_(2)\n", "another"): (
        "view reshape flatten unsqueeze squeeze transpose permute t"
    ),
    ("use(attn_implementation=x)\n{} = 'flash_attention_2'\n", "attn my_attention"): (
        "flash_attn fa2_attn fa3_attn expected_attn supported_attn legacy_attn"
    ),
    ("if {}: load(attn_implementation='flash_attention_2')\n", "another"): (
        "packing packed padding_free varlen ring_attn multipack"
    ),
}


@pytest.mark.parametrize(("code", "program", "others"), BY_RULE)
def test_a_rule_speaks_of_each_word(code: str, program: str, others: str) -> None:
    words = each(BY_RULE[code, program, others])
    assert [word for word in words if code not in codes(program.format(word))] == []
    assert [word for word in each(others) if code in codes(program.format(word))] == []


@pytest.mark.parametrize(("program", "others"), KEPT)
def test_a_program_is_kept_by_each_word(program: str, others: str) -> None:
    words = each(KEPT[program, others])
    assert [word for word in words if rewritten(program.format(word)) != program.format(word)] == []
    assert [word for word in each(others) if rewritten(program.format(word)) == program.format(word)] == []


# What speaks of nothing else that a run looks for, in files of its kind.
ALONE = {
    "a.py": [
        *("import torch\ny = x.to(torch.bfloat16)\n", "f(dtype='bf16')\n", "TYPE = 'BF16'\n", "f(bf16=True)\n"),
        *("import torch\ny = torch.BFloat16Tensor(2)\n", "import torch\ny = getattr(torch, dtype_name)\n"),
        *("m.load_state_dict(s, assign=True)\n", 'load(dtype="auto")\n', "load(dtype='auto')\n"),
        *("from a import sdpa_kernel\nwith sdpa_kernel(SDPBackend.FLASH_ATTENTION): pass\n",),
        *("with sdp_kernel(enable_math=False, enable_mem_efficient=False): pass\n",),
        *('load(a="flash_attention_2")\n', "load(a='flash_attention_2')\n", "load(a='kernels-community/flash-attn')\n"),
        *('load(a="kernels-community/flash-attn2")\n', "load(use_flash_attn=True)\n", "from flash_attn import x\n"),
        *("import flash_attn\n", "import torch\nassert p.dtype != torch.float32\n"),
        *("import torch\nassert p.dtype is not torch.float32\n", "f(tf32=True)\n"),
    ],
    "a.yaml": [
        *("dtype: bfloat16\n", "dtype: bf16\n", "dtype: Bfloat16\n", "dtype: BFLOAT16\n", "dtype: BFLOAT_16\n"),
        *("dtype: BFloat16\n", "dtype: BF16\n", "attn_implementation: flash_attention_2\n", "tf32: true\n"),
        *(
            "attn_implementation: kernels-community/flash-attn\n",
            "attn_impl: flash\nattn_config:\n  attn_impl: flash\n",
        ),
    ],
    "a.sh": [
        *(
            "python a.py --dtype bfloat16\n",
            "python a.py --bf16\n",
            "python a.py --dtype BF16\n",
            "python a.py --tf32 1\n",
        ),
        *("python a.py --attn flash_attention_2\n", "python a.py --use-flash-attn\n", "python a.py --flash_attn fa2\n"),
        *("vllm serve a --attention-backend FLASH_ATTN\n", "python a.py --attention-backend flash\n"),
        *("python a.py --attention-backend=flash\n",),
    ],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in ALONE.items() for text in texts])
def test_a_file_is_found_by_what_alone_speaks_of_it(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    found = scan([tmp_path], FLOAT32, with_text=False)
    assert found.findings and found.problems == []


# The words of settings.
SWITCH = (
    "use enable enabled do with to in full pure half mixed precision amp autocast eval evaluate train training inference"
    " infer model compute params param weights grad grads gradient gradients reduce allreduce accumulate optimizer states"
    " unet vae clip text encoder transformer cuda torch"
)
STORED = "save saved saving store stored storage file checkpoint ckpt checkpointer export source src orig original expected from"
CALLED_SO = "name names title label id tag text help description url key wire format suffix choices options"

OTHER_DEVICES = "xpu mps hpu npu xla ipu mtia musa mlu tpu"


def test_names_of_settings() -> None:
    assert [word for word in each(SWITCH) if not precision.is_switch(f"{word}_bf16")] == []
    assert [word for word in each("is store has other") if precision.is_switch(f"{word}_bf16")] == []
    assert (
        precision.is_switch("bfloat16") and precision.is_switch("USE_BF16") and not precision.is_switch("use 16 bf16")
    )
    assert [word for word in each(STORED) if not precision.describes(f"{word}_dtype")] == []
    assert [word for word in each(STORED) if not precision.describes("dtype", (f"{word}_it",))] == []
    assert [word for word in each(CALLED_SO) if not precision.describes(f"dtype_{word}")] == []
    others = each("name_dtype dtype_str param_dtype_str")
    assert not precision.describes("model_dtype", ("model",)) and [n for n in others if precision.describes(n)] == []
    names = each("dtype torch_dtype precision data_type torch_type compute_type weight_type amp_type")
    assert [name for name in names if not precision.is_precision(name)] == []
    assert not precision.is_precision("type")
    assert [name for name in each(OTHER_DEVICES) if precision.is_precision(f"{name}_dtype")] == []
    assert all(precision.is_mixed(name) for name in each("mixed_precision amp autocast train_amp use_autocast"))
    assert not precision.is_mixed("precision") and not precision.is_mixed("lamp")
    assert all(precision.is_optimizer(name, "adamw_bf16") for name in each("optimizer optimizer_type optim"))
    assert not precision.is_optimizer("optimizer", "adamw") and not precision.is_optimizer("other", "adamw_bf16")
    assert precision.is_optimizer("optim", "adamw-bf16") and not precision.is_optimizer("optim", "a bf16")
    assert precision.turned_on("use_tf32") == "TF32" and precision.turned_on("bf16") == "bfloat16"
    assert all(map(precision.is_filled_in, ("${a}", " {{ a }} ", "$A"))) and not precision.is_filled_in("a$A")
    assert (
        precision.is_default("${A:-bf16}")
        and not precision.is_default("${A:-xbf16x}")
        and not precision.is_default("bf16")
    )


def test_true_and_false() -> None:
    pairs = {"true": "false", "yes": "no", "on": "off", "1": "0", "y": "n", "t": "f", "auto": "false", "full": "false"}
    assert {word: truth.off_like(word) for word in pairs} == pairs
    assert truth.off_like("TRUE") == "FALSE" and truth.off_like("Yes") == "No" and truth.off_like("Y") == "N"
    assert sorted(truth.TRUE) == sorted(each("true yes on 1 y t"))
    assert sorted(truth.TRUTH) == sorted(each("true yes on 1 y t false no off 0 n f"))
    assert sorted(truth.ON) == sorted(each("true yes on 1 auto full"))


FLASH_WORDS = (
    "flash_attention_2 flash_attention_3 kernels-community/flash-attn kernels-community/flash-attn2"
    " kernels-community/vllm-flash-attn3 kernels-community/flash-attn@main kernels-community/flash-attn:f flash_attn"
    " flash_attn_2 flash_attn_3 fa2 fa3 FLASH_ATTN FLASH_ATTN_VLLM_V1 flash flash2 flashattention2 FlashAttention flashattn3"
)


def test_words_of_attention() -> None:
    assert [word for word in each(FLASH_WORDS) if not attention.needs_flash_attention(word)] == []
    assert [
        word
        for word in each("sdpa eager flash_attention flashy fa4 FLASHINFER x_fa2")
        if attention.needs_flash_attention(word)
    ] == []
    takes = each(
        "attn_impl attn_implementation my_attn_impl _attn_implementation attn_implementation_internal attention_implementation"
    )
    assert [name for name in takes if not attention.TAKES_SDPA.search(name)] == []
    assert [name for name in each("xattn_impl attn_impl_x attention") if attention.TAKES_SDPA.search(name)] == []
    switches = each(
        "flash_attn flash_attention use_flash_attn enable_flash_attention use_custom_flash_attn flashattention2 use_flash_attn_2"
    )
    assert [name for name in switches if not attention.SWITCH.fullmatch(name)] == []
    packs = each("packing padding_free packing_samples sample_packing eval_sample_packing")
    assert [name for name in packs if not attention.packed({("a", name): True})] == []
    assert attention.packed({("a",): "x padding_free"}) and not attention.packed(
        {("packing",): False, ("other",): True}
    )
    chooses = each(
        "attn_impl attn_implementation attention_backend attention_implementation attention_type flash_attn attn_type attn_backend"
    )
    assert [name for name in chooses if not attention.CHOOSES.fullmatch(name)] == []
    for flag in each("use_flash_attention_2 use_flash_attention use_flash_attn use_flash_attn_2"):
        assert rewritten(f"load({flag}=True)\n") == f"load({flag}=False)\n"
    for package in each("flash_attn flash_attn_interface flash_attn_2_cuda flash_attn_3"):
        assert "PF912" in codes(f"import {package}\n"), package


# The order in which rules are asked of a place, by what they are asked of.
ASKED = {
    Rule: (
        "008 010 009 006 005 007 004 003 014 002 001 401 905 906 907 909 908 904 903 902 901 912 914 913 915 916 102 104 106"
        " 105 103 107 108 109 101 203 204 202 201 205 301"
    ),
    SettingRule: "012 011 922 921 920 504 503 502 501 603 604 602 601",
    LineRule: "013 910 911",
    StartRule: "701",
}
OF_KINDS = {
    "DTYPE": "010 009 006 005 004 003 014 002 001 401 909 908 904 903 902 901 106 105 103 109 101",
    "METHOD": "009 005 908 903 902 102",
    "TENSOR_TYPE": "010 004 003 002 001 901 104",
    "WORD": "010 005 007 004 003 014 903 204 202 201",
    "FLAG": "014 203",
    "PROBE": "008 907 301",
    "LOOKUP": "905 107",
    "CHECKPOINT": "906",
    "BROUGHT": "914 913 915",
    "KEY": "012 011 922 921 920 504 503 502 501",
    "OPTION": "011 604 602 601",
    "VARIABLE": "011 921 503 502 501",
    "ASSIGNED": "603",
}
BY_RUNTIME = "401 905 906 909 908 904 901 914 913 915 921 920"


def test_when_and_of_what_rules_are_asked() -> None:
    for shape, numbers in ASKED.items():
        assert [rule.code for rule in rules_of(shape)] == [f"PF{each}" for each in numbers.split()]
    for kind, numbers in OF_KINDS.items():
        found = [rule for rule in rules_of(Rule) if kind in {each.name for each in rule.kinds}]
        settings = [rule for rule in rules_of(SettingRule) if kind in {each.name for each in rule.forms}]
        assert [rule.code for rule in (*found, *settings)] == [f"PF{each}" for each in numbers.split()], kind
    assert [rule.code for rule in rules() if rule.runtime] == [f"PF{each}" for each in BY_RUNTIME.split()]


SUGGESTED = {
    "PF101": "101 pf101 pf-101 PF_101",
    "PF103 PF904": "autocast Autocast",
    "PF005": "bit",
    "PF204 PF601 PF602 PF604": "option",
    "PF911 PF101 PF011 PF921": "PF1O1",
    "": "in fl a xyzzy",
}


def test_rules_that_are_named_otherwise() -> None:
    for meant, words in SUGGESTED.items():
        assert {word: suggested(word) for word in words.split()} == dict.fromkeys(words.split(), meant.split())
    assert below("pf10") == tuple(f"PF10{number}" for number in range(1, 10))
    assert below("PF99") == () and below("") == tuple(all_codes())


@pytest.mark.parametrize("code", all_codes())
def test_each_rule_has_a_file_of_tests_of_its_name(code: str) -> None:
    assert f"test_{code.lower()}.py" in {path.name for path in Path(__file__).parent.iterdir()}
