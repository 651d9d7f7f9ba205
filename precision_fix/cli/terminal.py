"""What only a terminal gets: colours and progress. rich is imported for one, never for a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from precision_fix.model.problem import as_json, as_line, shown

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


def is_coloured(stream: TextIO) -> bool:
    """Whether what is printed gets colours: on a terminal, and elsewhere with FORCE_COLOR, as builds set it whose logs
    show them. NO_COLOR counts first. Sources: no-color.org, force-color.org."""
    return not os.environ.get("NO_COLOR") and (bool(os.environ.get("FORCE_COLOR")) or stream.isatty())


def emit(stream: TextIO, lines: Iterable[tuple[str, str]], *, told: Callable[[str], str] = as_line) -> None:
    """Print lines, each in its style where `is_coloured`, else plain. `told` makes of each what is safe to print."""
    if is_coloured(stream):
        from rich.console import Console
        from rich.text import Text

        console = Console(file=stream, highlight=False, soft_wrap=True, force_terminal=True)
        for style, line in lines:
            console.print(Text(told(line), style=style))
        return
    for _, line in lines:
        _put(told(line), stream)


def put(line: str) -> None:
    """Print a line on stdout."""
    _put(as_line(line), sys.stdout)


def _put(line: str, stream: TextIO) -> None:
    """With what the encoding there lacks as escapes."""
    encoding = stream.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), file=stream)


def put_json(data: object) -> None:
    """Print it as JSON."""
    import json

    print(as_json(json.dumps(data, indent=2)))


def say(message: str) -> None:
    """A message to the person, on stderr: stdout is for diffs and data."""
    # None under pythonw, and in a kernel without one; print() would take stdout instead.
    if sys.stderr is None:
        return
    with suppress(OSError, ValueError):
        print(f"precision-fix: {shown(message)}", file=sys.stderr)
