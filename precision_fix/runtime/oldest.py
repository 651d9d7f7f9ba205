"""The oldest torch that the tests pass under, and what is refused below it.

docs/versions.md has the table; pyproject.toml names the same release.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from precision_fix.runtime.gate import Decision, say_wrong

OLDEST = (2, 4)


def fitting(torch: Any, decision: Decision) -> Decision:
    """`decision` as this torch can carry it out. Below `OLDEST` its compiler does not capture weights in two bytes."""
    if decision.storage == "float32" or _release(torch) >= OLDEST:
        return decision
    wanted = ".".join(map(str, OLDEST))
    say_wrong(f"weights in bfloat16 need torch {wanted}, this is {torch.__version__}: they become float32")
    line = f"{decision.line.split(', weights')[0]}, weights too"
    return replace(decision, storage="float32", caches="float32", line=line)


def remark(torch: Any) -> str:
    """What status() tells of a torch that is older; otherwise ""."""
    if _release(torch) >= OLDEST:
        return ""
    return f"torch {torch.__version__}: the tests were run under {'.'.join(map(str, OLDEST))} and later"


def _release(torch: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in str(torch.__version__).split(".")[:2] if part.isdigit())
