"""A report of all files but those that it fails on, which are told of as problems."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeVar

from precision_fix.engine.guard import problem_of
from precision_fix.engine.scan import Scan
from precision_fix.reports.run import Run

T = TypeVar("T")


def guarded(run: Run, make: Callable[[Run], T]) -> T:
    """What `make` makes of a run. Where it fails, the files that it fails on are found one by one, and left out.

    Raises what `make` raised where no file by itself is the reason.
    """
    try:
        return make(run)
    except Exception:
        if not _leave_out(run, make):
            raise
    return make(run)


def _leave_out(run: Run, make: Callable[[Run], object]) -> bool:
    found = False
    for file in run.files:
        alone = dataclasses.replace(run, scan=Scan(run.scan.target, [file], [], 1))
        try:
            make(alone)
        except Exception as error:
            file.problem = problem_of(file.path, error, "left out of the report")
            run.scan.problems.append(file.problem)
            found = True
    run.forget()
    return found
