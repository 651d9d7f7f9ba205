"""The diff of any two texts is what git makes the one into the other with, and says no more than that differs."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from precision_fix.engine.diff import unified
from precision_fix.engine.scan import FileScan, Scan
from precision_fix.model.finding import Action, Finding
from precision_fix.model.target import FLOAT32

_LINES = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\r\n", b"\n", b"torch.bfloat16\n"]), max_size=12)
_END = st.sampled_from([b"", b"the end", b"the end\n"])


def diff(before: bytes, after: bytes) -> bytes:
    finding = Finding("a.py", 1, 1, "PF101", Action.REWRITE)
    file = FileScan("a.py", "a.py", [finding], before=before, after=after)
    return b"".join(unified(Scan(FLOAT32, [file])))


def applied(before: bytes, patch: bytes) -> bytes:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        path = Path(name) / "a.py"
        path.write_bytes(before)
        command = ["git", "apply", "--unsafe-paths", "--directory", name, "-"]
        subprocess.run(command, input=patch, cwd=name, check=True, capture_output=True)
        return path.read_bytes() if path.exists() else b""


@settings(max_examples=60, deadline=None)
@given(_LINES, st.lists(st.tuples(_LINES, _LINES, _LINES), max_size=3), _END, _END)
def test_git_applies_it(
    head: list[bytes], parts: list[tuple[list[bytes], list[bytes], list[bytes]]], end: bytes, new_end: bytes
) -> None:
    before = b"".join([*head, *(line for old, _, same in parts for line in [*old, *same]), end])
    after = b"".join([*head, *(line for _, new, same in parts for line in [*new, *same]), new_end])
    if before and after and before != after:
        assert applied(before, diff(before, after)) == after


def test_lines_between_two_edits_are_no_part_of_either() -> None:
    before = b"".join(b"%d\n" % number for number in range(400))
    after = before.replace(b"\n50\n", b"\nfifty\n").replace(b"\n52\n", b"\nfifty-two\nand more\n")
    lines = diff(before, after).splitlines()[3:]
    assert [line for line in lines[1:] if not line.startswith(b" ")] == [
        b"-50",
        b"+fifty",
        b"-52",
        b"+fifty-two",
        b"+and more",
    ]
    assert lines[0] == b"@@ -48,9 +48,10 @@"


def test_texts_that_have_nothing_in_common() -> None:
    before, after = (b"".join(b"%s %d\n" % (word, n) for n in range(400)) for word in (b"old", b"new"))
    assert applied(before, diff(before, after)) == after
