"""Values that lead back to themselves: every analysis ends, and what is chosen besides still moves."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.finding import Action
from tests.project.programs import patched, said
from tests.tools import findings, rewritten

HEAD = "import torch\nfrom functools import partial, wraps\n"
CIRCLES = {
    "names": "kind = torch.bfloat16\nif n:\n    kind = other\nother = kind\ny = x.to(kind) @ w\n",
    "names alone": "a = b\nb = a\ny = x.to(a) @ w.to(torch.bfloat16)\n",
    "a name that is its own": "kind = torch.bfloat16\nwhile n:\n    kind = kind\ny = x.to(kind) @ w\n",
    "attributes": (
        "class A:\n    def __init__(self):\n        self.a = torch.bfloat16\n    def turn(self):\n"
        "        self.a = self.b\n        self.b = self.a\n        return x.to(self.a) @ w\n"
    ),
    "attributes alone": (
        "class A:\n    def turn(self):\n        self.a = self.b\n        self.b = self.a\n"
        "        return x.to(self.a) @ w.to(torch.bfloat16)\n"
    ),
    "functions": (
        "def f(n):\n    return g(n - 1)\ndef g(n):\n    return f(n) if n else torch.bfloat16\ny = x.to(f(2)) @ w\n"
    ),
    "functions alone": "def f():\n    return g()\ndef g():\n    return f()\ny = x.to(f()) @ w.to(torch.bfloat16)\n",
    "a parameter": (
        "def f(x, kind=torch.bfloat16, n=2):\n    return f(x, kind, n - 1) if n else x.to(kind) @ w\nf(x)\n"
    ),
    "parameters": (
        "def f(x, kind):\n    return g(x, kind)\ndef g(x, kind):\n    return f(x, kind) if n else x.to(kind) @ w\n"
        "f(x, torch.bfloat16)\n"
    ),
    "a tensor": "def f(x, n):\n    return f(x @ w, n - 1) if n else x\ny = f(x.to(torch.bfloat16), 3)\n",
    "tensors": "x = x.to(torch.bfloat16)\nfor each in w:\n    y = x @ each\n    x = y\n",
    "methods": (
        "class A:\n    def f(self):\n        return self.g()\n    def g(self):\n"
        "        return self.f() if n else torch.bfloat16\n    def run(self, x):\n        return x.to(self.f()) @ w\n"
    ),
    "properties": (
        "class A:\n    @property\n    def a(self):\n        return self.b\n    @property\n    def b(self):\n"
        "        return self.a if n else torch.bfloat16\n    def run(self, x):\n        return x.to(self.a) @ w\n"
    ),
    "classes": (
        "class A(B):\n    def run(self, x):\n        return x.to(self.kind) @ w\n"
        "class B(A):\n    kind = torch.bfloat16\n"
    ),
    "a table": "T = {'a': torch.bfloat16}\nT['b'] = T['a']\nT['a'] = T['b']\ny = x.to(T['a']) @ w\n",
    "a table in itself": "T = {'a': torch.bfloat16}\nT['t'] = T\ny = x.to(T['t']['a']) @ w\n",
    "a partial": "def go(x, kind):\n    return x.to(kind) @ w\ngo = partial(go, kind=torch.bfloat16)\ngo(x)\n",
    "a lambda": "f = lambda n: f(n - 1) if n else torch.bfloat16\ny = x.to(f(2)) @ w\n",
    "an alias": "cast = torch.Tensor.to\ncast = cast if n else cast\ny = cast(x, torch.bfloat16) @ w\n",
    "a decorator": (
        "def again(f):\n    @wraps(f)\n    def g(*a, **k):\n        return f(*a, **k)\n    return g\n"
        "@again\ndef f(x, kind=torch.bfloat16):\n    return x.to(kind) @ w\nf = again(f)\nf(x)\n"
    ),
    "words": "kind = 'bfloat16'\nif n:\n    kind = word\nword = kind\ny = x.to(getattr(torch, kind)) @ w\n",
    "options": "options = dict(dtype=torch.bfloat16)\noptions = dict(**options)\ny = torch.ones(2, **options) @ w\n",
}
FILES = {
    "a.py": "import torch\nfrom b import g, KIND as OTHER\nKIND = OTHER\ndef f(n):\n    return g(n - 1)\n",
    "b.py": "from a import f, KIND\ndef g(n):\n    return f(n) if n else KIND\n",
    "main.py": "import torch\nfrom a import f\ny = x.to(f(2)) @ w.to(torch.bfloat16)\n",
}


@pytest.mark.parametrize("to", ["float32", "float16"])
@pytest.mark.parametrize("way", CIRCLES)
def test_what_leads_back_to_itself(way: str, to: str) -> None:
    before = HEAD + CIRCLES[way]
    assert [each.reason for each in findings(before, to=to) if each.action is Action.MANUAL] == []
    assert rewritten(before, to=to) == before.replace("bfloat16", to)


def test_files_that_give_each_other_what_they_have(tmp_path: Path) -> None:
    after, found = patched(tmp_path, FILES)
    assert after["main.py"] == FILES["main.py"].replace("bfloat16", "float32")
    assert said(found, Action.MANUAL) == []
