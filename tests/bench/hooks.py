"""pre-commit itself, from the registry, with the hooks of this checkout as it is committed, in a scratch repository.

`make hooks`. It installs the hooks as a user's pre-commit would, and then this checkout as the Action of GitHub does,
which together takes a minute or two.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.action import Job
from tests.tools import REPOSITORY

CAST = "import torch\nx = y.to(torch.bfloat16)\n"
FIXED = CAST.replace("bfloat16", "float32")
CONFIG = """\
repos:
  - repo: {repository}
    rev: {revision}
    hooks:
      - id: precision-fix-check
      - id: precision-fix
        stages: [manual]
"""


class Scratch:
    """A repository with the hooks in its configuration, and pre-commit's cache beside it."""

    def __init__(self, top: Path) -> None:
        self.path = top / "project"
        self.path.mkdir()
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PYTHON"))},
            "PRE_COMMIT_HOME": str(top / "cache"),
            **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "A. Tester"),
            **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "a@example.com"),
        }
        revision = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, text=True).strip()
        self.run("git", "init", "-q")
        self.write(".pre-commit-config.yaml", CONFIG.format(repository=REPOSITORY.as_uri(), revision=revision))

    def write(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.run("git", "add", name)

    def run(self, *command: str) -> tuple[int, str]:
        result = subprocess.run(
            command, cwd=self.path, env=self._environment, capture_output=True, text=True, timeout=500, check=False
        )
        return result.returncode, result.stdout + result.stderr

    def hook(self, *arguments: str) -> tuple[int, str]:
        return self.run(sys.executable, "-m", "pre_commit", "run", "--verbose", *arguments)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    if subprocess.check_output(["git", "status", "--porcelain"], cwd=REPOSITORY):
        print("what is not committed is not tried", file=sys.stderr)
    with tempfile.TemporaryDirectory() as top:
        scratch = Scratch(Path(top))
        check_the_check(scratch)
        check_the_fix(scratch)
        check_a_commit(scratch)
        check_the_action(Path(top))


def expect(result: tuple[int, str], code: int, *words: str) -> None:
    missing = [word for word in words if word not in result[1]]
    if result[0] != code or missing:
        raise SystemExit(f"expected code {code} and {missing or words}, got {result[0]}:\n{result[1]}")


def check_the_check(scratch: Scratch) -> None:
    scratch.write("clean.py", FIXED)
    scratch.write("readme.md", "bfloat16\n")
    expect(scratch.hook(), 0, "Passed", "nothing left to change")
    scratch.write("cast.py", CAST)
    scratch.write("vendor/cast.py", CAST)
    scratch.write("pyproject.toml", '[tool.precision-fix]\nextend-exclude = ["vendor"]\n')
    expect(scratch.hook("precision-fix-check"), 1, "Failed", "Tesla T4", "cast.py:2:10: PF101", "would change")
    assert (scratch.path / "cast.py").read_text() == CAST
    print("check: fails where there is a place, passes where there is none, leaves out what is excluded")


def check_the_fix(scratch: Scratch) -> None:
    # More names than one command line holds, so that pre-commit passes them in chunks.
    for number in range(4000):
        path = scratch.path / f"many/{'x' * 60}{number}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(CAST)
    scratch.run("git", "add", "many")
    fix = ("--hook-stage", "manual", "precision-fix", "--all-files")
    expect(scratch.hook(*fix), 1, "files were modified by this hook")
    assert (scratch.path / "cast.py").read_text() == FIXED
    assert (scratch.path / "vendor/cast.py").read_text() == CAST
    assert all(path.read_text() == FIXED for path in (scratch.path / "many").iterdir())
    scratch.run("git", "add", ".")
    expect(scratch.hook(*fix), 0, "Passed")
    assert ".precision-fix" not in scratch.run("git", "ls-files")[1]
    print("fix: changes 4001 files in chunks, and then has nothing to do")


def check_a_commit(scratch: Scratch) -> None:
    scratch.run(sys.executable, "-m", "pre_commit", "install")
    scratch.write("new.py", CAST)
    expect(scratch.run("git", "commit", "-qm", "with a place"), 1, "new.py:2:10: PF101")
    scratch.write("new.py", FIXED)
    expect(scratch.run("git", "commit", "-qm", "without"), 0)
    print("commit: is refused with a place, and made without")


def check_the_action(top: Path) -> None:
    """With the installation that the tests leave out."""
    job = Job(top / "workspace", top / "runner")
    job.workspace.mkdir()
    job.temporary.mkdir()
    (job.workspace / "a.py").write_text(CAST)
    plain = {name: "" for name in os.environ if name.startswith("PYTHON")}
    job.run(plain, python_version="")
    expect((job.code, job.stdout + job.stderr), 1, "::warning", "file=a.py,line=2")
    assert job.outputs["install"]["command"].startswith(str(job.temporary))
    assert "PF101" in job.summary
    print("action: installs itself, annotates, sums up and fails")


if __name__ == "__main__":
    main()
