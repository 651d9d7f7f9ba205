"""What other programs call: the Action of GitHub, script by script, and the hooks as pre-commit calls them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from tests.action import Job, action, command_in
from tests.tools import REPOSITORY, command, environment

CAST = "import torch\nx = y.to(torch.bfloat16)\n"
FIXED = CAST.replace("bfloat16", "float32")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    job = Job(tmp_path / "workspace", tmp_path / "temp")
    job.workspace.mkdir()
    job.temporary.mkdir()
    (job.workspace / ".git").mkdir()
    return job


def put(job: Job, name: str, text: str = CAST) -> None:
    path = job.workspace / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def run(job: Job, **inputs: str) -> None:
    job.run(environment(CUDA_VISIBLE_DEVICES=""), command=str(command_in(job.temporary)), **inputs)
    assert "Traceback" not in job.stderr


def test_what_is_found_is_annotated_summed_up_and_fails(job: Job) -> None:
    put(job, "src/a.py")
    put(job, "clean.py", FIXED)
    run(job)
    assert job.code == 1
    annotations = [line for line in job.stdout.splitlines() if line.startswith("::")]
    assert any("file=src/a.py,line=2" in line and "PF101" in line for line in annotations), job.stdout
    assert "PF101" in job.summary and "src/a.py" in job.summary
    assert job.outputs["check"]["exit-code"] == "1"
    log = json.loads(Path(job.outputs["check"]["sarif"]).read_text())
    (result,) = log["runs"][0]["results"]
    assert result["ruleId"] == "PF101"
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "src/a.py"
    assert (job.workspace / "src/a.py").read_text() == CAST


def test_nothing_found(job: Job) -> None:
    put(job, "clean.py", FIXED)
    run(job)
    assert (job.code, job.outputs["check"]["exit-code"]) == (0, "0")
    assert "::warning" not in job.stdout
    assert json.loads(Path(job.outputs["check"]["sarif"]).read_text())["runs"][0]["results"] == []


def test_the_job_need_not_fail(job: Job) -> None:
    put(job, "a.py")
    run(job, fail="false")
    assert (job.code, job.outputs["check"]["exit-code"]) == (0, "1")
    assert "PF101" in job.summary


def test_inputs_reach_the_program_as_words(job: Job) -> None:
    put(job, "with space/a.py")
    put(job, "b.py", "import torch\nx = y.bfloat16()\n")
    put(job, "left/c.py")
    run(job, paths="'with space'\n  b.py\n", args='--ignore "PF102" --extend-exclude=nothing', to="float16", gpu="p100")
    assert job.code == 1
    assert "Tesla P100" in job.stderr and "float16" in job.stderr
    found = json.loads(Path(job.outputs["check"]["sarif"]).read_text())["runs"][0]["results"]
    uris = [each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in found]
    assert [unquote(uri) for uri in uris] == ["with space/a.py"]


def test_settings_decide_on_the_gpu_where_the_input_is_empty(job: Job) -> None:
    put(job, "a.py")
    put(job, "precision-fix.toml", 'gpu = "a100"\n')
    run(job, gpu="", paths="")
    assert job.code == 0 and "A100" in job.stderr


@pytest.mark.parametrize(
    "inputs",
    [{"paths": "nowhere"}, {"gpu": "t44"}, {"args": "--nonsense"}, {"paths": '"'}, {"to": "int8"}],
    ids=lambda inputs: next(iter(inputs)),
)
def test_a_mistake_fails_whatever_the_inputs_say(job: Job, inputs: dict[str, str]) -> None:
    put(job, "a.py")
    run(job, fail="false", **inputs)
    assert job.code != 0
    assert "sarif" not in job.outputs["check"]


def test_no_input_is_run(job: Job) -> None:
    put(job, "a.py", FIXED)
    evil = "$(touch pwned) `touch pwned`; touch pwned"
    for names in (("paths",), ("args",), ("gpu", "to", "fail")):
        run(job, **dict.fromkeys(names, evil))
        job.code = 0
    assert not (job.workspace / "pwned").exists()


def test_no_script_has_an_expression_in_it() -> None:
    steps = action()["runs"]["steps"]
    scripts = [step["run"] for step in steps if "run" in step]
    assert len(scripts) == 3 and not any("${{" in script for script in scripts)
    said = "".join(str(step.get(key, "")) for step in steps for key in ("env", "with", "if"))
    used = set(re.findall(r"inputs\.([\w-]+)", said))
    assert used == set(action()["inputs"])
    assert all(re.fullmatch(r"[\w./-]+@v\d+", step["uses"]) for step in steps if "uses" in step)


HOOKS = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_as_pre_commit_calls_it(hook: dict[str, object], tmp_path: Path) -> None:
    assert hook["require_serial"] is True and hook["language"] == "python" and hook["types"] == ["text"]
    program, *words = str(hook["entry"]).split()
    assert program == "precision-fix"
    arguments = [*words, *(str(word) for word in hook["args"] if isinstance(hook["args"], list))]  # type: ignore[attr-defined]
    for name in ("undo", "a.py", "notes.txt", "gen/b.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(CAST)
    (tmp_path / "precision-fix.toml").write_text('extend-exclude = ["gen"]\n')
    env = environment(CUDA_VISIBLE_DEVICES="")
    result = command(*arguments, "undo", "a.py", "notes.txt", "gen/b.py", cwd=tmp_path, env=env)
    checks = hook["id"] == "precision-fix-check"
    assert result.returncode == (1 if checks else 0), result.stderr
    changed = {path.name for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == FIXED.encode()}
    assert changed == (set() if checks else {"a.py"})
    assert command(*arguments, "undo", "notes.txt", "gen/b.py", cwd=tmp_path, env=env).returncode == 0
