"""The jobs as functions of Python: what they take and give, what they raise, and how they are found."""

from __future__ import annotations

import doctest
import io
import json
import pydoc
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import precision_fix
from precision_fix import PrecisionFixError
from tests.reports.runs import CAST, KEPT
from tests.tools import REPOSITORY, environment

PAGE = REPOSITORY / "docs" / "python-api.md"
JOBS = ("scan", "patch", "undo", "detect", "plan", "audit", "install")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {"a.py": CAST, "b.py": CAST, "c.py": KEPT}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_dir_help_and_completion_show_the_jobs() -> None:
    names = dir(precision_fix)
    assert {*JOBS, "runtime", "store_in_bfloat16", "PrecisionFixError"} <= {*names}
    assert all(getattr(precision_fix, name).__doc__ for name in JOBS)
    said = io.StringIO()
    with redirect_stdout(said):
        pydoc.Helper(output=said).help(precision_fix)
    for name in ("scan", "patch", "undo", "detect", "install"):
        assert f"    {name}(" in said.getvalue(), name
    assert set(precision_fix.__all__) <= set(names)


def test_one_path_several_and_lists_of_them(project: Path) -> None:
    one, other = project / "a.py", project / "b.py"
    found = precision_fix.scan(project)
    assert len([*found.findings]) == 3
    for paths in ([one, other], [[one, str(other)]], [(each for each in (one, other))], [one, [other]]):
        assert len([*precision_fix.scan(*paths).findings]) == 2


def test_select_and_ignore(project: Path) -> None:
    def codes(**given: Any) -> set[str]:
        return {each.code for each in precision_fix.scan(project, **given).findings}

    assert codes() == {"PF101", "PF001"}
    assert codes(select="PF1") == codes(select=["PF101"]) == codes(ignore="PF0") == {"PF101"}
    assert codes(select="PF1,PF0") == codes()
    written = precision_fix.patch(project, gpu="t4", select=["PF0"])
    assert written.changed == [] and (project / "a.py").read_text() == CAST


