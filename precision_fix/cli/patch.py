"""`precision-fix PATH...`: rewrite in place, or show what would change."""

from __future__ import annotations

from typing import Annotated

import typer

from precision_fix.cli import job, options
from precision_fix.cli.app import HELP, app
from precision_fix.cli.order import Ordered, words

_EPILOG = (
    "Exit codes: 0 done, or nothing to do; 1 a dry run found something, or a file failed; 2 usage or internal error."
)


def _version(asked: bool) -> None:
    if asked:
        from precision_fix import __version__

        print(f"precision-fix {__version__}")
        raise typer.Exit


@app.command("patch", cls=Ordered, epilog=_EPILOG, context_settings=HELP)
def patch(
    context: typer.Context,
    paths: Annotated[
        list[str], typer.Argument(help="Files and directories of the project; - is stdin.", metavar="PATH...")
    ],
    diff: options.Diff = False,
    check: options.Check = False,
    gpu: options.Gpu = None,
    to: options.To = None,
    select: options.Select = None,
    ignore: options.Ignore = None,
    extend_exclude: options.ExtendExclude = None,
    force_exclude: options.ForceExclude = False,
    config: options.Config = None,
    isolated: options.Isolated = False,
    no_cache: options.NoCache = False,
    stdin_filename: options.StdinFilename = None,
    verbose: options.Verbose = False,
    output_format: options.OutputFormat = None,
    output_file: options.OutputFile = None,
    statistics: options.Statistics = False,
    exit_zero: options.ExitZero = False,
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Rewrite bfloat16 to float32 in a project, where the GPU has no bfloat16, by what each place means."""
    code = job.patch(
        paths,
        diff=diff,
        check=check,
        gpu=gpu,
        to=to,
        select=select,
        ignore=ignore,
        extend_exclude=extend_exclude,
        force_exclude=force_exclude,
        config=config,
        isolated=isolated,
        no_cache=no_cache,
        stdin_filename=stdin_filename,
        verbose=verbose,
        asked=list(words(context)),
        statistics=statistics,
        exit_zero=exit_zero,
    )
    raise typer.Exit(code)
