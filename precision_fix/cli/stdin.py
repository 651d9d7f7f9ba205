"""`precision-fix -`: the text comes from stdin and goes to stdout, for editors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from precision_fix.cli.terminal import say
from precision_fix.engine.scan import Scan
from precision_fix.errors import PrecisionFixError
from precision_fix.model.finding import Action
from precision_fix.model.problem import reason, shown

NAME = "-"


def asked_for(paths: Sequence[str], filename: Path | None) -> bool:
    """Whether the text is on stdin. Raises PrecisionFixError where the arguments do not fit together."""
    named = NAME in paths
    if named and len(paths) > 1:
        raise PrecisionFixError("- is the text on stdin, and stands alone: name the files in another run")
    if filename is not None and not named:
        raise PrecisionFixError("--stdin-filename is for the text on stdin: give - as the path")
    return named


def read() -> bytes:
    """The whole text. Raises PrecisionFixError where there is none."""
    if sys.stdin is None:
        raise PrecisionFixError("-: stdin is closed: there is no text to read")
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise PrecisionFixError(f"-: stdin cannot be read: {reason(error)}") from None


def give_fixed(found: Scan, data: bytes) -> None:
    """The text with its changes made, to the byte as it came where there are none; what needs a hand to stderr.

    Nothing goes out of a text that could not be dealt with, so that an editor keeps what it has.
    """
    for problem in found.problems:
        say(str(problem))
    if found.problems:
        return
    for finding in found.findings:
        if finding.action is Action.MANUAL:
            say(f"{shown(finding.path)}:{finding.line}:{finding.column}: {finding.code} {finding.reason}")
    changed = found.changed
    sys.stdout.buffer.write(changed[0].after if changed else data)
    sys.stdout.buffer.flush()