def test_to_dict_is_what_json_takes(project: Path) -> None:
    scan = precision_fix.scan(project).to_dict()
    written = precision_fix.patch(project, gpu="t4").to_dict()
    undone = precision_fix.undo(project)
    results = [scan, written, undone.to_dict(), precision_fix.detect().to_dict(), precision_fix.status().to_dict()]
    (project / "m.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    results.append(precision_fix.make_plan(project, gpu="t4").to_dict())  # type: ignore[attr-defined]
    for each in results:
        assert json.loads(json.dumps(each)).keys() == each.keys()
    assert (
        scan["summary"]["rewrite"] == 2 and len(written["changed"]) == 2 and written["scan"]["summary"]["rewrite"] == 2
    )
    assert len(undone.to_dict()["restored"]) == 2 and repr(undone) == "<2 files restored>"
    assert "restored" in undone._repr_html_()


@pytest.mark.parametrize("job", ["scan", "patch", "plan"])
def test_a_missing_path_raises_and_so_does_none(project: Path, job: str) -> None:
    function = getattr(precision_fix, job)
    with pytest.raises(PrecisionFixError, match=r"gone: no such file or directory; nothing was done"):
        function(project, project / "gone", gpu="t4") if job != "scan" else function(project, project / "gone")
    with pytest.raises(PrecisionFixError, match="no path was given"):
        function([])
    with pytest.raises(PrecisionFixError, match="''"):
        function("")
    assert (project / "a.py").read_text() == CAST


WRONG: dict[str, Callable[[Path], Any]] = {
    'to="int8": choose one of float32, float16': lambda path: precision_fix.scan(path, to="int8"),
    'select=: no rule has the code "PX"': lambda path: precision_fix.scan(path, select="PX"),
    "ignore=: names no code": lambda path: precision_fix.scan(path, ignore=[]),
    "unknown GPU 't44'": lambda path: precision_fix.patch(path, gpu="t44"),
    "say which with gpu= (t4, p100, sm_75, 7.5), or look first with scan()": precision_fix.patch,
    "rank=0: choose a number": lambda path: precision_fix.make_plan(path, gpu="t4", rank=0),  # type: ignore[attr-defined]
    "optimizer_bits=7: choose 32 or 8": lambda path: precision_fix.plan(path, optimizer_bits=7),  # type: ignore[operator]
    'gpus=9: no GPU is visible here: name them with gpu=, as gpu="t4x2"': lambda path: precision_fix.plan(path, gpus=9),  # type: ignore[operator]
    "to='int8' is none of float32, float16": lambda _: precision_fix.install(to="int8"),
    "nothing to undo": precision_fix.undo,
    # Of another kind: what a person writes in the place of "7.5", or hands on as it came.
    "gpu takes a string, not float": lambda path: precision_fix.patch(path, gpu=7.5),  # type: ignore[arg-type]
    "to takes a string, not int": lambda path: precision_fix.scan(path, to=16),  # type: ignore[arg-type]
    "select takes strings, not int": lambda path: precision_fix.scan(path, select=[101]),  # type: ignore[list-item]
    "ignore takes strings, not bytes": lambda path: precision_fix.scan(path, ignore=b"PF1"),  # type: ignore[arg-type]
    "length takes a whole number, not str": lambda path: precision_fix.plan(path, length="512"),  # type: ignore[operator]
    "batch takes a whole number, not bool": lambda path: precision_fix.plan(path, batch=True),  # type: ignore[operator]
    "memory takes a number, not str": lambda path: precision_fix.plan(path, gpu="t4", memory="16"),  # type: ignore[operator]
    "image takes a string, not tuple": lambda path: precision_fix.plan(path, image=(64, 64)),  # type: ignore[operator]
    'targets="up_proj": choose from q': lambda path: precision_fix.plan(path, targets="q,up_proj"),  # type: ignore[operator]
    "storage takes a string, not bool": lambda _: precision_fix.install(storage=True),  # type: ignore[arg-type]
    "a path is a string or a Path, or several in a list, not None": lambda _: precision_fix.scan(None),  # type: ignore[arg-type]
    "or several in a list, not [['a.py']]": lambda _: precision_fix.patch([["a.py"]]),  # type: ignore[list-item]
    "no path can hold a null byte; nothing was done": lambda _: precision_fix.undo("a\0b"),
    "ile name too long; nothing was done": lambda _: precision_fix.undo("a" * 5000),
}


@pytest.mark.parametrize("said", WRONG)
def test_errors_speak_of_arguments(project: Path, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(PrecisionFixError) as error:
        WRONG[said](project)
    assert said in str(error.value) and "--" not in str(error.value) and len(str(error.value).splitlines()) == 1


def test_the_package_of_plans_is_the_function_too(project: Path) -> None:
    from precision_fix.plan.planning import Plan

    found = precision_fix.plan(project, gpu="t4")  # type: ignore[operator]
    assert isinstance(found, Plan) and repr(found) == "<0 models, 1 x Tesla T4>"


def test_without_torch_only_what_needs_it_raises_and_says_why(project: Path) -> None:
    script = f"""
import sys
sys.modules["torch"] = None  # as if it were not there
import precision_fix
assert len([*precision_fix.scan({str(project)!r}).findings]) == 3
assert precision_fix.detect() is not None and not precision_fix.runtime.status().active
precision_fix.plan({str(project)!r}, gpu="t4")
dir(precision_fix), precision_fix.audit.__doc__, precision_fix.store_in_bfloat16.__name__
for job in (precision_fix.audit, precision_fix.store_in_bfloat16, lambda: precision_fix.install(gpu="t4")):
    try:
        job()
    except precision_fix.PrecisionFixError as error:
        print(error)
"""
    env = environment(CUDA_VISIBLE_DEVICES="")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=True)
    said = done.stdout.splitlines()
    assert len(said) == 3 and all("torch" in line for line in said), done


def test_the_runtime_is_there_after_the_package() -> None:
    script = "import precision_fix; print(precision_fix.runtime.status().line)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment(), check=True)
    assert done.stdout.startswith("not in force")


def test_the_examples_of_the_page_are_true(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in the order of the page, in a folder with the project that it speaks of."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (project / "project").mkdir()
    for name, text in {"train.py": CAST, "compare.py": KEPT}.items():
        (project / "project" / name).write_text(text)
    result = doctest.testfile(
        str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )
    assert result.attempted > 15 and result.failed == 0
