"""`precision-fix undo PATH`: every byte back as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from precision_fix.cli.app import HELP, app, say


@app.command("undo", context_settings=HELP)
def undo(
    paths: Annotated[list[Path], typer.Argument(help="Files or directories that were patched.", show_default=False)],
) -> None:
    """Put back every file that was patched at or below a path. A file edited since is left, and named."""
    from precision_fix.engine.undo import undo as take_back
    from precision_fix.model.problem import count

    refused = 0
    for path in paths:
        result = take_back(path, on_wait=say)
        for problem in result.refused:
            say(str(problem))
        refused += len(result.refused)
        print(
            f"{path}: {count(len(result.restored), 'file')} restored"
            + (f", {len(result.refused)} left" if result.refused else "")
        )
    raise typer.Exit(1 if refused else 0)
