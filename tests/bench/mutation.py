"""Of changes at random places of model/, rules/ and project/, how many the quick tests notice: `make mutation`.

COUNT and SEED choose the places, `tests.bench.mutants` the changes. Quick tests are those of tests/rules,
tests/project, tests/sources and of tests/ itself that take less than a fifth of a second of processor time, with at
most 20 examples each where hypothesis makes them. They run once as they are, while coverage tells which lines each
executes; of a change in a function only the tests run that execute its line, until the first one fails, and what no
test executes is not noticed. What runs as its module is imported may matter to any test.

Each change is tried in a fork of one process that has pytest and all libraries imported, and of ours nothing. The
changed module stands in the fork's memory alone, so a test that starts Python anew sees nothing of it. A change that
makes the tests take five times as long and a minute more is noticed. mutmut leaves tables outside of functions as they
are, and cosmic-ray starts pytest anew for each change: neither knows of an entry that is taken out.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import importlib
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType

import pytest
from hypothesis import Phase, settings

from tests.bench.mutants import Mutant, places

ROOT = Path(__file__).resolve().parents[2]
CHANGED = ("model", "rules", "project")
# These start Python anew, which sees nothing of a change.
ANEW = ("bad_input", "cli", "completion", "hooks", "ipython", "memory", "simple", "stdin")
TOP = sorted(path.name for path in ROOT.glob("tests/test_*.py") if path.stem.removeprefix("test_") not in ANEW)
TESTS = ("tests/rules", "tests/project", "tests/sources", *(f"tests/{name}" for name in TOP))
# What is imported before the forks; all that the tests and the package use of others.
LIBRARIES = ("libcst", "libcst.matchers", "yaml", "typer", "rich.console", "nbformat", "jsonschema", "multiprocessing")
_MOST_SECONDS = 0.2
_MOST_EXAMPLES = 20
_FIRST = 40
_MEMORY = 8 << 30
# What waits for something that never comes takes no time of the processor.
_MOST_WAIT = 1_800


@dataclass
class Map:
    """How many seconds of the processor each test takes, and which lines of which file it executes."""

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """By file and line; the empty test is the import."""

    @functools.cached_property
    def sizes(self) -> Counter[str]:
        """How much each test executes: what executes little is about what it executes."""
        return Counter(test for lines in self.lines.values() for tests in lines.values() for test in tests)

    def quick(self) -> set[str]:
        return {test for test, seconds in self.seconds.items() if seconds < _MOST_SECONDS}

    def of(self, path: str, mutant: Mutant) -> list[str]:
        """The quick tests that a change may matter to, those that are nearest to it first."""
        lines = self.lines.get(path, {})
        found = {test for line in mutant.lines for test in lines.get(str(line), ())}
        if mutant.at_import or "" in found:
            near = {test for tests in lines.values() for test in tests}
            found = set(self.seconds)
        else:
            near = found
        return sorted(found & self.quick(), key=lambda test: (test not in near, self.sizes[test], test))


class Chosen:
    """A plugin that runs some tests in their order, and what is not known, for a change may give tests new names."""

    def __init__(self, tests: Collection[str] = (), known: Collection[str] = ()) -> None:
        self._order = {test: at for at, test in enumerate(tests)}
        self._known = known

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [each for each in items if each.nodeid in self._order or each.nodeid not in self._known]
        items[:] = sorted(chosen, key=lambda each: self._order.get(each.nodeid, 0))
        for each in items:
            test = getattr(each, "obj", None)
            made = getattr(test, "_hypothesis_internal_use_settings", None)
            if test is not None and made is not None:
                test._hypothesis_internal_use_settings = _fewer(made)


def _fewer(made: settings) -> settings:
    """Few examples, always the same, and no smaller ones once one fails."""
    most = min(made.max_examples, _MOST_EXAMPLES)
    phases = (Phase.explicit, Phase.generate)
    return settings(made, max_examples=most, derandomize=True, database=None, phases=phases, deadline=None)


class Measured:
    """A plugin that writes down what each test takes and executes, without what the one before left in caches."""

    def __init__(self, switch: Callable[[str], None]) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: list[str] = []
        self._switch = switch
        self._began = 0.0

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        for module in [each for name, each in sys.modules.items() if name.startswith("precision_fix")]:
            for kept in list(vars(module).values()):
                if hasattr(kept, "cache_clear"):
                    kept.cache_clear()
        self._switch(nodeid)
        self._began = sum(os.times()[:4])

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.seconds[nodeid] = sum(os.times()[:4]) - self._began

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


class Changed(SourceFileLoader):
    """Loads one module from a tree that was changed."""

    def __init__(self, path: Path, tree: ast.Module) -> None:
        super().__init__(dotted(path), str(path))
        self._tree = tree

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return spec_from_file_location(fullname, self.path, loader=self) if fullname == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._tree, self.path, "exec")


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def run(tests: Collection[str], *plugins: object) -> int:
    """pytest's exit code; where there is no test at all, none failed."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as scratch:
        options = ("-x", "--tb=no", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist")
        files = dict.fromkeys(test.partition("::")[0] for test in tests)
        code = pytest.main([*options, f"--basetemp={scratch}/t", *files], plugins=[*plugins])
        return 0 if code == pytest.ExitCode.NO_TESTS_COLLECTED else int(code)


def measure() -> Map:
    """All tests once as they are. Stops where one fails."""
    coverage = importlib.import_module("coverage")
    folders = [str(ROOT / "precision_fix" / each) for each in CHANGED]
    coverer = coverage.Coverage(data_file=None, source=folders, config_file=False)
    coverer.start()
    # What only some tests import would count as executed by the first of these alone.
    for path in modules(*CHANGED, "sources", "engine"):
        importlib.import_module(dotted(path))
    measured = Measured(coverer.switch_context)
    code = run(TESTS, Chosen(), measured)
    coverer.stop()
    if code:
        raise SystemExit(f"without any change there fails {' '.join(measured.failed)}")
    data = coverer.get_data()
    lines = {
        os.path.relpath(file, ROOT): {str(line): tests for line, tests in data.contexts_by_lineno(file).items()}
        for file in data.measured_files()
    }
    return Map(dict(measured.seconds), lines)


def attempt(tests: list[str], known: Collection[str], changed: Changed | None = None) -> int:
    """pytest's exit code with a module changed: the first tests are those next to it, the last have new names."""
    if changed is not None:
        sys.meta_path.insert(0, changed)
    near, rest = tests[:_FIRST], tests[_FIRST:]
    return run(near, Chosen(near, known)) or (run(rest, Chosen(rest, known)) if rest else 0)


def fork(job: Callable[[], int], seconds: float = resource.RLIM_INFINITY, *, quiet: bool = True) -> int:
    """Start a job in a process group of its own, which ends with the code that it gives; returns the process.

    It may have so many seconds of the processor, which a machine with other work does not shorten.
    """
    sys.stdout.flush()
    if child := os.fork():
        return child
    code = 3
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), resource.RLIM_INFINITY))
        if quiet:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(nowhere, number)
        code = job()
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        os._exit(code)


