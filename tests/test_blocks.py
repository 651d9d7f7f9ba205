"""Of a text only the blocks that are asked for are parsed, and lines are counted as Python counts them."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable

import pytest

from precision_fix.model import newlines
from precision_fix.model.blocks import Blocks, NotApart, long_strings, parsed, reads
from precision_fix.model.module import Module
from precision_fix.model.target import FLOAT32

TEXT = '''\
"""Doc."""
import torch
# a comment
@decorated
@twice
def f(x):
    return x.one
async def g(
    x,
):
    return x.two
class A(
    Base,
):
    field = 1

    @property
    def three(self):
        return 3
    async def four(self): return 4
    # a comment
    other = 2
    def five(self):
        return 5
if x:
    six = 6
@last
class B:
    def seven(self): pass
    def eight(self): pass
'''


def shown(text: str, *words: str) -> list[str]:
    """The lines that are left of a text where these words are asked for."""
    left = Blocks(text).take([text.index(word) for word in words])
    assert left.count("\n") == text.count("\n")
    return [line for line in left.split("\n") if line.strip()]


def test_what_is_no_definition_is_parsed_at_once() -> None:
    assert shown(TEXT) == ['"""Doc."""', "import torch", "# a comment", "if x:", "    six = 6"]


HEAD = ["class A(", "    Base,", "):", "    field = 1"]


@pytest.mark.parametrize(
    ("word", "lines"),
    [
        ("x.one", ["@decorated", "@twice", "def f(x):", "    return x.one"]),
        ("x.two", ["async def g(", "    x,", "):", "    return x.two"]),
        ("return 3", [*HEAD, "    @property", "    def three(self):", "        return 3", "    other = 2"]),
        ("return 4", [*HEAD, "    async def four(self): return 4", "    # a comment", "    other = 2"]),
        ("return 5", [*HEAD, "    other = 2", "    def five(self):", "        return 5"]),
        ("seven", ["@last", "class B:", "    def seven(self): pass"]),
        ("eight", ["@last", "class B:", "    def eight(self): pass"]),
        ("class B", ["@last", "class B:"]),
    ],
)
def test_a_definition_is_parsed_where_something_in_it_is_asked_for(word: str, lines: list[str]) -> None:
    # A class has a body, which is `pass` in place of its first method.
    assert [line for line in shown(TEXT, word) if line not in (*shown(TEXT), "    pass")] == lines


@pytest.mark.parametrize(
    "head",
    [
        "class A(\n    Base,\n):\n",
        "@told(\n    of=1,\n)\nclass A:\n",
        '@told(\n    """\n    All of it\n    """\n)\nclass A:\n',
        '@told(\n    """\nAt the margin\n"""\n)\nclass A:\n',
        'class A:\n    """\n    def one(): in words\n    """\n',
    ],
)
def test_a_class_has_a_body_whatever_stands_before_its_methods(head: str) -> None:
    text = f"{head}    def one(self):\n        pass\n    @last\n    def two(self):\n        pass\nx = 1\n"
    found = module(text)
    assert found.definition("A") is not None and not found.names.definitions_of("one")
    found.ensure_bound("two")
    assert [each.name for each in ast.walk(found.tree) if isinstance(each, ast.FunctionDef)] == ["two"]


def test_what_binds_a_name_is_parsed() -> None:
    text = inspect.getsource(functools)
    everything = whole(text)
    for name in [*everything.names.definitions, *everything.names.root.bindings][::3]:
        found = module(text)
        found.ensure_bound(name)
        for kind in ("definitions_of", "calls_of"):
            there = [each.lineno for each in getattr(everything.names, kind)(name)]
            here = [each.lineno for each in getattr(found.names, kind)(name)]
            assert here == there if kind == "definitions_of" else {*here} <= {*there}
        assert [type(each) for each in found.names.root.bindings.get(name, ())] == [
            type(each) for each in everything.names.root.bindings.get(name, ())
        ]


PARTS = """\
def first():
    global KIND, \\
        OTHER
    KIND = 1
@dataclass
class Record: pass
def second(config):
    config.kind = config.other.kind
    config.kind == 1
def third(config):
    return config.kind.name + len(KIND)
def fourth(config):
    config.kind: int
    return config . kind
