"""Run projects that hard-code bfloat16 on GPUs without bfloat16 units (compute capability below 8.0)."""

# Nothing is imported here: with `python -m` the current folder is still on the path (see safe_path).
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from precision_fix import audit as audit
    from precision_fix.api import detect, patch, scan, undo
    from precision_fix.runtime.compute import compute_in_float16
    from precision_fix.runtime.storage import store_in_bfloat16

__version__ = "0.1.0"
__all__ = ["__version__", "audit", "compute_in_float16", "detect", "patch", "scan", "store_in_bfloat16", "undo"]


def __getattr__(name: str) -> "Any":
    """Import the jobs when they are asked for: `import precision_fix.auto` must not pay for the codemod."""
    if name == "audit":
        import importlib

        return importlib.import_module("precision_fix.audit")
    if name == "compute_in_float16":
        from precision_fix.runtime import compute

        return compute.compute_in_float16
    if name == "store_in_bfloat16":
        from precision_fix.runtime import storage

        return storage.store_in_bfloat16
    if name in ("detect", "patch", "scan", "undo"):
        from precision_fix.safe_path import Away

        with Away():
            from precision_fix import api

        return getattr(api, name)
    if name in ("load_ipython_extension", "unload_ipython_extension"):
        from precision_fix.safe_path import Away

        with Away():
            from precision_fix import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
