"""Each word of the tables of the model, in a small program where it matters.

What a table means is said here once more, by its entries: a word that is taken out of a table, or spelt otherwise
there, is missed. A line with `{}` is tried with each of the words.
"""

# Words and what they mean read best in one line.
# ruff: noqa: E501
from __future__ import annotations

import ast

import pytest

from precision_fix.model.fate import Fate
from precision_fix.model.flow import follow, follow_results
from precision_fix.model.module import Module
from precision_fix.model.target import FLOAT32
from tests.tools import findings, rewritten

HEAD = "import torch\nkind = torch.bfloat16\n"


def fates(text: str, *, tensors: bool = False) -> set[Fate]:
    """How the first torch.bfloat16 of a text ends, or what is made with it."""
    module = Module("a.py", text, ast.parse(text), FLOAT32)
    node = min(module.names.attributes["bfloat16"], key=lambda each: each.lineno)
    return {end.fate for end in (follow_results(module, node, is_tensor=False) if tensors else follow(module, node))}


def word_fates(text: str) -> set[Fate]:
    """How the first "bf16" of a text ends."""
    module = Module("a.py", text, ast.parse(text), FLOAT32)
    words = (node for node in module.names.strings if node.value == "bf16")
    return {end.fate for end in follow(module, min(words, key=lambda each: (each.lineno, each.col_offset)))}


def each(words: str) -> list[str]:
    return words.split()


def codes(text: str) -> set[str]:
    return {each.code for each in findings(text)}


def rows(table: dict[tuple[str, Fate], str]) -> list[tuple[str, Fate, str]]:
    return [(line, fate, word) for (line, fate), words in table.items() for word in each(words)]


# What is done with a dtype by what is called with it, in whatever way its name is come by.
CALLED = {
    ("{}(kind)", Fate.TEXT): "print repr format",
    ("{}(x, kind)", Fate.COMPARED): "isinstance issubclass type id hash hasattr",
    ("{}([kind])[0].itemsize", Fate.SIZE): "set frozenset list tuple sorted reversed iter enumerate zip",
    ("{}([kind, x]).itemsize", Fate.SIZE): "next max min",
    ("torch.{}(b, dtype=kind)", Fate.BYTES): "frombuffer from_file TypedStorage UntypedStorage",
    ("mine.{}(b, dtype=kind)", Fate.BYTES): (
        "frombuffer from_file TypedStorage UntypedStorage _rebuild_tensor _rebuild_tensor_v2 from_buffer view_dtype"
        " memmap fromfile"
    ),
    ("torch._utils.{}(b, kind)", Fate.BYTES): "_rebuild_tensor _rebuild_tensor_v2",
    ("torch.{}(b, kind)", Fate.KERNEL): (
        "_weight_int4pack_mm _convert_weight_to_int4pack _grouped_mm _weight_int4pack_mm_for_cpu "
        "_weight_int4pack_mm_with_scales_and_zeros"
    ),
    ("torch.ops.aten.{}(b, kind)", Fate.KERNEL): (
        "_weight_int4pack_mm _convert_weight_to_int4pack _grouped_mm _weight_int4pack_mm_for_cpu "
        "_weight_int4pack_mm_with_scales_and_zeros"
    ),
    ("ops.{}(b, kind)", Fate.KERNEL): (
        "_weight_int4pack_mm _convert_weight_to_int4pack _grouped_mm _weight_int4pack_mm_for_cpu "
        "_weight_int4pack_mm_with_scales_and_zeros get_ptr varlen_attn"
        " _flash_attention_forward jit_kernel my_compile cpp_load codegen_it kernel"
    ),
    ("torch.{}(b, kind)", Fate.NEVER): "_scaled_mm _scaled_grouped_mm",
    ("torch.ops.aten.{}(b, kind)", Fate.NEVER): "_scaled_mm _scaled_grouped_mm",
    ("torch.nn.attention.varlen.{}(b, kind)", Fate.KERNEL): "varlen_attn",
    ("mine.{}.f(b, kind)", Fate.KERNEL): "_C _custom_ops custom_ops moe_cuda my_ext",
    ("ops.{}(kind)", Fate.NEVER): (
        "flash_attn_func flash_attn_varlen_func flash_attn_qkvpacked_func flash_attn_varlen_qkvpacked_func"
        " flash_attn_with_kvcache flash_attn_kvpacked_func flash_attn_varlen_kvpacked_func _scaled_mm _scaled_grouped_mm"
    ),
    ("logger.{}(kind)", Fate.TEXT): (
        "debug info warning error exception critical log format write join echo warning_once info_once warn warn_once"
        " rank_zero_info rank_zero_warn rank_zero_debug fail skip skipTest print_rank_0"
    ),
    ("mine.{}(kind)", Fate.TEXT): "OddError SomeException SomeWarning",
    ("word.{}(kind)", Fate.COMPARED): (
        "startswith endswith can_run is_fast has_it support_it supports_it should_go _is_fast it_available"
        " it_supported it_works it_ok"
    ),
    ("x.{}(kind)", Fate.CHOOSES): "to new_zeros new_ones new_empty new_full new_tensor astype type",
    ("x.{}(kind)", Fate.BYTES): "view",
    ("kinds.{}(kind); kinds[0].itemsize", Fate.SIZE): "append add insert extend appendleft",
    ("table.{}(kind)", Fate.KEY): "get pop setdefault index count remove discard __contains__",
    ("mine.{}(kind)", Fate.SIZE): (
        "_element_size get_size my_sizeof nbytes_of itemsize num_bytes n_bits bitwidth n_bytes numbytes size"
    ),
    ("kind.{}", Fate.SIZE): "itemsize is_floating_point is_complex is_signed __name__",
    ("mark.{}('kind', [kind])", Fate.CHOOSES): "parametrize",
    ("random.{}([kind]).itemsize", Fate.SIZE): "choice sample choices",
    ("itertools.{}([kind])[0].itemsize", Fate.SIZE): "product chain cycle permutations combinations",
    ("config.{}('kind', kind).itemsize", Fate.SIZE): "get pop setdefault getenv",
}


