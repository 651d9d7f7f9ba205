"""What a callee does with a dtype: by its whole name where imports lead to one, else by a guess that says so."""

from __future__ import annotations

import ast

import pytest

from precision_fix.model.calls import Use, use
from precision_fix.model.flow import follow
from precision_fix.model.module import Module
from precision_fix.model.target import FLOAT32
from precision_fix.model.vocabulary.callees import GUESSES, KNOWN, METHODS, Role


def used(text: str) -> Use:
    """What the last call of a text does with its last argument."""
    module = Module("a.py", text, ast.parse(text), FLOAT32)
    call = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)][-1]
    return use(module, call, call.args[-1], None)


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("import torch as th\nth.frombuffer(b, d)", Role.BYTES),
        ("from torch import frombuffer as read\nread(b, d)", Role.BYTES),
        ("import numpy as np\nnp.memmap(path, d)", Role.BYTES),
        ("import torch\ntorch.add(x, d)", Role.CAST),
        ("import torch\ntorch.max(x, d)", Role.CAST),
        ("import logging\nlogging.info(d)", Role.TEXT),
        ("import itertools as it\nit.product(d)", Role.SEQUENCE),
        ("print(d)", Role.TEXT),
        ("from flash_attn import anything\nanything(d)", Role.NEVER),
        ("import torch\ntorch._weight_int4pack_mm(a, d)", Role.KERNEL),
        ("import torch\ntorch._scaled_mm(a, d)", Role.NEVER),
    ],
)
def test_a_whole_name_is_known(text: str, role: Role) -> None:
    assert used(text) == (role, False)


# All that is known by its whole name, whatever it is called in the file.
WHOLE = {
    ("torch", Role.KERNEL): "_weight_int4pack_mm _convert_weight_to_int4pack _grouped_mm _weight_int4pack_mm_for_cpu "
    "_weight_int4pack_mm_with_scales_and_zeros",
    (
        "torch.ops.aten",
        Role.KERNEL,
    ): "_weight_int4pack_mm _convert_weight_to_int4pack _grouped_mm _weight_int4pack_mm_for_cpu "
    "_weight_int4pack_mm_with_scales_and_zeros",
    ("torch", Role.NEVER): "_scaled_mm _scaled_grouped_mm",
    ("torch.ops.aten", Role.NEVER): "_scaled_mm _scaled_grouped_mm",
    ("torch.nn.functional", Role.NEVER): "scaled_mm scaled_grouped_mm",
    ("torch", Role.BYTES): "frombuffer from_file TypedStorage UntypedStorage",
    ("torch._utils", Role.BYTES): "_rebuild_tensor _rebuild_tensor_v2",
    ("torch._utils", Role.SIZE): "_element_size",
    ("torch.nn.attention.varlen", Role.KERNEL): "varlen_attn",
    ("numpy", Role.BYTES): "frombuffer memmap fromfile",
    ("logging", Role.TEXT): "debug info warning error exception critical log",
    ("warnings", Role.TEXT): "warn",
    ("pytest", Role.TEXT): "fail skip",
    ("pytest.mark", Role.CASES): "parametrize",
    ("itertools", Role.SEQUENCE): "product chain cycle permutations combinations",
    ("random", Role.PICK): "choice sample choices",
}


@pytest.mark.parametrize(("module", "role"), WHOLE)
def test_each_whole_name(module: str, role: Role) -> None:
    for name in WHOLE[module, role].split():
        assert used(f"from {module} import {name} as it\nit(b, d)") == (role, False), name


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("reader.frombuffer(b, d)", Role.BYTES),
        ("logger.info(d)", Role.TEXT),
        ("x.to(d)", Role.CAST),
        ("x.view(d)", Role.BYTES),
        ("def print(x): pass\nprint(d)", Role.TEXT),
        ("table.get(d)", Role.KEY),
        ("from mine import supports_it, is_supported\nis_supported(d)", Role.TEST),
        ("mine.jit_build(d)", Role.KERNEL),
        ("mine.dtype_bytes(d)", Role.SIZE),
        ("import torch\ntorch.cuda.SomeError(d)", Role.TEXT),
        ("mine.run(d)", Role.OTHER),
    ],
)
def test_a_last_name_is_a_guess(text: str, role: Role) -> None:
    assert used(text) == (role, True)


def test_an_end_says_that_it_is_a_guess() -> None:
    for text, guessed in (("import torch\ntorch.zeros(2, dtype=d)", False), ("mine.zeros(2, dtype=d)", True)):
        module = Module("a.py", text, ast.parse(text), FLOAT32)
        argument = next(node for node in ast.walk(module.tree) if isinstance(node, ast.keyword)).value
        assert [end.guessed for end in follow(module, argument)] == [guessed]


def test_the_tables_agree() -> None:
    """A whole name says what its last name lets guess, unless a method of that name does another thing."""
    for name, role in KNOWN.items():
        last = name.rpartition(".")[2]
        assert role in (GUESSES.get(last), METHODS.get(last)), name
