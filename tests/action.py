"""The scripts of action.yml, run as a runner of GitHub runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.tools import REPOSITORY

_EXPRESSION = re.compile(r"\$\{\{\s*([^}]*?)\s*\}\}")


def action() -> dict[str, Any]:
    loaded = yaml.safe_load((REPOSITORY / "action.yml").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


@dataclass
class Job:
    """A job on a runner: its workspace, what its steps said and how they ended."""

    workspace: Path
    temporary: Path
    stdout: str = ""
    stderr: str = ""
    code: int = 0
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        path = self.temporary / "summary.md"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def run(self, environment: dict[str, str], **inputs: str) -> None:
        """Run the scripts with these inputs (`-` as `_`), until one fails; what `uses` another action is left out."""
        given = {name: str(spec["default"]) for name, spec in action()["inputs"].items()}
        given.update({name.replace("_", "-"): value for name, value in inputs.items()})
        for step in action()["runs"]["steps"]:
            if "run" in step and not self.code:
                self._step(step, given, environment)

    def _step(self, step: dict[str, Any], inputs: dict[str, str], environment: dict[str, str]) -> None:
        assert step["shell"] == "bash"
        output, script = self.temporary / f"{step['id']}.output", self.temporary / f"{step['id']}.sh"
        output.touch()
        script.write_text(step["run"], encoding="utf-8")

        def value(match: re.Match[str]) -> str:
            kind, name, *rest = match[1].split(".")
            return inputs[name] if kind == "inputs" else self.outputs.get(name, {}).get(rest[1], "")

        result = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.workspace,
            env={
                **os.environ,
                **environment,
                **{name: _EXPRESSION.sub(value, text) for name, text in step.get("env", {}).items()},
                "GITHUB_ACTIONS": "true",
                "GITHUB_ACTION_PATH": str(REPOSITORY),
                "GITHUB_WORKSPACE": str(self.workspace),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(self.temporary / "summary.md"),
                "RUNNER_TEMP": str(self.temporary),
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.stdout += result.stdout
        self.stderr += result.stderr
        self.code = result.returncode
        self.outputs[step["id"]] = dict(line.split("=", 1) for line in output.read_text().splitlines())


def command_in(directory: Path) -> Path:
    """A `precision-fix` that is this checkout under this Python."""
    program = directory / "precision-fix"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{REPOSITORY}" exec "{sys.executable}" -m precision_fix "$@"\n')
    program.chmod(0o755)
    return program
