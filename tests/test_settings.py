"""Settings: which file counts where, what it changes, and what is said of a wrong one."""

from __future__ import annotations

import dataclasses
import inspect
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import precision_fix
from precision_fix.engine.render import render
from precision_fix.engine.scan import Scan, scan, scan_bytes
from precision_fix.engine.settings import Project, Settings
from precision_fix.engine.settings_file import KEYS, _Reader, option_codes, parse
from precision_fix.errors import PrecisionFixError
from precision_fix.model.edit import Edit, Splice
from precision_fix.model.finding import Action
from precision_fix.model.moves import action_of
from precision_fix.model.selection import ALL, Selection
from precision_fix.model.target import FLOAT32
from precision_fix.rules import codes, rules
from precision_fix.sources import _FORMATS, _NAMED, Format, format_of
from precision_fix.sources.analysis import Analysis
from precision_fix.sources.heeded import Choice
from tests.modules import Example, examples
from tests.tools import NOBODY, REPOSITORY, analyse, command, environment, modules_after, source_of

# PF101, PF102, PF203, PF301.
SOME = """\
import torch
x = y.to(torch.bfloat16)
m = y.bfloat16()
a = TrainingArguments(bf16=True)
if torch.cuda.is_bf16_supported():
    pass
"""
EVERY = ["PF101", "PF102", "PF203", "PF301"]
BLIND = environment(CUDA_VISIBLE_DEVICES="")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(name: str, text: str = SOME) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))


def scanned(*paths: str, project: Project | None = None) -> Scan:
    return scan([Path(path) for path in paths or (".",)], FLOAT32, with_text=False, project=project or Project())


def told(*paths: str, project: Project | None = None) -> dict[str, list[str]]:
    """The codes that were found, by file."""
    found = scanned(*paths, project=project)
    assert found.problems == []
    return {file.path: [finding.code for finding in file.findings] for file in found.files}


def test_nothing_is_said_without_settings() -> None:
    put("a.py")
    put("pyproject.toml", '[project]\nname = "precision-fix-demo"\n[tool.ruff]\nselect = ["nonsense"]\n')
    assert told() == {"a.py": EVERY}


def test_select_and_ignore_in_a_file() -> None:
    put("a.py")
    put("pyproject.toml", '[tool.precision-fix]\nselect = ["PF1", "PF301"]\nignore = ["PF102"]\n')
    assert told() == {"a.py": ["PF101", "PF301"]}
    assert told("a.py") == {"a.py": ["PF101", "PF301"]}


def test_the_closest_file_counts_alone() -> None:
    for name in ("top.py", "a/one.py", "a/b/two.py", "c/three.py"):
        put(name)
    put("pyproject.toml", '[tool.precision-fix]\nselect = ["PF1"]\n')
    put("a/precision-fix.toml", 'ignore = ["PF1"]\n')
    put("a/pyproject.toml", '[tool.precision-fix]\nselect = ["PF3"]\n')
    put("a/b/pyproject.toml", '[project]\nname = "without the table"\n')
    put("c/pyproject.toml", "[tool.precision-fix]\n")
    expected = {
        "top.py": ["PF101", "PF102"],
        "a/one.py": ["PF203", "PF301"],
        "a/b/two.py": ["PF203", "PF301"],
        "c/three.py": EVERY,
    }
    assert told() == expected
    # However the paths are named.
    assert told(*expected) == expected
    assert told("a/b", "c", "a", "top.py") == expected


def test_settings_are_found_above_what_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    put("pyproject.toml", '[tool.precision-fix]\nselect = ["PF3"]\n')
    put("a/b/c/x.py")
    assert told("a/b/c") == {"a/b/c/x.py": ["PF301"]}
    monkeypatch.chdir("a/b")
    assert told() == {"c/x.py": ["PF301"]}
    assert told("../b/c/x.py") == {"../b/c/x.py": ["PF301"]}


def test_a_link_that_is_named_has_the_settings_of_where_it_leads(here: Path) -> None:
    put("one/precision-fix.toml", 'select = ["PF3"]\n')
    put("one/x.py")
    (here / "two").symlink_to("one")
    assert told("two") == {"two/x.py": ["PF301"]}


