"""What holds for every test."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of the user who runs the tests are left alone: journals get a key of their own, edits a cache."""
    place = tmp_path_factory.mktemp("state")
    os.environ["XDG_STATE_HOME"] = str(place)
    os.environ["XDG_CACHE_HOME"] = str(place / "cache")
    return place


@pytest.fixture(autouse=True, scope="session")
def heard_signals() -> None:
    """A shell starts what it leaves in the background with Ctrl-C ignored, which children inherit: tests send it."""
    for name in ("SIGINT", "SIGHUP", "SIGTERM"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)
