"""Show that programs which hard-code bfloat16 run as a whole after the patch: on a CPU, in small, with random weights.

    python -m tests.bench.programs [NAME ...] [--python PYTHON] [--work FOLDER]

Each program of `drivers/` runs in up to five ways, a process each: as it is; with every mention of bfloat16 meaning
float32, which is what the others are compared with; patched; patched and on a T4, where the runtime comes in by the
start line, if the report of the patch leaves it anything; and as it is, started by `precision-fix run`.
Exits with 1 where one does not run, or one of the last three is not float32 throughout, or not the float32 run bit for
bit. The first two ways are run anew only where a driver changed.
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
# They ask for another torch than the CPU build; what is imported of them needs none of their compiled parts.
FOR_OTHER_TORCH = ("timm", "torchvision", "torchaudio")
REFERENCES = ("unpatched", "float32")
STARTED = "with line"
RUN = ("-m", "precision_fix", "run", "--gpu", "t4")
#: Way -> the copy, how bfloat16 is read in it, and what starts it. The assertions that refuse float32 do not count in
#: the run that is compared with.
WAYS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "unpatched": ("before", "asis", ()),
    "float32": ("before", "float32", ("-O",)),
    "patched": ("after", "asis", ()),
    STARTED: ("after", "started", ()),
    "runtime": ("before", "asis", RUN),
}


def environment(work: Path) -> str:
    """The Python of a virtual environment with what the programs import; torch's CPU build."""
    venv = work / "venv"
    python = str(venv / "bin/python")
    if not (work / "venv.ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        pip = [python, "-m", "pip", "install", "-qq"]
        subprocess.run([*pip, "-r", str(HERE / "requirements.txt")], check=True)
        subprocess.run([*pip, "--no-deps", *FOR_OTHER_TORCH], check=True)
        (work / "venv.ready").touch()
    return python


class Program:
    """Copies of a project, and how its driver is run in them."""

    def __init__(self, driver: Path, source: Path, work: Path, python: str) -> None:
        self.driver, self.python, self.folder = driver, python, work / driver.stem
        before, after = self.folder / "before", self.folder / "after"
        shutil.rmtree(after, ignore_errors=True)
        for copy in (before, after):
            if not copy.is_dir():
                shutil.copytree(source, copy, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        report = self.folder / "patch.json"
        patch = [sys.executable, "-m", "precision_fix", "--gpu", "t4", str(after), "--output-file", str(report)]
        done = subprocess.run(patch, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
        (self.folder / "patch.txt").write_text(done.stdout)
        self.has_line = left_to_the_runtime(json.loads(report.read_text(encoding="utf-8")))
        self.outside = _constant(driver, "OUTSIDE")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PRECISION_FIX"))}
        self.variables = kept | {
            "PYTHONPATH": os.pathsep.join(map(str, [HERE, HERE.parent / "clones/stand_ins", ROOT])),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.folder),
            "HF_HUB_OFFLINE": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "TORCHDYNAMO_DISABLE": "1",  # what is compiled is run as it is written
        }

    def run(self, way: str) -> Results:
        """What each part came to; under "" why nothing ran. What does not hang on precision-fix is run once."""
        state, how, starter = WAYS[way]
        output, log = self.folder / f"{way}.pt", self.folder / f"{way}.txt"
        written = max(file.stat().st_mtime for file in (self.driver, HERE / "drive.py", HERE / "gpu.py"))
        if way not in REFERENCES or not output.exists() or output.stat().st_mtime < written:
            output.unlink(missing_ok=True)
            command = [self.python, *starter, str(HERE / "drive.py"), str(self.driver), state, str(output), how]
            variables = self.variables | ({"PRECISION_FIX_GPU": "t4"} if how == "started" else {})
            with log.open("w") as file:
                subprocess.run(command, check=False, cwd=self.folder, env=variables, stdout=file, stderr=file)
        if not output.exists():
            return {"": {"error": (log.read_text().strip() or "nothing was said").splitlines()[-1]}}
        results: Results = torch.load(output, weights_only=True)
        return results


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
    equal = "outcome" in expected and same(found["outcome"], expected["outcome"])
    words.append("equal" if equal else "different")
    return ", ".join(words), equal and not hits and set(found["dtypes"]) <= set(expected["dtypes"])


def _judge(ways: dict[str, Results], way: str, part: str) -> tuple[str, bool]:
    reference = None if way in REFERENCES else ways["float32"].get(part, {})
    return verdict(ways.get(way, {}).get(part), reference)


def report(program: Program, only_patched: bool) -> bool:
    """Run it in every way, print a row for each part and way, and say whether all is as it should be.

    A part in the driver's OUTSIDE gets its dtype from a file: it is judged with the start line alone.
    """
    left_out = {STARTED: not program.has_line, "runtime": only_patched}
    ways = {way: program.run(way) for way in WAYS if not left_out.get(way)}
    parts = {part: 0 for results in ways.values() for part in results}
    every_good = True
    for part in parts:
        print(f"{program.driver.stem} {part}")
        told = {"patched"} if part in program.outside and program.has_line else set()
        for way in filter(ways.__contains__, WAYS):
            words, good = _judge(ways, way, part)
            wrong = not good and way not in told
            every_good &= not wrong
            print(f"    {way:<12} {words[:108]}{'   <-- NOT AS IT SHOULD BE' if wrong else ''}", flush=True)
    return every_good


def left_to_the_runtime(report: dict[str, Any]) -> bool:
    """Whether a patch has left anything to the running program, as its JSON report has it."""
    return any(finding["runtime"] for file in report["files"] for finding in file["findings"])


def _constant(driver: Path, name: str) -> list[str]:
    """A list that the driver says, or nothing."""
    for node in ast.parse(driver.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            found: list[str] = ast.literal_eval(node.value)
            return found
    return []


def replaced(driver: Path) -> str:
    """What the driver's docstring says of stand-ins."""
    return (ast.get_docstring(ast.parse(driver.read_text(encoding="utf-8"))) or "").replace("\n", " ")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    drivers = {file.stem: file for file in sorted((HERE / "drivers").glob("*.py"))}
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(drivers))
    parser.add_argument("--python", help="of an environment with what the programs import")
    parser.add_argument("--only-patched", action="store_true", help="leave out the project as it is under the runtime")
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
        good &= report(Program(drivers[name], source, work, python), options.only_patched)
    print(*map(replaced, drivers.values()), f"What was printed: {work}/*/*.txt", sep="\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