def measured_in_fork(place: Path) -> Map:
    """What `measure` finds, in a process that is not ours; or what it found before, where that is kept."""

    def job() -> int:
        place.write_text(json.dumps(vars(measure())))
        return 0

    if place.exists():
        return Map(**json.loads(place.read_text()))
    if os.waitpid(fork(job, quiet=False), 0)[1]:
        raise SystemExit("the tests could not be measured")
    found = Map(**json.loads(place.read_text()))
    if os.waitpid(fork(lambda: attempt(sorted(found.quick()), found.seconds.keys())), 0)[1]:
        place.unlink()
        raise SystemExit("tests fail in another order, without any change")
    return found


@dataclass(frozen=True)
class Try:
    """A change of a module, and the quick tests that it may matter to."""

    path: Path
    tree: ast.Module
    mutant: Mutant
    tests: list[str]

    def start(self, map_: Map) -> int:
        def job() -> int:
            self.mutant.apply()
            return attempt(self.tests, map_.seconds.keys(), Changed(self.path, self.tree))

        return fork(job, 60 + 5 * sum(map_.seconds[test] for test in self.tests))

    def line(self) -> str:
        before, after = self.mutant.shown()
        where = f"{self.path.relative_to(ROOT / 'precision_fix')}:{self.mutant.line}"
        return f"{where} ({self.mutant.kind}, {len(self.tests)} tests)\n    - {before}\n    + {after}"


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / "precision_fix" / folder).rglob("*.py"))


def choose(count: int, seed: int, map_: Map) -> list[Try]:
    """Places by chance, each with one of the ways to change it."""
    trees = {path: ast.parse(path.read_bytes()) for path in modules(*CHANGED)}
    found = [(path, tree, ways) for path, tree in trees.items() for ways in places(tree)]
    chance = random.Random(seed)
    tries = []
    for path, tree, ways in chance.sample(found, min(count, len(found))):
        mutant = chance.choice(ways)
        tries.append(Try(path, tree, mutant, map_.of(str(path.relative_to(ROOT)), mutant)))
    return tries


def noticed(tries: list[Try], map_: Map, jobs: int) -> Iterator[tuple[Try, bool]]:
    """Each try, and whether a test failed or took far too long, as they end."""
    waiting, running = list(reversed(tries)), dict[int, tuple[Try, float]]()
    while waiting or running:
        while waiting and len(running) < jobs:
            each = waiting.pop()
            if each.tests:
                running[each.start(map_)] = each, time.monotonic() + _MOST_WAIT
            else:
                yield each, False
        for child, (each, until) in list(running.items()):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
                del running[child]
                if os.waitstatus_to_exitcode(status) == pytest.ExitCode.USAGE_ERROR:
                    raise SystemExit(f"pytest would not start: {each.line()}")
                yield each, status != 0
            elif time.monotonic() > until:
                os.killpg(child, signal.SIGKILL)
        time.sleep(0.01)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    parser.add_argument("--map", type=Path, help="keep there what each test executes, and take it from there")
    asked = parser.parse_args()
    os.chdir(ROOT)
    for name in LIBRARIES:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as scratch:
        map_ = measured_in_fork(asked.map or Path(scratch, "map.json"))
    print(f"{len(map_.quick())} quick tests, {sum(map(map_.seconds.__getitem__, map_.quick())):.0f} s", flush=True)
    kinds: dict[str, Counter[bool]] = defaultdict(Counter)
    survivors = []
    chosen = choose(asked.count, asked.seed, map_)
    for number, (each, seen) in enumerate(noticed(chosen, map_, asked.jobs), start=1):
        print(f"{number} of {len(chosen)}", end="\r", file=sys.stderr, flush=True)
        kinds[each.mutant.kind][seen] += 1
        if not seen:
            survivors.append(each)
            print(each.line(), flush=True)
    for kind, counts in [*sorted(kinds.items()), ("all", sum(kinds.values(), Counter()))]:
        print(f"{kind:12} {counts[True]:4} of {counts.total():4} noticed, {counts[True] / counts.total():4.0%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
