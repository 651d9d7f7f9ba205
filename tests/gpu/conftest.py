"""A machine to play with: real processes, the real loader and the real NVML binding, against fake drivers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

_DETECT = """
import dataclasses, json, os, sys
if os.environ.get("TEST_NO_TORCH"):
    sys.modules["torch"] = None
from precision_fix.gpu import detect, process, smi
process.LIBRARY_FOLDERS = tuple(json.loads(os.environ["TEST_LIBRARY_FOLDERS"]))
smi.FOLDERS = ()
for environ in json.load(sys.stdin):
    found = detect(environ)
    print("::" + json.dumps({
        "gpus": [[g.name, str(g.capability), g.memory, g.uuid, g.index] for g in found.gpus],
        "source": found.source, "problems": found.problems, "hidden": found.hidden, "known": found.known,
        "lowest": found.lowest and found.lowest.name, "native": found.native_bfloat16,
    }))
"""


class Found:
    """What `detect` returned in another process."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.gpus: list[list[Any]] = answer["gpus"]
        self.names: list[str] = [gpu[0] for gpu in self.gpus]
        self.source: str | None = answer["source"]
        self.problems: list[str] = answer["problems"]
        self.hidden: int = answer["hidden"]
        self.known: bool = answer["known"]
        self.lowest: str | None = answer["lowest"]
        self.native: bool = answer["native"]

    def problem(self, begin: str) -> str:
        """The one problem that begins so."""
        lines = [line for line in self.problems if line.startswith(begin)]
        assert len(lines) == 1, self.problems
        return lines[0]


class Machine:
    """One made-up machine. Its libraries are found through LD_LIBRARY_PATH, its programs through PATH."""

    def __init__(self, folder: Path, libraries: Path) -> None:
        self.folder = folder
        self.built = libraries
        self.libraries = folder / "lib"
        self.programs = folder / "bin"
        self.python = folder / "python"
        for part in (self.libraries, self.programs, self.python):
            part.mkdir()
        self.env: dict[str, str] = {"TEST_NO_TORCH": "1", "TEST_LIBRARY_FOLDERS": "[]"}
        # A library that cannot be loaded, so that a real driver on the testing machine stays out of it.
        self.break_library("libnvidia-ml.so.1")
        self.break_library("libcuda.so.1")

    def break_library(self, name: str) -> None:
        (self.libraries / name).write_bytes(b"")

    def nvml(self, *cards: str, driver: int = 580, **variables: int | str) -> Machine:
        shutil.copy(self.built / f"nvml-{driver}.so", self.libraries / "libnvidia-ml.so.1")
        self.env["FAKE_NVML_DEVICES"] = ";".join(cards)
        self.env["FAKE_NVML_LOG"] = str(self.log)
        self.env.update({f"FAKE_NVML_{name.upper()}": str(value) for name, value in variables.items()})
        return self

    def cuda(self, *cards: str, **variables: int | str) -> Machine:
        shutil.copy(self.built / "cuda.so", self.libraries / "libcuda.so.1")
        self.env["FAKE_CUDA_DEVICES"] = ";".join(cards)
        self.env.update({f"FAKE_CUDA_{name.upper()}": str(value) for name, value in variables.items()})
        return self

    def smi(self, script: str) -> Machine:
        """A program nvidia-smi, of shell built-ins only."""
        program = self.programs / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return self

    def torch(self, version: str, init: str) -> Machine:
        """A package torch: its files version.py and __init__.py."""
        self.module("torch/version.py", version)
        self.module("torch/__init__.py", init)
        del self.env["TEST_NO_TORCH"]
        return self

    def module(self, path: str, text: str) -> Machine:
        file = self.python / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return self

    @property
    def log(self) -> Path:
        return self.folder / "nvml.log"

    def run(self, program: str, stdin: str = "", *arguments: str) -> str:
        """What a Python program prints on this machine. A traceback there fails the test here."""
        kept = {name: os.environ[name] for name in ("HOME", "TMPDIR", "LANG") if name in os.environ}
        env = kept | {
            "LD_LIBRARY_PATH": str(self.libraries),
            "PATH": str(self.programs),
            "PYTHONPATH": os.pathsep.join((str(self.python), str(ROOT))),
        }
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            input=stdin,
            env=env | self.env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def detect_each(self, environs: Sequence[Mapping[str, str]]) -> list[Found]:
        lines = self.run(_DETECT, json.dumps(list(environs))).splitlines()
        found = [Found(json.loads(line.removeprefix("::"))) for line in lines if line.startswith("::")]
        assert len(found) == len(environs)
        return found

    def detect(self, **environ: str) -> Found:
        found = self.detect_each([environ])[0]
        assert all(line == " ".join(line.split()) for line in found.problems), "a problem is one line"
        return found


@pytest.fixture(scope="session")
def fake_libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: the fake driver libraries cannot be built")
    if not sys.platform.startswith("linux"):
        pytest.skip("the fake driver libraries are found through LD_LIBRARY_PATH, as on Linux")
    folder = tmp_path_factory.mktemp("drivers")
    for name, source, options in (
        ("nvml-580.so", "fake_nvml.c", ()),
        ("nvml-440.so", "fake_nvml.c", ("-DDRIVER=440",)),
        ("nvml-390.so", "fake_nvml.c", ("-DDRIVER=390",)),
        ("cuda.so", "fake_cuda.c", ()),
    ):
        soname = "libcuda.so.1" if source == "fake_cuda.c" else "libnvidia-ml.so.1"
        link = ("-shared", "-fPIC", f"-Wl,-soname,{soname}", "-o", str(folder / name))
        command = [compiler, *options, str(HERE / source), *link]
        subprocess.run(command, check=True)
    return folder


@pytest.fixture
def machine(tmp_path: Path, fake_libraries: Path) -> Machine:
    """A machine without any driver; the test puts in what it needs."""
    return Machine(tmp_path, fake_libraries)
