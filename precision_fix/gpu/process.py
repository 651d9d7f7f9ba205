"""Asking other programs, without ever waiting for good."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from precision_fix.gpu.model import NoAnswer, one_line
from precision_fix.safe_path import neutral_folder

#: Begins the one line in which a helper answers, so that chatter on its standard output does no harm.
ANSWER = "precision-fix-answer:"

#: Where drivers' libraries lie when the loader does not know: WSL 2, Colab, Kaggle and GKE, NixOS.
LIBRARY_FOLDERS: tuple[str, ...] = (
    "/usr/lib/wsl/lib",
    "/usr/lib64-nvidia",
    "/usr/local/nvidia/lib64",
    "/run/opengl-driver/lib",
)

# The variables that decide which GPUs a CUDA program sees. They come from the environment that the caller
# asks about; everything else a helper needs (PATH, LD_LIBRARY_PATH, PYTHONPATH) comes from this process.
_ABOUT_CUDA = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")

#: The first keeps the folder of the script off the path, since Python 3.11. With the others `import torch` loads no
#: other backend, nor the runtime, which would ask for the GPU by a helper, whose `import torch` would do the same.
_PLAIN = {"PYTHONSAFEPATH": "1", "TORCH_DEVICE_BACKEND_AUTOLOAD": "0", "PRECISION_FIX": "off"}


class Output(NamedTuple):
    code: int
    stdout: str
    stderr: str

    @property
    def last_words(self) -> str:
        """The last line that says something, for a message."""
        lines = [line for line in (self.stdout + "\n" + self.stderr).splitlines() if line.strip()]
        return one_line(lines[-1]) if lines else f"exit code {self.code}, no output"


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, with the variables that choose GPUs as `environ` has them.

    Without the folders that are named from the current one, or are that by an empty entry: a helper starts in another.
    """
    copy = {name: value for name, value in os.environ.items() if name not in _ABOUT_CUDA}
    copy.update((name, environ[name]) for name in _ABOUT_CUDA if name in environ)
    for name in ("PYTHONPATH", "PATH", "LD_LIBRARY_PATH"):
        if copy.get(name):
            copy[name] = os.pathsep.join(_folders(copy[name]))
    return copy


def _folders(path: str) -> list[str]:
    return [folder for folder in path.split(os.pathsep) if Path(folder).is_absolute()]


def find_program(name: str, folders: Sequence[str] = ()) -> str | None:
    """The program that PATH names, or else one of these folders; never one in the current folder.

    shutil.which takes an empty entry of PATH for that, and on Windows looks there first.
    """
    import shutil

    for folder in [*_folders(os.environ.get("PATH", "")), *folders]:
        found = shutil.which(os.path.join(folder, name))  # noqa: PTH118
        if found is not None:
            return found
    return None


def run(command: Sequence[str], env: Mapping[str, str], seconds: float) -> Output:
    """Run `command` to its end. Raises NoAnswer if it cannot start or needs more than `seconds`."""
    import subprocess

    try:
        done = subprocess.run(
            command,
            env=dict(env),
            cwd=neutral_folder(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"no answer within {seconds:g} s") from None
    except OSError as error:
        raise NoAnswer(f"cannot be started: {one_line(error)}") from error
    return Output(done.returncode, done.stdout, done.stderr)


def ask_helper(
    helper: str, options: Sequence[str], arguments: Sequence[str], env: Mapping[str, str], seconds: float
) -> dict[str, Any]:
    """Run a helper script of this package with the same Python, given `options`, and return its answer.

    Raises NoAnswer if it does not answer: it crashed, say, as native libraries sometimes do.
    """
    import json

    if not sys.executable:
        raise NoAnswer("this Python does not know its own program, so it cannot start a helper")
    script = str(Path(__file__).absolute().with_name(helper))
    output = run([sys.executable, *options, script, *arguments], {**env, **_PLAIN}, seconds)
    for line in output.stdout.splitlines():
        if line.startswith(ANSWER):
            answer = json.loads(line.removeprefix(ANSWER))
            if isinstance(answer, dict):
                return answer
    raise NoAnswer(f"ended without an answer: {output.last_words}")
