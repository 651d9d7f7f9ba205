"""What the rewriting promises for any text: over generated modules, and over text that is no module at all."""

from __future__ import annotations

import ast
import codecs
import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from precision_fix.engine.render import CannotEdit, render
from precision_fix.engine.scan import scan_bytes
from precision_fix.model.blocks import NotApart
from precision_fix.model.finding import Action, Finding
from precision_fix.model.target import FLOAT16, FLOAT32
from precision_fix.sources import python
from precision_fix.sources.analysis import Unparsable
from precision_fix.sources.comments import Keeps
from precision_fix.sources.python import analyse
from tests.modules import Example, examples
from tests.tools import rewritten

modest = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@modest
@given(examples())
def test_each_place_becomes_what_it_should_and_nothing_else_changes(module: Example) -> None:
    ast.parse(module.before)
    assert _findings(module.before, whole=False) == _findings(module.before, whole=True), "the blocks hide nothing"
    edited = rewritten_exactly(module.before)
    assert edited == module.after
    ast.parse(edited)
    again = analyse("a.py", edited, FLOAT32)
    assert again.edits == []
    assert Action.REWRITE not in {finding.action for finding in again.findings}


def rewritten_exactly(text: str) -> str:
    analysis = analyse("a.py", text, FLOAT32)
    return render(python, "a.py", text, analysis, FLOAT32) if analysis.edits else text


@modest
@given(examples(kept_by_comment=True))
def test_keep_comments_keep(module: Example) -> None:
    assert rewritten_exactly(module.before) == module.after


@modest
@given(examples(), st.sampled_from(["utf-8", "utf-8-sig", "cookie", "latin-1", "gbk"]))
def test_bytes_keep_their_encoding(module: Example, encoding: str) -> None:
    before, after = (_encoded(text, encoding) for text in (module.before, module.after))
    found = scan_bytes("a.py", before, FLOAT32, with_text=True)
    if found is None:
        assert before == after
        return
    assert found.problem is None
    assert (found.after if found.changes else before) == after


def _encoded(text: str, encoding: str) -> bytes:
    """The same text in another encoding; what that has no byte for becomes an x, in names too."""
    if encoding == "utf-8-sig":
        return codecs.BOM_UTF8 + text.encode()
    if encoding == "utf-8":
        return text.encode()
    name = "utf8" if encoding == "cookie" else encoding
    end = next((found[0] for found in [re.search("\r\n|\r|\n", text)] if found), "\n")
    return f"# vim: set fileencoding={name} :{end}".encode() + re.sub(
        ".", lambda found: found[0] if found[0].encode(name, "ignore") else "x", text
    ).encode(name)


def _does_not_parse(text: str) -> ast.Module:
    raise NotApart


def _findings(text: str, *, whole: bool) -> list[Finding]:
    with pytest.MonkeyPatch.context() as patch:
        if whole:
            patch.setattr(python, "parsed", _does_not_parse)
        return analyse("a.py", text, FLOAT32).findings


# Statements that share their names, so that values flow between them: what comes out is not known beforehand.

_SHARED = """
DTYPE = torch.bfloat16
DTYPE = torch.float32
HALF = (torch.float16, torch.bfloat16)
HALF = [torch.bfloat16]
TABLE = {"bf16": torch.bfloat16, "fp32": torch.float32}
SIZES = {torch.bfloat16: 2}
use_bf16 = True
word = "bf16"
dtype = TABLE[word]
dtype = getattr(torch, word)
self.dtype = torch.bfloat16
self.dtype = DTYPE
x = x.to(DTYPE)
x = x.to(dtype=self.dtype)
x = x.view(DTYPE)
x = torch.frombuffer(x, dtype=TABLE[word])
x = x.to(torch.bfloat16).view(torch.int16)
x = pick(word)
x = f(x, dtype=DTYPE)
assert x.dtype == DTYPE
assert x.dtype in HALF
assert x.dtype == torch.bfloat16
if DTYPE == torch.bfloat16: x = x.bfloat16()
if word == "bf16": x = x.to(TABLE[word])
if use_bf16: x = x.bfloat16()
if self.bf16: pass
if x.dtype not in HALF: raise ValueError
if not torch.cuda.is_bf16_supported(): raise ValueError
for dtype in HALF: x = x.to(dtype)
for name, dtype in TABLE.items(): pass
x = {dtype: name for name, dtype in TABLE.items()}
x = flash_attn_func(x)
size = DTYPE.itemsize
return DTYPE
return x
return torch.bfloat16 if word == "bf16" else torch.float32
return HALF
return pick(x)
with torch.autocast("cuda", dtype=DTYPE): pass
with torch.autocast("cuda", torch.bfloat16): x = x @ y
global DTYPE
print(DTYPE)
pass
import torch
from torch import bfloat16 as DTYPE
load(x, torch_dtype="bfloat16", bf16=use_bf16)
load(**TABLE)
p.add_argument("--dtype", default="bf16", choices=["bf16", "fp32"])
""".strip().splitlines()
_NO_RETURN = [line for line in _SHARED if not line.startswith("return")]
_HEADS = ["def f(x, dtype=DTYPE):", "def pick(word, *, dtype=torch.bfloat16):", "def g(self, use_bf16=True):"]
_HEADS += ["@torch.no_grad()\ndef h(x, table=TABLE):", "async def pick(x): # bf16", "def load(*a, **k) -> None:"]


def _block(head: str, lines: list[str], margin: str) -> str:
    whole = [*head.split("\n"), *(f"    {line}" for line in [*sorted(lines, key=lambda line: line[:6] != "global")])]
    return "\n".join(margin + line for line in whole)


