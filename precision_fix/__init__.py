"""Run projects that hard-code bfloat16 on GPUs without bfloat16 units (compute capability below 8.0).

Files: `scan` says what would be done, `patch` does it, `undo` takes it back, `plan` says what fits the GPU. Programs:
`install` makes this process compute in float32, `store_in_bfloat16` halves a model's memory, `audit` tells what still
computes in bfloat16; these need torch. `detect` tells the GPUs. Whatever a user can mend raises `PrecisionFixError`.

    import precision_fix
    found = precision_fix.scan("ComfyUI")
    precision_fix.patch("ComfyUI", gpu="t4")
    precision_fix.undo("ComfyUI")
"""

# Nothing is imported here: with `python -m` the current folder is still on the path (see safe_path).
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from precision_fix import audit as audit
    from precision_fix import plan as plan
    from precision_fix import runtime as runtime
    from precision_fix.api import detect, patch, scan, undo
    from precision_fix.api import plan as make_plan  # noqa: F401
    from precision_fix.errors import PrecisionFixError
    from precision_fix.runtime import install, status, uninstall
    from precision_fix.runtime.compute import compute_in_float16
    from precision_fix.runtime.storage import store_in_bfloat16

__version__ = "0.1.0"
__all__ = [
    "PrecisionFixError",
    "__version__",
    "audit",
    "compute_in_float16",
    "detect",
    "install",
    "patch",
    "plan",
    "runtime",
    "scan",
    "status",
    "store_in_bfloat16",
    "undo",
    "uninstall",
]

# Where each name comes from: `import precision_fix.auto` must not pay for the codemod, nor a scan for the runtime.
_MODULES = ("audit", "plan", "runtime")
_FROM = {
    **dict.fromkeys(("detect", "patch", "scan", "undo"), "precision_fix.api"),
    **dict.fromkeys(("install", "status", "uninstall"), "precision_fix.runtime"),
    **dict.fromkeys(("load_ipython_extension", "unload_ipython_extension"), "precision_fix.notebook"),
    "PrecisionFixError": "precision_fix.errors",
}
_NEED_TORCH = {
    "compute_in_float16": "precision_fix.runtime.compute",
    "store_in_bfloat16": "precision_fix.runtime.storage",
}


def __dir__() -> "list[str]":
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> "Any":
    """Import what is asked for, when it is."""
    import importlib

    from precision_fix.safe_path import Away

    if name in _NEED_TORCH:
        return _needs_torch(name)
    if name == "make_plan":
        name, home = "plan", "precision_fix.api"
    elif name in _MODULES or name in _FROM:
        home = _FROM.get(name, f"precision_fix.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with Away():
        module = importlib.import_module(home)
    return module if home == f"precision_fix.{name}" else getattr(module, name)


def _needs_torch(name: str) -> "Any":
    """A function of a module that imports torch. Without torch it is one that says so when it is called, since dir(),
    help() and completion only look."""
    import importlib.util

    if importlib.util.find_spec("torch") is not None:
        return getattr(importlib.import_module(_NEED_TORCH[name]), name)

    def without(*_: object, **__: object) -> "Any":
        from precision_fix.errors import PrecisionFixError

        raise PrecisionFixError(f"{name}() works on a model of torch, and torch is not installed here")

    without.__name__ = without.__qualname__ = name
    return without
