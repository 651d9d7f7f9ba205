"""PF201: words that an API reads as a dtype (note 7)."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_rewritten


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('load(x, torch_dtype="bfloat16")', 'load(x, torch_dtype="float32")'),
        ("load(x, dtype='bfloat16')", "load(x, dtype='float32')"),
        ('load(x, dtype="bf16")', 'load(x, dtype="fp32")'),
        ('load(x, torch_dtype="torch.bfloat16")', 'load(x, torch_dtype="torch.float32")'),
        ('load(x, torch_dtype=r"bfloat16")', 'load(x, torch_dtype=r"float32")'),
        ('load(x, torch_dtype="""bfloat16""")', 'load(x, torch_dtype="""float32""")'),
        ('config = {"torch_dtype": "bfloat16"}', 'config = {"torch_dtype": "float32"}'),
        ('config["compute_dtype"] = "bfloat16"', 'config["compute_dtype"] = "float32"'),
        ('config.weight_dtype = "bf16"', 'config.weight_dtype = "fp32"'),
        ('def f(dtype="bfloat16"): ...', 'def f(dtype="float32"): ...'),
        ('load(x, dtype="bfloat16" if half else "float32")', 'load(x, dtype="float32" if half else "float32")'),
    ],
)
def test_a_word(before: str, after: str) -> None:
    check_rewritten(before + "\n", after + "\n", code="PF201")


@pytest.mark.parametrize(
    "line",
    [
        'f(src_dtype="bfloat16")',
        'f(name="bfloat16")',
        'f("bfloat16")',
        'f(dtype_name="bfloat16")',
        'x = y.astype("bfloat16")',
        'f(colour="bf16")',
        'f(dtype="BF16")',
    ],
)
def test_a_word_that_may_be_anything(line: str) -> None:
    check_kept(line + "\n")


def test_a_word_in_two_pieces_is_never_broken() -> None:
    """Its value is the word, its text is not."""
    text = 'f(dtype="bf" "loat16", torch_dtype="bfloat\\x316")\nx.bfloat16()\n'
    check_kept(text.partition("\n")[0].replace("dtype", "colour") + "\n")


@pytest.mark.parametrize(
    "readers",
    [
        "y = x.to(getattr(torch, kind))",
        "found = getattr(torch, kind)\nprint(found, kind)\ny = torch.ones(2, dtype=found)",
        "def of(x, name=kind):\n    return x.to(getattr(torch, name))",
        "words = {'a': kind}\ny = x.to(getattr(torch, words[n]))",
    ],
)
def test_a_word_that_is_looked_up_in_torch(readers: str) -> None:
    before = f'import torch\nkind = "bfloat16"\n{readers}\n'
    check_rewritten(before, before.replace("bfloat16", "float32"), code="PF201")


@pytest.mark.parametrize(
    "readers",
    [
        "if x.dtype == getattr(torch, kind):\n    size = 2",
        "size = getattr(torch, kind).itemsize",
        "y = x.to(getattr(torch, kind))\nother(kind)",
        "y = x.to(getattr(torch, kind))\nsizes[getattr(torch, kind)] = 2",
        "y = x.to(getattr(numbers, kind))",
        # Who else calls it is not seen.
        "def of(name):\n    return getattr(torch, name)\ny = x.to(of(kind))",
        "m = load(x, torch_dtype=kind)",
        "print(kind)",
    ],
)
def test_a_word_that_somebody_reads_otherwise(readers: str) -> None:
    check_kept(f'import torch\nkind = "bfloat16"\n{readers}\n')
