"""The parts of the answer to what belongs together in a project, each by itself."""

# ruff: noqa: E501
from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.brought import calls
from precision_fix.model.entry_points import is_started, program_in, usual
from precision_fix.model.finding import Action, Part
from precision_fix.model.moves import (
    GUARDS,
    NOTHING_IN_TEST,
    NOTHING_MOVES,
    NOTHING_REFUSED,
    Move,
    Place,
    action_of,
    left,
)
from precision_fix.project.entries import Entries, readmes
from precision_fix.project.facts import Import, facts_of
from precision_fix.project.imports import look_through, python_below
from precision_fix.project.links import asks_another
from precision_fix.project.names import Names, is_test, stem_of
from precision_fix.project.readings import asks_for
from tests.tools import plant, rewritten

A, B, C, D = (Place("a.py", line, 1) for line in range(1, 5))
ELSEWHERE = Place("b.py", 9, 1)
CALL = Place("a.py", 7, -3)
CHANGES, STAYS, ASKS = Action.REWRITE, Action.KEEP, Action.MANUAL


def move(place: Place, action: Action = CHANGES, part: Part = Part.NONE, *others: Place, all_: bool = False) -> Move:
    return Move(place, action, part, others, all_)


# Some places with their parts, and what is said of those that are left.
GROUPS: dict[str, tuple[list[Move], dict[Place, str]]] = {
    "a cast and its guard": ([move(A, CHANGES, Part.NONE, B), move(B, CHANGES, Part.GUARDS)], {}),
    "a guard that stays": (
        [move(A, CHANGES, Part.NONE, B), move(B, ASKS, Part.GUARDS)],
        {A: "moves together with line 2, which stays"},
    ),
    "a guard that holds": (
        [move(A, CHANGES, Part.NONE, B), move(B, ASKS, Part.HOLDS), move(C, CHANGES, Part.NONE, B), move(D)],
        {A: "moves together with line 2, which stays", C: "moves together with line 2, which stays"},
    ),
    "in another file": (
        [move(A, CHANGES, Part.NONE, ELSEWHERE), move(ELSEWHERE, ASKS, Part.HOLDS)],
        {A: "moves together with b.py:9, which stays"},
    ),
    "a guard that is no place": (
        [move(A, CHANGES, Part.NONE, B)],
        {A: "moves together with line 2, which stays"},
    ),
    "the arguments of a call": (
        [move(A, CHANGES, Part.NONE, CALL), move(B, CHANGES, Part.NONE, CALL), move(C, ASKS, Part.NONE, CALL)],
        {A: "moves together with line 3, which stays", B: "moves together with line 3, which stays"},
    ),
    "the arguments of a call that change": (
        [move(A, CHANGES, Part.NONE, CALL), move(B, CHANGES, Part.NONE, CALL), move(C, STAYS, Part.NONE, CALL)],
        {},
    ),
    "a guard of nothing": ([move(A, CHANGES, Part.GUARDS)], {A: NOTHING_MOVES}),
    "a guard of nothing in a file that changes": ([move(A, CHANGES, Part.GUARDS), move(B)], {}),
    "a guard of nothing beside a file that changes": (
        [move(A, CHANGES, Part.GUARDS), move(ELSEWHERE)],
        {A: NOTHING_MOVES},
    ),
    "a guard under a region": ([move(A, CHANGES, Part.GUARDS), move(ELSEWHERE, all_=True)], {}),
    "a guard under a region that stays": (
        [move(A, CHANGES, Part.GUARDS), move(ELSEWHERE, ASKS, all_=True)],
        {A: NOTHING_MOVES},
    ),
    "a guard that refuses nothing": ([move(A, CHANGES, Part.REFUSES)], {A: NOTHING_REFUSED}),
    "a guard that refuses what changes": ([move(A, CHANGES, Part.REFUSES), move(B, CHANGES, Part.NONE, A)], {}),
    "a chain": (
        [
            *(move(A, CHANGES, Part.NONE, B), move(C, CHANGES, Part.NONE, B, D), move(B, CHANGES, Part.GUARDS)),
            move(D, ASKS, Part.HOLDS),
        ],
        dict.fromkeys((A, B, C), "moves together with line 4, which stays"),
    ),
    "a word whose arm changes": ([move(A, STAYS, Part.FOLLOWS, B), move(B)], {}),
    "a word whose arm stays": (
        [move(A, STAYS, Part.FOLLOWS, B), move(B, ASKS)],
        {A: "leads to line 2, which stays: see both"},
    ),
    "a word whose arm is kept": (
        [move(A, STAYS, Part.FOLLOWS, B), move(B, STAYS)],
        {A: "leads to line 2, which stays: see both"},
    ),
    "a word that changes with an arm that is kept": ([move(A, CHANGES, Part.FOLLOWS, B), move(B, STAYS)], {}),
    "a word with two arms": ([move(A, STAYS, Part.FOLLOWS, B, C), move(B), move(C, STAYS)], {}),
    "a word whose second arm is asked for": (
        [move(A, STAYS, Part.FOLLOWS, B, C), move(B), move(C, ASKS)],
        {A: "leads to line 3, which stays: see both"},
    ),
    "a word whose arm is held": (
        [move(A, STAYS, Part.FOLLOWS, B), move(B, CHANGES, Part.NONE, C), move(C, ASKS, Part.HOLDS)],
        {A: "leads to line 2, which stays: see both", B: "moves together with line 3, which stays"},
    ),
    "a word that leads nowhere": ([move(A, STAYS, Part.FOLLOWS)], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", GROUPS)
def test_what_is_left_of_a_group(name: str) -> None:
    moves, wanted = GROUPS[name]
    assert left(moves) == wanted
    assert left(reversed(moves)) == wanted


def test_a_guard_of_a_test_says_that_the_program_was_not_asked() -> None:
    assert left([move(A, CHANGES, Part.GUARDS), move(ELSEWHERE)], tests={A.path}) == {A: NOTHING_IN_TEST}
    assert left([move(A, CHANGES, Part.GUARDS), move(B)], tests={A.path}) == {}
    assert action_of(NOTHING_IN_TEST) is Action.MANUAL


def test_what_a_group_is_made_of() -> None:
    assert action_of(NOTHING_REFUSED) is Action.KEEP and action_of(NOTHING_MOVES) is Action.MANUAL
    assert not move(A, STAYS).counts and move(A, STAYS, Part.FOLLOWS).counts and move(A).counts and move(A, ASKS).counts
    assert not move(A).in_group and move(A, CHANGES, Part.GUARDS).in_group and move(A, CHANGES, Part.NONE, B).in_group
    assert GUARDS == (Part.GUARDS, Part.REFUSES)


# Programs.


def entries(folder: Path, files: dict[str, str], scripts: tuple[str, ...] = ()) -> Entries:
    plant(folder, {name: text.encode() for name, text in files.items()})
    python = [str(folder / name) for name in files if name.endswith(".py")]
    return Entries(str(folder), python, [str(folder / name) for name in scripts], look_through(folder))


def programs(folder: Path, files: dict[str, str], *scripts: str) -> list[str]:
    return [str(Path(path).relative_to(folder)) for path in entries(folder, files, scripts).programs()]


MAIN = 'if __name__ == "__main__": main()\n'
EMPTY = dict.fromkeys(("a.py", "b.py", "pkg/a.py", "src/c.py", "src/d/__main__.py", "e/__init__.py", "sh/f.py"), "")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("python a.py", "a.py"), ("python3.11 a.py --x", "a.py"), ("torchrun --nproc 2 a.py", "a.py"),
        ("accelerate launch a.py", "a.py"), ("deepspeed a.py", "a.py"), ("uv run a.py", "a.py"),
        ("python -m pkg.a", "pkg/a.py"), ("python -m c", "src/c.py"), ("python -m d", "src/d/__main__.py"),
        ("python -m e", "e/__init__.py"), ("python ./a.py", "a.py"), ("python \\\n  a.py", "a.py"),
        ("python \\\r\n  a.py", "a.py"), ("python pkg/a.py b.py", "pkg/a.py"), ("python -m pkg.a b.py", "pkg/a.py"),
        ("python f.py", "sh/f.py"), ("cat a.py", ""), ("python other.py", ""), ("python -m other", ""),
        ("echo | python a.py", "a.py"), ("python # a.py", ""), ("python x | cat a.py", ""), ("python 'a.py'", "a.py"),
    ],
)  # fmt: skip
def test_a_program_that_a_command_names(line: str, found: str, tmp_path: Path) -> None:
    assert programs(tmp_path, {**EMPTY, "sh/run.sh": line}, "sh/run.sh") == [found] * bool(found)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", '[project.scripts]\nx = "pkg.a:main"\n'),
        ("pyproject.toml", "[tool.poetry.scripts]\nx = 'pkg.a:main'\n[other]\ny = 'b:main'\n"),
        ("pyproject.toml", "[project.gui-scripts]\nx = 'pkg.a:main'\n"),
        ("setup.py", "setup(entry_points={'console_scripts': ['x = pkg.a:main']}, y='z = b:main')\n"),
        ("setup.cfg", "[options.entry_points]\nconsole_scripts =\n  x = pkg.a:main\n\n[other]\ny = b:main\n"),
    ],
)
def test_a_console_script(name: str, text: str, tmp_path: Path) -> None:
    assert programs(tmp_path, {**EMPTY, name: text}) == ["pkg/a.py"]