def test_the_command_line_comes_before_files() -> None:
    put("a.py")
    put("pyproject.toml", '[tool.precision-fix]\nselect = ["PF1"]\nignore = ["PF101"]\n')
    assert told(project=Project(Settings(select=("PF3", "PF101")))) == {"a.py": ["PF101", "PF301"]}
    assert told(project=Project(Settings(ignore=("PF102",)))) == {}
    assert told(project=Project(isolated=True)) == {"a.py": EVERY}
    put("other.toml", 'select = ["PF2"]\n')
    assert told(project=Project(config=Path("other.toml"))) == {"a.py": ["PF203"]}
    put("sub/pyproject.toml", '[tool.precision-fix]\nselect = ["PF301"]\n')
    assert told(project=Project(config=Path("sub/pyproject.toml"))) == {"a.py": ["PF301"]}


@pytest.mark.parametrize(
    ("select", "ignore", "expected"),
    [
        ("PF1", "PF101", ["PF102"]),
        ("PF101", "PF1", ["PF101"]),
        ("PF1", "PF1", []),
        ("ALL", "PF1,PF203", ["PF301"]),
        ("pf101 , PF3", "", ["PF101", "PF301"]),
        ("ALL", "PF", []),
    ],
)
def test_the_longest_prefix_decides(select: str, ignore: str, expected: list[str]) -> None:
    put("a.py")
    options = Settings(
        select=option_codes("--select", [select]), ignore=option_codes("--ignore", [ignore]) if ignore else ()
    )
    assert told(project=Project(options)) == ({"a.py": expected} if expected else {})


def test_per_file_ignores() -> None:
    for name in ("a.py", "tests/t.py", "tests/deep/t.py", "src/tests.py", "src/gen/g.py"):
        put(name)
    put(
        "pyproject.toml",
        """
        [tool.precision-fix.per-file-ignores]
        "tests" = ["PF1"]
        "./src/gen/*.py" = ["ALL"]
        "!./src/**" = ["PF3"]
        "t.py" = ["PF203"]
        """,
    )
    expected = {
        "a.py": ["PF101", "PF102", "PF203"],
        "src/tests.py": EVERY,
    }
    assert told() == expected
    assert told("tests/deep", *expected) == expected
    assert told("src/gen/g.py") == {}
    # They stay where the command line selects.
    assert told("src", "a.py", project=Project(Settings(select=("PF3",)))) == {"src/tests.py": ["PF301"]}


def test_extend_exclude() -> None:
    for name in ("a.py", "vendor/v.py", "lib/vendor/w.py", "lib/gen.py", "gen.py", "sub/a.py", "sub/out/o.py"):
        put(name)
    put("pyproject.toml", '[tool.precision-fix]\nextend-exclude = ["vendor", "/gen.py"]\n')
    put("sub/precision-fix.toml", 'extend-exclude = ["/out"]\n')
    assert set(told()) == {"a.py", "lib/gen.py", "sub/a.py"}
    assert set(told("lib", "sub")) == {"lib/gen.py", "sub/a.py"}
    # What is named is looked at.
    assert set(told("vendor", "gen.py")) == {"vendor/v.py", "gen.py"}
    assert set(told(project=Project(Settings(extend_exclude=("lib", "sub/a.py"))))) == {"a.py"}
    assert scanned("lib", project=Project(Settings(extend_exclude=("/lib/gen.py",)))).looked_at == 0


def test_force_exclude() -> None:
    for name in ("a.py", "vendor/deep/v.py", ".venv/lib/p.py", "notes.txt"):
        put(name)
    put("vendor/pyproject.toml", "[tool.precision-fix]\n")
    names = ("a.py", "vendor/deep/v.py", ".venv/lib/p.py", "notes.txt")
    put("pyproject.toml", '[tool.precision-fix]\nextend-exclude = ["vendor"]\n')
    unforced = scanned(*names)
    assert {file.path for file in unforced.files} == set(names)
    assert [problem.path for problem in unforced.problems] == ["notes.txt"]
    assert set(told(*names, project=Project(Settings(force_exclude=True)))) == {"a.py"}
    put("pyproject.toml", '[tool.precision-fix]\nextend-exclude = ["vendor/"]\nforce-exclude = true\n')
    assert set(told("a.py", ".venv/lib/p.py", "notes.txt")) == {"a.py"}
    # The settings in vendor do not force, those of the command line do.
    assert set(told("vendor/deep/v.py")) == {"vendor/deep/v.py"}
    assert told("vendor/deep/v.py", project=Project(Settings(force_exclude=True))) == {}
    forced = Settings(force_exclude=True, extend_exclude=("a.py",))
    assert told("a.py", project=Project(forced)) == {}


