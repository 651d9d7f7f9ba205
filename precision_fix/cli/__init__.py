"""The command line. `precision-fix PATH...` is `precision-fix patch PATH...`; each command is a module here."""

from __future__ import annotations

import gc
import os
import signal
import sys


class _Interrupted(BaseException):
    """Ctrl-C. Not KeyboardInterrupt, which typer ends the program for without a word."""


def main() -> None:
    """The entry point: one line and code 2 for whatever goes wrong, never a traceback."""
    # Start-up makes nothing that the collector could free, and looks for it a few hundred times.
    gc.disable()
    try:
        signal.signal(signal.SIGINT, _interrupt)
        _run()
    except BrokenPipeError:
        # The reader has gone (`| head`); python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except _Interrupted:
        _stop("interrupted; every file is whole, run again to finish", 130)


def _interrupt(number: int, frame: object) -> None:
    raise _Interrupted


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
        if os.environ.get("PRECISION_FIX_DEBUG"):
            raise
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        _stop(f"internal error, nothing more was done: {what} (PRECISION_FIX_DEBUG=1 shows where)")


def _stop(message: str, code: int = 2) -> None:
    print(f"precision-fix: {message}", file=sys.stderr)
    sys.exit(code)