_functions = st.builds(
    _block, st.sampled_from(_HEADS), st.lists(st.sampled_from(_SHARED), min_size=1, max_size=4), st.just("")
)
_methods = st.builds(
    _block, st.sampled_from(_HEADS), st.lists(st.sampled_from(_SHARED), min_size=1, max_size=4), st.just("    ")
)
_classes = st.builds(
    lambda head, members: "\n".join([head, *members]),
    st.sampled_from(["class A:", "class B(A):", "@dataclass\nclass Config(Enum):"]),
    st.lists(_methods | st.sampled_from(_NO_RETURN).map("    {}".format), min_size=1, max_size=3),
)
_top = st.sampled_from([line for line in _NO_RETURN if not line.startswith("global")])
tangled = st.lists(_top | _functions | _classes, min_size=1, max_size=8).map(
    lambda parts: "\n".join(["import torch", *parts, ""])
)


def _is_python(text: str) -> bool:
    try:
        compile(text, "a.py", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError:
        return False
    return True


# The method of an earlier line is parsed later: which of the two guards is named hangs on the text alone.
_TWO_GUARDS = """\
import torch
HALF = (torch.float16, torch.bfloat16)
def g(self):
    return x.to(torch.bfloat16)
class A:
    def f(x):
        DTYPE = torch.bfloat16
        x = self.g(DTYPE)
        assert x.dtype in HALF
    def h(x):
        x = self.g(DTYPE)
        assert x.dtype in HALF
"""
_TWO_OF_ONE_NAME = """\
import torch
HALF = (torch.float16, torch.bfloat16)
def f(x):
    assert x.dtype in HALF
def f(x):
    assert x.dtype in HALF
class A:
    x = f(x.to(torch.bfloat16))
"""


@settings(max_examples=125, deadline=None)
@given(tangled)
@example(_TWO_GUARDS)
@example(_TWO_OF_ONE_NAME)
def test_tangled_modules(text: str) -> None:
    """The blocks hide nothing, the result parses, and a second run finds nothing left to rewrite."""
    if not _is_python(text):
        return
    assert _findings(text, whole=False) == _findings(text, whole=True)
    edited = rewritten_exactly(text)
    ast.parse(edited)
    assert analyse("a.py", edited, FLOAT32).edits == []
    assert edited.count("\n") == text.count("\n")
    rewritten(text, to="float16")


def test_the_blocks_hide_no_read_of_an_imported_name() -> None:
    text = "import torch\nfrom torch import bfloat16 as DTYPE\ndef f(x):\n    return x.to(DTYPE)\n"
    assert _findings(text, whole=True) != []
    assert _findings(text, whole=False) == _findings(text, whole=True)


# Any text at all.

_PIECES = st.sampled_from(
    [
        *"\n\r\t\f()[]{}:,\"'#\\é日\u2028\x1c\ufeff;@*=x1 ",
        *("torch", "bfloat16", ".bfloat16()", "torch.bfloat16", "import ", "from torch import ", "bf16", "=True"),
        *(
            "\n    ",
            "\r\n",
            '"""',
            "'''",
            "\\\n",
            "def f",
            "class A",
            "return ",
            "lambda ",
            "f'",
            "{x",
            "match ",
            "case ",
        ),
        *("# precision-fix: keep", "# precision-fix: keep[PF", "autocast(", "torch.autocast(", "enabled", "**", "0x"),
        *("if ", "else ", "with ", "assert ", "dtype", "is_bf16_supported()", "getattr(torch,"),
    ]
)
garbage = st.lists(_PIECES, max_size=30).map("".join) | st.text(max_size=60)


@settings(max_examples=400, deadline=None)
@given(garbage)
@example("x = (\n")
@example("\ufeffimport torch\nx.to(torch.bfloat16)\n")
@example("import torch\nx.to(torch.bfloat16\n  # precision-fix: keep")
@example("# precision-fix: keep\n\\")
@example("import torch\nx.to(torch.bfloat16)\\\n")
def test_no_text_raises_anything_but_what_is_documented(text: str) -> None:
    for target in (FLOAT32, FLOAT16):
        try:
            analysis = analyse("a.py", text, target)
            assert render(python, "a.py", text, analysis, target) == text or analysis.edits
        except (Unparsable, CannotEdit) as error:
            assert "\n" not in str(error) and str(error)


@settings(max_examples=200, deadline=None)
@given(garbage.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=60))
@example(b"bf16\x00")
@example(b"# coding: nonsense\nbf16 = 1\n")
@example(b"# coding: latin-1\nbf16 = '\xff'\n")
@example(b"bf16 = '\xff'\n")
def test_no_bytes_raise(data: bytes) -> None:
    found = scan_bytes("a.py", data, FLOAT32, with_text=True)
    if found is not None and found.problem is not None:
        assert "\n" not in str(found.problem)
        assert not found.changes


@settings(max_examples=150, deadline=None)
@given(garbage)
def test_keep_comments_of_any_text(text: str) -> None:
    """Comments are asked for only of a text that parses."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return
    Keeps(text)


def test_an_unused_keep_is_found() -> None:
    text = "import torch\nx = 1  # precision-fix: keep\ny.to(torch.bfloat16)  # precision-fix: keep[PF101, PF103]\n"
    assert analyse("a.py", text, FLOAT32).unused_keeps == [2]
    text = 'import torch\ns = "# precision-fix: keep"\ny.to(torch.bfloat16)\n'
    analysis = analyse("a.py", text, FLOAT32)
    assert analysis.unused_keeps == [] and len(analysis.edits) == 1