@pytest.mark.parametrize(("line", "fate", "word"), rows(CALLED))
def test_what_a_callee_does_with_a_dtype(line: str, fate: Fate, word: str) -> None:
    assert fate in fates(HEAD + "kinds = []\n" + line.format(word) + "\n")
    assert fate not in fates(HEAD + "kinds = []\n" + line.replace("{}", "another") + "\n") or fate is Fate.CHOOSES


def test_an_operator_of_ones_own() -> None:
    assert fates(f"{HEAD}torch.ops.mine.f(kind)\n") == {Fate.KERNEL}
    for name in ("aten", "prims", "torchvision"):
        assert fates(f"{HEAD}torch.ops.{name}.f(kind)\n") == {Fate.CHOOSES}, name


def test_what_torch_is_asked() -> None:
    for name, fate in {
        "hash": Fate.COMPARED,
        "zeros": Fate.CHOOSES,
        "max": Fate.CHOOSES,
        "OutOfMemoryError": Fate.TEXT,
    }.items():
        assert fates(f"{HEAD}torch.{name}(kind)\n") == {fate}, name


def test_how_the_name_of_a_dtype_is_taken_out_of_its_text() -> None:
    guard = f"{HEAD}word = str(kind).{{}}('.')\nassert word in ('bfloat16', 'float16')\n"
    for name in each("split rsplit replace removeprefix lower strip partition rpartition"):
        assert Fate.REFUSED in fates(guard.format(name)), name
    assert Fate.REFUSED not in fates(guard.format("another"))


def test_what_takes_arguments_for_text_of_another_module() -> None:
    for line in ("logging.debug", "logging.critical", "warnings.warn", "pytest.skip", "pytest.fail"):
        assert fates(f"import logging, warnings, pytest\n{HEAD}{line}(kind)\n") == {Fate.TEXT}


