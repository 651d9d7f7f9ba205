"""Runs of the command line, forked from one process that has imported it already: hundreds of tests start it.

A child gets its environment, its folder and its streams as the interpreter makes them at its start, None where they
are closed, and ends as the interpreter does.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from select import select
from threading import Thread

REPOSITORY = Path(__file__).resolve().parents[1]

#: The fixture `python` of the runtime's tests: runs a program's text, with arguments and, by name, variables.
Python = Callable[..., "subprocess.CompletedProcess[str]"]

#: The command line: what a run imports on its way is imported once. After -c, a text that changes something first.
_COMMAND = """
import contextlib, importlib, io, pathlib, pkgutil, tempfile
import precision_fix.cli, precision_fix.gpu, precision_fix.plan, precision_fix.reports, typer
import precision_fix.__main__
def main():
    if sys.argv[1:2] != ["-c"]:
        return precision_fix.__main__.main()
    del sys.argv[0]
    text = sys.argv.pop(1)
    exec(compile(text, "<string>", "exec"), {"__name__": "__main__"})
from precision_fix.rules import rules
rules()
with tempfile.TemporaryDirectory() as warm:
    pathlib.Path(warm, "a.py").write_text("import torch\\nx = y.to(torch.bfloat16)\\n")
    precision_fix.patch(warm, gpu="t4")
    precision_fix.undo(warm)
for package in (precision_fix.cli, precision_fix.gpu, precision_fix.plan, precision_fix.reports):
    for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(found.name)
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    typer.main.get_command(precision_fix.cli.app.app)(["rule", "PF101"])
"""

#: A program that imports torch before anything else, from there on; with -m, a module.
_AFTER_TORCH = """
import torch
def main():
    import runpy
    sys.argv = sys.argv[1:]
    if sys.argv[0] == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(sys.argv[0])
        runpy.run_path(sys.argv[0], run_name="__main__")
"""

_SERVER = r"""
import atexit, gc, io, json, os, signal, socket, sys, threading
exec(sys.argv[2])
gc.freeze()

def stream(number, errors):
    try:
        os.fstat(number)
    except OSError:
        return None
    raw = io.BufferedWriter(io.FileIO(number, "wb", closefd=False))
    text = io.TextIOWrapper(raw, "utf-8", errors, line_buffering=os.isatty(number))
    text.mode = "w"
    return text

def flush(stream):
    try:
        stream is None or sys.stdout is None or stream.flush()
    except Exception:
        return False
    return True

def child(job, streams):
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update({os.fsdecode(bytes.fromhex(k)): os.fsdecode(bytes.fromhex(v)) for k, v in job["env"]})
    for number, given in enumerate(streams, 1):
        if given is None:
            os.close(number)
        else:
            os.dup2(given, number)
            os.close(given)
    os.close(0)
    if job["stdin"]:
        os.open(job["stdin"], os.O_RDONLY)
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.FileIO(0, closefd=False)) if job["stdin"] else None
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = stream(1, "strict"), stream(2, "backslashreplace")
    sys.argv = ["precision-fix", *(os.fsdecode(bytes.fromhex(word)) for word in job["argv"])]
    sys.path.insert(0, job["cwd"])
    code = 1
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    threading._shutdown()
    atexit._run_exitfuncs()
    code = code if flush(sys.stdout) else 120
    flush(sys.stderr)
    os._exit(code)

server = socket.socket(fileno=int(sys.argv[1]))
while True:
    data, given, _, _ = socket.recv_fds(server, 1 << 21, 2)
    if not data:
        break
    job = json.loads(data)
    number = os.fork()
    if not number:
        server.close()
        rest = iter(given)
        child(job, [next(rest) if each else None for each in job["streams"]])
    for each in given:
        os.close(each)
    server.send(str(number).encode())
    server.send(str(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])).encode())
