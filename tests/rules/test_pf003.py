"""PF003: keys, and tables that give each dtype something (note 2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project.programs import patched
from tests.tools import check_kept, check_rewritten, rewritten


@pytest.mark.parametrize(
    "line",
    [
        "SIZES = {torch.float32: 4, torch.bfloat16: 2}",
        "NAMES = {torch.bfloat16: 'bf16'}",
        "size = {torch.float32: 4, torch.bfloat16: 2}[dtype]",
        "size = SIZES[torch.bfloat16]",
        "SIZES[torch.bfloat16] = 2",
        "CODES = {0: torch.float32, 1: torch.bfloat16}",
        "CASES = [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)]",
        "CASES = [('cuda', torch.bfloat16, 1e-2)]",
    ],
)
def test_it_stays(line: str) -> None:
    check_kept(f"import torch\n{line}\n", code="PF003")


@pytest.mark.parametrize("name", ["tensorrt", "onnx", "jax.numpy"])
def test_what_torch_calls_another_library_s_dtype(name: str) -> None:
    """The buffer of an engine has the engine's dtype, whatever the program computes in."""
    check_kept(
        f"""\
        import torch
        import {name} as other
        def as_torch(dtype):
            table = {{other.DataType.FLOAT: torch.float32, other.DataType.BF16: torch.bfloat16}}
            return table[dtype]
        """,
        code="PF003",
    )


def test_an_enum_of_the_project_s_own() -> None:
    before = """\
import torch
from .options import Precision
model.to({Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16}[precision])
"""
    check_rewritten(before, before.replace("torch.bfloat16", "torch.float32"), code="PF105")


MEMBERS = "class Precision(Enum):\n    FP32 = 'fp32'\n    BF16 = 'bf16'\n"
MAP = "{Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16}"


@pytest.mark.parametrize(
    "asks",
    [
        f"    def dtype(self):\n        return {MAP}[self]\n",
        f"    def dtype(self):\n        return {MAP}.get(self, torch.float32)\n",
        f"    @property\n    def dtype(self):\n        return {MAP}[self]\n",
        f"def dtype(said):\n    return {MAP}[said]\n",
        f"TABLE = {MAP}\ndef dtype(said):\n    return TABLE[said]\n",
    ],
)
def test_an_enum_of_words_whose_map_gives_what_goes_out_of_sight(asks: str) -> None:
    before = f"import torch\nfrom enum import Enum\n{MEMBERS}{asks}"
    check_rewritten(before, before.replace("torch.bfloat16", "torch.float32"), code="PF105")
    if "property" not in asks:
        check_kept(before.replace("'bf16'", "16"))  # a code


def test_a_property_of_an_enum_that_is_asked_for_in_another_file(tmp_path: Path) -> None:
    members = MEMBERS.replace("'bf16'", "16")
    program = {
        "kinds.py": f"import torch\nfrom enum import Enum\n{members}"
        f"    @property\n    def dtype(self):\n        return {MAP}[self]\n",
        "train.py": "def go(x, config):\n    return x.to(config.precision.dtype)\n",
    }
    after, _ = patched(tmp_path, program)
    assert after["kinds.py"] == program["kinds.py"].replace("torch.bfloat16", "torch.float32")


def test_keys_and_values_of_one_map() -> None:
    """Two keys stay apart, whatever becomes of the values."""
    check_rewritten(
        """\
        import torch
        OUT = {"bf16": torch.bfloat16}
        SIZES = {torch.float32: 4, torch.bfloat16: 2}
        model.to(OUT[name])
        """,
        """\
        import torch
        OUT = {"bf16": torch.float32}
        SIZES = {torch.float32: 4, torch.bfloat16: 2}
        model.to(OUT[name])
        """,
    )


def test_a_map_that_is_turned_round() -> None:
    check_kept(
        """\
        import torch
        BY_NAME = {"fp32": torch.float32, "bf16": torch.bfloat16}
        BY_DTYPE = {dtype: name for name, dtype in BY_NAME.items()}
        """,
        code="PF003",
    )


@pytest.mark.parametrize("key", ["pb.DT_BFLOAT16", "Kind.BF16", "tag(16)"])
def test_a_code_that_another_map_leads_back_from(key: str) -> None:
    check_kept(
        f"""\
        import torch
        from wire import Kind, pb, tag
        CODES = {{torch.float32: pb.DT_FLOAT, torch.bfloat16: {key}}}
        DTYPES = {{pb.DT_FLOAT: torch.float32, {key}: torch.bfloat16}}
        """,
        code="PF003",
    )


def test_a_word_is_no_code() -> None:
    """A person says it to choose a precision, whatever else it names."""
    check_rewritten(
        'import torch\nNAMES = {torch.bfloat16: "bf16"}\nDTYPES = {"bf16": torch.bfloat16}\n',
        'import torch\nNAMES = {torch.bfloat16: "bf16"}\nDTYPES = {"bf16": torch.float32}\n',
    )


@pytest.mark.parametrize(
    "turned",
    [
        "{dtype: i for i, dtype in enumerate(KINDS)}",
        "{dtype: i for i, dtype in zip(range(9), KINDS)}",
        "{dtype: KINDS.index(dtype) for dtype in KINDS}",
    ],
)
def test_a_table_in_a_class_that_is_turned_round_there(turned: str) -> None:
    """What a comprehension in a class body goes through is read in that body."""
    source = f"import torch\nclass Engine:\n    KINDS = [torch.float32, torch.bfloat16]\n    CODES = {turned}\n"
    source += "    def made(self, code):\n        return torch.zeros(2, dtype=self.KINDS[code])\n"
    assert rewritten(source) == source


def test_a_map_from_a_dtype_to_itself_is_no_code() -> None:
    before = (
        "import torch\nMADE = {torch.float16: torch.float32, torch.bfloat16: torch.bfloat16}\nx = y.to(MADE[y.dtype])\n"
    )
    check_rewritten(before, before.replace(": torch.bfloat16", ": torch.float32"))


@pytest.mark.parametrize("lookup", ["[on]", "[bool(on)]", ".get(on)"])
def test_what_a_switch_chooses_among_is_no_code(lookup: str) -> None:
    before = (
        f"import torch\ndef f(net, on):\n    return net.to({{True: torch.bfloat16, False: torch.float32}}{lookup})\n"
    )
    check_rewritten(before, before.replace("bfloat16", "float32"))
