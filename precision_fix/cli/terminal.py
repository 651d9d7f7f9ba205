"""What only a terminal gets: colours and progress. rich is imported for one, never for a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Told = Callable[[int, int], None]


@contextmanager
def progress() -> Iterator[Told | None]:
    """A bar on stderr for long runs on a terminal; None elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TextColumn("files"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("scan", total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=total > 300)


def emit(stream: TextIO, lines: list[tuple[str, str]]) -> None:
    """Print lines, each in its style; plain where the stream is no terminal or NO_COLOR is set."""
    if stream.isatty() and not os.environ.get("NO_COLOR"):
        from rich.console import Console
        from rich.text import Text

        console = Console(file=stream, highlight=False, soft_wrap=True)
        for style, line in lines:
            console.print(Text(line, style=style))
        return
    for _, line in lines:
        print(
            line.encode(stream.encoding or "utf-8", "backslashreplace").decode(stream.encoding or "utf-8"), file=stream
        )
