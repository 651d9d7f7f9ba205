"""Command lines that are read without typer are read as typer reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer.main
from hypothesis import given, settings
from hypothesis import strategies as st

from precision_fix.cli import job, patch, simple
from precision_fix.cli.app import app
from precision_fix.cli.meant import COMMANDS
from tests.tools import command, environment, modules_after

# These make a command line one that typer reads.
LEFT_TO_TYPER = {"--output-format", "--output-file", "--stdin-filename", "--version", "-V"}
DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(simple._FLAGS.values(), False),
    **dict.fromkeys((*simple._VALUES.values(), *simple._LISTS.values(), "stdin_filename"), None),
    "asked": [],
}


def by_typer(argv: list[str]) -> dict[str, Any]:
    """What typer gives to the job."""
    given: dict[str, Any] = {}

    def take(paths: list[str], **rest: Any) -> int:
        given.update(rest, paths=paths)
        return 0

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(job, "patch", take)
        app(args=["patch", *argv], prog_name="precision-fix", standalone_mode=False)
    return given


def test_every_option_has_a_place() -> None:
    """A new option is read here as well, or left to typer."""
    assert patch.patch is not None
    group: Any = typer.main.get_command(app)
    options = [each for each in group.commands["patch"].params if each.param_type_name == "option"]
    names = {name for each in options for name in each.opts}
    assert names == {*simple._FLAGS, *simple._VALUES, *simple._LISTS, *LEFT_TO_TYPER}
    for each in options:
        assert not each.secondary_opts, "a contrary would be a flag as well"
        for name in each.opts:
            if name not in LEFT_TO_TYPER:
                assert each.is_flag == (name in simple._FLAGS)
                assert each.multiple == (name in simple._LISTS)
                found = {**simple._FLAGS, **simple._VALUES, **simple._LISTS}[name]
                assert each.name == found


_NAMES = st.sampled_from([*simple._VALUES, *simple._LISTS])
_GIVEN = st.sampled_from(["t4", "PF1,PF2", "a.toml", "float32", "-x", "", "a=b"])
_PATHS = st.sampled_from(["a.py", "b c", "", "patch", "undo", "\u00e9"])
_ODD = st.sampled_from(["-", "--", "--check=1", "--diff=", "--gpu", "--nonsense", "-vv", "-h", *sorted(LEFT_TO_TYPER)])
_PARTS = st.one_of(
    st.sampled_from([*simple._FLAGS]).map(lambda word: [word]),
    st.tuples(_NAMES, _GIVEN).map(list),
    st.tuples(_NAMES, _GIVEN).map(lambda pair: ["=".join(pair)]),
    _PATHS.map(lambda word: [word]),
    _ODD.map(lambda word: [word]),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(_PARTS, max_size=5).map(lambda parts: [word for part in parts for word in part]))
def test_typer_reads_the_same(argv: list[str]) -> None:
    found = simple.read(argv, COMMANDS)
    if found is not None:
        assert {**DEFAULTS, **found} == by_typer(argv)


@pytest.mark.parametrize(
    "argv",
    [
        ["--check", "."],
        ["--gpu", "t4", "--check", "a", "b"],
        ["a", "--gpu=t4", "-v", "--to", "float16", "--diff"],
        ["--select", "PF1", "--select=PF2,PF3", "--ignore", "PF9", "."],
        ["--config", "x.toml", "--extend-exclude", "a*", "--exit-zero", "--statistics", "--isolated", "."],
    ],
)
def test_what_nearly_everybody_says_is_simple(argv: list[str]) -> None:
    found = simple.read(argv, COMMANDS)
    assert found is not None
    assert {**DEFAULTS, **found} == by_typer(argv)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--help"],
        ["--check"],
        ["undo", "."],
        ["patch", "."],
        ["--gpu", "--check", "."],
        ["--gpu", "t4", "--gpu", "p100", "."],
        ["--gpu=", "."],
        ["--nonsense", "."],
        ["--", "-a"],
        ["-"],
        ["--check", ".", "--gpu"],
        ["--output-format", "json", "."],
    ],
)
def test_the_rest_is_left_to_typer(argv: list[str]) -> None:
    assert simple.read(argv, COMMANDS) is None


def test_completion_is_left_to_typer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_PRECISION_FIX_COMPLETE", "complete_bash")
    assert simple.read(["--check", "."], COMMANDS) is None


def test_a_simple_run_imports_no_library_for_command_lines(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import torch\nx = y.to(torch.bfloat16)\n")
    script = "from precision_fix.cli import main\nmain()"
    for arguments in (["--version"], ["--gpu", "t4", "--check", str(tmp_path)], ["--gpu", "t4", str(tmp_path)]):
        loaded = modules_after(script, *arguments)
        assert not {each.partition(".")[0] for each in loaded} & {"typer", "click", "pydantic", "rich"}, arguments
    assert "typer" in modules_after(script, "--gpu", "t4", "--check", "--", str(tmp_path)), "so that it can fail"


def test_the_version_starts_no_more_than_it_needs() -> None:
    loaded = modules_after("from precision_fix.cli import main\nmain()", "--version")
    ours = {each for each in loaded if each.startswith("precision_fix.")}
    assert ours <= {f"precision_fix.{name}" for name in ("cli", "cli.streams", "cli.simple", "errors", "model")} | {
        "precision_fix.model.problem"
    }


def test_both_ways_end_alike(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import torch\nx = y.to(torch.bfloat16)\n")
    env = environment(CUDA_VISIBLE_DEVICES="")
    for arguments in (["--check", "."], ["--check", "nowhere"], ["--to", "int8", "."], ["--diff", "--exit-zero", "."]):
        quick = command(*arguments, cwd=tmp_path, env=env)
        slow = command("patch", *arguments, cwd=tmp_path, env=env)
        assert (quick.returncode, quick.stdout, quick.stderr) == (slow.returncode, slow.stdout, slow.stderr)
