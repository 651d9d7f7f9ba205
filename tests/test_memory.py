"""What float32 costs in memory is said when it is chosen, with the command that halves it."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from precision_fix.plan.phrases import size
from precision_fix.plan.planning import make_plan
from precision_fix.plan.working import PATCHED, UNPATCHED
from tests.plan.test_known import LLAMA
from tests.tools import command

CAST = "import torch\nx = y.to(torch.bfloat16)\n"


def patched(*words: str, cwd: Path) -> list[str]:
    done = command("--gpu", "t4", *words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    at = next((number for number, line in enumerate(lines) if "memory" in line), len(lines))
    return lines[at:-1]


def test_after_a_patch_it_is_said_with_the_commands(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(CAST)
    assert patched(".", cwd=tmp_path) == [
        "float32 takes twice the memory of bfloat16; half of it:",
        "    precision-fix undo .",
        "    precision-fix run --storage bfloat16 main.py",
    ]
    assert patched(".", cwd=tmp_path) == [], "nothing was left to change"


def test_a_notebook_is_told_its_own_way(tmp_path: Path) -> None:
    cell: dict[str, object] = {
        "cell_type": "code",
        "metadata": {},
        "source": CAST,
        "outputs": [],
        "execution_count": None,
    }
    kinds = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": {"language": "python"}}}
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": [cell], **kinds}))
    assert patched(".", cwd=tmp_path)[1:] == [
        "    precision-fix undo .",
        "and as the first lines of the notebook:",
        "    %env PRECISION_FIX_STORAGE=bfloat16",
        "    %load_ext precision_fix",
    ]


def test_the_checkpoints_below_are_counted(tmp_path: Path) -> None:
    (tmp_path / "lib.py").write_text(CAST)
    header = {"w": {"dtype": "BF16", "shape": [1024, 1536], "data_offsets": [0, 1024 * 1536 * 2]}}
    text = json.dumps(header).encode()
    with open(tmp_path / "a.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + 1024 * 1536 * 2)
    said, _, run = patched(".", cwd=tmp_path)
    assert run.startswith("    precision-fix run --storage bfloat16 ")
    assert said.startswith(
        "float32 takes twice the memory of bfloat16: the checkpoints here 6.0 MiB instead of 3.0 MiB;"
    )


def test_what_a_config_names_the_sizes_of_is_counted_as_plan_counts_it(tmp_path: Path) -> None:
    """The figures are those of the rows of `plan`, of the largest model that is not there for tests alone."""
    (tmp_path / "lib.py").write_text(CAST)
    for name, layers in (("small", 2), ("large", 4), ("tests/made", 8), ("lib/test_data", 9), ("fixtures", 9)):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text(json.dumps(LLAMA | {"num_hidden_layers": layers}))
    (tmp_path / "other.json").write_text("{}")
    said, _, run = patched(".", cwd=tmp_path)
    assert run.startswith("    precision-fix run --storage bfloat16 ")
    plan = make_plan([str(tmp_path / "large" / "config.json")], gpu="t4", build=False)
    assert plan.sheets[0].working is not None
    rows = {row.mode: size(row.total) for row in plan.sheets[0].working.rows}
    figures = f"large/config.json at work {rows[PATCHED]} instead of {rows[UNPATCHED]}, by an estimate"
    command = "precision-fix plan large/config.json"
    assert said.startswith(f"float32 takes twice the memory of bfloat16: {figures} ({command}); half of it:")


def test_a_config_that_lies_costs_no_patch(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(CAST)
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | {"num_hidden_layers": -3}))
    said, _, run = patched(".", cwd=tmp_path)
    assert run.startswith("    precision-fix run --storage bfloat16 ")
    assert said.startswith("float32 takes twice the memory of bfloat16; half of it:")


def test_where_nothing_grows_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import torch\nif torch.cuda.is_bf16_supported():\n    print(1)\n")
    assert patched(".", cwd=tmp_path) == []
    (tmp_path / "main.py").write_text(CAST)
    assert patched("--to", "float16", ".", cwd=tmp_path) == []


def test_a_dry_run_says_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(CAST)
    assert b"memory" not in command("--gpu", "t4", "--check", ".", cwd=tmp_path).stdout
