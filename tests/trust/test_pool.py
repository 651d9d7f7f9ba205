"""Workers that die in every way: all other items are done, and none of the workers outlives the run."""

from __future__ import annotations

import ast
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from precision_fix.engine import pool, worker
from tests import launcher
from tests.tools import environment, plant
from tests.trust.workers import lost, work

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")

CAST = b"import torch\nx = y.to(torch.bfloat16)\n"


@pytest.fixture(params=["forked", "started"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the first workers come to be: a fork where this process has one thread, a new interpreter elsewhere."""
    monkeypatch.setattr(threading, "active_count", lambda: 1 if request.param == "forked" else 2)
    return str(request.param)


def done(items: list[str], workers: int = 2) -> list[str]:
    found: list[str] = []
    count = 0
    for number, results in pool.run(items, work, lost, workers):
        count += number
        found += results
    assert count == len(items)
    assert children() == []
    return sorted(found)


def children() -> list[int]:
    """The processes that this one has started, ended ones too, but for those that other tests fork from."""
    found = map(int, Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())
    return [pid for pid in found if pid not in launcher.servers()]


PLAIN = [f"plain {number}" for number in range(200)]


def test_neighbours_go_to_one_worker() -> None:
    """They ask for the same files around them; a worker that is done takes from the end of the longest stretch."""
    these = pool._Pool([f"plain {number}" for number in range(7)], work, lost, 2, 1)
    first, second = these._left
    taken = [these._next(own) for own in (first, second, second, second, second, first, second, first, first)]
    these.close()
    assert [each and each[0][6:] for each in taken] == ["0", "4", "5", "6", "3", "1", "2", None, None]


def test_all_are_done(kind: str) -> None:
    assert done([*PLAIN, "nothing"]) == sorted(f"done {item}" for item in PLAIN)
    assert done([]) == []


@pytest.mark.parametrize(
    ("item", "how"),
    [("die SIGKILL", "SIGKILL"), ("die SIGSEGV", "SIGSEGV"), ("die SIGTERM", "SIGTERM"), ("exit", "code 7")],
)
def test_what_ends_its_worker_is_named_and_the_others_are_done(kind: str, item: str, how: str) -> None:
    found = done([*PLAIN[:70], item, *PLAIN[70:], item])
    said = [line for line in found if not line.startswith("done")]
    assert len(found) == 202 and len(said) == 2
    assert all(line.startswith(f"{item}: ends the process that reads it ({how}") for line in said), said


def test_a_worker_that_was_killed_for_no_fault_of_its_items_loses_none(kind: str, tmp_path: Path) -> None:
    items = [*PLAIN[:70], f"die-once {tmp_path / 'a'}", *PLAIN[70:], f"die-once {tmp_path / 'b'}"]
    assert done(items) == sorted(f"done {item}" for item in items)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


@pytest.mark.parametrize("what", ["sleep", "spin"])
def test_an_item_without_end_has_its_time(
    kind: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PATIENCE", 0.5)
    found = done([*PLAIN, f"{what} {tmp_path}"])
    assert len(found) == 201
    assert f"{what} {tmp_path}: takes longer than 0.5 s (name it alone to wait for it), left as it is" in found


def test_where_no_other_process_can_be_started(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python" if kind == "forked" else "/bin/true-py")
    found = done([*PLAIN, *(["die SIGKILL"] if kind == "forked" else [])])
    assert len(found) == 200 + (kind == "forked")
    said = [line for line in found if not line.startswith("done")]
    assert len(said) in ((0,) if kind == "started" else (201 % pool.CHUNK,)), "all but the job that died are done here"
    assert all("cannot be started" in line and "run again" in line for line in said)


def test_an_interpreter_that_ends_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    false = tmp_path / "pyfalse"
    false.write_text("#!/bin/sh\nexit 1\n")
    false.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(false))
    assert done(PLAIN) == sorted(f"done {item}" for item in PLAIN)


def test_a_run_that_is_left_half_way_leaves_nobody(kind: str, tmp_path: Path) -> None:
    before = set(threading.enumerate())  # other tests of this process leave some, tqdm's monitor say
    run = pool.run([*PLAIN[: pool.CHUNK], f"sleep {tmp_path}", *PLAIN, f"spin {tmp_path}"], work, lost, 2)
    next(run)
    run.close()  # type: ignore[attr-defined]
    assert children() == []
    assert set(threading.enumerate()) <= before


def test_a_new_interpreter_has_no_current_folder_on_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It works in that folder, and never imports from it."""
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    path, folder = ast.literal_eval(done(["path"])[0])
    assert folder == str(tmp_path)
    assert path and "" not in path and str(tmp_path) not in path


# A run of its own, whose workers take their time; it says when all of them are at it.
_RUN = """
import signal, sys, threading
from precision_fix.engine import pool
from tests.trust.workers import lost, work
folder, what, kind = sys.argv[1:]
if kind == "started":
    threading.active_count = lambda: 2
print("begin", flush=True)
for _ in pool.run([f"{what} {folder}"] * (2 * pool.CHUNK), work, lost, 2):
    pass
"""


def gone(pids: list[int], seconds: float = 10) -> bool:
    """Whether these end by themselves."""
    until = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def started(tmp_path: Path, what: str, kind: str) -> tuple[subprocess.Popen[bytes], list[int]]:
    """A run, and its workers once they are at work."""
    process = subprocess.Popen([sys.executable, "-c", _RUN, tmp_path, what, kind], env=environment())
    until = time.monotonic() + 60
    while len(found := [int(path.name) for path in tmp_path.iterdir()]) < 2:
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.02)
    return process, found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_no_worker_outlives_a_parent_that_is_killed(kind: str, number: signal.Signals, tmp_path: Path) -> None:
    process, workers = started(tmp_path, "sleep", kind)
    process.send_signal(number)
    assert process.wait(timeout=30) in (-number, 1)
    assert gone(workers)


def test_one_that_keeps_pythons_lock_has_its_time_and_no_more(kind: str, tmp_path: Path) -> None:
    script = _RUN.replace("print(", "from precision_fix.engine import worker\nworker.PATIENCE = 1.5\nprint(")
    process = subprocess.Popen([sys.executable, "-c", script, tmp_path, "spin", kind], env=environment())
    while len(workers := [int(path.name) for path in tmp_path.iterdir()]) < 2:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert gone(workers)


def marked(marker: str) -> list[int]:
    """The processes that have this in their environment."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and alive(int(path.name)):
            try:
                if marker.encode() in (path / "environ").read_bytes():
                    found.append(int(path.name))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03, 0.06, 0.1, 0.2])
def test_a_parent_that_dies_while_workers_are_starting(kind: str, delay: float, tmp_path: Path) -> None:
    marker = f"{tmp_path.name}-{kind}-{delay}-{os.getpid()}"
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, tmp_path, "sleep", kind],
        env=environment(PRECISION_FIX_TEST_MARKER=marker),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == b"begin\n"
    time.sleep(delay)
    process.kill()
    process.wait()
    process.stdout.close()
    until = time.monotonic() + 10
    while marked(marker):
        assert time.monotonic() < until, marked(marker)
        time.sleep(0.02)


# The command line on a tree that takes its time to read.
_COMMAND = """
import sys, time
import precision_fix.engine.one as scan
plain = scan.scan_file
def slow(*a, **k):
    time.sleep(0.05)
    return plain(*a, **k)
scan.scan_file = slow
from precision_fix.__main__ import main
main()
"""


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    yield plant(tmp_path / "tree", {f"m{number}.py": CAST for number in range(700)})


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
def test_the_command_line_ends_as_the_signal_says(tree: Path, number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, "--gpu", "t4", "."],
        cwd=tree,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    workers = workers_of(process.pid)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert gone(workers)
    assert out == b"" and b"Traceback" not in err
    last = err.decode().splitlines()[-1]
    if number != signal.SIGKILL:
        assert last == "precision-fix: interrupted; every file is whole, run again to finish"
    assert {path.read_bytes() for path in tree.glob("*.py")} == {CAST}


def workers_of(pid: int) -> list[int]:
    until = time.monotonic() + 60
    while len(found := Path(f"/proc/{pid}/task/{pid}/children").read_text().split()) < min(2, os.cpu_count() or 1):
        assert time.monotonic() < until
        time.sleep(0.01)
    return [int(each) for each in found]


def test_what_was_ignored_from_the_start_stays_so(tree: Path) -> None:
    """As under `nohup`."""
    process = subprocess.Popen(
        ["nohup", sys.executable, "-c", _COMMAND, "--gpu", "t4", "--check", "."],
        cwd=tree,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    workers_of(process.pid)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert process.poll() is None
    process.kill()
    process.communicate()


def test_a_terminal_that_is_closed(tree: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tree)
        os.execve(sys.executable, [sys.executable, "-c", _COMMAND, "--gpu", "t4", "."], environment())
    workers = workers_of(pid)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 129
    assert gone(workers)
    assert {path.read_bytes() for path in tree.glob("*.py")} == {CAST}
