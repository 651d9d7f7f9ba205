"""PF922: a command line in a config."""

from __future__ import annotations

import pytest

from tests.tools import check_reported, codes


@pytest.mark.parametrize("text", ["ARGS:\n  --bf16: true\n", "args: [serve, --dtype, bfloat16]\n"])
def test_an_option_in_a_config(text: str) -> None:
    check_reported(text, code="PF922", path="a.yaml")


def test_its_contrary_is_none() -> None:
    assert "PF922" not in codes("args: [serve, --dtype, float16]\n", path="a.yaml")
