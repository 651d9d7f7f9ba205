"""`precision-fix gpus`: what was found, and whether it computes in bfloat16."""

from __future__ import annotations

from typing import Annotated

import typer

from precision_fix.cli.app import HELP, app, say
from precision_fix.cli.terminal import put, put_json


@app.command("gpus", context_settings=HELP)
def gpus(as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False) -> None:
    """Show the visible GPUs: name, compute capability, memory, bfloat16 or not, and who said so."""
    from precision_fix.gpu import detect, missing_kernels

    found = detect()
    kernels = missing_kernels(found.gpus) if found.gpus else None
    if as_json:
        put_json(_data(found, kernels))
        return
    for problem in found.problems:
        say(problem)
    for line in found.lines:
        put(line)
    if kernels:
        say(kernels)


def _data(found: object, kernels: str | None) -> dict[str, object]:
    from precision_fix.gpu import Detection

    assert isinstance(found, Detection)
    return {
        "source": found.source,
        "known": found.known,
        "native_bfloat16": found.native_bfloat16,
        "hidden": found.hidden,
        "gpus": [
            {
                "index": gpu.index,
                "name": gpu.name,
                "uuid": gpu.uuid,
                "compute_capability": str(gpu.capability),
                "memory_bytes": gpu.memory,
                "native_bfloat16": gpu.native_bfloat16,
            }
            for gpu in found.gpus
        ],
        "problems": list(found.problems),
        "missing_kernels": kernels,
    }