"""


def environment(**more: str) -> dict[str, str]:
    """An environment in which this checkout is what `import precision_fix` finds."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1", **more}


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run ended with, and said where the stream was "open" or a "pipe"; else it is "full", "closed" or its
    reader has "gone"."""

    code: int
    out: bytes
    err: bytes


class Launcher:
    """A process that forks after it was prepared; it ends with this one. Not for two threads at once."""

    def __init__(self, prepare: str) -> None:
        # Each message is one packet: jobs, and the file descriptors with them.
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 21)
        with theirs:
            arguments = [sys.executable, "-c", _SERVER, str(theirs.fileno()), prepare]
            self._server = subprocess.Popen(arguments, pass_fds=[theirs.fileno()], env=environment())
        self.pid = self._server.pid
        atexit.register(self._end)

    def _end(self) -> None:
        self._socket.close()
        self._server.wait()

    def run(
        self,
        *argv: object,
        cwd: Path | str,
        env: Mapping[str, str],
        out: str = "pipe",
        err: str = "pipe",
        stdin: bool | bytes = True,
        timeout: float = 60,
    ) -> Ran:
        """Raises subprocess.TimeoutExpired, and ends the run, after so many seconds. `stdin`: whether there is one, and
        what it has."""
        with contextlib.ExitStack() as stack:
            ours, theirs = zip(*(_stream(kind, stack) for kind in (out, err)), strict=True)
            job = {
                "argv": [_hex(word) for word in argv],
                "env": [(_hex(name), _hex(value)) for name, value in env.items()],
                "cwd": str(cwd),
                "streams": [each is not None for each in theirs],
                "stdin": _input(stdin, stack),
            }
            given = [each for each in theirs if each is not None]
            socket.send_fds(self._socket, [json.dumps(job).encode()], given)
            for each in given:
                os.close(each)
            readers = [_Reader(each) for each in ours]
            number = int(self._socket.recv(100))
            if not select([self._socket], [], [], timeout)[0]:
                os.kill(number, signal.SIGKILL)
                self._socket.recv(100)
                raise subprocess.TimeoutExpired([str(word) for word in argv], timeout)
            code = int(self._socket.recv(100))
            return Ran(code, *(reader.read() for reader in readers))


class _Reader(Thread):
    """Reads a pipe to its end, or a file once the run is over; nothing where there is neither."""

    def __init__(self, source: int | Path | None) -> None:
        super().__init__(daemon=True)
        self._source = source
        self._data = b""
        self.start()

    def run(self) -> None:
        if isinstance(self._source, int):
            with os.fdopen(self._source, "rb") as pipe:
                self._data = pipe.read()

    def read(self) -> bytes:
        self.join()
        return self._source.read_bytes() if isinstance(self._source, Path) else self._data


def _stream(kind: str, stack: contextlib.ExitStack) -> tuple[int | Path | None, int | None]:
    """What to read of a stream here, and the file descriptor of the run, None where it has none."""
    if kind == "closed":
        return None, None
    if kind == "full":
        return None, os.open("/dev/full", os.O_WRONLY)
    if kind == "open":
        path = Path(stack.enter_context(tempfile.TemporaryDirectory()), "stream")
        return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    ours, theirs = os.pipe()
    if kind == "gone":
        os.close(ours)
        return None, theirs
    return ours, theirs


def _input(given: bool | bytes, stack: contextlib.ExitStack) -> str:
    """The file that a run has for stdin; empty where it has none."""
    if not isinstance(given, bytes):
        return os.devnull if given else ""
    path = Path(stack.enter_context(tempfile.TemporaryDirectory()), "input")
    path.write_bytes(given)
    return str(path)


def _hex(word: object) -> str:
    return os.fsencode(word if isinstance(word, (str, bytes, os.PathLike)) else str(word)).hex()


_launchers: dict[str, Launcher] = {}


def _shared(prepare: str) -> Launcher:
    return _launchers.get(prepare) or _launchers.setdefault(prepare, Launcher(prepare))


def servers() -> set[int]:
    """The processes that are forked from, by their numbers."""
    return {each.pid for each in _launchers.values()}


def command_line() -> Launcher:
    """What runs the command line."""
    return _shared(_COMMAND)


def after_torch() -> Launcher:
    """What runs a program whose first line imports torch, or after -m a module that may be started so, from a process
    that has done just that."""
    return _shared(_AFTER_TORCH)


def needs_a_start(env: Mapping[str, str]) -> bool:
    """Whether these variables differ in what is heeded when an interpreter starts, and not afterwards."""
    return _heeded(env) != _heeded(environment())


def _heeded(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(("PYTHON", "LD_", "LC_", "LANG"))}
