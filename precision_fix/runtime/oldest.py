"""The oldest torch that the casts are tested with, and the oldest for weights in two bytes, which are refused below it.

docs/versions.md has the table; pyproject.toml names the first of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from precision_fix.runtime.gate import Decision, say_wrong

OLDEST = (2, 4)
#: Under 2.4 torch.compile was seen to give other numbers for a model with such weights; 2.5 was not tried.
OLDEST_STORING = (2, 6)


def fitting(torch: Any, decision: Decision) -> Decision:
    """`decision` as this torch can carry it out."""
    if decision.storage == "float32" or _release(torch) >= OLDEST_STORING:
        return decision
    wanted = ".".join(map(str, OLDEST_STORING))
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