def test_the_best_programs_come_first(tmp_path: Path) -> None:
    names = ["z.py", "main.py", "app.py", "train.py", "run.py", "webui.py", "inference.py", "generate.py", "demo.py"]
    files = {**dict.fromkeys([*names, "sub/main.py", "a/b/c.py", "setup.py", "conftest.py", "install.py"], MAIN)}
    files |= dict.fromkeys(["tests/x.py", "test_x.py", "test/y.py"], MAIN)
    files |= {"a/b/c.sh": "python c.py\n", "other.py": "", "a/b/d.py": ""}
    wanted = ["a/b/c.py", *names[1:], "z.py", "sub/main.py"]
    assert programs(tmp_path, files, "a/b/c.sh") == wanted
    assert [usual(name) for name in (*names[1:], "z.py")] == [*range(8), 8]
    assert program_in([tmp_path / "nowhere", tmp_path / "sub", tmp_path]) == tmp_path / "sub" / "main.py"
    assert program_in([tmp_path / "a"]) is None


@pytest.mark.parametrize(
    ("text", "started"),
    [
        ('if __name__ == "__main__":', True), ("if '__main__' == __name__:", True), ("if  __name__=='__main__':", True),
        ('  if __name__ == "__main__":', False), ('if __name__ != "__main__":', False), ("x = '__main__'", False),
        ('x\nif __name__ == "__main__":', True),
    ],
)  # fmt: skip
def test_a_file_that_is_started(text: str, started: bool) -> None:
    assert is_started(text.encode()) is started is facts_of(text.encode()).is_started


