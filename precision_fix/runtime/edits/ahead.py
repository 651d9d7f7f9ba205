"""A project read ahead, by another process, while the program imports what comes before its first word of bfloat16.

That takes a second or some, and so does torch's import. What that process makes it puts on the shelf (`shelf`), where
this one finds it when a module asks; until then the lock of the shelf is the other's. It is no child of this process,
so that a program that waits for its children does not meet it, and it ends when this process does.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterable

from precision_fix.errors import PrecisionFixError
from precision_fix.runtime.edits import helper, prints
from precision_fix.runtime.edits.shelf import Row, Shelf, made_of
from precision_fix.safe_path import neutral_folder

# The first process ends at once, and leaves the second to itself.
_BOOT = f"""
import os
if os.fork():
    os._exit(0)
{helper.BOOT}
from precision_fix.runtime.edits import ahead
ahead.end_with(asked["alive"])
from precision_fix.engine.in_memory import rows
top, to, stores = asked["top"], asked["to"], asked["stores"]
ahead.put(asked["key"], top, lambda stays: rows(top, to, stores=stores, stays=stays))
"""
#: The ends of pipes that close when this process ends, and are closed by nobody before.
_alive: list[int] = []


def make(lock: int, **asked: object) -> None:
    """Begin; `lock` stays with the other process. What does not work now is tried, and told, when a module asks."""
    end, alive = os.pipe()
    _alive.append(alive)
    try:
        with contextlib.suppress(OSError, PrecisionFixError):
            subprocess.run(
                helper.command(_BOOT),
                input=helper.boot({**asked, "alive": end}),
                encoding="utf-8",
                errors="surrogatepass",
                cwd=neutral_folder(),
                pass_fds=(lock, end),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                check=False,
            )
    finally:
        os.close(end)


# In the other process.


def end_with(alive: int) -> None:
    """End this process when the other end of a pipe is closed."""

    def wait() -> None:
        os.read(alive, 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def put(key: str, top: str, rows: Callable[[Callable[[str], None]], Iterable[Row]]) -> None:
    """Put what becomes of a project on its shelf; what stays as it is, as soon as that is known."""
    files = prints.look(top)  # before anything is read
    if files is None:
        return
    shelf = Shelf(key)

    def stays(path: str) -> None:
        file = prints.name(path, top)
        if file in files:
            with contextlib.suppress(OSError):
                shelf.note(file, files[file])

    shelf.keep(*made_of(top, files, rows(stays)))
