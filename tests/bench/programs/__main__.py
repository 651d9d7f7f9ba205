"""Show that programs which hard-code bfloat16 run as a whole after the patch: on a CPU, in small, with random weights.

    python -m tests.bench.programs [NAME ...] [--python PYTHON] [--work FOLDER]

Each program of `drivers/` runs four times, a process each: as it is, with every mention of bfloat16 meaning float32
(what the others are compared with), patched, and as it is under `precision-fix run`. Exits with 1 where the patched one
does not run though the other does, is not float32 throughout, or is not the float32 run bit for bit.
The first run makes a virtual environment in FOLDER with pip; the trees are fetched once, and never changed.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from tests.bench.trees import tree

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
Results = dict[str, dict[str, Any]]


def environment(work: Path) -> str:
    """The Python of a virtual environment with what the programs import; torch's CPU build."""
    venv = work / "venv"
    python = str(venv / "bin/python")
    if not (work / "venv.ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", "-r", str(HERE / "requirements.txt")], check=True)
        (work / "venv.ready").touch()
    return python


class Program:
    """Copies of a project, and how its driver is run in them."""

    def __init__(self, driver: Path, source: Path, work: Path, python: str) -> None:
        self.driver, self.python, self.folder = driver, python, work / driver.stem
        shutil.rmtree(self.folder, ignore_errors=True)
        for state in ("before", "after"):
            shutil.copytree(source, self.folder / state, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        patch = [sys.executable, "-m", "precision_fix", "--gpu", "t4", str(self.folder / "after")]
        with (self.folder / "patch.txt").open("w") as report:
            subprocess.run(patch, check=True, stdout=report, stderr=report, cwd=ROOT)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PRECISION_FIX"))}
        paths = [HERE, HERE.parent / "clones/stand_ins", ROOT]
        self.variables = kept | {
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.folder),
            "HF_HUB_OFFLINE": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "TORCHDYNAMO_DISABLE": "1",  # what is compiled is run as it is written
        }

    def run(self, name: str, state: str, how: str, *starter: str) -> Results:
        """What each part came to; under "" why nothing ran."""
        output = self.folder / f"{name}.pt"
        command = [self.python, *starter, str(HERE / "drive.py"), str(self.driver), state, str(output), how]
        options: dict[str, Any] = {"cwd": self.folder, "env": self.variables, "capture_output": True, "text": True}
        done = subprocess.run(command, check=False, **options)
        (self.folder / f"{name}.txt").write_text(f"$ {command}\n{done.stdout}{done.stderr}")
        if done.returncode:
            last = (done.stderr.strip() or "nothing was said").splitlines()[-1]
            return {"": {"error": f"exit code {done.returncode}: {last}"}}
        results: Results = json.loads(done.stdout.splitlines()[-1])
        values = torch.load(output, weights_only=True)
        return {part: found | {"values": values[part]} for part, found in results.items()}


def same(one: Any, other: Any) -> bool:
    """Whether two results are the same to the bit, dtypes included."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype is other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def verdict(found: dict[str, Any] | None, expected: dict[str, Any] | None) -> tuple[str, bool]:
    """What is said of a part, and whether it ran, in float32, and came to what was expected."""
    if found is None:
        return "-", False
    if "error" in found:
        return found["error"], False
    dtypes, hits = "+".join(found["dtypes"]) or "no floats", sum(found["in bfloat16"].values())
    words = [dtypes, f"{hits} in bfloat16"] if hits else [dtypes]
    if expected is None:
        return ", ".join(words), True
    equal = "values" in expected and same(found["values"], expected["values"])
    words.append("equal" if equal else "different")
    return ", ".join(words), equal and not hits and set(found["dtypes"]) <= set(expected["dtypes"])


def report(program: Program) -> bool:
    """Run it in the four ways, print a row for each part, and say whether all is as it should be."""
    ways = {
        "unpatched": program.run("unpatched", "before", "asis"),
        "float32": program.run("float32", "before", "float32", "-O"),  # without the assertions that refuse float32
        "patched": program.run("patched", "after", "asis"),
        "runtime": program.run("runtime", "before", "asis", "-m", "precision_fix", "run", "--gpu", "t4"),
    }
    every_good = True
    for part in {part: 0 for results in ways.values() for part in results}:
        reference = ways["float32"].get(part)
        print(f"{program.driver.stem} {part}")
        ran = "values" in ways["unpatched"].get(part, {})
        for way, results in ways.items():
            words, good = verdict(results.get(part), None if way in ("unpatched", "float32") else reference)
            wrong = way == "patched" and ran and not good
            every_good &= not wrong
            print(f"    {way:<10} {words[:110]}{'   <-- NOT AS IT SHOULD BE' if wrong else ''}", flush=True)
    return every_good


def replaced(driver: Path) -> str:
    """What the driver's docstring says of stand-ins."""
    return (ast.get_docstring(ast.parse(driver.read_text(encoding="utf-8"))) or "").replace("\n", " ")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    drivers = {file.stem: file for file in sorted((HERE / "drivers").glob("*.py"))}
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(drivers))
    parser.add_argument("--python", help="of an environment with what the programs import")
    parser.add_argument("--work", type=Path, default=Path(".trees/programs"))
    options = parser.parse_args()
    work: Path = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    python = options.python or environment(work)
    good = True
    for name in options.names or drivers:
        source = tree(name)
        if source is None:
            good = False
            continue
        good &= report(Program(drivers[name], source, work, python))
    print(*map(replaced, drivers.values()), f"What was printed: {work}/*/*.txt", sep="\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