def test_what_a_program_reaches(tmp_path: Path) -> None:
    files = {
        "main.py": "import pkg.a, os\nfrom b import x\n", "pkg/__init__.py": "", "pkg/a.py": "from .c import *\n",
        "pkg/c.py": "import main\n", "b.py": "def f():\n    import d\n", "d.py": "", "e.py": "import main\n",
    }  # fmt: skip
    found = entries(tmp_path, files).reached(str(tmp_path / "main.py"))
    assert {str(Path(path).relative_to(tmp_path)) for path in found} == {
        "main.py",
        "pkg/a.py",
        "pkg/c.py",
        "b.py",
        "d.py",
    }
    assert not entries(tmp_path, files).is_node_pack
    assert entries(tmp_path, {"n.py": "NODE_CLASS_MAPPINGS = {}\n"}).is_node_pack
    plant(tmp_path, {"README.md": b"", "readme.txt": b"", "other.md": b""})
    assert [Path(path).name for path in readmes(str(tmp_path))] == ["README.md", "readme.txt"]
    assert readmes(str(tmp_path / "nowhere")) == []


# Names, facts, bytes.


def test_names_of_files(tmp_path: Path) -> None:
    files = ["a.py", "pkg/__init__.py", "pkg/b.py", "pkg/sub/__init__.py", "pkg/sub/c.py", "src/d.py", "pkg/a.py"]
    names = Names("/t", dict.fromkeys(f"/t/{name}" for name in files))
    located = [
        ("x.py", "a", ("a.py", ())), ("x.py", "a.b.c", ("a.py", ("b", "c"))), ("x.py", "pkg", ("pkg/__init__.py", ())),
        ("x.py", "pkg.b.n", ("pkg/b.py", ("n",))), ("x.py", "pkg.n", ("pkg/__init__.py", ("n",))),
        ("x.py", "d.n", ("src/d.py", ("n",))), ("pkg/b.py", ".a", ("pkg/a.py", ())), ("pkg/b.py", "a", ("pkg/a.py", ())),
        ("pkg/b.py", ".sub.c.n", ("pkg/sub/c.py", ("n",))), ("pkg/sub/c.py", "..b", ("pkg/b.py", ())),
        ("pkg/sub/c.py", "..n", ("pkg/__init__.py", ("n",))), ("pkg/sub/c.py", "a", ("pkg/a.py", ())),
        ("pkg/b.py", ".", ("pkg/__init__.py", ())), ("x.py", ".n", None), ("x.py", "other", None),
    ]  # fmt: skip
    for path, dotted, wanted in located:
        found = names.locate(f"/t/{path}", dotted)
        assert found == ((f"/t/{wanted[0]}", wanted[1]) if wanted else None), (path, dotted)
    # A file beside the reader has the name of the package that the reader is of, and holds no modules.
    own = ("net/__init__.py", "net/models/net.py", "net/models/mix.py", "net/parts/dc.py", "src/net.py")
    names = Names("/t", dict.fromkeys(f"/t/{name}" for name in own))
    shapes = (
        ("net.parts.dc.Router", "net/parts/dc.py", ("Router",)), ("net.parts.dc", "net/parts/dc.py", ()),
        (".net.Net", "net/models/net.py", ("Net",)), ("net.Net", "net/models/net.py", ("Net",)),
        ("net.Net.size", "net/models/net.py", ("Net", "size")),
    )  # fmt: skip
    for dotted, file, rest in shapes:
        assert names.locate("/t/net/models/mix.py", dotted) == (f"/t/{file}", rest), dotted
    # A package within another's tree has requirements of its own, and is the whole project where it is named alone.
    inner = Names("/t/big/core", dict.fromkeys(f"/t/big/core/{name}" for name in ("__init__.py", "a.py", "sub/b.py")))
    for dotted, rest in (("big.core.sub.b.n", ("n",)), ("core.sub.b", ()), ("t.big.core.sub.b.x", ("x",))):
        assert inner.locate("/t/big/core/a.py", dotted) == ("/t/big/core/sub/b.py", rest)
    assert (
        inner.locate("/t/big/core/a.py", "big.sub.b") is None and inner.locate("/t/big/core/a.py", "big.core") is None
    )
    assert Names("/t/big", {"/t/big/a.py": None}).locate("/t/big/a.py", "t.big.a") is None, "no package"
    assert [stem_of(path) for path in ("/t/a.py", "/t/pkg/__init__.py")] == ["a", "pkg"]
    tests = ("test_a.py", "conftest.py", "tests/a.py", "x/test/a.py", "conftest_x.py", "a_test.py")
    assert all(map(is_test, tests)) and not any(map(is_test, ("testing/a.py", "x/a.py")))