def test_what_git_tracks_is_excluded_all_the_same(here: Path) -> None:
    for name in ("kept/a.py", "sat/b.py", "sat/c/d.py"):
        put(name)
    put(".gitignore", "sat\nkept\n")
    assert os.system("git init -q && git add -f kept sat") == 0
    assert set(told()) == {"kept/a.py", "sat/b.py", "sat/c/d.py"}
    put("precision-fix.toml", 'extend-exclude = ["sat"]\n')
    put("kept/precision-fix.toml", 'select = ["PF3"]\n')
    assert told() == {"kept/a.py": ["PF301"]}


def test_to_and_gpu_are_those_closest_to_the_first_path() -> None:
    put("a/x.py")
    put("b/y.py")
    put("pyproject.toml", '[tool.precision-fix]\ngpu = "t4"\n')
    put("b/precision-fix.toml", 'to = "float16"\ngpu = "a100"\n')
    project = Project()
    assert (project.for_run(Path("a/x.py")).gpu, project.for_run(Path("a")).to) == ("t4", None)
    assert (project.for_run(Path("b")).gpu, project.for_run(Path("b")).to) == ("a100", "float16")
    run = project.for_run(Path("a"))
    scanned("a", project=project)
    unheeded = list(project.remarks(run))
    assert [line.partition(" is ")[0] for line in unheeded] == [
        'b/precision-fix.toml: to = "float16"',
        'b/precision-fix.toml: gpu = "a100"',
    ]
    assert list(Project(Settings(to="float32", gpu="p100")).remarks(run)) == []
    over = Project(Settings(to="float32", gpu="p100")).for_run(Path("b"))
    assert (over.to, over.gpu) == ("float32", "p100")


WRONG = [
    ('selct = ["PF1"]', 'pyproject.toml:4: unknown key "selct" in [tool.precision-fix], did you mean "select"?'),
    ("extend_exclude = []", 'unknown key "extend_exclude" in [tool.precision-fix], did you mean "extend-exclude"?'),
    ('exclude = ["a"]', 'did you mean "extend-exclude"?'),
    ('target = "float16"', 'did you mean "to"?'),
    ("qqqqqq = 1", f"there are {', '.join(KEYS)}"),
    ('select = "PF1"', 'pyproject.toml:4: select must be a list of strings, as in select = ["PF1", "PF201"]'),
    ("ignore = [1]", "pyproject.toml:4: ignore must be a list of strings"),
    ("extend-exclude = 3", "extend-exclude must be a list of strings"),
    ('select = ["PF1O1"]', 'pyproject.toml:4: select: no rule has the code "PF1O1", did you mean "PF101"?'),
    ('ignore = ["E501"]', 'no rule has the code "E501"'),
    ('select = ["PF8"]', 'no rule has the code "PF8": there are PF0, PF1'),
    ('select = [""]', "select: an empty code: write ALL for all rules"),
    ('to = "fp16"', 'pyproject.toml:4: to must be one of "float32", "float16"'),
    ("to = 16", "to must be one of"),
    ("gpu = 7.5", "pyproject.toml:4: gpu must be a string"),
    ('gpu = "t44"', "pyproject.toml:4: gpu: unknown GPU 't44'"),
    ("force-exclude = 1", "force-exclude must be true or false"),
    ('per-file-ignores = ["a.py"]', "per-file-ignores must be a table of patterns"),
    ('per-file-ignores = { "a.py" = "PF1" }', 'per-file-ignores: "a.py" must have a list of codes'),
    ('per-file-ignores."a.py" = ["PX1"]', 'per-file-ignores: no rule has the code "PX1"'),
    ('select = ["PF1"', "broken TOML: Unclosed array"),
    ("= 3", "pyproject.toml:4: broken TOML: "),
    ("a = 1\na = 2", "pyproject.toml:5: broken TOML: "),
    (f"a = {'[' * 20000}", "broken TOML: "),
    ('x = """\n[tool.precision-fix]\n"""', 'pyproject.toml:4: unknown key "x"'),
]


