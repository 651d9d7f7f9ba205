"""`precision-fix undo PATH`: every byte back as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from precision_fix.cli.app import HELP, app, say
from precision_fix.cli.meant import check
from precision_fix.cli.streams import DONE
from precision_fix.cli.terminal import put

_EPILOG = "Exit codes: 0 all is as it was; 1 a file was left; 2 nothing to undo, usage or internal error."


@app.command("undo", epilog=_EPILOG, context_settings=HELP)
def undo(
    paths: Annotated[list[str], typer.Argument(help="Files or directories that were patched.", metavar="PATH...")],
) -> None:
    """Put back every file that was patched at or below a path. A file edited since is left, and named."""
    from precision_fix.engine.undo import NothingToUndo
    from precision_fix.engine.undo import undo as take_back
    from precision_fix.model.problem import count

    # A journal may know of a path that is gone, and then says what became of it; among others it is a slip of the pen.
    if len(paths) > 1 or not paths[0].strip():
        check(paths, "undo")
    restored, known = 0, False
    for number, path in enumerate(paths, 1):
        try:
            result = take_back(Path(path), on_wait=say)
        except NothingToUndo as error:
            # Of several files that were named for a patch, some had nothing to change.
            if number == len(paths) and not known:
                raise
            say(str(error))
            continue
        known = True
        restored += len(result.restored)
        if result.refused:
            DONE.code = 1
        DONE.words = f"{count(restored, 'file')} restored" if restored else ""
        for problem in result.refused:
            say(str(problem))
        put(
            f"{path}: {count(len(result.restored), 'file')} restored"
            + (f", {len(result.refused)} left" if result.refused else "")
        )
    raise typer.Exit(DONE.code)
