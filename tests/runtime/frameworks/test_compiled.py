"""Every small graph of the core tests, by Inductor, which runs a C++ compiler for each."""

from __future__ import annotations

import pytest

from tests.runtime.test_compiled import GRAPHS, INDUCTOR, check

pytestmark = pytest.mark.long


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize("name", [name for name in GRAPHS if name not in INDUCTOR])
def test_inductor(name: str) -> None:
    check(GRAPHS[name], "inductor")
