"""A call that may mean several functions: what one of them reads bytes by is not changed for the others' sake."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tests.project.programs import patched
from tests.tools import rewritten

CALLED = {
    "two arms": """
        if FAST:
            def load(buf, kind):
                return buf.to(kind)
        else:
            def load(buf, kind):
                return buf.view(kind)
        """,
    "overloads": """
        @overload
        def load(buf: int, kind) -> int: ...
        def load(buf, kind):
            return buf.view(kind)
        """,
    "a method of that name elsewhere": """
        class Other:
            def load(self, kind):
                return kind
        def load(buf, kind):
            return buf.view(kind)
        """,
    "what stands in for an import": """
        try:
            from fast import load
        except ImportError:
            def load(buf, kind):
                return buf.view(kind)
        """,
    "one or the other": """
        def one(buf, kind):
            return buf.to(kind)
        def two(buf, kind):
            return buf.view(kind)
        load = one if FAST else two
        """,
    "a table": """
        def one(buf, kind):
            return buf.to(kind)
        def two(buf, kind):
            return buf.view(kind)
        LOADS = {"one": one, "two": two}
        load = LOADS[FAST]
        """,
    "a part of a call": """
        def two(more, buf, kind):
            return buf.view(kind)
        load = functools.partial(two, 1)
        """,
    "a name of a name": """
        def one(buf, kind):
            return buf.view(kind)
        two = one
        load = two
        """,
}
HEAD = "import functools, torch\nfrom typing import overload\n"
CALL = "def go(buf):\n    return load(buf, torch.bfloat16)\n"


@pytest.mark.parametrize("name", CALLED)
def test_bytes_that_one_of_them_reads(name: str) -> None:
    before = HEAD + dedent(CALLED[name]) + CALL
    assert rewritten(before) == before
    casts = before.replace("buf.view(kind)", "buf.to(kind)")
    assert rewritten(casts) == casts.replace("bfloat16", "float32")


def test_in_branches_of_a_function() -> None:
    before = (
        "import torch\ndef one(buf, kind):\n    return buf.view(kind)\ndef two(buf, kind):\n    return buf.to(kind)\n"
        "def go(buf, fast):\n    if fast:\n        load = two\n    else:\n        load = one\n"
        "    return load(buf, torch.bfloat16)\n"
    )
    assert rewritten(before) == before


def test_a_method_that_a_derived_class_fills_in(tmp_path: Path) -> None:
    program = {
        "base.py": (
            "import torch\nclass Base:\n    def load(self, buf, kind):\n        raise NotImplementedError\n"
            "    def go(self, buf):\n        return self.load(buf, torch.bfloat16)\n"
        ),
        "net.py": (
            "from base import Base\nclass Net(Base):\n    def load(self, buf, kind):\n        return buf.view(kind)\n"
        ),
    }
    after, _ = patched(tmp_path, program)
    assert after == program


def test_which_of_two_files_an_import_brings(tmp_path: Path) -> None:
    program = {
        "fast.py": "def load(buf, kind):\n    return buf.to(kind)\n",
        "slow.py": "def load(buf, kind):\n    return buf.view(kind)\n",
        "main.py": (
            "import torch\ntry:\n    from fast import load\nexcept ImportError:\n    from slow import load\n"
            "def go(buf):\n    return load(buf, torch.bfloat16)\n"
        ),
    }
    after, _ = patched(tmp_path, program)
    assert after == program
