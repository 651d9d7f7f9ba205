"""`precision-fix PATH...`: rewrite in place, or show what would change."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from precision_fix.cli import options, stdin
from precision_fix.cli.app import HELP, app, say
from precision_fix.cli.report import Report
from precision_fix.cli.terminal import progress
from precision_fix.errors import PrecisionFixError

_EPILOG = (
    "Other commands: run PROGRAM, undo PATH, gpus, rule [CODE]; each has --help. "
    "--install-completion lets the shell complete them. "
    "Exit codes: 0 nothing left to do; 1 a dry run found something, or a file failed; 2 usage or internal error."
)


def _version(asked: bool) -> None:
    if asked:
        from precision_fix import __version__

        print(f"precision-fix {__version__}")
        raise typer.Exit


@app.command("patch", epilog=_EPILOG, context_settings=HELP)
def patch(
    paths: Annotated[
        list[Path], typer.Argument(help="Files and directories of the project; - is stdin.", show_default=False)
    ],
    diff: Annotated[bool, typer.Option("--diff", help="Write nothing; print a diff that git apply takes.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; print what would change, for CI.")] = False,
    gpu: options.Gpu = None,
    to: options.To = None,
    select: options.Select = None,
    ignore: options.Ignore = None,
    extend_exclude: options.ExtendExclude = None,
    force_exclude: options.ForceExclude = False,
    config: options.Config = None,
    isolated: options.Isolated = False,
    stdin_filename: options.StdinFilename = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List each place that was left alone.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Rewrite bfloat16 to float32 in a project, where the GPU has no bfloat16, by what each place means."""
    from precision_fix.engine.decide import ADVICE, decide, target_named
    from precision_fix.engine.scan import scan, scan_text

    from_stdin = stdin.asked_for(paths, stdin_filename)
    there = [stdin_filename or Path()] if from_stdin else [path for path in paths if path.exists()]
    if not there:
        raise PrecisionFixError(f"{', '.join(map(str, paths))}: no such file or directory")
    project = options.project(
        to=to,
        gpu=gpu,
        select=select,
        ignore=ignore,
        extend_exclude=extend_exclude,
        force_exclude=force_exclude,
        config=config,
        isolated=isolated,
    )
    run = project.for_run(there[0])
    target = target_named(run.to or "float32")
    decision = decide(run.gpu)
    dry = diff or check
    if not decision.known and not dry:
        raise PrecisionFixError(ADVICE)
    say(decision.line(target))
    data = sys.stdin.buffer.read() if from_stdin else b""
    if not decision.needed:
        if from_stdin and not dry:
            stdin.give(data)
        return
    if target.dtype == "float16":
        say(
            "float16 overflows above 65504: models that were trained in bfloat16 may give inf and NaN; float32 does not"
        )
    if from_stdin:
        found = scan_text(str(stdin_filename or stdin.NAME), data, target, project)
    else:
        with progress() as told:
            found = scan(paths, target, with_text=not check, progress=told, project=project)
    for line in project.unheeded(run):
        say(line)
    report = Report(found, paths, verbose=verbose, dry=dry)
    if dry:
        if diff:
            from precision_fix.engine.diff import unified

            sys.stdout.buffer.writelines(unified(found))
            sys.stdout.buffer.flush()
        report.print(sys.stderr if diff else sys.stdout)
        failed = from_stdin and found.problems
        raise typer.Exit(2 if failed else 1 if report.says_something else 0)
    if from_stdin:
        stdin.give_fixed(found, data)
        return
    from precision_fix.engine.patch import write

    written = write(found, on_wait=say)
    report.written = written
    report.print(sys.stdout)
    raise typer.Exit(1 if found.problems or written.problems else 0)