PACKAGES = (
    "flash_attn flash_attn_interface flashinfer sgl_kernel deep_gemm deep_ep flash_mla cutlass tilelang fbgemm_gpu"
    " transformer_engine aiter vllm_flash_attn grouped_gemm sageattention torchao causal_conv1d mamba_ssm flash_attn_3"
    " fast_hadamard_transform quack deepgemm"
)
AMPERE = "flash_attn flash_attn_interface flash_attn_3 vllm_flash_attn"


@pytest.mark.parametrize("package", each(PACKAGES))
def test_a_package_of_kernels(package: str) -> None:
    found = fates(f"import {package}\n{HEAD}{package}.run(kind)\n")
    assert found == {Fate.NEVER if package in each(AMPERE) else Fate.KERNEL}
    assert fates(f"{HEAD}import {package}\nmade = {package}.Buffer(2)\nmade.send(kind)\n") & {Fate.KERNEL}


@pytest.mark.parametrize("name", each("int8_weight_only float8_weight_only Int8WeightOnlyConfig fp8_weightonly_config"))
def test_what_stores_weights_in_eight_bits(name: str) -> None:
    call = "import torchao\nfrom torchao import quantize_\n" + HEAD + "model = Model().to(kind)\n"
    assert Fate.KERNEL not in fates(f"{call}quantize_(model, {name}())\n", tensors=True)
    assert Fate.KERNEL not in fates(f"{call}quantize_(model, config={name}())\n", tensors=True)
    assert Fate.KERNEL in fates(f"{call}quantize_(model, int4_weight_only())\n", tensors=True)


# What a tensor that was cast meets. `y.other()` of a tensor is another one, whose bits are read.
CAST = HEAD + "y = x.to(kind)\n"
LEAVES = (
    "float double half int long bool short byte bfloat16 item tolist size dim numel stride nelement element_size"
    " is_contiguous type_as numpy argmax argmin eq ne lt gt le ge isnan isinf get_device backward tobytes zero_grad"
)
TELLS = (
    "shape device ndim is_cuda requires_grad layout names grad_fn nbytes itemsize training is_leaf is_sparse config"
    " generation_config"
)
OPERATORS = "matmul mm bmm add mul sub div add_ mul_ sub_ where masked_fill addmm dot"


def bits(line: str) -> bool:
    return Fate.BITS in fates(f"{CAST}{line}.view(torch.int16)\n", tensors=True)


def test_what_a_tensor_is_asked() -> None:
    assert bits("y") and bits("y.other()") and bits("y.other") and bits("y[0]")
    assert [name for name in each(LEAVES) if bits(f"y.{name}()")] == []
    assert [name for name in each(TELLS) if bits(f"y.{name}")] == []
    assert [name for name in each(OPERATORS) if not bits(f"z.{name}(y)")] == []
    assert not bits("z.other(y)")


def test_what_a_tensor_is_cast_to() -> None:
    for name in ("float32", "float64", "float16", "bfloat16"):
        assert not bits(f"y.to(torch.{name})") and not bits(f"y.type(torch.{name})"), name
    assert bits("y.to(torch.int8)") and bits("y.to('cuda')") and bits("y.view(2)")
    assert not bits("y.to(z.dtype)") and not bits("y.to(dtype=z)") and bits("y.view(z.dtype)")
    for name in ("int8", "int32", "uint8", "uint16"):
        assert Fate.BITS in fates(f"{CAST}y.view(torch.{name})\n", tensors=True), name
    assert Fate.BITS not in fates(f"{CAST}y.view(torch.float32)\n", tensors=True)


