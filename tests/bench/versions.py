"""The runtime's tests under other versions of torch, one after the other, and a table of what came of it.

`make versions`. Each gets an environment of its own: PyPI's wheel, which is one for CUDA and imports without a GPU,
with the NVIDIA libraries that it links and the numpy that it was built for. All else comes from the environment that
runs this. It takes up to 6 GB of disk, which are given back before the next. Triton is left out: nothing here compiles
for a GPU. `--keep FOLDER` leaves the environments there with what the tests print, and takes them up again: to mend
what fails.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import Requirement

from tests.tools import REPOSITORY

#: The releases that are tried, and the numpy of their time: torch before 2.3 was built for numpy 1.
VERSIONS = {
    "2.2.2": "numpy<2",
    "2.4.1": "numpy<2",
    "2.6.0": "numpy<2.3",
    "2.8.0": "numpy<2.4",
    "2.10.0": "numpy",
}
TESTS = ["tests/runtime"]
#: What needs a GPU, or libraries that each want a torch of their own.
LEFT_OUT = ["tests/runtime/frameworks", "tests/runtime/test_gpu.py"]

_NVIDIA = re.compile(r"(?:nvidia|cuda)-")
_ABOUT = (
    "import torch; from precision_fix import runtime\n"
    "with runtime.enabled() as status: print(torch.__version__, *status.failed, sep='|')\n"
)


@dataclass
class Outcome:
    version: str
    built: str = ""
    #: What the runtime itself found not to hold.
    failing: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    #: Why tests were skipped, each once.
    limits: list[str] = field(default_factory=list)
    trouble: str = ""

    @property
    def row(self) -> str:
        """A line of the table."""
        if self.trouble:
            return f"| {self.version} | {self.trouble} | | | |"
        counts = self.counts
        holds = "; ".join(self.failing) or "all"
        return f"| {self.built} | {holds} | {counts['passed']} | {counts['failed']} | {'; '.join(self.limits) or '-'} |"


def main() -> int:
    """0 where no test failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=f"of {', '.join(VERSIONS)}, or another")
    parser.add_argument("--seconds", type=int, default=3600, help="for the tests of one version")
    parser.add_argument("--tests", nargs="+", default=TESTS)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="environments and reports, for the next run")
    options = parser.parse_args()
    outcomes = []
    for version in options.versions or [*VERSIONS, _own()]:
        outcomes.append(outcome := _tried(version, options))
        print(outcome.row, file=sys.stderr, flush=True)
        for failure in outcome.failures:
            print(f"  {failure}", file=sys.stderr, flush=True)
    print("| torch | what the runtime tries holds | passed | failed | left out |\n|---|---|---|---|---|")
    print("\n".join(each.row for each in outcomes))
    return int(any(each.trouble or each.counts["failed"] for each in outcomes))


def _own() -> str:
    return importlib.metadata.version("torch").partition("+")[0]


def _tried(version: str, options: argparse.Namespace) -> Outcome:
    outcome = Outcome(version)
    try:
        with _folder(version, options.keep) as folder:
            python = Path(sys.executable) if version == _own() else _environment(version, folder / "environment")
            _test(outcome, python, folder / "tests.xml", options)
    except subprocess.CalledProcessError as error:
        outcome.trouble = f"{' '.join(map(str, error.cmd[-2:]))[:80]}: exit code {error.returncode}"
    except subprocess.TimeoutExpired:
        outcome.trouble = f"its tests took more than {options.seconds} s"
    return outcome


@contextmanager
def _folder(version: str, keep: Path | None) -> Iterator[Path]:
    """Where its environment and its report lie; it is gone afterwards unless it is to be kept."""
    if keep is not None:
        kept = keep.resolve() / f"torch-{version}"
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix=f"torch-{version}-") as folder:
        yield Path(folder)


def _environment(version: str, folder: Path) -> Path:
    """A Python that has this torch."""
    python = folder / "bin" / "python"
    # Last on the path: what stands above is found first. It is written at the end: what has it is complete.
    the_rest = Path(sysconfig.get_paths(vars={"base": folder, "platbase": folder})["purelib"], "the_rest.pth")
    if the_rest.is_file():
        return python
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--clear", folder], check=True)
    _install(python, "--no-deps", f"torch=={version}")
    asked = "import importlib.metadata as m; print(*(m.requires('torch') or ()), sep='\\n')"
    needs = subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True).stdout
    _install(python, *map(str, _libraries(needs.splitlines())), VERSIONS.get(version, "numpy"))
    the_rest.write_text(f"{REPOSITORY}\n{_site_packages()}")
    return python


def _libraries(lines: Sequence[str]) -> Iterator[Requirement]:
    """The libraries of NVIDIA that a wheel of torch asks for here: in older ones versions stand in brackets."""
    for line in lines:
        needed = Requirement(line)
        if _NVIDIA.match(needed.name) and (needed.marker is None or needed.marker.evaluate({"extra": ""})):
            needed.marker = None
            yield needed


def _install(python: Path, *what: str) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-cache-dir", *what]
    subprocess.run(command, check=True)


def _site_packages() -> str:
    """Where the packages lie that this Python finds, also those that a .pth file names."""
    folders = [
        each for each in sys.path if Path(each).is_dir() and Path(each).name in ("site-packages", "dist-packages")
    ]
    return "".join(f"{each}\n" for each in folders)


def _test(outcome: Outcome, python: Path, report: Path, options: argparse.Namespace) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PRECISION_FIX")}
    about = subprocess.run(
        [python, "-c", _ABOUT], cwd=REPOSITORY, env=environ, check=True, capture_output=True, text=True
    )
    outcome.built, *outcome.failing = about.stdout.strip().split("|")
    command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}", *options.tests]
    command += ["--continue-on-collection-errors", "--tb=short", "-v", *(f"--ignore={each}" for each in LEFT_OUT)]
    report.unlink(missing_ok=True)
    with report.with_name("tests.txt").open("w") as printed:
        subprocess.run(command, cwd=REPOSITORY, env=environ, timeout=options.seconds, check=False, stdout=printed)
    _read(outcome, report)


def _read(outcome: Outcome, report: Path) -> None:
    for case in ET.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcome.counts["failed"] += 1
            outcome.failures.append(name)
        elif skipped is not None:
            outcome.counts["skipped"] += 1
            reason = skipped.get("message") or ""
            if "torch" in reason and reason not in outcome.limits:
                outcome.limits.append(reason)
        else:
            outcome.counts["passed"] += 1


if __name__ == "__main__":
    sys.exit(main())