"""


@pytest.mark.parametrize(
    ("ask", "parsed_then"),
    [
        (lambda found: found.ensure_bound("KIND"), ["first"]),
        (lambda found: found.ensure_bound("OTHER"), ["first"]),
        (lambda found: found.ensure_bound("Record"), ["Record"]),
        (lambda found: found.ensure_bound("len"), []),
        (lambda found: found.ensure_assigned(".kind"), ["second", "fourth"]),
        (lambda found: found.ensure_asked(".kind", frozenset({"name"})), ["second", "third", "fourth"]),
        (lambda found: found.ensure_asked(".kind", frozenset({"other"})), ["second", "fourth"]),
        (lambda found: found.ensure_asked(".config", frozenset()), []),
    ],
)
def test_of_what_speaks_of_a_name_no_more_is_parsed_than_is_asked_for(
    ask: Callable[[Module], None], parsed_then: list[str]
) -> None:
    found = module(PARTS)
    ask(found)
    assert sorted(found.names.definitions) == sorted(parsed_then)


def module(text: str, *words: str) -> Module:
    blocks = Blocks(text)
    return Module("a.py", text, parsed(blocks.take([text.index(word) for word in words])), FLOAT32, blocks)


def test_what_is_parsed_later_stands_where_it_stands() -> None:
    whole = ast.parse(TEXT)
    found = module(TEXT)
    assert [type(each).__name__ for each in found.tree.body] == ["Expr", "Import", "If"]
    for name in ("three", "seven", "five", "one", "eight", "two", "four"):
        found.ensure(name)
    for node in ast.walk(whole):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            there = found.names.definitions[node.name]
            assert [(each.lineno, each.col_offset, each.end_lineno) for each in there][:1] == [
                (node.lineno, node.col_offset, there[0].end_lineno)
            ]
    assert sorted(found.names.definitions) == sorted(["f", "g", "A", "B", "three", "four", "five", "seven", "eight"])


def test_an_attribute_is_asked_for_by_its_dot() -> None:
    found = module(TEXT)
    found.ensure(".one")
    assert sorted(found.names.definitions) == ["f"]
    found.ensure(".three")
    assert sorted(found.names.definitions) == ["f"]
    for number in range(70):
        found.ensure(f"n{number}")
    found.ensure(".seven")
    found.ensure(".two")
    assert sorted(found.names.definitions) == ["f", "g"]
    found.ensure("eight")
    assert sorted(found.names.definitions) == ["B", "eight", "f", "g", "seven"] or "eight" in found.names.definitions


@pytest.mark.parametrize(("name", "places"), [("one", [0, 8]), (".one", [7]), ("on", []), ("e", []), ("two", [12])])
def test_whole_words(name: str, places: list[int]) -> None:
    assert [*reads("one = a.one(two_", name)] == ([place for place in places if name != "two"])


def test_a_string_that_reaches_over_the_margin_is_not_blanked() -> None:
    text = 'def f():\n    x = """\ndef g():\n    """\n    return x\ndef h(): pass\n'
    assert shown(text, "h()") == ["def h(): pass"]
    unsure = text.replace('"""', "'''")
    assert shown(unsure, "h()") == [line for line in unsure.split("\n") if line]
    with pytest.raises(NotApart):
        module("def f(:\n    pass\n", "pass")


def test_where_returns_end_lines_nothing_is_apart() -> None:
    assert shown("def f(): pass\rdef g(): pass\n") == ["def f(): pass\rdef g(): pass"]
    assert shown("def f(): pass\r\ndef g(): pass\r\n") == []


def test_long_strings() -> None:
    plain = 'x = 1\n"""a\n"""\ny = """b\n"""\n'
    assert long_strings(plain) == [6, 11, 19, 24]
    assert long_strings('"""a\n"""') == [0, 5]
    assert long_strings('"""A."""\n' + plain) == [0, 5, 15, 20, 28, 33], "one that begins and ends on a line"
    assert long_strings('"""it\'s # 1"""') == [0, 11], "what stands in it is no quote"
    for other in (
        '# """\n"""a"""\n',
        '\'"""\'\n',
        '"" """a"""',
        '\\"""a"""',
        '"""a\\"""',
        plain + '"""',
        plain + "'''",
    ):
        assert long_strings(other) == [], other


def test_a_class_in_a_string_is_none() -> None:
    """A cell that writes a program is a string over many lines at the margin, and its classes have no methods."""
    text = "SAID = '''\nclass A:\n    def one(self):\n        pass\n    def two(self):\n        pass\n'''\ntwo = 2\n"
    blocks = Blocks(text)
    module = Module("a.py", text, parsed(blocks.take([text.index("one")])), FLOAT32, blocks)
    with pytest.raises(NotApart, match=r"a\.py"):
        module.ensure("two")


