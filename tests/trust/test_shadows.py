"""Nothing that lies in the scanned folder is imported, whatever it is called and however the tool is started."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from precision_fix.gpu import process
from tests.action import action
from tests.tools import REPOSITORY, environment, modules_after, plant

CAST = b"import torch\nx = y.to(torch.bfloat16)\n"
# As pip writes it; the entry point is the one that the project names.
_SCRIPT = "import re\nimport sys\nfrom {module} import {name}\nif __name__ == '__main__':\n    sys.exit({name}())\n"
# One worker of the pool dies, and a new interpreter takes its place.
_KILLED = """
import os, signal
import precision_fix.engine.one as scan
plain, parent = scan.scan_file, os.getpid()
def deadly(path, *a, **k):
    if path.endswith("m7.py") and os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(path, *a, **k)
scan.scan_file = deadly
"""


def entry_point() -> tuple[str, str]:
    text = (REPOSITORY / "pyproject.toml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("precision-fix = "))
    module, _, name = line.split('"')[1].partition(":")
    return module, name


@pytest.fixture(scope="module")
def needed() -> set[str]:
    """The modules that a run needs which finds something in every kind of file, writes reports and undoes."""
    script = "from precision_fix.cli import main\nmain()"
    tree = "import precision_fix.engine.pool, precision_fix.engine.undo, precision_fix.reports.html, faulthandler\n"
    tree += "import precision_fix.reports.sarif, libcst, typer, rich.progress, yaml, pynvml\n"
    found = modules_after(tree + script, "--gpu", "t4", "--diff", str(REPOSITORY / "fixtures" / "demo"))
    roots = {name.partition(".")[0] for name in found}
    return {name for name in roots if name.isidentifier()} - {"precision_fix", "__main__"}


def imported_before_us(*command: str, cwd: Path, env: dict[str, str]) -> set[str]:
    """What Python itself imports before the first line of a program that is started so."""
    done = subprocess.run([sys.executable, *command], cwd=cwd, env=env, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("start", ["script", "module", "script with an empty entry in PYTHONPATH"])
@pytest.mark.parametrize("killed", [False, True])
def test_modules_beside_the_files_are_not_imported(start: str, killed: bool, needed: set[str], tmp_path: Path) -> None:
    marker = tmp_path / "imported"
    out = plant(tmp_path / "out", {"shown.py": b"import sys\nprint(*sys.modules)\n", "re_shown.py": b""})
    env = environment(PYTHONPATH=f"{REPOSITORY}")
    shown = ["-m", "shown"]
    if start != "module":
        (out / "re_shown.py").write_text("import re, sys\nprint(*sys.modules)\n")
        shown = ["re_shown.py"]
    if start.endswith("PYTHONPATH"):
        env["PYTHONPATH"] = f":{REPOSITORY}"
    early = imported_before_us(*shown, cwd=out, env=env)
    names = sorted((needed | set(sys.stdlib_module_names)) - early - set(sys.builtin_module_names) - {"sitecustomize"})
    assert len(names) > 100
    planted = f"open({str(marker)!r}, 'a').write(__name__ + ' ')\n".encode()
    tree = {f"{name}.py": planted for name in names if name != "usercustomize"}
    root = plant(
        tmp_path / "tree", {**tree, **{f"x/m{number}.py": CAST if number < 9 else b"" for number in range(610)}}
    )
    module, name = entry_point()
    script = _SCRIPT.format(module=module, name=name)
    if killed:
        safe = f"from precision_fix import safe_path\nsafe_path.leave_current_folder(){_KILLED}\nif __name__"
        script = script.replace("if __name__", safe)
    (tmp_path / "precision-fix").write_text(script)
    program = ["-m", "precision_fix"] if start == "module" and not killed else [str(tmp_path / "precision-fix")]
    result = subprocess.run(
        [sys.executable, *program, "--gpu", "t4", "--diff", "."], cwd=root, env=env, capture_output=True, check=False
    )
    assert not marker.exists(), marker.read_text()
    assert result.returncode == 1, result.stderr
    assert b"9 places in 9 files would change" in result.stderr


def test_programs_are_not_taken_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("clone", "bin"):
        program = plant(tmp_path / folder, {"nvidia-smi": b"#!/bin/sh\n"}) / "nvidia-smi"
        program.chmod(0o755)
    monkeypatch.chdir(tmp_path / "clone")
    monkeypatch.setenv("PATH", f":.:{tmp_path / 'bin'}:")
    assert process.find_program("nvidia-smi") == str(tmp_path / "bin" / "nvidia-smi")
    monkeypatch.setenv("PATH", ":.::")
    assert process.find_program("nvidia-smi") is None
    assert process.find_program("nvidia-smi", [str(tmp_path / "bin")]) == str(tmp_path / "bin" / "nvidia-smi")


def test_a_helper_imports_nothing_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "imported"
    planted = f"open({str(marker)!r}, 'a').write(__name__ + ' ')\n".encode()
    root = plant(tmp_path / "clone", {f"{name}.py": planted for name in ("json", "ctypes", "torch", "typing", "re")})
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", f":{REPOSITORY}:.")
    env = process.environment({})
    assert env["PYTHONPATH"] == str(REPOSITORY)
    assert "archs" in process.ask_helper("torch_helper.py", (), ("kernels",), env, 120)
    assert not marker.exists(), marker.read_text()


_IN_A_KERNEL = """
import os, sys
import precision_fix
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "precision_fix")
sys.path.insert(0, "")
before = list(sys.path)
os.chdir(sys.argv[1])
"""
_MAGIC = """
shell.run_line_magic("precision_fix", "--gpu t4 .")
shell.run_line_magic("precision_fix", "undo .")
shell.run_line_magic("precision_fix", "")
"""
_API = """
assert len(precision_fix.scan(".").changed) == 2
precision_fix.patch(".", gpu="t4")
precision_fix.undo(".")
precision_fix.detect()
"""


@pytest.mark.parametrize("used", [_MAGIC, _API], ids=["magic", "api"])
def test_a_kernel_that_went_into_a_clone_imports_nothing_of_it(used: str, tmp_path: Path) -> None:
    marker = tmp_path / "imported"
    planted = f"open({str(marker)!r}, 'a').write(__name__ + ' ')\n".encode()
    names = ("libcst", "typer", "click", "yaml", "rich", "tomllib", "difflib", "hmac", "pynvml", "hashlib")
    root = plant(
        tmp_path / "clone", {"x/a.py": CAST, "x/a.yaml": b"bf16: true\n", "precision-fix.toml": b"select = ['PF']"}
    )
    plant(root, {f"{name}.py": planted for name in names})
    env = environment(PYTHONPATH=f"{REPOSITORY}", IPYTHONDIR=f"{tmp_path}")
    script = f"{_IN_A_KERNEL}{used}assert sys.path == before, sys.path\n"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, root]
        if sys.version_info >= (3, 11)
        else [sys.executable, "-c", script, root],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not marker.exists(), marker.read_text()
    assert (root / "x/a.py").read_bytes() == CAST


def test_the_action_installs_with_nothing_of_the_workspace() -> None:
    install = next(step["run"] for step in action()["runs"]["steps"] if step.get("id") == "install")
    started = re.findall(r"(?:python3?\}?\"|PYTHON:-python3\}\") (.*?-m \w+)", install)
    assert started == ["-I -m venv", "-I -m pip"]
