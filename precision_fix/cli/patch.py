"""`precision-fix PATH...`: rewrite in place, or show what would change."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from precision_fix.cli.app import HELP, app, say
from precision_fix.cli.report import Report
from precision_fix.cli.terminal import progress
from precision_fix.errors import PrecisionFixError

_EPILOG = (
    "Other commands: run PROGRAM, undo PATH, plan CHECKPOINT..., gpus, rule [CODE]; each has --help. "
    "Exit codes: 0 nothing left to do; 1 a dry run found something, or a file failed; 2 usage or internal error."
)


def _version(asked: bool) -> None:
    if asked:
        from precision_fix import __version__

        print(f"precision-fix {__version__}")
        raise typer.Exit


@app.command("patch", epilog=_EPILOG, context_settings=HELP)
def patch(
    paths: Annotated[list[Path], typer.Argument(help="Files and directories of the project.", show_default=False)],
    diff: Annotated[bool, typer.Option("--diff", help="Write nothing; print a diff that git apply takes.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; print what would change, for CI.")] = False,
    gpu: Annotated[
        str | None, typer.Option("--gpu", help="The GPU to patch for: t4, p100, sm_75, 7.5.", metavar="NAME")
    ] = None,
    to: Annotated[str, typer.Option("--to", help="What bfloat16 becomes: float32 or float16.")] = "float32",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List each place that was left alone.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Rewrite bfloat16 to float32 in a project, where the GPU has no bfloat16, by what each place means."""
    from precision_fix.engine.decide import ADVICE, decide, target_named
    from precision_fix.engine.scan import scan

    target = target_named(to)
    missing = [path for path in paths if not path.exists()]
    if len(missing) == len(paths):
        raise PrecisionFixError(f"{', '.join(map(str, missing))}: no such file or directory")
    decision = decide(gpu)
    dry = diff or check
    if not decision.known and not dry:
        raise PrecisionFixError(ADVICE)
    say(decision.line(target))
    if not decision.needed:
        return
    if to == "float16":
        say(
            "float16 overflows above 65504: models that were trained in bfloat16 may give inf and NaN; float32 does not"
        )
    with progress() as told:
        found = scan(paths, target, with_text=not check, progress=told)
    report = Report(found, paths, verbose=verbose, dry=dry)
    if dry:
        if diff:
            from precision_fix.engine.diff import unified

            sys.stdout.buffer.writelines(unified(found))
            sys.stdout.buffer.flush()
        report.print(sys.stderr if diff else sys.stdout)
        raise typer.Exit(1 if report.says_something else 0)
    from precision_fix.engine.patch import write

    written = write(found, on_wait=say)
    report.written = written
    report.print(sys.stdout)
    raise typer.Exit(1 if found.problems or written.problems else 0)
