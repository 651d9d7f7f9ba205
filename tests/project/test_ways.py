"""Where a value goes in a program of several files."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.fate import Fate
from precision_fix.model.flow import follow_results
from precision_fix.model.target import FLOAT32
from precision_fix.project.index import Project
from tests.ways import check

ACROSS = {
    "imported": """
        KIND = HERE
        == b.py
        from a import KIND as kind
        x.to(kind)  # chooses?
        == c.py
        import a
        x.to(a.KIND)  # chooses?
        x.to(a.OTHER)
        == d.py
        from a import *
        x.to(KIND)  # chooses?
        == e.py
        from b import kind
        x.to(kind)  # chooses?
        == f.py
        KIND = 1
        x.to(KIND)
        == g.py
        def f():
            from a import KIND
            x.to(KIND)  # chooses?
        x.to(KIND)
        == h.py
        from b import KIND
        x.to(KIND)
        == tests/test_a.py
        from a import KIND
        assert KIND == torch.bfloat16
        """,
    "imported through a package": """
        from pkg import KIND
        x.to(KIND)  # chooses?
        == pkg/__init__.py
        from .kinds import KIND, OTHER
        == pkg/kinds.py
        KIND = HERE
        OTHER = 1
        == pkg/b.py
        from .kinds import KIND
        from . import kinds
        x.to(KIND)  # chooses?
        y.to(kinds.KIND)  # chooses?
        == c.py
        from pkg.kinds import OTHER as KIND
        x.to(KIND)
        == kinds.py
        KIND = 1
        == d.py
        from kinds import KIND
        x.to(KIND)
        """,
    "through stars": """
        from pkg import KIND
        x.to(KIND)  # chooses?
        == pkg/__init__.py
        from .others import *
        from .kinds import *
        == pkg/kinds.py
        KIND = HERE
        == pkg/others.py
        OTHER = 1
        == b.py
        from pkg import OTHER as KIND
        x.to(KIND)
        """,
    "in a block, under a condition": """
        KIND = HERE
        == b.py
        try:
            from a import KIND
        except ImportError:
            KIND = None
        x.to(KIND)  # chooses?
        == c.py
        if x:
            from a import KIND
        from b import KIND as other
        y.to(other)  # chooses?
        """,
    "into a function of another file": """
        from b import f
        y.to(f(1, HERE))  # chooses?
        == b.py
        def f(x, kind):
            x.to(kind)  # chooses?
            return kind
        """,
    "out of a function of another file": """
        from b import kind
        x.to(kind())  # chooses?
        == b.py
        def kind():
            return HERE  # returned
        """,
    "into a method of a class of another file": """
        from b import A
        A().f(HERE)
        made = A()
        made.other(HERE)
        == b.py
        from c import Base
        class A(Base):
            def f(self, kind):
                x.to(kind)  # chooses?
        == c.py
        class Base:
            def other(self, kind):
                x.to(kind)
        """,
    "into a class within a class": """
        from b import A
        A.Inner(HERE)
        == b.py
        class A:
            class Inner:
                def __init__(self, kind):
                    x.to(kind)  # chooses?
            def Other(self): pass
        """,
    "into the constructor of a base of another file": """
        from b import Base
        class A(Base): pass
        A(1, HERE)
        == b.py
        class Base:
            def __init__(self, a, kind):
                x.to(kind)  # chooses?
        """,
    "an attribute that a base in another file reads": """
        from b import Base
        class A(Base):
            kind = HERE
        == b.py
        class Base:
            def f(self):
                x.to(self.kind)  # chooses?
        == c.py
        from a import A
        class B(A):
            def f(self):
                y.to(self.kind)  # chooses?
        == d.py
        from a import A
        def f(a: A, other: Other):
            z.to(a.kind)  # chooses?
            z.to(other.kind)
        == e.py
        class Stranger:
            def f(self):
                y.to(self.kind)
        """,
    "bases by a module, and by all of it": """
        class A:
            kind = HERE
        == b.py
        import a
        class B(a.A):
            def f(self):
                y.to(self.kind)  # chooses?
        == c.py
        from a import *
        class C(A):
            def f(self):
                y.to(self.kind)  # chooses?
        == d.py
        from e import A
        class D(A):
            def f(self):
                y.to(self.kind)
        == e.py
        class A: pass
        """,
    "a property of a base": """
        class A:
            @functools.cached_property
            def kind(self):
                return HERE  # stored
        == b.py
        from a import A
        class B(A):
            def f(self):
                y.to(self.kind)  # chooses?
        """,
    "a method that a class derived from it calls": """
        class A:
            def kind(self):
                return HERE  # returned
        == b.py
        from a import A
        class B(A):
            def f(self):
                y.to(self.kind())  # chooses?
        == c.py
        class Stranger:
            def f(self):
                y.to(self.kind())
        """,
    "a method that only one class has": """
        thing.arrange(1, HERE)  # chooses?
        torch.arrange(1, HERE)
        == b.py
        class A:
            def arrange(self, a, kind):
                x.to(kind)  # chooses?
        """,
    "a method that two classes have": """
        thing.arrange(1, HERE)  # chooses?
        == b.py
        class A:
            def arrange(self, a, kind): x.to(kind)  # chooses?
            def to(self, a, kind): y.to(kind)
        class arrange_it: pass
        == c.py
        class A:
            def arrange(self, a, kind): x.to(kind)  # chooses?
        == d.py
        class arrange: pass
        == tests/test_a.py
        class A:
            def arrange(self, a, kind): x.to(kind)
        """,
    "a method of a name of keywords": """
        thing.arrange(1, kind=HERE)  # chooses?
        == b.py
        class A:
            def arrange(self, a, *, kind=1): x.to(kind)  # chooses?
        == c.py
        class B:
            def arrange(self, a, **kw): x.to(kw["kind"])
        """,
    "a dtype that another file's table leads to": """
        from b import KINDS
        KINDS["a"] = HERE  # stored
        x.to(KINDS["a"])  # chooses?
        == b.py
        KINDS = {}
        """,
    "a name that is bound twice": """
        KIND = HERE
        if x:
            KIND = 1
        == b.py
        from a import KIND
        x.to(KIND)  # chooses?
        """,
    "modules under other names": """
        KIND = HERE
        == pkg/__init__.py
        == pkg/b.py
        import a as other
        from . import c as more
        x.to(other.KIND)  # chooses?
        y.to(more.KIND)  # chooses?
        == pkg/c.py
        from a import *
        == pkg/d.py
        from .c import KIND
        z.to(KIND)  # chooses?
        """,
    "files that import each other": """
        from b import OTHER
        KIND = HERE
        == b.py
        from a import KIND
        OTHER = KIND
        x.to(KIND)  # chooses?
        == c.py
        from b import OTHER as again
        y.to(again)  # chooses?
        """,
    "a method that many classes have": """
        thing.arrange(1, HERE)  # chooses?
        == b.py
        class A:
            def arrange(self, a, kind): x.to(kind)
        == c.py
        class A:
            def arrange(self, a, kind): x.to(kind)
        == d.py
        class A:
            def arrange(self, a, kind): x.to(kind)
        """,
    "the options of another file": """
        from b import parser
        parser.add_argument("--kind", default=HERE)
        opts = parser.parse_args()
        x.to(opts.kind)  # chooses?
        == b.py
        parser = argparse.ArgumentParser()
        """,
    "a parser that is handed on": """
        def add(parser, x):
            parser.add_argument("--kind", default=HERE)
        == b.py
        from a import add
        parser = argparse.ArgumentParser()
        add(parser, 1)
        given = parser.parse_args()
        x.to(given.kind)  # chooses?
        other = argparse.ArgumentParser()
        more = other.parse_args()
        x.to(more.kind)
        """,
    "an object that is handed on": """
        def f(config):
            config.kind = HERE  # stored
            use(config)  # handed
        == b.py
        def g(config):
            x.to(config.kind)
        """,
    "an instance of another file": """
        from b import layer
        layer(x, HERE)  # chooses?
        == b.py
        class Layer:
            def forward(self, x, kind): pass
        layer = Layer()
        """,
    "an instance that is an attribute": """
        from b import Layer
        class A:
            def __init__(self):
                self.layer = Layer()
                self.other = 1
            def f(self, x):
                return self.layer(x, HERE)
        == b.py
        class Layer:
            def __call__(self, x, kind):
                x.to(kind)  # chooses?
        """,
}


@pytest.mark.parametrize("name", ACROSS)
def test_across_files(name: str, tmp_path: Path) -> None:
    check(tmp_path, ACROSS[name])


@pytest.mark.parametrize("parsed", [False, True])
def test_a_kernel_of_another_file_is_one_whatever_was_read_before(tmp_path: Path, *, parsed: bool) -> None:
    """Whether a launch is of Triton is seen in a block that nothing else asks for."""
    kernel = """import torch, triton
import triton.language as tl

def quantize(x):
    _kernel[(1,)](x)

@triton.jit
def _kernel(x):
    tl.load(x).to(tl.bfloat16)
"""
    used = "import torch\nfrom kernel import quantize\nquantize(torch.zeros(2, dtype=torch.bfloat16))\n"
    (tmp_path / "kernel.py").write_text(kernel)
    (tmp_path / "used.py").write_text(used)
    project = Project(tmp_path, FLOAT32)
    if parsed:
        project.own(str(tmp_path / "kernel.py"), kernel, range(len(kernel)))
    module = project.own(str(tmp_path / "used.py"), used, range(len(used)))
    found = follow_results(module, module.names.attributes["bfloat16"][0], is_tensor=False)
    assert Fate.KERNEL in {end.fate for end in found}
