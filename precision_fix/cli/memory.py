"""What a patch to float32 costs in memory, said when it is made, and how to have half of it back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from precision_fix.model.problem import shown
from precision_fix.reports.paste import pasted, undone

if TYPE_CHECKING:
    from precision_fix.reports.run import Run

#: The rules of what holds tensors: dtypes, words and flags, stored bytes, configs, launch lines.
_HOLDING = ("PF1", "PF2", "PF4", "PF5", "PF6")


def lines(run: Run) -> Iterator[tuple[str, bool]]:
    """What is said after a patch, and whether it is a command; nothing where the patch made nothing larger."""
    if run.scan.target.dtype != "float32" or not any(each.code.startswith(_HOLDING) for each in run.changes):
        return
    yield f"float32 takes twice the memory of bfloat16{_figures(run)}; half of it:", False
    yield f"    {undone(run.paths)}", True
    program = _program(run)
    if not program and any(each.path.lower().endswith(".ipynb") for each in run.changes):
        # No command starts a notebook; the kernel reads what is set before the runtime is there.
        yield "and as the first lines of the notebook:", False
        yield "    %env PRECISION_FIX_STORAGE=bfloat16", True
        yield "    %load_ext precision_fix", True
        return
    start = f"precision-fix run {pasted(program)}" if program else _start_of_host(run) or "precision-fix run PROGRAM"
    yield f"    {start.replace(' run ', ' run --storage bfloat16 ', 1)}", True


def _start_of_host(run: Run) -> str:
    from precision_fix.reports.hosts import meetings

    return next((each.command for each in meetings(run) if each.command), "")


def _program(run: Run) -> str:
    from precision_fix.model.entry_points import program_in

    launches = [each for each in run.scan.starts if not each.is_node_pack]
    programs = (each.program for each in launches if each.program and not each.program.lower().endswith(".ipynb"))
    found = next(programs, "")
    return found or str(program_in(run.paths) or "")


def _figures(run: Run) -> str:
    """What `plan` says of the checkpoints below the paths, by their headers, and of the models that a config names the
    sizes of, of which the largest counts: a project has the configs of many, and runs one.
    """
    from precision_fix.plan.configs import described
    from precision_fix.plan.find import find
    from precision_fix.plan.fit import load
    from precision_fix.plan.group import group
    from precision_fix.plan.phrases import size
    from precision_fix.plan.read import read_models
    from precision_fix.plan.use import Use
    from precision_fix.plan.working import PATCHED, UNPATCHED, parts_of

    found = find([str(path) for path in run.paths if Path(path).is_dir()])
    models = read_models(group(found), found)
    full, half = (sum(load(each.tensors, it, "float32").weights for each in models) for it in ("float32", "bfloat16"))
    said = [f"the checkpoints here {size(full)} instead of {size(half)}"] if half != full else []
    # Another process to build what is not known by hand is for who asks for a plan.
    at_work: list[tuple[int, int, str]] = []
    for each in described(found, models, Use(), build=False):
        if all(_is_of_tests(os.path.relpath(each.file, path)) for path in run.paths):
            continue  # nobody runs a model that was made for a test
        use = each.known.at(Use())
        patched, before = (
            sum(part.nbytes for part in parts_of(each.known, use, mode, each.model.tensors, "", ""))
            for mode in (PATCHED, UNPATCHED)
        )
        at_work.append((patched, before, each.file))
    if at_work:
        patched, before, file = max(at_work)
        plan = f"precision-fix plan {pasted(file)}"
        said.append(f"{shown(file)} at work {size(patched)} instead of {size(before)}, by an estimate ({plan})")
    return f": {', '.join(said)}" if said else ""


def _is_of_tests(path: str) -> bool:
    """`tests/assets/clip/config.json`, `pkg/test_data/config.json`, `fixtures/tiny/config.json`."""
    from precision_fix.project.names import is_test

    return is_test(path) or any(part.startswith(("test_", "testdata", "fixtures")) for part in Path(path).parts)
