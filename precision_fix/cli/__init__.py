"""The command line. `precision-fix PATH...` is `precision-fix patch PATH...`; each command is a module here."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys


class _Interrupted(BaseException):
    """A signal to end. Not KeyboardInterrupt, which typer ends the program for without a word."""


# Ctrl-C, `kill`, and a terminal that was closed.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_given: dict[int, object] = {}
_came: list[int] = []


def main() -> None:
    """The entry point: one line and code 2 for whatever goes wrong, never a traceback."""
    # Start-up makes nothing that the collector could free, and looks for it a few hundred times.
    gc.disable()
    try:
        _answer_signals()
        _run()
    except BrokenPipeError:
        # The reader has gone (`| head`); python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except _Interrupted as interrupted:
        _ignore_signals()
        _stop("interrupted; every file is whole, run again to finish", 128 + interrupted.args[0])


def _answer_signals() -> None:
    for number in _SIGNALS:
        _given[number] = signal.getsignal(number)
        # What was ignored from the start (`nohup`, a job behind `&`) stays so.
        if _given[number] != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _ignore_signals() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def give_signals_back() -> None:
    """Let the signals do what they did before, for another program that is run in this process."""
    for number, given in _given.items():
        signal.signal(number, given)  # type: ignore[arg-type]


def _interrupt(number: int, frame: object) -> None:
    _came.append(number)
    raise _Interrupted(number)


def _run() -> None:
    from precision_fix.cli.app import app, arguments
    from precision_fix.errors import PrecisionFixError

    try:
        app(args=arguments(sys.argv[1:]), prog_name="precision-fix")
    except PrecisionFixError as error:
        _stop(str(error))
    except BrokenPipeError:
        raise
    except Exception as error:
        if _came:
            # What was on its way out met a terminal that was closed.
            raise _Interrupted(_came[0]) from None
        if os.environ.get("PRECISION_FIX_DEBUG"):
            raise
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        _stop(f"internal error, nothing more was done: {what} (PRECISION_FIX_DEBUG=1 shows where)")


def _stop(message: str, code: int = 2) -> None:
    # A terminal that was closed takes no words.
    with contextlib.suppress(OSError, ValueError):
        print(f"precision-fix: {message}", file=sys.stderr, flush=True)
    sys.exit(code)
