"""`precision-fix PATH...`: rewrite in place, or show what would change."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from precision_fix.cli.app import HELP, app, say
from precision_fix.cli.order import Ordered, words
from precision_fix.cli.terminal import emit, progress
from precision_fix.errors import PrecisionFixError

if TYPE_CHECKING:
    from precision_fix.reports.outputs import Output
    from precision_fix.reports.run import Run

_EPILOG = (
    "Other commands: run PROGRAM, undo PATH, plan CHECKPOINT..., gpus, rule [CODE]; each has --help. "
    "Exit codes: 0 nothing left to do; 1 a dry run found something, or a file failed; 2 usage or internal error."
)


def _version(asked: bool) -> None:
    if asked:
        from precision_fix import __version__

        print(f"precision-fix {__version__}")
        raise typer.Exit


@app.command("patch", cls=Ordered, epilog=_EPILOG, context_settings=HELP)
def patch(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Files and directories of the project.", show_default=False)],
    diff: Annotated[bool, typer.Option("--diff", help="Write nothing; print a diff that git apply takes.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; print what would change, for CI.")] = False,
    gpu: Annotated[
        str | None, typer.Option("--gpu", help="The GPU to patch for: t4, p100, sm_75, 7.5.", metavar="NAME")
    ] = None,
    to: Annotated[str, typer.Option("--to", help="What bfloat16 becomes: float32 or float16.")] = "float32",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List each place that was left alone.")] = False,
    output_format: Annotated[
        list[str] | None,
        typer.Option(help="text, json, sarif, github, markdown or html; may be repeated.", metavar="FORMAT"),
    ] = None,
    output_file: Annotated[
        list[str] | None,
        typer.Option(
            help="Where the report of the format before it goes; alone, its suffix tells the format "
            "(.txt, .json, .sarif, .md, .html). Without a file a report goes to stdout.",
            metavar="FILE",
        ),
    ] = None,
    statistics: Annotated[
        bool, typer.Option("--statistics", help="Count the places by rule, instead of the text report.")
    ] = False,
    exit_zero: Annotated[
        bool,
        typer.Option(
            "--exit-zero", help="End with 0 though a dry run found something; files that failed still give 1."
        ),
    ] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Rewrite bfloat16 to float32 in a project, where the GPU has no bfloat16, by what each place means."""
    from precision_fix.engine.decide import ADVICE, decide, target_named
    from precision_fix.engine.scan import Scan, scan
    from precision_fix.reports.run import Run

    target = target_named(to)
    wanted = _wanted(context)
    printed = next((output.format for output in wanted if output.file is None), None)
    if diff and printed not in (None, "text"):
        raise PrecisionFixError(f"--diff and {printed} cannot both go to stdout: give {printed} an --output-file")
    missing = [path for path in paths if not path.exists()]
    if len(missing) == len(paths):
        raise PrecisionFixError(f"{', '.join(map(str, missing))}: no such file or directory")
    decision = decide(gpu)
    dry = diff or check
    if not decision.known and not dry:
        raise PrecisionFixError(ADVICE)
    say(decision.line(target))
    run = Run(Scan(target), paths, decision, dry=dry, verbose=verbose)
    if decision.needed:
        if to == "float16":
            say(
                "float16 overflows above 65504: models that were trained in bfloat16 may give inf and NaN; "
                "float32 does not"
            )
        with_text = not check or any(output.needs_text for output in wanted)
        with progress() as told:
            run.scan = scan(paths, target, with_text=with_text, progress=told)
        if not dry:
            from precision_fix.engine.patch import write

            run.written = write(run.scan, on_wait=say)
    _report(run, wanted, diff=diff, statistics=statistics)
    found = dry and run.says_something and not exit_zero
    raise typer.Exit(1 if found or run.problems else 0)


def _wanted(context: typer.Context) -> list[Output]:
    """The reports that are asked for. Most runs ask for none, and need not import what makes them."""
    asked = list(words(context))
    if not asked:
        return []
    from precision_fix.reports.outputs import outputs

    return outputs(asked)


def _report(run: Run, wanted: list[Output], *, diff: bool, statistics: bool) -> None:
    """The reports in files first: a reader of stdout may go away early."""
    files = [output for output in wanted if output.file is not None]
    printed = [output for output in wanted if output.file is None and output.format != "text"]
    if files:
        _write(run, files)
    if run.needed and diff:
        from precision_fix.engine.diff import unified

        sys.stdout.buffer.writelines(unified(run.scan))
        sys.stdout.buffer.flush()
    # The text comes on top of files, unless one of them is the text, and unless another report has stdout.
    in_file = any(output.format == "text" for output in files) and len(files) == len(wanted)
    if run.needed and not printed and (statistics or not in_file):
        from precision_fix.reports import text

        emit(sys.stderr if diff else sys.stdout, text.statistics(run) if statistics else text.lines(run))
    if printed:
        _write(run, printed)


def _write(run: Run, wanted: list[Output]) -> None:
    from precision_fix.reports.outputs import write

    write(run, wanted, say=say)