@pytest.mark.parametrize(("line", "expected"), WRONG, ids=[line[:30] for line, _ in WRONG])
def test_wrong_settings_are_one_line(line: str, expected: str) -> None:
    put("x/a.py")
    put("x/pyproject.toml", f"[tool.black]\nselct = 1\n[tool.precision-fix]\n{line}\n")
    with pytest.raises(PrecisionFixError) as raised:
        scanned("x/a.py")
    message = str(raised.value)
    assert expected in message and "x/pyproject.toml:" in message
    assert "\n" not in message


def test_other_wrong_files() -> None:
    put("a.py")
    for name, text, expected in [
        (
            "precision-fix.toml",
            'selct = ["PF1"]\n',
            'precision-fix.toml:1: unknown key "selct", did you mean "select"?',
        ),
        ("precision-fix.toml", '[tool.precision-fix]\nto = "float32"\n', "without [tool.precision-fix] above them"),
        ("pyproject.toml", "[tool]\nprecision-fix = 3\n", "pyproject.toml: [tool.precision-fix] must be a table"),
    ]:
        put(name, text)
        with pytest.raises(PrecisionFixError, match="precision") as raised:
            scanned()
        assert expected in str(raised.value)
        Path(name).unlink()
    Path("precision-fix.toml").write_bytes(b"to = '\xff'\n")
    with pytest.raises(PrecisionFixError, match="is not UTF-8"):
        scanned()
    Path("precision-fix.toml").unlink()
    # A directory of that name says nothing.
    Path("precision-fix.toml").mkdir()
    assert told() == {"a.py": EVERY}
    for name, expected in [("nowhere.toml", "no such file"), (".", "is a directory"), ("p/pyproject.toml", "no table")]:
        put("p/pyproject.toml", "[project]\n")
        with pytest.raises(PrecisionFixError, match=expected):
            Project(config=Path(name))
    with pytest.raises(PrecisionFixError, match="choose one"):
        Project(config=Path("pyproject.toml"), isolated=True)


def test_wrong_settings_end_the_run_before_anything_is_written() -> None:
    put("a.py")
    put("z/b.py")
    put("pyproject.toml", "[tool.precision-fix]\nselect = 1\n")
    result = command("--gpu", "t4", ".", env=BLIND)
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.decode().splitlines()[-1].startswith("precision-fix: pyproject.toml:2: select must be")
    assert Path("a.py").read_text() == SOME
    assert not Path(".precision-fix").exists()


def test_wrong_settings_further_down_keep_a_run_from_that_folder_alone() -> None:
    """They are another project's, as of a node in custom_nodes, and may say what must not be touched."""
    put("a.py")
    put("y/z/b.py")
    put("y/z/x/c.py")
    put("y/z/pyproject.toml", "[tool.precision-fix]\nselect = 1\n")
    put("y/d.py")
    result = command("--gpu", "t4", ".", env=BLIND)
    assert result.returncode == 1
    assert b"  y/z: nothing in it was looked at: y/z/pyproject.toml:2: select must be" in result.stdout
    assert all(Path(name).read_text() != SOME for name in ("a.py", "y/d.py"))
    assert all(Path(name).read_text() == SOME for name in ("y/z/b.py", "y/z/x/c.py"))


def test_the_command_line_reads_them() -> None:
    put("a.py")
    put("pyproject.toml", '[tool.precision-fix]\ngpu = "p100"\nto = "float16"\nselect = ["PF1"]\n')
    result = command(".", env=BLIND)
    assert result.returncode == 0
    assert b"Tesla P100" in result.stderr and b"becomes float16" in result.stderr
    assert Path("a.py").read_text() == SOME.replace("torch.bfloat16", "torch.float16").replace(".bfloat16()", ".half()")
    again = command("--check", ".", env=BLIND)
    assert again.returncode == 0 and b"nothing left to change" in again.stdout
    more = command(
        "--check", ".", "--gpu", "t4", "--to", "float32", "--select", "PF2,PF3", "--select", "PF4", env=BLIND
    )
    assert more.returncode == 1
    assert b"PF203" in more.stdout and b"PF301" in more.stdout and b"Tesla T4" in more.stderr
    wrong = command("--check", ".", "--ignore", "PF1,", "--select", " ", env=BLIND)
    assert (wrong.returncode, wrong.stderr) == (2, b"precision-fix: --select: names no code\n")