# What hands an object, a map or a sequence on: `{}` stands for the call.
CONFIG = HEAD + "config = make()\nconfig.kind = kind\n"
CARRIED = {
    (CONFIG, "{}(config).kind.itemsize"): "copy deepcopy replace cast",
    (CONFIG, "{}(config)['kind'].itemsize"): "vars asdict dict to_dict",
    (CONFIG, "config.{}().kind.itemsize"): "copy _replace model_copy parse_args parse_intermixed_args",
    (CONFIG, "config.{}()['kind'].itemsize"): "to_dict dict model_dump _asdict asdict",
    (CONFIG, "config.{}('kind').itemsize"): "get pop",
    (CONFIG, "{}(config, 'kind').itemsize"): "getattr",
    (HEAD + "table = {'a': kind}\n", "{}(table)['a'].itemsize"): ("dict OrderedDict MappingProxyType copy deepcopy"),
    (HEAD + "table = {'a': kind}\n", "table.{}('a').itemsize"): "get pop setdefault __getitem__",
    (HEAD + "table = {'a': kind}\n", "table.{}(more)['a'].itemsize"): "copy union __or__",
    (HEAD + "table = {'a': kind}\n", "table.{}()[0].itemsize"): "values",
    (HEAD + "table = {'a': kind}\n", "for key, each in table.{}(): each.itemsize"): "items",
    (HEAD + "table = {'a': kind}\nother = {}\n", "other.{}(table); other['a'].itemsize"): "update",
    (HEAD, "class A:\n @{}\n def f(self): return kind\n def g(self): self.f.itemsize"): (
        "property functools.cached_property lazy lru_property lazyproperty property() cached_property"
    ),
    (HEAD + "p = Parser()\n", "p.add_argument('--kind', default=kind)\n{}.kind.itemsize"): (
        "args opt opts options flags FLAGS cli_args self.args parsed"
    ),
    (
        HEAD + "p = Parser()\n",
        "g = p.{}('a')\ng.add_argument('--kind', default=kind)\nn = p.parse_args()\nn.kind.itemsize",
    ): ("add_argument_group add_mutually_exclusive_group add_parser add_subparsers"),
    (HEAD + "p = Parser()\n", "p.{}('--kind', default=kind)\nn = p.parse_args()\nn.kind.itemsize"): (
        "add_argument add_option"
    ),
    (HEAD, "@{}('--word', default=kind)\ndef f(word): word.itemsize"): "click.option click.argument",
    (HEAD, "class A:\n k: str = {}(default=kind)\n def f(self): self.k.itemsize"): "field Field Option Argument",
}


@pytest.mark.parametrize(
    ("head", "line", "word"), [(*at, word) for at, words in CARRIED.items() for word in each(words)]
)
def test_what_hands_it_on(head: str, line: str, word: str) -> None:
    assert Fate.SIZE in fates(head + line.replace("{}", word) + "\n")
    assert Fate.SIZE not in fates(head + line.replace("{}", "another") + "\n")


def test_what_an_object_is_asked_and_not_handed_to() -> None:
    for name in each("isinstance print setattr hasattr type id len str repr"):
        assert Fate.HANDED not in fates(f"{CONFIG}{name}(config)\n"), name
    assert Fate.HANDED in fates(f"{CONFIG}another(config)\n")


FULL = "no float32 torch.float32 fp32 f32 32-true 32 full float none FP32 No"


def test_words_for_float32_that_a_guard_knows() -> None:
    def guarded(line: str) -> bool:
        return Fate.REFUSED in word_fates(f"def f(kind='bf16'):\n    {line}\n")

    for word in each(FULL):
        assert not guarded(f"assert kind in ('bf16', '{word}')"), word
        assert guarded(f"assert kind != '{word.lower()}'"), word
        head = f"def g(kind: Literal['bf16', '{word}']): return use(kind)\n"
        assert Fate.REFUSED not in word_fates(f"g('bf16')\n{head}"), word
    for word in ("bf16", "torch.bfloat16", "bfloat16"):
        assert guarded(f"assert kind in ('{word}', 'fp16')"), word
        head = f"def g(kind: Literal['{word}', 'fp16']): return use(kind)\n"
        assert Fate.REFUSED in word_fates(f"g('bf16')\n{head}"), word
    assert not guarded("assert kind in ('x', 'fp16')") and not guarded("assert kind != 'fp16'")


