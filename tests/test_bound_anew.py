"""A variable that is bound several times in one function: each read sees what reaches it, and nothing else."""

from __future__ import annotations

import ast
import random
from contextlib import suppress
from functools import partial
from textwrap import dedent, indent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precision_fix.model.module import Module
from precision_fix.model.rebound import Sort
from precision_fix.model.target import FLOAT32
from precision_fix.model.uses import may_follow
from tests.tools import rewritten

NOT_SEEN = {
    "bound anew": """
        kind = torch.bfloat16
        y = x.to(kind)
        kind = torch.int16
        return y, buf.view(kind)
    """,
    "in every branch": """
        kind = torch.bfloat16
        y = x.to(kind)
        if more:
            kind = torch.int16
        elif x:
            kind = torch.int8
        else:
            kind = torch.int32
        return y, buf.view(kind)
    """,
    "in every branch that goes on": """
        kind = torch.bfloat16
        y = x.to(kind)
        if more:
            kind = torch.int16
        else:
            raise ValueError(kind.is_complex)
        return y, buf.view(kind)
    """,
    "in a try and its handlers": """
        kind = torch.bfloat16
        y = x.to(kind)
        try:
            kind = choose()
        except ValueError:
            kind = torch.int16
        return y, buf.view(kind)
    """,
    "each time a loop goes round": """
        for each in more:
            kind = torch.int16
            buf.view(kind)
            kind = torch.bfloat16
            x = x.to(kind)
        return x
    """,
    "by a loop": """
        kind = torch.bfloat16
        y = x.to(kind)
        for kind in (torch.int16, torch.int8):
            buf.view(kind)
        return y
    """,
    "together with another": """
        kind = torch.bfloat16
        y = x.to(kind)
        other, kind = more
        return y, buf.view(kind)
    """,
    "in a branch": """
        kind = torch.bfloat16
        if more:
            kind = torch.int16
            return buf.view(kind)
        return x.to(kind)
    """,
}
SEEN = {
    "in one branch alone": """
        kind = torch.bfloat16
        y = x.to(kind)
        if more:
            kind = torch.int16
        return y, buf.view(kind)
    """,
    "by a loop that may not run": """
        kind = torch.bfloat16
        y = x.to(kind)
        for kind in more:
            pass
        return y, buf.view(kind)
    """,
    "from the round before": """
        kind = torch.int16
        for each in more:
            buf.view(kind)
            kind = torch.bfloat16
            x = x.to(kind)
        return x
    """,
    "a handler of what may fail first": """
        kind = torch.bfloat16
        y = x.to(kind)
        try:
            kind = choose()
        except ValueError:
            pass
        return y, buf.view(kind)
    """,
    "a function within": """
        kind = torch.bfloat16
        y = x.to(kind)
        def later():
            return buf.view(kind)
        kind = torch.bfloat16
        return y, later
    """,
}
HEAD = "import torch\ndef f(x, buf, more, choose):\n"


def _program(body: str) -> str:
    return HEAD + indent(dedent(body).strip("\n"), "    ") + "\n"


@pytest.mark.parametrize("name", NOT_SEEN)
def test_what_was_bound_before_is_not_read(name: str) -> None:
    before = _program(NOT_SEEN[name])
    assert rewritten(before) == before.replace("torch.bfloat16", "torch.float32")


@pytest.mark.parametrize("name", SEEN)
def test_what_may_be_read_is(name: str) -> None:
    before = _program(SEEN[name])
    assert rewritten(before) == before, "bytes are read with it"


def test_a_parameter_that_is_bound_anew() -> None:
    before = """\
        import torch
        def read(buf, kind):
            kind = torch.int16
            return buf.view(kind)
        def go(buf):
            return read(buf, torch.bfloat16)
        """
    assert "torch.float32" in rewritten(before)


OPENED = """\
import torch
KINDS = {{"bf16": torch.bfloat16, "fp32": torch.float32}}
def opened(kind):
    {body}
    return kind
def main(cfg, x):
    return x.to(opened(cfg.get("dtype", "bf16")))
"""


@pytest.mark.parametrize(
    "body",
    [
        "kind = KINDS[kind]",
        "if kind not in KINDS:\n        raise ValueError(kind)\n    kind = KINDS[kind]",
        "if isinstance(kind, str):\n        kind = KINDS[kind]",
        "if not isinstance(kind, str):\n        return kind\n    kind = KINDS[kind]",
        (
            "if isinstance(kind, torch.dtype):\n        return kind\n    elif isinstance(kind, str):\n"
            "        kind = KINDS[kind]\n    else:\n        raise ValueError('what?')"
        ),
    ],
)
def test_a_word_ends_where_it_becomes_a_dtype(body: str) -> None:
    assert 'get("dtype", "fp32")' in rewritten(OPENED.format(body=body)), "the word that its one reader knows"