def test_from_python() -> None:
    put("a.py")
    put("precision-fix.toml", 'select = ["PF1"]\ngpu = "t4"\nto = "float16"\n')
    assert [finding.code for finding in precision_fix.scan(".").findings] == ["PF101", "PF102"]
    assert len(list(precision_fix.scan(".", isolated=True).findings)) == len(EVERY)
    assert precision_fix.patch(".", to="float32").changed == ["a.py"]
    assert "y.to(torch.float32)" in Path("a.py").read_text()


def test_without_a_file_nothing_is_imported_to_read_one() -> None:
    put("a.py")
    put("pyproject.toml", "[project]\n")
    script = "from precision_fix.cli import main\nmain()"
    readers = {"tomllib", "tomli", "precision_fix.engine.settings_file"}
    assert not modules_after(script, "--gpu", "t4", "--check", ".", cwd=Path()) & readers
    put("pyproject.toml", '[tool.precision-fix]\nselect = ["PF1"]\n')
    assert "precision_fix.engine.settings_file" in modules_after(script, "--gpu", "t4", "--check", ".", cwd=Path())


def test_workers_of_a_pool_see_the_settings() -> None:
    for number in range(700):
        put(f"{'ab'[number % 2]}/{number}.py")
    put("a/precision-fix.toml", 'select = ["PF3"]\nper-file-ignores = { "0.py" = ["PF3"] }\n')
    found = told()
    assert len(found) == 699
    assert all(said == (["PF301"] if path.startswith("a") else EVERY) for path, said in found.items())


@contextmanager
def without_rights() -> Iterator[None]:
    """Permissions count, for root too."""
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        yield


def test_a_file_that_cannot_be_read_is_an_error_but_not_a_directory_that_is_closed() -> None:
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o755)
        project = Path(top, "project")
        project.mkdir()
        (project / "a.py").touch()
        wrong = Path(top, "precision-fix.toml")
        wrong.write_text("to = 1\n")
        wrong.chmod(0)
        with without_rights(), pytest.raises(PrecisionFixError, match=r"cannot be read: permission denied"):
            Project().for_run(project / "a.py")
        Path(top).chmod(0)
        with without_rights():
            assert Project().for_run(project) == Project().for_run(Path("/"))
        Path(top).chmod(0o755)


def test_a_guard_and_what_it_guards_stay_where_a_rule_of_one_does_not_count() -> None:
    text = """\
import torch
def f(x):
    x = x.to(torch.bfloat16)
    assert x.dtype == torch.bfloat16
    return x
"""
    assert [finding.action for finding in analyse("a.py", text).findings] == [Action.REWRITE, Action.REWRITE]
    for codes_ in ({"PF106"}, {"PF101"}):
        part = source_of("a.py").analyse("a.py", text, FLOAT32, Selection(frozenset(codes_)))
        assert [finding.action for finding in part.findings] == [Action.MANUAL] and part.edits == []


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["PF1", "ALL", "t4", "float32"])
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(KEYS)) | st.text(), values, max_size=4), st.booleans())
def test_any_table_gives_settings_or_one_line(table: dict[str, object], plain: bool) -> None:
    try:
        said = _Reader("x.toml", "", "" if plain else "tool.precision-fix").settings(table, "/p/")
    except PrecisionFixError as error:
        assert str(error).startswith("x.toml: ") and len(str(error).splitlines()) == 1
    else:
        assert said.base == "/p/"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_give_settings_or_one_line(data: bytes) -> None:
    try:
        parse("x.toml", data, "/p/", plain=True)
    except PrecisionFixError as error:
        assert str(error).startswith("x.toml:") and len(str(error).splitlines()) == 1


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=12) | st.text(alphabet="a/*![]?\\", max_size=8))
def test_any_pattern_is_a_pattern(pattern: str) -> None:
    choice = Choice(None, ((pattern, frozenset({"PF101"})),), "/p/")
    opposite = Choice(None, ((f"!{pattern}", frozenset({"PF101"})),), "/p/")
    if not pattern.startswith("!"):
        assert choice.of("/p/a/b.py").takes("PF101") is not opposite.of("/p/a/b.py").takes("PF101")


