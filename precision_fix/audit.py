"""What still computes in bfloat16: `with precision_fix.audit() as seen: ...`, then
`print(seen.report().text())`.

The module is callable, so that `import precision_fix.audit` gives both the function and its types.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from types import ModuleType

from precision_fix.runtime.audit import BLIND_SPOTS, Audit, Report, Site, audit

__all__ = ["BLIND_SPOTS", "Audit", "Report", "Site", "audit"]


class _Callable(ModuleType):
    def __call__(self) -> AbstractContextManager[Audit]:
        return audit()


sys.modules[__name__].__class__ = _Callable
