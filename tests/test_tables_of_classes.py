"""Each word of the tables that tell classes, types and places apart, in a small program where it matters."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.fate import Fate
from tests.test_tables import HEAD, each, fates
from tests.tools import rewritten
from tests.ways import check

# A variable that is asked for this is a tensor or a module, and none of the classes that hold a dtype.
OF_TENSORS = (
    "contiguous numel dim size view reshape detach unsqueeze squeeze transpose permute flatten expand cuda backward"
    " is_floating_point element_size requires_grad_ parameters"
)
# What an annotation may be that says nothing of the class.
ANYTHING = "Any object Namespace T Self"
TYPES = "str bytes int float dict list tuple set torch.device torch.Tensor"


def held_by(annotation: str, line: str, ends: str, folder: Path) -> None:
    program = (
        "class A:\n    def __init__(self):\n        self.kind = HERE  # stored\n"
        "def f(b{}):\n    {}\n    x.to(b.kind){}\n"
    )
    check(folder, program.format(f": {annotation}" if annotation else "", line, ends))


@pytest.mark.parametrize("word", each(OF_TENSORS))
def test_what_a_tensor_alone_is_asked_for(word: str, tmp_path: Path) -> None:
    held_by("", f"b.{word}()", "", tmp_path)
    held_by("", f"b.{word}", "  # chooses?", tmp_path)


@pytest.mark.parametrize("word", each(ANYTHING))
def test_annotations_that_say_nothing(word: str, tmp_path: Path) -> None:
    held_by(word, "b.other()", "  # chooses?", tmp_path)
    held_by(f"'{word} | None'", "b.other()", "  # chooses?", tmp_path)
    held_by(f"{word}s", "b.other()", "", tmp_path)


@pytest.mark.parametrize("word", each(TYPES))
def test_a_test_for_another_type(word: str) -> None:
    """What is found to be of this type is no dtype."""
    text = (
        "import torch\ndef f(x, buf):\n    kind = torch.bfloat16\n    y = x.to(kind)\n    if isinstance(kind, {}):\n"
        "        return buf.view(kind)\n"
    )
    for types in (word, f"({word}, {word})"):
        assert rewritten(text.format(types)) == text.format(types).replace("bfloat16", "float32"), types
    for types in ("torch.dtype", f"({word}, torch.dtype)", "Other", f"({word}, Other)"):
        assert rewritten(text.format(types)) == text.format(types), types


def test_a_part_of_a_call_by_any_name() -> None:
    for name in ("functools.partial", "partial"):
        for line in (f"{name}(f, 1, kind)", f"g = {name}(f, 1)\ng(kind)"):
            text = f"import functools\n{HEAD}def f(x, kind): kind.itemsize\n{line}\n"
            assert Fate.SIZE in fates(text), text
            assert Fate.SIZE not in fates(text.replace("partial", "another")), text


COMPILED = "import torch\ndef f(x):\n    made = load({}='a.cu')\n    return made.run(x.to(torch.bfloat16))\n"


def test_what_compiles_sources() -> None:
    for word in each("sources cuda_sources cpp_sources"):
        assert rewritten(COMPILED.format(word)) == COMPILED.format(word), word
    assert rewritten(COMPILED.format("paths")) != COMPILED.format("paths")


DECLARED = "import torch\nclass A:\n    dtype: str = {}(default='bf16')\n"


def test_whose_default_is_that_of_a_field() -> None:
    for word in each("field Field Option Argument"):
        assert rewritten(DECLARED.format(word)) != DECLARED.format(word), word
    assert rewritten(DECLARED.format("another")) == DECLARED.format("another")


ROUNDED = "import torch\ndef f(w):\n    high = w.to(torch.bfloat16)\n    low = {}\n    return high, low\n"


def test_what_rounding_leaves_over() -> None:
    for line in ("w - high.float()", "w - high.to(torch.float32)"):
        assert rewritten(ROUNDED.format(line)) == ROUNDED.format(line), line
    for line in ("high.float() - w", "w + high.float()", "w - 2 * high.float()", "w - high.other()"):
        assert rewritten(ROUNDED.format(line)) != ROUNDED.format(line), line
