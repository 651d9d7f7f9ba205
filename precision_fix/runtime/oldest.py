"""The oldest torch that the casts are tested with, and the oldest for weights in two bytes and for products in float16,
which are refused below it.

docs/versions.md has the table; pyproject.toml names the first of them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from precision_fix.runtime.gate import Decision, say_wrong

OLDEST = (2, 4)
#: Under 2.4 torch.compile was seen to give other numbers with such weights, and attention stayed in float32;
#: 2.5 was not tried.
OLDEST_STORING = (2, 6)


def fitting(torch: Any, decision: Decision) -> Decision:
    """`decision` as this torch can carry it out."""
    if decision.storage == "float32" or version_of(torch) >= OLDEST_STORING:
        return decision
    both = decision.compute != "float32"
    what = "weights in bfloat16, and products in float16," if both else "weights in bfloat16"
    say_wrong(f"{why_not(torch, what)}: they become float32")
    line = f"{re.split(', (?:products|weights) ', decision.line, maxsplit=1)[0]}, weights too"
    return replace(decision, storage="float32", caches="float32", compute="float32", line=line)


def why_not(torch: Any, what: str) -> str:
    """Why weights in two bytes, or products in float16, are refused under this torch; "" where they are not."""
    if version_of(torch) >= OLDEST_STORING:
        return ""
    return f"{what} need torch {'.'.join(map(str, OLDEST_STORING))}, this is {torch.__version__}"


def remark(torch: Any) -> str:
    """What status() tells of a torch that is older; otherwise ""."""
    if version_of(torch) >= OLDEST:
        return ""
    return f"torch {torch.__version__}: the tests were run under {'.'.join(map(str, OLDEST))} and later"


def version_of(torch: Any) -> tuple[int, ...]:
    """(2, 10) for "2.10.0+cu128"."""
    return tuple(int(part) for part in str(torch.__version__).split(".")[:2] if part.isdigit())
