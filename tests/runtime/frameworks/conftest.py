"""Whole frameworks, each on tiny random weights: `pytest tests/runtime/frameworks`, apart from the core
tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch

from precision_fix import runtime
from precision_fix.runtime.audit import audit

Program = Callable[[str], Mapping[str, torch.Tensor]]


@pytest.fixture
def same_as_float32() -> Callable[[Program], None]:
    """Runs a program that is given "float32" as it is and "bfloat16" under the runtime; both give the same
    bits.
    """

    def check(program: Program) -> None:
        torch.manual_seed(0)
        expected = dict(program("float32"))
        with runtime.enabled():
            torch.manual_seed(0)
            with audit() as seen:
                got = dict(program("bfloat16"))
        assert expected
        assert expected.keys() == got.keys()
        for name, tensor in expected.items():
            assert got[name].dtype == tensor.dtype, name
            assert torch.equal(got[name], tensor), name
        assert seen.report().hits == 0, seen.report().text()

    return check
