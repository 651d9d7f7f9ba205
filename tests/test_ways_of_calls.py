"""Where a value goes: into functions and out of them, into objects, options, words and tensors."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ways import check

WAYS = {
    "into a function": """
        def f(a, kind, *, by_name=1):
            x.to(a)
            x.to(kind)  # chooses?
            x.to(by_name)
        f(1, HERE)
        """,
    "into a function by name": """
        def f(a, kind=1, *, by_name=1):
            x.to(kind)
            x.to(by_name)  # chooses?
        f(1, by_name=HERE)
        """,
    "into a function's keywords": """
        def f(a, **options):
            x.to(options["kind"])  # chooses?
            x.to(options["a"])
            torch.zeros(2, **options)  # chooses
        f(1, kind=HERE)
        """,
    "into a partial": """
        import functools
        def f(a, kind):
            x.to(a)
            x.to(kind)  # chooses?
        functools.partial(f, 1, HERE)
        """,
    "behind what is unpacked nobody knows": """
        def f(a, kind):
            x.to(kind)
        f(*xs, HERE)  # chooses?
        """,
    "out of a function": """
        def _kind():
            return HERE
        x.to(_kind())  # chooses?
        """,
    "out of a function for all": """
        def kind():
            return HERE  # returned
        x.to(kind())  # chooses?
        """,
    "out of a function by another name": """
        def _kind():
            return HERE
        make = _kind
        x.to(make())  # chooses?
        """,
    "past a function that it calls, and back to those who gave it": """
        def same(one):
            return one
        def twice(one):
            return same(one)
        def other(mine):
            y.to(twice(mine))
        x.to(twice(HERE))  # chooses?
        """,
    "past one that is called twice": """
        def same(one):
            return one
        def pair(one, two):
            a = same(one)
            return same(a)
        def other(mine):
            y.to(pair(mine, 1))
        x.to(pair(HERE, 2))  # chooses?
        """,
    "past one that gives it to all of its callers as well": """
        KIND = HERE
        def same(one):
            return one
        def twice(one):
            return same(one)
        def kind():
            return same(KIND)  # returned
        x.to(twice(KIND))  # chooses?
        y.to(kind())  # chooses?
        """,
    "a generator": """
        def _kinds():
            yield HERE
        for kind in _kinds():  # unknown
            x.to(kind)
        """,
    "into a function and back to who gave it": """
        def _same(kind):
            return kind
        x.to(_same(HERE))  # chooses?
        y.to(_same(other))
        """,
    "back into the same function": """
        def _same(kind):
            return kind
        x.to(_same(_same(HERE)))  # chooses?
        y.to(_same(other))
        """,
    "into a function again, by way of another": """
        from b import same
        def _either(kind, other):
            return same(kind or other)
        first = _either(HERE, None)
        x.to(_either(None, first))  # chooses?
        y.to(same(first))  # chooses?
        == b.py
        def same(kind):
            return kind
        """,
    "into a function again, in a container": """
        def _all(kinds):
            return kinds
        for kind in _all(_all([HERE])):
            x.to(kind)  # chooses?
        """,
    "into a function that calls itself": """
        def _down(kind, depth):
            if depth:
                return _down(kind, depth - 1)
            return kind
        x.to(_down(HERE, 2))  # chooses?
        """,
    "a lambda": """
        kind = lambda: HERE
        x.to(kind())  # chooses?
        f(lambda: 1)
        """,
    "a lambda that is handed on": """
        f(lambda: HERE)  # unknown
        """,
    "a default": """
        def f(x, kind=HERE):
            x.to(kind)  # chooses?
        f(x)
        """,
    "a default of the parameter's own name": """
        kind = HERE
        def f(x, kind=kind):
            x.to(kind)  # chooses?
        g = lambda x, kind=kind: x.to(kind)  # chooses?
        @click.option("--kind", default=kind)
        def h(x, kind):
            y.to(kind)  # chooses?
        class A(Base, kind=kind):  # unknown
            pass
        """,
    "a parameter that nobody reads": """
        def f(kind=HERE): pass  # unknown
        """,
    "a default of a look-up": """
        x.to(getattr(config, "kind", HERE))  # chooses?
        x.to(config.get("a", 1))
        """,
    "the default of a look-up by get": """
        x.to(config.get("a", HERE))  # chooses?
        """,
    "an attribute of its own": """
        class A:
            def __init__(self):
                self.kind = HERE  # stored
            def f(self, x):
                x.to(self.kind)  # chooses?
                x.to(self.other)
        def g(a: A, b: B):
            x.to(a.kind)  # chooses?
            x.to(b.kind)
        """,
    "a field": """
        class A:
            kind = HERE
            def f(self, x):
                x.to(self.kind)  # chooses?
        x.to(A.kind)  # chooses?
        x.to(A().kind)  # chooses?
        x.to(B().kind)
        """,
    "a common name is read where the class shows": """
        class A:
            dtype = HERE
        class B(A):
            def f(self, x):
                x.to(self.dtype)  # chooses?
        def g(thing, a):
            a = A()
            x.to(a.dtype)  # chooses?
            b = C()
            x.to(b.dtype)
        """,
    "a property": """
        class A:
            @property
            def kind(self):
                return HERE  # stored
            def f(self, x):
                x.to(self.kind)  # chooses?
        """,
    "a method": """
        class A:
            def kind(self):
                return HERE  # returned
            def f(self, x):
                x.to(self.kind())  # chooses?
        """,
    "into a constructor": """
        class A:
            def __init__(self, a, kind):
                x.to(a)
                x.to(kind)  # chooses?
        A(1, HERE)
        """,
    "into the constructor of a base": """
        class A:
            def __init__(self, a, kind):
                x.to(kind)  # chooses?
        class B(A):
            pass
        B(1, HERE)
        """,
    "into a field of a record": """
        @dataclass
        class A:
            a: int
            kind: object = None
        made = A(1, HERE)
        x.to(made.kind)  # chooses?
        x.to(made.a)
        vars(made)["kind"].itemsize  # size
        """,
    "into a module that is called": """
        class Layer:
            def forward(self, x, kind):
                x.to(kind)  # chooses?
        layer = Layer()
        layer(x, HERE)
        """,
    "into a method that the class has not": """
        class A:
            def f(self, kind): x.to(kind)
        made = A()
        made.other(HERE)  # chooses?
        """,
    "out of a function within another": """
        def f():
            def _kind():
                return HERE
            make = _kind
            x.to(make())  # chooses?
        def g():
            _kind = 1
            make = _kind
            x.to(make())
        """,
    "into a static method": """
        class A:
            @staticmethod
            def f(x, kind):
                x.to(kind)  # chooses?
            def g(self, x):
                self.f(x, HERE)
        """,
    "into an autograd function": """
        class F(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, kind):
                x.to(kind)  # chooses?
        F.apply(x, HERE)
        """,
    "into a method of what nobody knows": """
        class A:
            def arrange(self, a, kind):
                x.to(a)
                x.to(kind)  # chooses?
        thing.arrange(1, HERE)  # chooses?
        torch.arrange(1, y)
        """,
    "an attribute written in the same way": """
        config = make()
        config.kind = HERE  # stored
        x.to(config.kind)  # chooses?
        x.to(other.kind)
        x.to(getattr(config, "kind"))  # chooses?
        x.to(getattr(config, "other"))
        copy.copy(config).kind.itemsize  # size
        print(config)
        use(config)  # handed
        """,
    "handed to what is known": """
        kind = HERE
        torch.frombuffer(b, dtype=kind)  # bytes
        torch._utils._element_size(kind)  # size
        torch._scaled_mm(a, kind)  # never
        flash_attn.flash_attn_func(kind)  # never
        isinstance(kind, str)
        isinstance(x, kind)  # compared
        pytest.mark.parametrize("kind", [kind])  # chooses
        max(kind, a)  # chooses?
        """,
    "a cast for a size": """
        kind = HERE
        torch.tensor([], dtype=kind).element_size()  # size
        torch.tensor([], dtype=kind).itemsize  # size
        torch.tensor([], dtype=kind).shape  # chooses
        """,
    "the name alone": """
        kind = str(HERE).split(".")[-1]  # text
        assert kind in ("bfloat16", "float16")  # refused
        print(kind)
        """,
    "a walrus": """
        if (kind := HERE): x  # compared
        x.to(kind)  # chooses?
        """,
    "an awaited or chosen one": """
        x.to(HERE if a else b)  # chooses?
        """,
    "an alternative": """
        x.to(kind or HERE)  # chooses?
        """,
    "a field that is declared": """
        @dataclass
        class A:
            kind: object = field(default=HERE)
            def f(self, x):
                x.to(self.kind)  # chooses?
        """,
    "argparse": """
        parser = argparse.ArgumentParser()
        group = parser.add_argument_group("a")
        group.add_argument("--model-dtype", default=HERE)
        args = parser.parse_args()
        x.to(args.model_dtype)  # chooses?
        x.to(args.other)
        rest, _ = parser.parse_known_args()
        x.to(rest.model_dtype)  # chooses?
        vars(args)["model_dtype"].itemsize  # size
        """,
    "an option's own name": """
        parser.add_argument("-d", "--dtype", dest="kind", default=HERE)
        x.to(args.kind)  # chooses?
        x.to(args.dtype)
        """,
    "a decorated command": """
        @click.option("--kind", default=HERE)
        def main(other, kind):
            x.to(kind)  # chooses?
            x.to(other)
        """,
}

WORDS = {
    "a word that is compared": """
        kind = WORD
        if kind == "bf16": pass  # compared
        if kind == "fp16": pass  # asked
        if kind in ("fp16", "fp32"): pass  # asked
        if kind in ("fp16", "bf16"): pass  # compared
        if kind == torch.bfloat16: pass  # asked
        table[kind]  # key
        getattr(torch, kind)  # chooses
        x.to(kind)
        """,
    "a word that is written in another way": """
        kind = WORD
        if kind.lower().strip() == "bf16": pass  # compared
        if kind.upper() == "BF16": pass  # unknown
        for each in kind.split(","): pass  # unknown
        table[kind.removeprefix("torch.")]  # key
        getattr(torch, kind.replace("bf", "bfloat"))  # chooses
        """,
    "a word of the environment": """
        import os
        os.environ["KIND"] = WORD  # stored
        os.environ["OTHER"] = "bf16"
        == b.py
        import os
        from os import getenv, environ
        if os.environ.get("KIND", "").lower() == "bf16": pass  # compared
        if getenv("KIND") == "bf16": pass  # compared
        if environ["KIND"] == "bf16": pass  # compared
        if os.environ["OTHER"] == "bf16": pass
        if settings["KIND"] == "bf16": pass
        """,
    "a word in a field that tensors have as well": """
        class A:
            dtype: str = WORD
        def f(x, y, config):
            x = x.cuda()
            use(x.dtype)
            use(y.dtype)  # chooses?
            if config.dtype == "bf16": pass  # compared
            y.numel
        """,
    "a word that a guard refuses": """
        def f(kind: Literal["bf16", "fp16"]):  # refused
            return use(kind)
        f(WORD)
        """,
    "a word that a guard lets pass": """
        def f(kind: Literal["bf16", "fp32"]):
            return use(kind)  # chooses?
        f(WORD)
        """,
    "a field that takes no other word": """
        @dataclass
        class A:
            kind: Literal["bf16"] = "bf16"  # refused
        A(kind=WORD)
        """,
}

TENSORS = {
    "a tensor and its views": """
        y = x.to(TENSOR)  # chooses?
        z = y.view(2).t()
        z.view(torch.int16)  # bits
        z.float().view(torch.int16)
        z.to(torch.float32).view(torch.int16)
        z.to("cuda").view(torch.uint8)  # bits
        z.shape.view(torch.int16)
        z[0].view(torch.int16)  # bits
        (z * 2).view(torch.int16)  # bits
        torch.add(z, 1).view(torch.int16)  # bits
        torch.add(z, 1, dtype=torch.float32).view(torch.int16)
        a.mul(z).view(torch.int16)  # bits
        lib.run(z.data_ptr())  # kernel
        if z.dtype == torch.float16: pass  # compared
        torch._scaled_mm(z, z)  # never
        flash_attn.flash_attn_func(z)  # never
        somebody(z)  # handed
        print(z)
        if z == 1: pass
        """,
    "a model that is cast in place": """
        def f(model):
            model.view(torch.int16)
            model.to(TENSOR)  # chooses?
            model(x).view(torch.int16)  # bits
        """,
    "a buffer": """
        class A:
            def __init__(self):
                self.register_buffer("table", torch.zeros(2, dtype=TENSOR))  # chooses
            def f(self):
                self.table.view(torch.int16)  # bits
                self.other.view(torch.int16)
        """,
    "into a function": """
        def f(x):
            return x.view(torch.int16)  # bits
        f(torch.zeros(2, dtype=TENSOR))  # chooses
        """,
    "into a function again": """
        def _same(x):
            return x
        once = _same(x.to(TENSOR))  # chooses?
        _same(once).view(torch.int16)  # bits
        _same(other).view(torch.int16)
        """,
    "a tensor in keywords that are spread": """
        somebody(**{"x": x.to(TENSOR)})  # chooses?
        """,
    "each of some": """
        for y in x.to(TENSOR):  # chooses?
            y.view(torch.int16)  # bits
        """,
    "a launch of Triton": """
        import triton.language as tl
        kind = tl.bfloat16
        kernel[grid](x.to(TENSOR))  # chooses? kernel
        """,
}


@pytest.mark.parametrize("name", WAYS)
def test_a_dtype(name: str, tmp_path: Path) -> None:
    check(tmp_path, WAYS[name])


@pytest.mark.parametrize("name", WORDS)
def test_a_word(name: str, tmp_path: Path) -> None:
    check(tmp_path, WORDS[name], "WORD")


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor(name: str, tmp_path: Path) -> None:
    check(tmp_path, TENSORS[name], "TENSOR")
