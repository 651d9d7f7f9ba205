"""Whatever goes wrong in one file is that file's line, and the others are done all the same."""

from __future__ import annotations

import os

from precision_fix.model.problem import Problem


def problem_of(path: str, error: BaseException, outcome: str = "left as it is") -> Problem:
    """The line of a file in which something went wrong that nobody foresaw; `outcome` is what became of the file.

    PRECISION_FIX_DEBUG=1 shows where it was. What ends the whole run (Ctrl-C, say) is raised again.
    """
    # A panic of libcst's native parser is no Exception.
    if not isinstance(error, Exception) and type(error).__module__ != "pyo3_runtime":
        raise error
    if os.environ.get("PRECISION_FIX_DEBUG"):
        import traceback

        traceback.print_exception(type(error), error, error.__traceback__)
    if isinstance(error, RecursionError):
        # Python's parser takes deeper trees than the walks over them, and how deep differs from version to version.
        return Problem(path, f"nested too deeply to be understood, {outcome}")
    if isinstance(error, MemoryError):
        return Problem(path, f"needs more memory than there is, {outcome}")
    what = " ".join(f"{type(error).__name__}: {error}".split())[:120]
    return Problem(path, f"internal error ({what}), {outcome}: please report it (PRECISION_FIX_DEBUG=1 shows where)")
