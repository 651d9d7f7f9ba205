"""What holds for every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of the user who runs the tests is left alone: journals get a key of their own."""
    place = tmp_path_factory.mktemp("state")
    os.environ["XDG_STATE_HOME"] = str(place)
    return place
