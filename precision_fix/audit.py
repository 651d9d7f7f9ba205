"""What still computes in bfloat16: `with precision_fix.audit() as seen: ...`, then
`print(seen.report().text())`.

The module is callable, so that `import precision_fix.audit` gives both the function and its types. It needs torch, and
raises PrecisionFixError without it.
"""

from __future__ import annotations

import importlib.util
import sys
from contextlib import AbstractContextManager
from types import ModuleType

from precision_fix.errors import PrecisionFixError
from precision_fix.runtime.audit import BLIND_SPOTS, Audit, Report, Site
from precision_fix.runtime.audit import audit as _audit

__all__ = ["BLIND_SPOTS", "Audit", "Report", "Site", "audit"]


def audit() -> AbstractContextManager[Audit]:
    """Watch the operators of a `with` block. Raises PrecisionFixError where torch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise PrecisionFixError("audit() watches what torch computes, and torch is not installed here")
    return _audit()


class _Callable(ModuleType):
    def __call__(self) -> AbstractContextManager[Audit]:
        return audit()


sys.modules[__name__].__class__ = _Callable