def said(text: str) -> set[tuple[str, str]]:
    return {(each.code, each.reason.split(" (")[0]) for each in findings(text)}


NEEDS = "requires require only support supports supported needs need"


def test_what_a_message_says_where_something_needs_bfloat16() -> None:
    guard = "import torch\ndef f(x):\n    x = x.to(torch.bfloat16)\n    assert x.dtype == torch.bfloat16, '{}'\n"
    reason = ("PF106", "guards what needs bfloat16, as its message says")
    for word in each(NEEDS):
        assert reason in said(guard.format(f"this {word} bfloat16")), word
    for words in ("it is bfloat16", "needy", "requires --dtype bf16", "only with dtype=\\'bf16\\'"):
        assert reason not in said(guard.format(words)), words


@pytest.mark.parametrize(
    "asked",
    [
        "x.is_contiguous()",
        "x.stride(0) == 1",
        "x.is_cuda",
        "x.data_ptr() % 16 == 0",
        "x.device.type == 'cuda'",
        "x.device",
    ],
)
def test_what_is_asked_of_the_layout_before_a_kernel(asked: str) -> None:
    guard = "import torch\ndef f(x, s):\n    x = x.to(torch.bfloat16)\n    assert x.dtype == torch.bfloat16 and {}\n"
    assert ("PF106", "guards a compiled kernel, which takes nothing else") in said(guard.format(asked))
    assert ("PF106", "asserts what is rewritten with it") in said(guard.format("s.strided"))


VIEWS = (
    "detach view reshape flatten squeeze unsqueeze t transpose permute expand narrow contiguous view_as expand_as"
    " unflatten swapaxes movedim ravel chunk unbind diagonal"
)
IN_PLACE = (
    "abs add addcdiv addcmul addmm bernoulli ceil clamp clamp_max clamp_min clip copy div erf exp fill floor index_add"
    " index_copy index_fill index_put lerp log logical_not masked_fill masked_scatter mul nan_to_num neg normal pow random"
    " relu round rsqrt scatter scatter_add sigmoid sqrt sub tanh tril triu trunc uniform zero"
)


def copied(*bodies: str) -> list[bool]:
    """Of functions with these bodies, whether the cast of each stays a copy."""
    text = "".join(f"def f{at}(x, m, out):\n    {body}\n" for at, body in enumerate(bodies))
    after = rewritten(f"import torch\n{text}").split("def ")[1:]
    assert [each for each in after if "bfloat16" in each] == []
    return ["copy=True" in each or ".clone()" in each for each in after]


# What is done with a cast, or what it is made of, and the words with which somebody could tell a copy.
TELLS_COPIES = {
    "y = x.to(torch.bfloat16); y.{}(1).add_(1)": VIEWS,
    "y = x.{}(1).to(torch.bfloat16); y.add_(1)": VIEWS,
    "y = x.to(torch.bfloat16); y.{}_(1)": IN_PLACE,
    "y = x.to(torch.bfloat16); y.{}.add_(1)": "data T mT H",
    "{{k: v.to(torch.bfloat16) for k, v in m.{}().items()}}": (
        "state_dict parameters named_parameters buffers named_buffers"
    ),
    "out.{}(x.detach().to(torch.bfloat16))": "append add insert appendleft setdefault register_buffer",
    "out.kept = x.detach().to(torch.bfloat16).{}()": "cpu cuda to numpy view",
}


@pytest.mark.parametrize("body", TELLS_COPIES)
def test_casts_that_stay_copies(body: str) -> None:
    lines = body.replace("; ", "\n    ")
    words = each(TELLS_COPIES[body])
    found = copied(*(lines.format(word) for word in (*words, "another")))
    assert dict(zip(words, found, strict=False)) == dict.fromkeys(words, True)
    assert not found[-1]