def test_facts() -> None:
    text = (
        "import a, b.c as d  # e\nfrom x import (\n  f,  # g\n  h as i,\n)\nfrom . import j\nfrom .k import *\nif y: import l\n"
        "def m(): from n import o\nclass P: pass\nclass Q(r.S, T[u], metaclass=V, W): pass\nclass X(make(Y), Z): pass\n"
        "  class AA(\n    BB,  # CC\n    DD,\n  ): pass\nasync def ee(x): pass\nimportant = 1\nflash_attention_2 = 1\n"
    )
    found = facts_of(text.encode())
    assert found.imports == (
        Import("a", "a", "a", True), Import("d", "b.c", "b.c", True), Import("f", "x.f", "x.f", True),
        Import("i", "x.h", "x.h", True), Import("j", ".j", ".j", True), Import("l", "l", "l", False),
        Import("o", "n.o", "n.o", False),
    )  # fmt: skip
    assert found.stars == (".k",) and found.functions == {"m", "ee"} and found.attends
    assert found.classes == (("P", ()), ("Q", ("r.S", "T", "W")), ("X", ("Z",)), ("AA", ("BB", "DD")))
    assert found.imports_of("d") == [Import("d", "b.c", "b.c", True)] and found.imports_of("b") == []
    assert not facts_of(b"").attends and not facts_of(b"").is_node_pack
    assert facts_of(b"from a import b, \\\r\n    c\r\n").imports[-1].target == "a.c"
    assert facts_of(text.replace("\n", "\r\n").encode()) == found == facts_of(text.replace("\n", "\r").encode())


