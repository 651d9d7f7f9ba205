"""The command line. `precision-fix PATH...` is `precision-fix patch PATH...`; each command is a module here."""

from __future__ import annotations

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
    from precision_fix.cli import streams

    # Start-up makes nothing that the collector could free, and looks for it a few hundred times.
    gc.disable()
    streams.guard()
    try:
        _answer_signals()
        sys.exit(_run())
    except _Interrupted as interrupted:
        _ignore_signals()
        words = streams.DONE.before("interrupted; every file is whole, run again to finish")
        _stop(words, 128 + interrupted.args[0])


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


def _run() -> int:
    """Run the command; the code to end with."""
    from precision_fix.cli.streams import DONE, Lost
    from precision_fix.errors import PrecisionFixError

    DONE.reset()
    try:
        return _flushed(_code_of(sys.argv[1:]))
    except Lost as lost:
        if not lost.gone:
            _stop(DONE.before(f"the {'report' if DONE.words else 'output'} {lost}"))
        # Who takes the first lines of a list knows that there is more; not that files were changed.
        if DONE.words:
            _tell(f"{DONE.words}; the reader of the report has gone")
        return DONE.code
    except PrecisionFixError as error:
        _stop(DONE.before(str(error)))
    except Exception as error:
        if _came:
            # What was on its way out met a terminal that was closed.
            raise _Interrupted(_came[0]) from None
        if os.environ.get("PRECISION_FIX_DEBUG"):
            raise
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        done = DONE.words or "nothing was changed"
        if DONE.under_way:
            done = "while files were written: every one is whole, and undo takes back those that were changed"
        _stop(f"internal error, {done}: {what} (PRECISION_FIX_DEBUG=1 shows where)")
    return 2


def _code_of(argv: list[str]) -> int:
    """What the command ends with; the text of a usage error is on stderr by then."""
    from precision_fix.cli.simple import run

    code = run(argv)
    if code is not None:
        return code
    from precision_fix.cli.app import app, arguments

    try:
        app(args=arguments(argv), prog_name="precision-fix")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0


def _flushed(code: int) -> int:
    from precision_fix.cli.streams import DONE, flush

    DONE.code = DONE.code or code
    flush()
    return code


def _stop(message: str, code: int = 2) -> None:
    _tell(message)
    sys.exit(code)


def _tell(message: str) -> None:
    from precision_fix.cli.terminal import say

    say(message)
