"""`precision-fix doctor`: one page, its exit codes, and what is promised of its width."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from precision_fix.model.entry_points import program_in
from tests.tools import command, environment, modules_after, plant

PROJECT = {
    "requirements.txt": b"torch\n",
    "main.py": b"import torch\nimport attention\nx = torch.zeros(1, dtype=torch.bfloat16)\n"
    b"if __name__ == '__main__':\n    print(x)\n",
    "attention.py": b"from flash_attn import flash_attn_func\n",
    "kernels/one.cu": b"__nv_bfloat16 x;\n",
    "run.sh": b"python train.py --tf32 True\n",
}


def _page(*words: str, cwd: Path, columns: int = 80) -> tuple[int, list[str]]:
    done = command("doctor", *words, cwd=cwd, env=environment(COLUMNS=str(columns), NO_COLOR="1"))
    assert b"Traceback" not in done.stderr and b"Traceback" not in done.stdout
    return done.returncode, done.stdout.decode().splitlines()


@pytest.mark.parametrize("columns", [60, 80])
def test_a_project_on_a_t4(tmp_path: Path, columns: int) -> None:
    plant(tmp_path, PROJECT)
    code, lines = _page("--gpu", "t4", ".", cwd=tmp_path, columns=columns)
    text = " ".join(" ".join(lines).split())
    assert code == 1
    assert "Tesla T4, compute capability 7.5: no bfloat16 units, no TF32" in text
    for name in ("torch", "Triton", "flash-attn", "xformers", "bitsandbytes", "memory"):
        assert any(line[4:].startswith(name) for line in lines), name
    assert "no units for it below 8.0: 1 place in 1 file, by an edit main.py:3" in text
    assert "its kernels begin at 8.0: 1 place in 1 file, by the runtime attention.py:1" in text
    assert "one.cu:1" in text and "precision-fix run main.py # does the rest" in text
    for words in ("", "--check "):  # can be pasted where no card is
        assert f"precision-fix --gpu t4 {words}." in text
    assert all(len(line) <= columns for line in lines), [line for line in lines if len(line) > columns]


def test_a_patched_project_starts_as_its_patch_said(tmp_path: Path) -> None:
    plant(tmp_path, PROJECT)
    assert command("--gpu", "t4", ".", cwd=tmp_path).returncode == 0
    text = " ".join(" ".join(_page("--gpu", "t4", ".", cwd=tmp_path)[1]).split())
    assert "python main.py # starts the runtime, which does the rest" in text and "precision-fix run" not in text


def test_a_gpu_with_bfloat16_and_a_clean_project(tmp_path: Path) -> None:
    plant(tmp_path, PROJECT)
    code, lines = _page("--gpu", "a100", ".", cwd=tmp_path)
    assert code == 0 and lines[-1] == ".: nothing needs changing for this GPU"
    (tmp_path / "clean").mkdir()
    (tmp_path / "clean" / "main.py").write_text("import torch\nx = torch.zeros(1)\n")
    code, lines = _page("--gpu", "t4", "clean", cwd=tmp_path)
    assert "nothing here meets a limit of this GPU" in lines[-1] and code == 0


def test_it_counts_what_a_patch_counts(tmp_path: Path) -> None:
    loads = b"from transformers import AutoModel\nmodel = AutoModel.from_pretrained('x', torch_dtype='auto')\n"
    plant(
        tmp_path, {**PROJECT, "load.py": loads, "main.py": PROJECT["main.py"].replace(b"attention", b"attention, load")}
    )
    words = ("--gpu", "t4", ".")
    checked = command("--check", *words, cwd=tmp_path).stdout.decode()
    text = " ".join(" ".join(_page(*words, cwd=tmp_path)[1]).split())
    (changes,) = re.findall(r"\d+ places? in \d+ files?(?= would change)", checked)
    assert f"changes {changes} (1 start line)" in text
    (running,) = re.findall(r"(\d+) places are decided while it runs", checked)
    data = json.loads(command("doctor", *words, "--json", cwd=tmp_path).stdout)
    assert sum(each["running"] for each in data["limits"]) == int(running) == 2
    assert f"{data['changes']} places" in changes


def test_what_could_not_be_read_is_not_called_fit(tmp_path: Path) -> None:
    plant(tmp_path, {"one/a.py": b"x = = bfloat16\n", "two/a.py": b"x = = bfloat16\n", "two/b.py": b"x = 1\n"})
    (tmp_path / "empty").mkdir()
    said = {name: _page("--gpu", "t4", name, cwd=tmp_path) for name in ("empty", "one", "two")}
    assert {name: (code, lines[-1].split(maxsplit=1)) for name, (code, lines) in said.items()} == {
        "empty": (0, ["-", "no files here that are read"]),
        "one": (1, ["X", "1 not read"]),
        "two": (1, ["X", "1 not read; the others meet no limit of this GPU"]),
    }


def test_the_program_of_a_folder_that_cannot_be_read_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str | os.PathLike[str], **_: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", os.fspath(path))

    monkeypatch.setattr(os, "stat", refused)
    found = program_in(["locked"])
    monkeypatch.undo()
    assert found is None


def test_the_machine_alone_and_as_json(tmp_path: Path) -> None:
    plant(tmp_path, PROJECT)
    _, lines = _page(cwd=tmp_path)
    assert lines[0].split()[1] == "GPU" and not any("main.py" in line for line in lines)
    done = command("doctor", "--gpu", "p100", "--json", ".", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert done.returncode == 1 and found["gpu"] == {"name": "Tesla P100", "compute_capability": "6.0"}
    assert {each["name"] for each in found["limits"]} == {"bfloat16", "flash attention", "kernels", "TF32"}
    assert {each["state"] for each in found["machine"]} <= {"good", "limit", "bad", "none"}
    (flash,) = [each for each in found["limits"] if each["name"] == "flash attention"]
    assert flash["running"] == 1 and flash["files"] == {"attention.py": [1]}


@pytest.mark.parametrize(("words", "says"), [(["nosuch"], "no such file"), (["--gpu", "rtx9"], "unknown GPU")])
def test_a_mistake_is_one_line_and_code_2(tmp_path: Path, words: list[str], says: str) -> None:
    done = command("doctor", *words, cwd=tmp_path)
    assert done.returncode == 2 and says in done.stderr.decode() and not done.stdout
    assert len(done.stderr.decode().splitlines()) == 1


def test_torch_is_not_imported_in_this_process(tmp_path: Path) -> None:
    plant(tmp_path, PROJECT)
    loaded = modules_after("from precision_fix.cli import main\nmain()", "doctor", "--gpu", "t4", ".", cwd=tmp_path)
    assert "precision_fix.gpu.machine" in loaded and not loaded & {"torch", "libcst", "rich"}
