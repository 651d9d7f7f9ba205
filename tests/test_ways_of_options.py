"""Where a value goes: out of options into what reads them, and into the attributes of objects and classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ways import check

WAYS = {
    "a namespace as a map": """
        p = argparse.ArgumentParser()
        p.add_argument("--kind", default=HERE)
        made = p.parse_args()
        x.to(vars(made)["kind"])  # chooses?
        x.to(vars(made)["other"])
        x.to(made.__dict__["kind"])  # chooses?
        x.to(made.__dict__["other"])
        x.to(made.to_dict()["kind"])  # chooses?
        x.to(made.to_dict()["other"])
        x.to(made["kind"])  # chooses?
        x.to(made["other"])
        made["kind"] = 1
        """,
    "a namespace as arguments": """
        p = argparse.ArgumentParser()
        p.add_argument("--kind", default=HERE)
        made = p.parse_args()
        def f(kind, other):
            x.to(kind)  # chooses?
            y.to(other)
        f(**vars(made))
        f(other=1, **made.__dict__)
        f(**vars(p.parse_args()))
        """,
    "a namespace among what was not known": """
        p = argparse.ArgumentParser()
        p.add_argument("--kind", default=HERE)
        first = p.parse_known_args()[0]
        x.to(first.kind)  # chooses?
        second, others = p.parse_known_args()
        x.to(second.kind)  # chooses?
        x.to(others.kind)
        """,
    "a parser that an object holds": """
        class A:
            def __init__(self):
                self.p = argparse.ArgumentParser()
                self.p.add_argument("--kind", default=HERE)
            def go(self, other):
                made = self.p.parse_args()
                x.to(made.kind)  # chooses?
                another = other.p.parse_args()
                x.to(another.kind)
        """,
    "a group that has no name": """
        p = argparse.ArgumentParser()
        p.add_argument_group("x").add_argument("--kind", default=HERE)
        p.kinds("x").add_argument("--kind", default=1)
        made = p.parse_args()
        x.to(made.kind)  # chooses?
        """,
    "what is no group": """
        p = argparse.ArgumentParser()
        p.others("x").add_argument("--kind", default=HERE)  # chooses?
        made = p.parse_args()
        x.to(made.kind)
        """,
    "a parser that is handed on and on": """
        def main():
            p = argparse.ArgumentParser()
            one(p)
            made = p.parse_args()
            x.to(made.kind)  # chooses?
        def one(p1): two(1, p1)
        def two(n, p2): three(p=p2)
        def three(p): Four().go(p)
        class Four:
            def go(self, p4): five(p4)
        def five(p5): six(p5)
        def six(p6): p6.add_argument("--kind", default=HERE)
        """,
    "a parser that is handed round": """
        def one(p, n):
            if n: one(p, n - 1)
            p.add_argument("--kind", default=HERE)
        mine = argparse.ArgumentParser()
        one(mine, 2)
        made = mine.parse_args()
        x.to(made.kind)  # chooses?
        """,
    "an option without a name, and one of no parser": """
        p.add_argument(name, default=HERE)  # chooses?
        add_argument("--kind", default=1)
        """,
    "a function that adds an option": """
        add_argument("--kind", default=HERE)  # chooses?
        x.to(made.kind)
        """,
    "a class by its name, by an annotation, by what made it": """
        from enum import Other
        import third
        class A:
            def __init__(self):
                self.dtype = HERE  # stored
        class B(A):
            def f(self): x.to(self.dtype)  # chooses?
        class C(B):
            def f(self): x.to(self.dtype)  # chooses?
        class D:
            def f(self): x.to(self.dtype)
        x.to(mod.A.dtype)  # chooses?
        x.to(Other.dtype)
        x.to(third.dtype)
        e: A = make()
        x.to(e.dtype)  # chooses?
        h: D = make()
        x.to(h.dtype)
        g: Any = make()
        x.to(g.dtype)  # chooses?
        x.to(A().dtype)  # chooses?
        x.to(D().dtype)
        x.to(make().dtype)  # chooses?
        def f(a: C, b: D, c: "A | None", d):
            x.to(a.dtype)  # chooses?
            x.to(b.dtype)
            x.to(c.dtype)  # chooses?
            x.to(d.dtype)  # chooses?
        """,
    "a class by what stands before its name": """
        class A:
            dtype = HERE
        use(mod.A.dtype)  # chooses?
        use(mod.B.dtype)  # chooses?
        == b.py
        use(mod.A.dtype)
        == c.py
        from a import A
        use(mod.A.dtype)  # chooses?
        use(mod.B.dtype)
        """,
    "an autograd function": """
        class F(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, kind):
                x.to(ctx)
                return x.view(kind)  # bytes?
        F.apply(y, HERE)
        """,
    "what is applied and is none": """
        class G:
            @staticmethod
            def forward(ctx, x, kind):
                return x.view(kind)
        G.apply(y, HERE)  # chooses?
        """,
    "a function that is put into a class": """
        def load(self, x, kind):
            return x.view(kind)  # bytes?
        def go(self, x):
            self.load(x, HERE)
        """,
    "a method of what an annotation names": """
        from b import Net as N
        def go(net: N, x):
            net.load(x, HERE)
        == b.py
        class Net:
            def load(self, x, kind):
                return x.view(kind)  # bytes?
        class Other:
            def load(self, x, kind):
                return x.to(kind)
        """,
    "what is put into a container out of sight": """
        self.table.update({"a": HERE})  # stored
        """,
    "what is appended out of sight": """
        self.kinds.append(HERE)
        """,
    "a parameter that nothing reads": """
        def f(x, kind): return x
        f(1, HERE)  # chooses?
        """,
    "a function under another name, and handed on": """
        def _kind():
            return HERE
        make = _kind
        use(make)
        x.to(make())  # chooses?
        """,
    "a method of what an attribute was made of": """
        from b import Net
        class A:
            def __init__(self):
                self.net = Net()
                other.net = Other()
            def go(self, x):
                keep = self.net
                self.net.load(x, HERE)
        class B:
            def __init__(self):
                self.net = Other()
        class Other:
            def load(self, x, kind):
                x.to(kind)
        == b.py
        class Net:
            def load(self, x, kind):
                return x.view(kind)  # bytes?
        """,
    "a class within a class, of another file": """
        from b import A
        A.Inner(HERE)
        == b.py
        class A:
            class Inner:
                def __init__(self, kind=None): kind.itemsize  # size
            def __init__(self, kind): kind.itemsize
        """,
    "what another file's class has not, and what lies deeper": """
        from b import A
        kind = HERE
        A.Other(kind)  # chooses?
        A.Deep.Inner(kind)  # chooses?
        A.f(kind)
        A.other(kind)  # chooses?
        == b.py
        class A:
            class Inner:
                def __init__(self, kind=None): kind.itemsize
            class Deep: pass
            def f(kind): kind.itemsize  # size
            other = 1
        """,
    "what a method gives, in another file": """
        class A:
            def kind(self):
                return HERE  # returned
            def dtype(self):
                return self.kind()  # returned
        == b.py
        from a import A
        x.to(A().kind())  # chooses?
        x.to(A().dtype())
        def f(a: A, b, c: Other):
            x.to(a.kind())  # chooses?
            x.to(b.kind())  # chooses?
            x.to(c.kind())
        """,
    "unpacked in parts": """
        def _all(): return 1, HERE, 2  # returned
        a, b, c = _all()
        x.to(a)
        x.to(b)  # chooses?
        x.to(c)
        d, *e = _all()
        x.to(d)  # chooses?
        y.to(e)  # chooses?
        for f in _all():
            x.to(f)  # chooses?
        """,
    "one value, unpacked": """
        a, b = HERE
        x.to(a)  # chooses?
        y.to(b)  # chooses?
        """,
    "the values of a map, unpacked": """
        table = {1: HERE}
        a, b = table.values()
        x.to(a)  # chooses?
        y.to(b)  # chooses?
        c, d = table  # stored
        x.to(c)
        """,
    "a generator that is no function": """
        x = lambda: (yield HERE)  # returned
        """,
    "its name, handed on": """
        def g(word):
            assert word in ("bfloat16", "float16")  # refused
        g(str(HERE).split(".")[1])  # text
        """,
}

TENSORS = {
    "what is made of several": """
        y = torch.cat([x.to(TENSOR)])  # chooses?
        y.view(torch.int16)  # bits
        z = torch.zeros_like(y, dtype=torch.float32)
        z.view(torch.int16)
        """,
    "attention where flash attention alone may be chosen": """
        from torch.nn.attention import SDPBackend, sdpa_kernel
        y = x.to(TENSOR)  # chooses?
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            F.scaled_dot_product_attention(y, k, v)  # never
        """,
    "attention elsewhere": """
        from torch.nn.attention import SDPBackend, sdpa_kernel
        y = x.to(TENSOR)  # chooses?
        with torch.no_grad(), tracing(y):  # handed
            F.scaled_dot_product_attention(y, k, v)  # handed
        @torch.no_grad()
        def f(k, v):
            F.scaled_dot_product_attention(y, k, v)  # handed
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            @torch.no_grad()
            def g(k, v):
                F.scaled_dot_product_attention(y, k, v)  # handed
        """,
    "attention in a function that is such a region": """
        from torch.nn.attention import SDPBackend, sdpa_kernel
        @sdpa_kernel(SDPBackend.FLASH_ATTENTION)
        async def f(x, k, v):
            F.scaled_dot_product_attention(x.to(TENSOR), k, v)  # chooses? never
        """,
}

WORDS = {
    "a variable of the environment": """
        import os
        os.environ["KIND"] = WORD  # stored
        use(os.environ["KIND"])  # chooses?
        use(os.environ["OTHER"])
        use(os.environ.get("KIND"))  # chooses?
        use(os.environ.get("OTHER"))
        use(os.environ.pop("KIND"))  # chooses?
        use(os.getenv("KIND"))  # chooses?
        use(os.getenv("OTHER"))
        use(environ["KIND"])
        use(os.environ.other("KIND"))
        """,
}


@pytest.mark.parametrize("name", WORDS)
def test_a_word(name: str, tmp_path: Path) -> None:
    check(tmp_path, WORDS[name], "WORD")


@pytest.mark.parametrize("name", WAYS)
def test_a_dtype(name: str, tmp_path: Path) -> None:
    check(tmp_path, WAYS[name])


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor(name: str, tmp_path: Path) -> None:
    check(tmp_path, TENSORS[name], "TENSOR")
