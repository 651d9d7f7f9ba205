"""Where a value goes: through names, tests, containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.flow import Follower, follow
from precision_fix.model.held import Held
from precision_fix.model.target import FLOAT32
from precision_fix.project.index import Project
from tests.ways import check, found_and_said

WAYS = {
    "through names": """
        kind = HERE
        other = again = kind
        x.to(other)  # chooses?
        torch.zeros(2, dtype=again)  # chooses
        """,
    "a name of which another is read": """
        kind = HERE  # stored
        x.to(kinds)
        """,
    "above the assignment it is another value": """
        def f(kind):
            x.to(kind)
            kind = HERE
            y.to(kind)  # chooses?
        """,
    "in a loop it comes round": """
        def f(kind):
            for x in xs:
                x.to(kind)  # chooses?
                kind = HERE
            while xs:
                kind.itemsize  # size
        """,
    "round and round": """
        def f(x, kind=HERE):
            for y in x:
                other = kind
                kind = other
                y.to(kind)  # chooses?
        """,
    "in a comparison": """
        kind = HERE
        if kind == other: pass  # compared
        if kind in (a, b): pass  # compared
        if kind == "float32": pass
        while kind: pass  # compared
        a if kind else b  # compared
        not kind  # compared
        [x for x in xs if kind]  # compared
        """,
    "an assertion that others are of it": """
        def f(x, kind=HERE):
            assert x.dtype == kind  # asserted
        """,
    "an assertion of it": """
        kind = HERE
        assert kind == torch.bfloat16  # asserted
        assert kind in (torch.float32, torch.bfloat16)  # compared
        """,
    "a guard that raises": """
        def f(kind=HERE):
            if kind not in (torch.bfloat16, torch.float16):  # refused
                raise ValueError
            if kind == torch.float32:  # refused
                raise ValueError
            if kind == torch.float16:  # compared
                raise ValueError
            if kind != torch.bfloat16:  # asserted
                raise ValueError
            if not (kind == torch.bfloat16 and x):  # asserted
                raise ValueError
            if kind != torch.bfloat16 and kind != torch.float16:  # refused
                raise ValueError
            if kind != torch.bfloat16 and kind != torch.float32:  # compared
                raise ValueError
            assert kind == torch.bfloat16 or kind == torch.float16  # refused
            assert all(kind == torch.bfloat16 for x in xs)  # asserted
            assert any(kind == torch.bfloat16 for x in xs)  # compared
            self.assertTrue(kind == torch.bfloat16)  # asserted
            assert kind != torch.float32  # refused
            if kind != torch.float32:  # compared
                return
        """,
    "a test that chooses float16 otherwise": """
        kind = HERE
        a = 1 if kind == torch.bfloat16 else torch.float16  # falls
        a = 1 if kind is torch.bfloat16 else torch.float16  # falls
        b = 1 if kind == torch.bfloat16 else torch.float64  # compared
        if kind == torch.bfloat16:  # falls
            c = 1
        else:
            d = 2
            c = torch.float16
        if kind == torch.bfloat16:  # falls
            c = 1
        elif y:
            c = torch.float16
        if kind == torch.bfloat16:  # compared
            c = 1
        elif y.use_fp16:
            c = torch.float16
        if kind != torch.bfloat16:  # compared
            c = 1
        else:
            c = torch.float16
        """,
    "in a match": """
        match HERE:  # compared
            case 1: pass
        """,
    "in text": """
        kind = HERE
        print(f"{kind}")  # text
        print(kind)  # text
        raise kind  # text
        kind  # text
        """,
    "its attributes": """
        kind = HERE
        kind.itemsize  # size
        kind.is_floating_point  # size
        kind.whatever  # unknown
        """,
    "as a key": """
        kind = HERE
        table[kind]  # key
        table[kind, 1]  # key
        {kind: 1}  # key
        table.get(kind)  # key?
        {kind: x for x in xs}  # inverted
        """,
    "in a list": """
        kinds = [HERE, a]
        for kind in kinds:
            x.to(kind)  # chooses?
        x.to(kinds[0])  # chooses?
        x.to(kinds[1:][0])  # chooses?
        x.to(*kinds)  # unknown
        [x.to(k) for k in kinds]  # chooses?
        if kinds: pass
        kinds.index(a)  # compared
        kinds.count(a)  # compared
        kinds.remove(a)  # compared
        kinds.__contains__(a)  # compared
        kinds.another(a)
        x.to(kinds.pop())  # chooses?
        more = [kinds]  # unknown
        f(kinds)  # unknown
        """,
    "taken apart": """
        kind, other = HERE, 1
        x.to(kind)  # chooses?
        y.to(other)
        """,
    "taken apart in a list": """
        [other, kind] = [1, HERE]
        x.to(kind)  # chooses?
        y.to(other)
        """,
    "taken apart later": """
        pair = 1, HERE
        other, kind = pair
        x.to(kind)  # chooses?
        y.to(other)  # chooses?
        other, *kinds = pair  # stored
        """,
    "returned among others": """
        def _pair():
            return 1, HERE  # returned
        other, kind = _pair()
        x.to(kind)  # chooses?
        y.to(other)
        """,
    "appended": """
        kinds = []
        kinds.append(HERE)
        for kind in kinds:
            x.to(kind)  # chooses?
        """,
    "in a map": """
        table = {"a": HERE, "b": 1}
        x.to(table["a"])  # chooses?
        x.to(table["b"])
        x.to(table[k])  # chooses?
        x.to(table.get("a"))  # chooses?
        x.to(table.get("b"))
        x.to(table.pop("a", 1))  # chooses?
        for kind in table.values():
            x.to(kind)  # chooses?
        for key, kind in table.items():
            x.to(key)
            y.to(kind)  # chooses?
        x.to({**table}["a"])  # chooses?
        x.to(table.copy()["a"])  # chooses?
        x.to((table | more)["a"])  # chooses?
        more = {"c": table}  # unknown
        pairs = table.items()  # unknown
        for key in table:
            x.to(key)
        if table: pass
        "a" in table
        get = table.get
        x.to(get("a"))  # chooses?
        x.to(get("b"))
        f(get)  # unknown
        """,
    "a map by dict()": """
        table = dict(a=HERE)
        x.to(dict(table)["a"])  # chooses?
        x.to(copy.deepcopy(table)["a"])  # chooses?
        torch.zeros(2, **table)  # chooses
        """,
    "a map that is filled": """
        table, other = {}, {}
        table["a"] = HERE  # stored
        x.to(table["a"])  # chooses?
        x.to(table["b"])
        other.update(table)
        x.to(other["a"])  # chooses?
        """,
    "a map that is filled by keywords": """
        table = {}
        table.update(kind=HERE)
        table.update(**{"kind": HERE})
        x.to(table["kind"])  # chooses?
        x.to(table["other"])
        def f(kind, other): x.to(kind)  # chooses?
        f(**table)
        """,
    "a map that has one by default": """
        table = {}
        table.setdefault("kind", HERE)  # text
        x.to(table["kind"])  # chooses?
        x.to(table["other"])
        """,
    "an update of the program's own": """
        class A:
            def update(self, kind): x.to(kind)  # chooses?
        a = A()
        a.update(kind=HERE)
        a["kind"].size
        """,
    "a map as arguments": """
        def make(kind, other):
            x.to(kind)  # chooses?
            x.to(other)
        settings = {"kind": HERE}
        make(**settings)
        settings2 = dict(**settings)
        x.to(settings2["kind"])  # chooses?
        """,
    "a comprehension": """
        kinds = [HERE for x in xs]
        x.to(kinds[0])  # chooses?
        table = {x: kinds[0] for x in xs}
        y.to(table["a"])  # chooses?
        """,
    "an item of what is unpacked into": """
        *kinds, other = [HERE, 1]  # stored
        x.to(kinds)
        """,
    "a map that is unpacked": """
        a, b = {"a": HERE}  # stored
        """,
    "a sequence that is put into another's item": """
        kinds = [HERE]
        table["a"] = kinds  # stored
        """,
    "a record's item": """
        table = {"a": HERE}
        table["b"] = 1
        x.to(kinds[0])
        """,
    "a global": """
        KIND = None
        def f(x):
            global KIND
            KIND = HERE
            x.to(KIND)  # chooses?
        def g(x):
            x.view(KIND)  # bytes?
        def h(x, KIND):
            x.to(KIND)
        """,
    "a global of a method, and of a function within": """
        class A:
            def f(self):
                global KIND
                KIND = other = HERE
                def g():
                    global OTHER
                    OTHER = other
            x.to(KIND)  # chooses?
        x.to(OTHER)  # chooses?
        """,
    "a global that is declared where it is set once": """
        KIND = HERE
        def f(x):
            global KIND
            KIND = torch.int16
            x.to(KIND)  # chooses?
        x.to(KIND)  # chooses?
        """,
    "a name of the function around": """
        def f(x):
            kind = other = None
            class A:
                kind = 1
                def g(self):
                    def h():
                        nonlocal kind
                        other = kind = HERE  # text
                    h()
            x.to(kind)  # chooses?
            x.to(other)
        def g(x):
            x.to(kind)
        """,
    "outside of functions nothing returns to anybody": """
        kind = HERE
        class A:
            other = kind
            def f(self): return self.other.itemsize  # size
        """,
}


def test_many_readers_of_one_name(tmp_path: Path) -> None:
    """They are gone to in rows, and those above the assignment are not meant, unless a loop goes round both."""
    before, behind = "    x.to(kind)\n" * 20, "    y.to(kind)  # chooses?\n" * 20
    check(tmp_path, f"def f(kind):\n{before}    kind = HERE\n{behind}def g(): return kind.itemsize\n")
    loop = "".join(f"    {line.strip()}\n" for line in behind.splitlines()).replace("    y", "        y")
    check(tmp_path, f"def f(kind):\n{before}    for z in zs:\n{loop}        kind = HERE\n")


def test_a_way_that_is_too_long_is_said_to_be(tmp_path: Path) -> None:
    casts = "".join(f"y{at + 1} = y{at}.view(2)\n" for at in range(400))
    text = f"y0 = x.to(TENSOR)  # chooses?\n{casts}"
    found = {fates.pop() for _, fates, _ in found_and_said(tmp_path, text, "TENSOR") if fates}
    assert found == {"chooses?", "lost"}
    names = "".join(f"k{at + 1} = k{at}\n" for at in range(2_100))
    found = {fates.pop() for _, fates, _ in found_and_said(tmp_path, f"k0 = HERE\n{names}", "HERE") if fates}
    assert found == {"lost"}


@pytest.mark.parametrize("name", WAYS)
def test_a_dtype(name: str, tmp_path: Path) -> None:
    check(tmp_path, WAYS[name])


def test_ways_that_meet_are_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten values that go into one function: what it does with them is asked once, and told of each."""
    asked: list[Held] = []
    step = Follower.step

    def counted(self: Follower, held: Held) -> None:
        asked.append(held)
        step(self, held)

    monkeypatch.setattr(Follower, "step", counted)
    uses = [f"    x{i}.to(kind)" for i in range(20)]
    calls = [f"make(torch.bfloat16, {i})" for i in range(10)]
    text = "\n".join(["import torch", "def make(kind, other):", *uses, *calls]) + "\n"
    (tmp_path / "a.py").write_text(text)
    module = Project(tmp_path, FLOAT32).own(str(tmp_path / "a.py"), text, range(len(text)))
    ends = [follow(module, site) for site in module.names.attributes["bfloat16"]]
    assert [{getattr(end.node, "lineno", 0) for end in each} for each in ends] == [{*range(3, 23)}] * 10
    assert len(asked) == 20 + 10


def test_an_object_is_asked_for_one_thing_in_many_places(tmp_path: Path) -> None:
    """What asks a config for something else is no step, however often that is."""
    others = [f"    config.other_{i} and config.get_{i}(config.more)" for i in range(1_100)]
    made = ["config = Config()", "config.kind = HERE  # stored", "make(config)"]
    check(
        tmp_path,
        "\n".join(["class Config: pass", "def make(config):", *others, "    x.to(config.kind)  # chooses?", *made]),
    )


COMMON = (
    "dtype device weight bias data shape precision config args model type name value forward get to run load build"
    " dtypes torch_dtype cfg options state"
)


@pytest.mark.parametrize("name", [*COMMON.split(), "kind_of_layer"])
def test_a_common_name_is_asked_of_what_shows_its_class(tmp_path: Path, name: str) -> None:
    """In another file; another name is taken to be the one that is meant."""
    guessed = "" if name in COMMON.split() else "  # chooses?"
    check(
        tmp_path,
        f"""
        class A:
            {name} = HERE
        == b.py
        from a import A
        def f(a: A, b):
            use(a.{name})  # chooses?
            use(b.{name}){guessed}
        """,
    )
