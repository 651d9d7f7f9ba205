"""`precision-fix gpus`: what was found, and whether it computes in bfloat16."""

from __future__ import annotations

from typing import Annotated

import typer

from precision_fix.cli.app import HELP, app, say
from precision_fix.cli.terminal import put, put_json


@app.command("gpus", epilog="Exit codes: 0, with a GPU and without; 2 usage error.", context_settings=HELP)
def gpus(as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False) -> None:
    """Show the visible GPUs: name, compute capability, memory, bfloat16 or not, and who said so."""
    from precision_fix.gpu import detect, missing_kernels

    found = detect()
    kernels = missing_kernels(found.gpus) if found.gpus else None
    if as_json:
        put_json({**found.to_dict(), "missing_kernels": kernels})
        return
    for problem in found.problems:
        say(problem)
    for line in found.lines:
        put(line)
    if kernels:
        say(kernels)
