"""What is in checkpoints, what of it fits a GPU, and how: `precision-fix plan`, `precision_fix.plan(...)`.

Nothing here imports torch. `heads` and `jsontext` read, never more than a header; `safetensors_header`, `gguf_header`
and `torch_file` know the formats; `find` and `group` say which files are a model; `fit` is the arithmetic, which the
runtime asks as well.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """The package is the function as well: `precision_fix.plan("model.safetensors", gpu="t4")`; see
    `precision_fix.api.plan`."""

    def __call__(self, *paths: Any, **given: Any) -> Any:
        import precision_fix

        return precision_fix.make_plan(*paths, **given)  # type: ignore[attr-defined]


sys.modules[__name__].__class__ = _Callable
