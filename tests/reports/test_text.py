"""A run as text: what stands under which heading, and in its last lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.engine.scan import scan
from precision_fix.model.target import FLOAT32
from precision_fix.reports.caret import marked
from precision_fix.reports.run import Run
from precision_fix.reports.text import lines, render
from tests.reports.runs import BROKEN, CAST, KEPT, LONGER, TREE, run_on

TRIED = "try:\n    import flash_attn\nexcept ImportError:\n    flash_attn = None\n"
NEEDED = "import flash_attn\nflash_attn.flash_attn_func(q, k, v)\n"


def test_what_is_left_on_purpose_is_told_by_what_it_is(tmp_path: Path) -> None:
    """Not by the title of a rule that speaks of a need."""
    told = render(run_on(tmp_path, {"a.py": TRIED, "b.py": NEEDED, "c.py": KEPT}))
    kept, _, manual = told.partition("Needs a hand")
    assert "PF912       1 place  imported where it is there" in kept
    assert "PF001       1 place  compared or tested" in kept
    assert "is needed" not in kept and "b.py:1:1: PF912" in manual


@pytest.mark.parametrize("files", [{"a.py": BROKEN}, {"a.py": BROKEN, "b.py": KEPT}])
def test_a_file_that_failed_is_not_called_done(tmp_path: Path, files: dict[str, str]) -> None:
    run = run_on(tmp_path, files)
    others = ", nothing to change in the others" * (len(files) > 1)
    assert render(run).endswith(f"{len(files)} file{'s' * (len(files) > 1)} read, 1 not done{others}.\n")
    assert "nothing left to change" not in run.headline + render(run) and "1 file failed" in run.headline


def test_what_needs_a_hand_is_told_beside_what_failed(tmp_path: Path) -> None:
    told = render(run_on(tmp_path, {"a.py": BROKEN, "b.py": NEEDED}))
    assert told.endswith("2 files read, 1 not done, nothing to change in the others; 1 place needs a hand.\n")


@pytest.mark.parametrize("program", ["", "train.py"])
def test_the_line_to_start_it_has_the_name_of_the_program(tmp_path: Path, program: str) -> None:
    told = render(run_on(tmp_path, {"a.py": LONGER, **({program: CAST} if program else {})}, dry=False))
    assert "precision-fix run" in told and "PROGRAM" not in told
    assert f"    precision-fix run {tmp_path / (program or 'a.py')}" in told


def test_the_last_lines_are_in_the_order_in_which_a_person_asks(tmp_path: Path) -> None:
    files = {"train.py": CAST, "kept.py": KEPT, "kernel.cu": "__nv_bfloat16 x;\n"}
    run = run_on(tmp_path / "it", files, dry=False)
    run.memory = [("float32 takes twice the memory", False), ("    precision-fix undo it", True)]
    assert render(run).splitlines()[-6:] == [
        "3 files read: 1 place found, 1 file changed.",
        "Left as they are, for the reasons above: 1 place on purpose, 1 place needs a hand.",
        f"Start it as before: python {tmp_path / 'it' / 'train.py'}",
        "float32 takes twice the memory",
        "    precision-fix undo it",
        f"Take it back with: precision-fix undo {tmp_path / 'it'}",
    ]


def test_no_command_is_broken_where_a_terminal_is_narrow(tmp_path: Path) -> None:
    pack = {"ComfyUI/custom_nodes/Pack/__init__.py": "from .a import NODE_CLASS_MAPPINGS\n", "ComfyUI/main.py": ""}
    run = run_on(tmp_path / "it", {**pack, "ComfyUI/custom_nodes/Pack/a.py": CAST}, dry=False)
    run.memory = [("    precision-fix run --storage bfloat16 a_program_of_a_long_name.py", True)]
    told = [line for _, line in lines(run, width=40)]
    assert f"    precision-fix run {tmp_path / 'it' / 'ComfyUI' / 'main.py'}" in told
    assert run.memory[0][0] in told


def test_each_project_is_started_by_its_name_in_the_order_in_which_they_were_named(tmp_path: Path) -> None:
    for name in ("b", "a"):
        run_on(tmp_path / name, {"main.py": CAST})
    found = scan([tmp_path / "b", tmp_path / "a"], FLOAT32, with_text=True)
    told = render(Run(found, [tmp_path / "b", tmp_path / "a"], dry=False))
    assert [line.split(" as ")[0] for line in told.splitlines() if line.startswith("Start ")] == ["Start b", "Start a"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_on_a_terminal_no_line_of_words_is_wider(tmp_path: Path, width: int) -> None:
    run = run_on(tmp_path, {**TREE, "longer.py": LONGER}, verbose=True)
    told = lines(run, width=width)
    cut = lines(
        run_on(tmp_path, {"cut.py": f"def f({'a, ' * 30}b=torch.bfloat16, {'c=0, ' * 30}):\n    pass\n"}, verbose=True),
        width=width,
    )
    assert any(line.startswith("    ...") and line.endswith("...") for _, line in cut)
    told += cut
    wide = [line for _, line in told if len(line) > width and str(tmp_path) not in line]
    assert not wide and "".join(line.split(": ")[-1] for _, line in told)


@pytest.mark.parametrize(
    ("line", "column", "token", "shown", "carets"),
    [
        ("    x = torch.bfloat16", 9, "torch.bfloat16", "x = torch.bfloat16", "    ^^^^^^^^^^^^^^"),
        ("\tx =\ttorch.bfloat16", 6, "torch.bfloat16", "x =    torch.bfloat16", "       ^^^^^^^^^^^^^^"),
        ('d = "bf16"', 5, "'bf16'", 'd = "bf16"', "    ^^^^^^"),
        ("名 = bfloat16", 5, "bfloat16", "名 = bfloat16", "     ^^^^^^^^"),
        ("x = 1", 5, "gone", "x = 1", "    ^"),
        ("x", 9, "", "x", " ^"),
        (f"{'a' * 90} bf16 {'b' * 90}", 92, "bf16", f"...{'a' * 39} bf16 {'b' * 51}...", f"{' ' * 43}^^^^"),
        ("a\x1b bf16", 4, "bf16", "a\\x1b bf16", "      ^^^^"),
    ],
)
def test_carets_stand_below_what_is_meant(line: str, column: int, token: str, shown: str, carets: str) -> None:
    assert marked(line, column, token) == (shown, carets)
