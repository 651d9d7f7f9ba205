"""PF911: a file that a script writes."""

from __future__ import annotations

import pytest

from tests.tools import check_reported, check_rewritten

WRITTEN = """\
cat > ds_config.json <<EOT
{
  $(cat shared_settings.txt)
  "bf16": { "enabled": true }
}
EOT
"""


@pytest.mark.parametrize("start", ["#!/bin/bash\n", "set -e\n"])
def test_what_cannot_be_read_as_the_file_that_it_becomes(start: str) -> None:
    check_reported(start + WRITTEN, code="PF911", path="a.sh")


def test_what_can_be_read_is_rewritten() -> None:
    text = WRITTEN.replace("  $(cat shared_settings.txt)\n", "")
    check_rewritten(text, text.replace("true", "false"), path="a.sh")