def test_lines() -> None:
    text = "a\r\nb\rc\nd\x0ce\u2028f\n"
    assert newlines.split(text) == ["a", "b", "c", "d\x0ce\u2028f", ""]
    assert newlines.with_ends(text) == ["a\r\n", "b\r", "c\n", "d\x0ce\u2028f\n"]
    assert newlines.with_ends("a\nb") == ["a\n", "b"]
    assert newlines.starts(text) == [0, 3, 5, 7, 13]
    assert [newlines.number(text, at) for at in (0, 1, 2, 3, 4, 5, 6, 7, 12, 13)] == [1, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert newlines.count(text, 0, 2) == 0 and newlines.count(text, 0, 3) == 1 and newlines.count(text, 2, 5) == 2
    assert [newlines.start_of(text, at) for at in (0, 1, 3, 4, 5, 6, 8)] == [0, 0, 3, 3, 5, 5, 7]
    assert newlines.start_of(text, 8, 8) == 8 and newlines.start_of(text, 8, 3) == 7
    assert newlines.has_lone_returns("a\rb") and not newlines.has_lone_returns("a\r\nb")
    assert not newlines.has_lone_returns("a\nb")


def whole(text: str) -> Module:
    return Module("a.py", text, ast.parse(text), FLOAT32)


RESOLVED = """\
import torch as th
import torch.nn as nn, os.path
from .compat import torch as other
from a.b import c as d, e
from . import f
from .g import h
import torch
alias = th.cuda
again = alias
twice = 1
twice = 2
class Mine: pass
def mine(torch): return torch.x
"""


@pytest.mark.parametrize(
    ("name", "dotted"),
    [
        ("th.bfloat16", "torch.bfloat16"), ("nn.Linear", "torch.nn.Linear"), ("os.path.join", "os.path.join"),
        ("other.x", "torch.x"), ("d.x", "a.b.c.x"), ("e", "a.b.e"), ("f.x", ".f.x"), ("h", ".g.h"),
        ("alias.amp", "torch.cuda.amp"), ("again", "torch.cuda"), ("twice", None), ("Mine.x", "Mine.x"),
        ("unknown.x", "unknown.x"), ("self.torch.x", "self.torch.x"), ("a().torch.x", "torch.x"), ("a().x", None),
    ],
)  # fmt: skip
def test_what_a_name_stands_for(name: str, dotted: str | None) -> None:
    found = whole(RESOLVED + name + "\n")
    last = found.tree.body[-1]
    assert isinstance(last, ast.Expr)
    assert found.resolve(last.value) == dotted


def test_names_of_dtypes() -> None:
    names = {"float": "float32", "double": "float64", "half": "float16", "int": "int32", "long": "int64"}
    for name, dtype in {**names, "short": "int16", "bfloat16": "bfloat16", "cuda.x": None}.items():
        found = whole(f"import torch\ntorch.{name}\n")
        last = found.tree.body[-1]
        assert isinstance(last, ast.Expr) and found.dtype_name(last.value) == dtype
    assert whole("x = 1\n").dtype_name(ast.parse("float32").body[0]) is None


def test_what_a_star_may_bring() -> None:
    for head, dotted in (("from torch import *", "torch.bfloat16"), ("from x import *", "bfloat16")):
        found = whole(f"from y import *\n{head}\nbfloat16\n")
        last = found.tree.body[-1]
        assert isinstance(last, ast.Expr) and found.resolve(last.value) == dotted


def test_comments_above() -> None:
    found = whole("x = 1\n# one\n  # two\ny = 2  # three # four\n\n# five\n\nz = 3\n")
    assert found.comments_above(found.tree.body[1]) == "# one\n  # two\n three \n four"
    assert found.comments_above(found.tree.body[2]) == "" and found.comments_above(found.tree.body[0]) == ""


def test_the_text_of_an_expression() -> None:
    text = "é = f(ü,\n      [1,\n 2])\nx = 'ß'\n"
    found = whole(text)
    values = [each.value for each in found.tree.body if isinstance(each, ast.Assign)]
    assert [found.source(value) for value in values] == ["f(ü,\n      [1,\n 2])", "'ß'"]
    assert all(found.source(each) == ast.get_source_segment(text, each) for each in values)
