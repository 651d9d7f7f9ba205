"""Runs of the command line with any stdout and stderr: forked from one process that has imported it already.

A child gets its streams as the interpreter makes them at its start, None where they are closed, and flushes them as it
does at its end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.tools import environment

_SERVER = r"""
import io, json, os, sys
from precision_fix.cli import main
from precision_fix.cli.app import COMMANDS, _load
from precision_fix.rules import rules
for name in COMMANDS:
    _load(name)
rules()
# What a run imports on its way is imported once, here.
import importlib, pathlib, tempfile
import precision_fix
with tempfile.TemporaryDirectory() as warm:
    pathlib.Path(warm, "a.py").write_text("import torch\nx = y.to(torch.bfloat16)\n")
    precision_fix.patch(warm, gpu="t4")
    precision_fix.undo(warm)
for name in ("text", "json", "sarif", "github", "markdown", "html"):
    importlib.import_module(f"precision_fix.reports.{name}")
import precision_fix.plan.planning, precision_fix.plan.text, precision_fix.plan.data, precision_fix.plan.html

def place(number, kind, file):
    if kind == "closed":
        return os.close(number)
    if kind in ("gone", "pipe"):
        end, other = os.pipe()
        if kind == "pipe" and not os.fork():
            os.close(other)
            with open(file, "wb") as copy:
                while piece := os.read(end, 65536):
                    copy.write(piece)
            os._exit(0)
        os.close(end)
    else:
        other = os.open("/dev/full" if kind == "full" else file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(other, number)
    os.close(other)

def stream(number, errors):
    try:
        os.fstat(number)
    except OSError:
        return None
    return io.TextIOWrapper(io.BufferedWriter(io.FileIO(number, "wb", closefd=False)), "utf-8", errors)

def child(job):
    os.chdir(job["cwd"])
    os.environ.update(job["more"])
    place(1, job["out"], job["files"][0])
    place(2, job["err"], job["files"][1])
    sys.stdin = None
    os.close(0)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = stream(1, "strict"), stream(2, "backslashreplace")
    sys.argv = ["precision-fix", *map(os.fsdecode, map(bytes.fromhex, job["argv"]))]
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    try:
        sys.stdout is None or sys.stdout.flush()
    except Exception:
        code = 120
    try:
        sys.stderr is None or sys.stderr.flush()
    except Exception:
        pass
    if "pipe" in (job["out"], job["err"]):
        for number in (1, 2):
            os.close(number)
        os.wait()
    os._exit(code)

answers = os.fdopen(os.dup(1), "w")
for line in os.fdopen(os.dup(0)):
    number = os.fork()
    if not number:
        child(json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), file=answers, flush=True)
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run ended with, and said where the stream was "open" or a "pipe"; else it is "full", "closed" or its
    reader has "gone"."""

    code: int
    out: bytes
    err: bytes


class Launcher:
    """A context manager; `run` gives what a run came to."""

    def __init__(self, scratch: Path) -> None:
        self._files = [str(scratch / "out"), str(scratch / "err")]
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(CUDA_VISIBLE_DEVICES=""),
            text=True,
        )

    def __enter__(self) -> Launcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def run(self, *argv: object, cwd: Path, out: str = "open", err: str = "open", **more: str) -> Ran:
        for file in self._files:
            Path(file).write_bytes(b"")
        words = [os.fsencode(str(word)).hex() for word in argv]
        job = {"argv": words, "cwd": str(cwd), "out": out, "err": err, "files": self._files, "more": more}
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        code = int(self._server.stdout.readline())
        return Ran(code, *(Path(file).read_bytes() for file in self._files))
