"""`precision-fix run PROGRAM`: a program as it is, with float32 in the place of bfloat16 while it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from precision_fix import safe_path
from precision_fix.cli import give_signals_back, streams
from precision_fix.cli.app import HELP, app, say
from precision_fix.cli.options import complete_gpu, complete_to
from precision_fix.errors import PrecisionFixError

# What follows the program's name is the program's, whatever it looks like.
_EPILOG = "Exit codes: the program's own; 1 what --fail found; 2 usage error, and the program was not started."
_AS_IT_IS = {"allow_interspersed_args": False, "ignore_unknown_options": True, **HELP}


@app.command("run", epilog=_EPILOG, context_settings=_AS_IT_IS)
def run(
    program: Annotated[
        list[str], typer.Argument(help="A script, or torchrun or accelerate, and its arguments.", metavar="PROGRAM ...")
    ],
    module: Annotated[bool, typer.Option("-m", help="PROGRAM is a module, as in `python -m`.")] = False,
    audit: Annotated[bool, typer.Option("--audit", help="List afterwards what still computed in bfloat16.")] = False,
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 1 if the audit finds anything.")] = False,
    json: Annotated[Path | None, typer.Option("--json", help="Write the audit to a file.", metavar="FILE")] = None,
    gpu: Annotated[
        str | None,
        typer.Option(
            "--gpu",
            help="Decide for this GPU: t4, 7.5 (default: the one that is here).",
            metavar="NAME",
            autocompletion=complete_gpu,
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="What bfloat16 becomes: float32 (the default) or float16.",
            metavar="DTYPE",
            autocompletion=complete_to,
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage",
            help="Keep weights, and caches with them, in float32 (the default), bfloat16, or auto, as it fits.",
            metavar="DTYPE",
        ),
    ] = None,
    compute: Annotated[
        str | None,
        typer.Option("--compute", help="Compute products in: float32, float16 (with scales), or auto, by the GPU."),
    ] = None,
    copy: Annotated[
        str | None,
        typer.Option("--compute-copy", help="A weight's float16 numbers: keep, use (made anew each time), or auto."),
    ] = None,
) -> None:
    """Run a program and its children in float32 where the GPU has no bfloat16; edits of its modules stay in memory."""
    from precision_fix.runtime import gate
    from precision_fix.runtime.launch import run_program

    # A wrong word must not start a program that runs for hours, and unprotected.
    try:
        wanted = gate.asked(gpu=gpu, to=to, storage=storage, compute=compute, copy=copy, options=True)
    except PrecisionFixError as error:
        raise PrecisionFixError(f"{error}; the program was not started") from None
    if not module:
        _check(program[0])
    given = (
        ("PRECISION_FIX_GPU", gpu, wanted.gpu),
        ("PRECISION_FIX_TO", to, wanted.target),
        ("PRECISION_FIX_STORAGE", storage, wanted.storage),
        ("PRECISION_FIX_COMPUTE", compute, wanted.compute),
        ("PRECISION_FIX_COMPUTE_COPY", copy, wanted.copy),
    )
    for name, option, word in given:
        if option is not None:
            os.environ[name] = word
    stores = wanted.storage in ("bfloat16", "auto") or wanted.compute != "float32"
    if stores and wanted.mode != "off":
        from precision_fix.cli.patched import undo_first

        line = undo_first([Path.cwd() if module else program[0]], "it loads float32, where storage saves nothing")
        if line:
            say(line)
    # Signals are the program's own again, and so are its streams and the path that its modules come from.
    give_signals_back()
    streams.give_back()
    safe_path.as_given()
    raise typer.Exit(run_program(program, module=module, audit=audit, fail=fail, json_path=json))


def _check(program: str) -> None:
    """Raises PrecisionFixError for what Python would begin to read as a program, and is none."""
    from precision_fix.model.problem import shown

    if program.lower().endswith(".ipynb"):
        instead = "`%load_ext precision_fix` in its first cell does the same there"
        raise PrecisionFixError(f"run: {shown(program)} is a notebook: {instead}")
    # A folder that cannot be read has none either, and `Path.is_file` would raise.
    if os.path.isdir(program) and not os.path.isfile(os.path.join(program, "__main__.py")):  # noqa: PTH112, PTH113, PTH118
        raise PrecisionFixError(f"run: {shown(program)} is a folder without a __main__.py: name the program in it")