def test_which_files_are_looked_through(tmp_path: Path) -> None:
    folders = ("node_modules", "site-packages", "dist-packages", "venv", "__pycache__", ".hidden")
    plant(tmp_path, {f"{folder}/x.py": b"" for folder in folders} | {"b.py": b"", "a/c.py": b"", "d.txt": b""})
    assert python_below(str(tmp_path)) == ([str(tmp_path / "b.py"), str(tmp_path / "a" / "c.py")], True)


def test_what_bytes_ask() -> None:
    assert asks_another(b"x.kind", "kind") and asks_another(b"self.kind a.kind", "kind")
    assert not asks_another(b"self.kind cls.kind kind", "kind")
    assert asks_for(b"kind", "kind") and not asks_for(b"other", "kind")
    for text in (b"dtype == x", b"x['dtype'] in y", b"dtype) not in y", b'get("dtype") == x'):
        assert asks_for(text, "dtype"), text
    assert not asks_for(b"dtype = x", "dtype") and not asks_for(b"my_dtype_x == y", "dtype")


# What models of a project have in the place of flash attention, and what it becomes.
TABLES = {
    "T = {'eager': A, 'flash_attention_2': B}\n": "eager",
    "T = {'eager': A, 'sdpa': B, 'flash_attention_2': C}\n": "sdpa",
    "T = {'eager': A, 'flash_attention_2': B, OTHER: C}\n": "eager",
    "T = {'eager': A, 'flash_attention_2': B, **more}\n": "eager",
    "T = {'eager': 1, 'flash_attention_2': 2}\n": "sdpa",
    "T = {'other': A, 'flash_attention_2': B}\n": "sdpa",
    "T = {'eager': A, 'flash_attention_2': B}\nU = {'other': A, 'flash_attention_2': B}\n": "sdpa",
    "T = {'eager': A, 'flash_attention_2': B}\nU = {'eager': A, 'sdpa': A, 'flash_attention_2': B}\n": "eager",
    "x = 'flash_attention_2'\n": "sdpa",
}


@pytest.mark.parametrize("text", TABLES)
def test_a_model_that_has_eager_alone(text: str, tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "model.py": text.encode(),
            "pyproject.toml": b"",
            "tests/test_m.py": b"T = {'x': A, 'flash_attention_2': B}\n",
        },
    )
    path = str(tmp_path / "a.py")
    load = "load(attn_implementation='{}')\n"
    assert rewritten(load.format("flash_attention_2"), path=path) == load.format(TABLES[text])


BROUGHT = {
    "A.from_pretrained(x)": True, "a.from_pretrained(x)": False, "from_pretrained(x)": False,
    "f(trust_remote_code=True)": True, "f(trust_remote_code = True)": True, "f(trust_remote_code=False)": False,
    "pipeline(x)": True, "LLM(x)": True, "SentenceTransformer(x)": True, "load_file(x)": True, "safe_open(x)": True,
    "torch.load(x)": True, "torch.hub.load(x)": True, "hub.load_state_dict_from_url(x)": True, "load(x)": False,
}  # fmt: skip


@pytest.mark.parametrize("text", BROUGHT)
def test_where_a_text_may_bring_something(text: str) -> None:
    assert bool(calls(text)) is BROUGHT[text]
    assert bool(calls(f"x = 1\n{text}\n")) is BROUGHT[text]
    assert not calls(f'"""Doc.\n\n    {text}\n"""\n')
    assert bool(calls(f'"""Doc."""\n{text}\n"""More."""\n')) is BROUGHT[text]