@pytest.mark.parametrize(
    "given", ['cfg.kind or "bf16"', 'cfg.kind if cfg else "bf16"', 'getattr(cfg, "dtype", "bf16")']
)
def test_a_word_that_stands_in_for_none(given: str) -> None:
    before = OPENED.format(body="kind = KINDS[kind]").replace('cfg.get("dtype", "bf16")', "dtype")
    before = before.replace("    return x.to(", f"    dtype = {given}\n    return x.to(")
    assert given.replace("bf16", "fp32") in rewritten(before)


def test_a_word_that_goes_on_as_one_is_asked_about() -> None:
    before = OPENED.format(body="if len(kind) < 9:\n        kind = KINDS[kind]").replace("x.to(", "load(dtype=")
    assert 'get("dtype", "bf16")' in rewritten(before)


# Programs that are run, to see which binding each read sees.

_SIMPLE = st.sampled_from(["bind", "read", "read", "leave", "raise"])
_STATEMENTS = st.recursive(
    _SIMPLE,
    lambda inner: st.tuples(
        st.sampled_from(["if", "typed", "not typed", "for", "while", "try", "with", "loop over"]),
        st.lists(inner, min_size=1, max_size=3),
        st.lists(inner, max_size=2),
    ),
    max_leaves=14,
)


class _Writer:
    """Writes the statements out; every binding binds another value, every read has a number."""

    def __init__(self) -> None:
        self.bound = self.read = 0

    def block(self, statements: list[object], depth: int, in_loop: bool) -> str:
        text = "".join(self.statement(each, depth, in_loop) for each in statements)
        return text or "    " * depth + "pass\n"

    def value(self) -> str:
        self.bound += 1
        return repr(f"v{self.bound}") if self.bound % 2 else str(self.bound)

    def statement(self, what: object, depth: int, in_loop: bool) -> str:
        tab = "    " * depth
        if isinstance(what, str):
            return tab + self.simple(what, in_loop) + "\n"
        assert isinstance(what, tuple)
        kind, body, orelse = what
        looped = in_loop or kind in ("for", "while", "loop over")
        inner = self.head(kind)
        text = f"{tab}{inner}:\n" + self.block(body, depth + 1, looped)
        if kind == "try":
            text += f"{tab}except ValueError:\n" + self.block(orelse, depth + 1, in_loop)
        elif orelse and kind != "with":
            text += f"{tab}else:\n" + self.block(orelse, depth + 1, in_loop)
        return text

    def head(self, kind: str) -> str:
        heads = {
            "if": "if flip()",
            "typed": "if isinstance(kind, str)",
            "not typed": "if not isinstance(kind, (str, dict))",
            "for": "for _ in rounds()",
            "while": "while flip()",
            "try": "try",
            "with": "with around()",
        }
        return heads.get(kind) or f"for kind in ({self.value()}, )[:flip()]"

    def simple(self, what: str, in_loop: bool) -> str:
        if what == "bind":
            return f"kind = {self.value()}"
        if what == "read":
            self.read += 1
            return f"see({self.read}, kind)"
        if what == "raise":
            return "if flip(): raise ValueError"
        return ("if flip(): continue" if self.bound % 2 else "break") if in_loop else "if flip(): return"


class _Around:
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, *_: object) -> bool:
        return kind is ValueError  # as `contextlib.suppress` does


def _bindings(module: Module) -> dict[object, ast.Name]:
    found: dict[object, ast.Name] = {}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            assert isinstance(node.value, ast.Constant)
            found[node.value.value] = node.targets[0]
        elif isinstance(node, ast.For) and isinstance(node.target, ast.Name) and node.target.id == "kind":
            value = next(each for each in ast.walk(node.iter) if isinstance(each, ast.Constant))
            found[value.value] = node.target
    return found


@settings(max_examples=75, deadline=None)
@given(st.lists(_STATEMENTS, min_size=2, max_size=6), st.integers(0, 1 << 30))
def test_no_binding_is_overlooked_that_a_read_sees(statements: list[object], seed: int) -> None:
    text = "def f(see, flip, rounds, around):\n    kind = 'v0'\n" + _Writer().block(statements, 1, False)
    text += "    see(0, kind)\n"
    seen: set[tuple[int, object]] = set()
    dice = random.Random(seed)
    space: dict[str, object] = {}
    exec(text, space)
    for _ in range(30):
        left = iter([dice.random() < 0.5 for _ in range(60)])
        with suppress(ValueError):
            space["f"](  # type: ignore[operator]
                lambda read, value: seen.add((read, value)), partial(next, left, False), lambda: range(2), _Around
            )
    module = Module("f.py", text, ast.parse(text), FLOAT32)
    bound = _bindings(module)
    reads = {call.args[0].value: call.args[1] for call in module.names.calls.get("see", ())}  # type: ignore[attr-defined]
    for read, value in seen:
        sort = Sort.WORD if isinstance(value, str) else Sort.OTHER
        reader = reads[read]
        assert isinstance(reader, ast.Name)
        assert may_follow(module, bound[value], reader, sort), f"{value!r} is seen by read {read} in\n{text}"