# The codes there are, by the names of the modules, against the rules themselves.
def test_codes_are_those_of_the_rules() -> None:
    assert list(codes()) == sorted(rule.code for rule in rules())


modest = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
selections = st.builds(
    Selection, st.none() | st.frozensets(st.sampled_from(codes())), st.frozensets(st.sampled_from(codes()), max_size=9)
)


def edits_of(analysis: Analysis) -> set[str]:
    """The edits of an analysis by what they do and where, without the nodes, which are those of one tree."""
    return {_described(edit) for edit in analysis.edits}


def _described(edit: Edit | Splice) -> str:
    if isinstance(edit, Splice):
        return repr(edit)
    where = (edit.node.lineno, edit.node.col_offset, edit.node.end_lineno, edit.node.end_col_offset)
    fields = {field.name: getattr(edit, field.name) for field in dataclasses.fields(edit) if field.name != "node"}
    return f"{type(edit).__name__} {where} {fields}"


def check_selection(path: str, text: str, selection: Selection) -> None:
    """What is found and edited is that of the full run, whose code counts; what is edited is not edited again.

    Places that change together are left, and said to be, where the rule of one of them does not count.
    """
    source = source_of(path)
    whole, part = analyse(path, text), source.analyse(path, text, FLOAT32, selection)
    counted = [finding for finding in whole.findings if selection.takes(finding.code)]
    assert [(each.line, each.column, each.code) for each in part.findings] == [
        (each.line, each.column, each.code) for each in counted
    ]
    for mine, theirs in zip(part.findings, counted, strict=True):
        left = theirs.action is Action.REWRITE and mine.action is action_of(mine.reason)
        # Without the rule of the start line, nobody takes care of it.
        assert mine == theirs or left or theirs.reason.startswith(f"{mine.reason}; `import precision_fix.auto`")
    each = [
        edits_of(source.analyse(path, text, FLOAT32, Selection(frozenset({code}))))
        for code in sorted({finding.code for finding in whole.findings})
        if selection.takes(code)
    ]
    assert set().union(*each) <= edits_of(part) <= edits_of(whole)
    if part.edits:
        edited = render(source, path, text, part, FLOAT32, selection)
        again = source.analyse(path, edited, FLOAT32, selection)
        assert again.edits == []


@modest
@given(examples(), selections)
def test_a_selection_takes_its_part_of_the_findings_and_of_the_edits(module: Example, selection: Selection) -> None:
    check_selection("a.py", module.before, selection)
    format_ = format_of("a.py")
    assert format_ is not None
    found = scan_bytes("a.py", module.before.encode(), FLOAT32, True, format_, selection)
    if found is not None and found.changes:
        second = scan_bytes("a.py", found.after, FLOAT32, True, format_, selection)
        assert second is None or not second.changes


FIXTURES = sorted(path for path in (REPOSITORY / "fixtures/rules").rglob("before*") if format_of(path.name))


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.parent.name)
def test_every_kind_of_file_obeys_a_selection(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    whole = analyse(path.name, text)
    found = {finding.code for finding in whole.findings}
    for code in found:
        check_selection(path.name, text, Selection(frozenset({code})))
        check_selection(path.name, text, Selection(None, frozenset({code})))
    check_selection(path.name, text, Selection(frozenset()))
    assert source_of(path.name).analyse(path.name, text, FLOAT32, ALL).findings == whole.findings


# In one order in every process that runs tests.
_SOURCES = sorted({*_FORMATS.values(), *_NAMED.values()}, key=lambda each: each.module)


@pytest.mark.parametrize("format_", _SOURCES, ids=lambda format_: format_.module)
def test_every_source_takes_a_selection(format_: Format) -> None:
    assert "selection" in inspect.signature(format_.source().analyse).parameters
