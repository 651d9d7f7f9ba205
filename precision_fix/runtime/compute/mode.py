"""The runtime under PRECISION_FIX_COMPUTE: every stored weight is computed with in float16."""

from __future__ import annotations

from precision_fix.runtime.compute import seen, use
from precision_fix.runtime.compute.state import AUTO, USE
from precision_fix.runtime.gate import Decision

__all__ = ["begin", "end", "seen"]


def begin(decision: Decision) -> None:
    """From now on, in all models and threads."""
    USE.copy, USE.memory = decision.copy, decision.memory
    use.acquire(emulates=decision.emulates)
    use.everywhere(True)


def end() -> None:
    """Back to float32. Before storage's own end."""
    use.everywhere(False)
    USE.copy, USE.memory = AUTO, None
    use.release()
