"""What a test comes to for what a call gives, and where that cannot be told."""

from __future__ import annotations

import ast

import pytest

from precision_fix.model.module import Module
from precision_fix.model.said import given, said
from precision_fix.model.target import FLOAT32

VALUES: dict[str, object] = {"fast": True, "slow": False, "kind": "a", "n": 2, "none": None}
HOLDS = [
    *("fast", "not slow", "kind == 'a'", "kind != 'b'", "kind in ('a', 'b')", "kind in ['a']", "kind in {'a'}"),
    *("kind not in ('c', 'b')", "none is None", "n is not None", "fast and n == 2", "slow or fast", "fast or x"),
    *("not (slow and x)", "'a' == kind", "(fast, n) == (True, 2)", "kind in kind", "not none", "n", "x or fast"),
]
UNKNOWN = [
    *("x", "f()", "not x", "not f()", "kind == x", "x == kind", "f() == f()", "x is None", "fast and x", "slow or x"),
    *("kind in (x, 'b')", "n < 3", "0 < n < 3", "n == n == n", "kind in n", "n + 1", "x.fast", "-n", "f() is f()"),
    *("(x, 1) == (x, 1)", "f()[0]", "kind is f()", "not not f()", "none in f()"),
]


@pytest.mark.parametrize("test", HOLDS)
def test_what_holds(test: str) -> None:
    found = [ast.parse(each, mode="eval").body for each in (test, f"not ({test})")]
    assert [said(each, VALUES) for each in found] == [True, False]


@pytest.mark.parametrize("test", UNKNOWN)
def test_what_cannot_be_told(test: str) -> None:
    assert said(ast.parse(test, mode="eval").body, VALUES) is None


GIVEN = {
    "f(1, 2)": {"a": 1, "b": 2, "c": None, "d": 4},
    "f(1, c=3, d=5)": {"a": 1, "b": "b", "c": 3, "d": 5},
    "f(x, other=1)": {"b": "b", "c": None, "d": 4},
    "f(1, b=g())": {"a": 1, "c": None, "d": 4},
    "f(1, 2, 3, 4, 5)": {"a": 1, "b": 2, "c": 3, "d": 4},
    "f(*x)": {},
    "f(1, **x)": {},
    "f(1, e=5)": {"a": 1, "b": "b", "c": None, "d": 4},
}


@pytest.mark.parametrize("call", GIVEN)
def test_what_a_call_gives(call: str) -> None:
    text = f"def f(a, /, b='b', c=None, *, d=4, e=3):\n    e = g(e)\n    return a\n{call}\n"
    tree = ast.parse(text)
    module = Module("a.py", text, tree, FLOAT32)
    function, made = tree.body[0], tree.body[1]
    assert isinstance(function, ast.FunctionDef) and isinstance(made, ast.Expr) and isinstance(made.value, ast.Call)
    assert given(module, function, made.value) == GIVEN[call]
