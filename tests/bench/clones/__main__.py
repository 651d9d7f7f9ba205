"""Show that ComfyUI and fish-speech run before and after the patch: on a CPU, without models, in copies of clones.
And that their models, unpatched, give float32's bits with weights that the runtime stores in bfloat16.

    python -m tests.bench.clones --comfyui CLONE --fish-speech CLONE [--python PYTHON] [--work FOLDER] [--quick]

The first run makes a virtual environment in FOLDER (about 3 GB) with pip; nothing else is fetched. The clones are not
touched. Exits with 1 where the patch breaks something, or leaves bfloat16 where float32 was due.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PROBES = Path(__file__).resolve().parent
# torchvision and torchaudio exist on PyPI for CUDA alone: installed as they are, and loaded without their .so files.
CUDA_WHEELS = ["torchvision", "torchaudio"]
DAC = ["descript-audio-codec", "descript-audiotools"]  # they ask for a protobuf that fish-speech cannot use
SKIPPED = """Skipped: real weights and a GPU; ComfyUI's tests/inference and tests/compare (they need models); tests of
fish-speech (it has none), and its module fish_speech.i18n.scan (it edits the tree when imported)."""
NEED_NETWORK = "not (test_init_frontend_invalid_version or test_init_frontend_invalid_provider)"

Row = tuple[str, str, str, bool]


def environment(work: Path, python: str, requirements: list[Path]) -> Path:
    """A virtual environment with a CPU build of torch, and what the two projects import."""
    venv = work / "venv"
    if not ((work / "venv.ready").exists() and (venv / "bin/python").exists()):
        subprocess.run([python, "-m", "venv", "--clear", str(venv)], check=True)
        pip = [str(venv / "bin/python"), "-m", "pip", "install", "-qq", "-c", str(PROBES / "pins.txt")]
        files = [word for path in [*requirements, PROBES / "fish_speech.txt"] for word in ("-r", str(path))]
        for wanted in (["torch"], ["--no-deps", *CUDA_WHEELS], files, ["--no-deps", *DAC]):
            subprocess.run([*pip, *wanted], check=True)
        (work / "venv.ready").touch()
    return venv


class Tree:
    """A copy of a clone, and what can be run in it."""

    def __init__(self, folder: Path, venv: Path) -> None:
        self.folder, self.python = folder, str(venv / "bin/python")
        self.variables = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")} | {
            "PATH": f"{venv / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": f"{PROBES / 'stand_ins'}:{folder}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HF_HUB_OFFLINE": "1",
        }

    def run(self, *arguments: str) -> tuple[int, str]:
        command = [self.python, *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.variables, capture_output=True, text=True, check=False)
        (self.folder.parent / "log.txt").open("a").write(f"\n$ {self.folder} {command}\n{done.stdout}{done.stderr}")
        return done.returncode, done.stdout

    def start(self) -> str:
        code, output = self.run("main.py", "--cpu", "--quick-test-for-ci", "--log-stdout")
        return f"exit code {code}, {output.count('IMPORT FAILED')} imports failed"

    def tests(self, *arguments: str) -> str:
        code, output = self.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)
        found = re.findall(r"\d+ (?:passed|failed|errors?|deselected)", output.splitlines()[-1] if output else "")
        return ", ".join(found) or f"exit code {code}"

    def probe(self, *arguments: str) -> dict[str, str]:
        """The lines of a probe: a name, a tab, what was found."""
        code, output = self.run(str(PROBES / arguments[0]), *arguments[1:])
        lines = [line.split("\t") for line in output.splitlines() if "\t" in line]
        failed = {arguments[-1]: f"exit code {code}"} if code else {}
        return {name: " ".join(found) for name, *found in lines} | failed


def comfyui(before: Tree, after: Tree, quick: bool) -> list[Row]:
    runs: dict[str, Callable[[Tree], str]] = {
        "main.py --cpu --quick-test-for-ci": Tree.start,
        "tests-unit (two that ask github.com left out)": lambda tree: tree.tests("tests-unit", "-k", NEED_NETWORK),
    }
    if not quick:
        more = ("--port", "18188", "--skip-timing-checks", "--output_dir", str(before.folder.parent / "samples"))
        runs["tests/execution (a server, real graphs)"] = lambda tree: tree.tests("tests/execution", *more)
    rows = [(name, a := run(before), b := run(after), a == b) for name, run in runs.items()]
    old, new = before.probe("comfy_probe.py"), after.probe("comfy_probe.py")
    for name in old | new:
        a, b = old.get(name, "-"), new.get(name, "-")
        rows.append((name, a, b, a == b if "size" in name else b.startswith("0 of ")))
    for name, found in before.probe("storage_probe.py").items():
        numbers = re.findall(r"\d+", found)  # stored, of, casts, computed in bfloat16
        good = found.startswith("bit for bit") and numbers[0] == numbers[2] != "0" and numbers[3] == "0"
        rows.append((name, "-", found, good))
    return rows


def fish_speech(before: Tree, after: Tree) -> list[Row]:
    def outputs(how: str) -> str:
        return str(before.folder.parent / f"{how}.pt")

    old = before.probe("fish_probe.py", "imports") | before.probe("fish_probe.py", "asis", outputs("before"))
    new = after.probe("fish_probe.py", "imports") | after.probe("fish_probe.py", "asis", outputs("after"))
    before.probe("fish_probe.py", "float32", outputs("float32"))
    after.probe("fish_probe.py", "rounded", outputs("rounded"))
    stored = before.probe("fish_probe.py", "stored", outputs("stored"))
    pairs = [(name, old.get(name, "-"), new.get(name, "-")) for name in old | new]
    rows = [(name, a, b, b == ("float32" if "tiny" in name else a)) for name, a, b in pairs]
    for name, found in stored.items():
        if name.startswith("tiny"):
            rows.append((f"{name}, stored", "-", found, found == "bfloat16, float32"))
    hits = stored.get("computed in bfloat16", "?")
    rows.append(("stored, computed in bfloat16", "-", hits, hits == "0"))
    equal = "import sys, torch; a, b = map(torch.load, sys.argv[1:]); print(*[torch.equal(a[k], b[k]) for k in a])"
    for name, one in (("float32 run of the one, and of the other", "rounded"), ("float32, and stored", "stored")):
        equals = set(before.run("-c", equal, outputs("float32"), outputs(one))[1].split())
        rows.append((name, "-", "bit for bit" if equals == {"True"} else "different", equals == {"True"}))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, required=True)
    parser.add_argument("--fish-speech", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable, help="to make the environment with")
    parser.add_argument("--work", type=Path, default=Path(".trees/run"))
    parser.add_argument("--patch", default=f"{sys.executable} -m precision_fix patch --gpu t4")
    parser.add_argument("--quick", action="store_true", help="leave out tests/execution (over two minutes a tree)")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    clone = options.comfyui.resolve()
    venv = environment(work, options.python, [clone / "requirements.txt", clone / "tests-unit/requirements.txt"])
    trees: list[Tree] = []
    for source in (options.comfyui, options.fish_speech):
        for state in ("before", "after"):
            folder = work / f"{source.name}-{state}"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".git"))
            trees.append(Tree(folder, venv))
            if state == "after":
                subprocess.run([*shlex.split(options.patch), str(folder)], check=True, stdout=subprocess.DEVNULL)
    rows = [*comfyui(trees[0], trees[1], options.quick), *fish_speech(trees[2], trees[3])]
    for name, old, new, good in [("what", "before", "after", True), *rows]:
        print(f"{name:<46} {old:<34} {new}{'' if good else '   <-- NOT AS IT SHOULD BE'}")
    print(SKIPPED, f"Everything that was printed: {work / 'log.txt'}", sep="\n")
    return 0 if all(good for *_, good in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
