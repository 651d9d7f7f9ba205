"""What PRECISION_FIX_COMPUTE may say, and what it cannot be said with."""

from __future__ import annotations

from precision_fix.errors import PrecisionFixError

#: What PRECISION_FIX_COMPUTE and PRECISION_FIX_COMPUTE_COPY may say.
COMPUTES = ("float32", "float16", "auto")
COPIES = ("auto", "keep", "use")


def check(compute: str, target: str, storage: str) -> None:
    """Raises PrecisionFixError where words contradict each other; `storage` is "" where nobody named one."""
    if compute == "float16" and target != "float32":
        raise PrecisionFixError(f"compute in {compute} has float32 between its products, not {target}: leave out one")
    if compute == "float16" and storage in ("off", "float32"):
        raise PrecisionFixError(
            f"compute in {compute} needs weights stored in bfloat16, not in {storage}: leave out one"
        )
