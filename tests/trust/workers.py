"""What the workers of the tests do with an item. Modules of the project's own are not imported here: it is quick."""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import sys
import time
from pathlib import Path


def work(item: str) -> str | None:
    """An item is a word for what to do, and what to do it to."""
    what, _, rest = item.partition(" ")
    if what == "die":
        # pytest's own would print a traceback.
        faulthandler.disable()
        os.kill(os.getpid(), getattr(signal, rest))
    elif what == "die-once":
        marker = Path(rest)
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    elif what == "exit":
        os._exit(7)
    elif what == "sleep":
        Path(rest, str(os.getpid())).touch()
        time.sleep(600)
    elif what == "spin":
        # Keeps Python's lock: no other thread of the process runs meanwhile.
        Path(rest, str(os.getpid())).touch()
        re.match(r"(?:a|a)+$", "a" * 60 + "b")
    elif what == "path":
        return repr((sys.path, str(Path.cwd())))
    elif what == "nothing":
        return None
    return f"done {item}"


def lost(item: str, why: str) -> str:
    return f"{item}: {why}"
