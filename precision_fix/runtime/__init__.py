"""Run a program that asks for bfloat16 in float32, without editing it.

`torch.bfloat16` stays what it is, and so do comparisons. What is replaced are the Python functions that
create or cast a tensor, the loaders, and the functions that enable an autocast region.

What keeps the dtype it names: operators called as `torch.ops`, TorchScript bodies, C++ extensions, Triton
kernels, the legacy constructor torch.BFloat16Tensor(...), storages, and reinterpretation (`view(dtype)`,
`frombuffer`): what that yields is bfloat16 in memory, and float32 where it is computed with.
Names that were bound before (`from torch import empty`) stay what they were.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from precision_fix.errors import PrecisionFixError
from precision_fix.runtime import edits, gate, imports

if TYPE_CHECKING:
    from precision_fix.runtime.patching import Patches
    from precision_fix.runtime.swap import Swap

__all__ = ["Status", "arm", "enabled", "install", "status", "uninstall"]


@dataclass(frozen=True, slots=True)
class Status:
    """What the runtime does in this process.

    `patched` counts the attributes that are replaced; `skipped` names what this version of a library lacks,
    or what refused; `problems` holds what went wrong on the way, which never reaches the program as an
    exception. `edited` counts the project's files that run as a patch would have made them. `failed` names what was
    tried after it was put in place and does not hold with these versions (`precision_fix.runtime.tried`). `compute` is
    what products are in, and `computed` says what ran in float16 so far, and what did not.
    """

    active: bool
    reason: str
    target: str
    storage: str
    gpu: str | None
    patched: int
    skipped: tuple[str, ...]
    problems: tuple[str, ...]
    edited: int = 0
    failed: tuple[str, ...] = ()
    compute: str = "float32"
    computed: str = ""

    @property
    def line(self) -> str:
        """What is in force, in one line."""
        state = f"in force, {self.patched} functions replaced" if self.active else "not in force"
        state += f", does NOT hold: {'; '.join(self.failed)}" if self.failed else ""
        return f"{state}: {self.reason}" if self.reason else state

    def to_dict(self) -> dict[str, Any]:
        """The same as plain objects."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _repr_html_(self) -> str:
        from precision_fix.drawing import table

        rows = [("in force", "yes" if self.active else "no"), ("GPU", self.gpu or "not known"), ("why", self.reason)]
        if self.active:
            rows += [("bfloat16 becomes", self.target), ("weights are stored in", self.storage)]
            rows += [("products are in", self.compute), ("so far", self.computed)] if self.computed else []
            rows += [("functions replaced", str(self.patched)), ("files edited in memory", str(self.edited))]
        failed = [f"does not hold: {each}" for each in self.failed]
        return table(("runtime", ""), rows, [*failed, *self.skipped, *self.problems])


class _Installed:
    """What is in force now."""

    def __init__(self, decision: gate.Decision) -> None:
        self.decision = decision
        self.patches: Patches | None = None
        self.swap: Swap | None = None
        #: `compute.mode`, where products are in float16.
        self.computes: ModuleType | None = None
        self.waiting: list[Callable[[ModuleType], object]] = []
        self.failed: list[str] = []


_LOCK = threading.RLock()
_state = _Installed(gate.Decision(False, "float32", "not installed"))
#: What was decided for a module that was imported before torch.
_early: gate.Decision | None = None


def install(
    *,
    mode: str | None = None,
    gpu: str | None = None,
    to: str | None = None,
    quiet: bool | None = None,
    storage: str | None = None,
    compute: str | None = None,
    copy: str | None = None,
) -> Status:
    """Decide, say so on stderr, and where it is so decided, replace. Twice is once: the second call changes
    nothing, and says so where it asks for something else.

    What is not given comes from the environment (see `precision_fix.runtime.gate`).
    Raises PrecisionFixError on a value that is not known, and where torch is not installed.
    """
    with _LOCK:
        told = (mode, gpu, to, None, storage, compute, copy)
        if _state.swap is not None:
            # Forced, or a storage that is named alone would be decided for a machine without a GPU; and copies are
            # of what is computed in float16.
            computed = compute or (_state.decision.compute if copy else None)
            asked = gate.decide(mode or "force", gpu, to, None, storage, computed, copy)
            words = {"mode": mode, "gpu": gpu, "to": to, "storage": storage, "compute": compute, "copy": copy}
            _keep(asked, {name: word for name, word in words.items() if word})
            return status()
        decision = gate.decide(*told) if any(told) or _early is None else _early
        if decision.active:
            _replace(decision)
        else:
            _state.decision = decision
        gate.say(_state.decision.line, quiet)
        return status()


def _keep(asked: gate.Decision, told: Mapping[str, str]) -> None:
    """Say that what is in force stays, where what was `told`, by the name of the argument, would be another one."""
    kept = _state.decision
    fields = {name: {"mode": "active", "to": "target"}.get(name, name) for name in told}
    others = [name for name in told if getattr(asked, fields[name]) != getattr(kept, fields[name])]
    if others:
        words = ", ".join(f"{name}={told[name]!r}" for name in others)
        stays = f"in force already, and stays: {kept.line}"
        gate.say_wrong(f"install({words}) is not heeded: {stays}; to change it, precision_fix.uninstall() first")


def uninstall() -> None:
    """Put everything back. Tensors that were made meanwhile keep their dtype."""
    global _early
    with _LOCK:
        from precision_fix.runtime.flash import early

        edits.disarm()
        _early = None
        early.leave()
        imports.forget(_on_import)
        if _state.swap is None or _state.patches is None:
            return
        _state.swap.active = False
        if _state.computes is not None:
            _state.computes.end()
        if _state.swap.stores:
            from precision_fix.runtime.storage import mode

            mode.end()
        for callback in _state.waiting:
            imports.forget(callback)
        _state.patches.restore()
        _state.__init__(gate.Decision(False, "float32", "uninstalled"))  # type: ignore[misc]


def status() -> Status:
    """What is in force now, and what could not be."""
    decision, patches = _state.decision, _state.patches
    return Status(
        active=_state.swap is not None,
        reason=decision.line,
        target=decision.target,
        storage=decision.storage,
        gpu=decision.gpu,
        patched=len(patches) if patches is not None else 0,
        skipped=tuple(patches.skipped) if patches is not None else (),
        problems=(*imports.problems(), *edits.problems()),
        edited=edits.edited(),
        failed=tuple(_state.failed),
        compute=decision.compute,
        computed=_state.computes.seen.line() if _state.computes is not None else "",
    )


@contextlib.contextmanager
def enabled(*, to: str = "float32", storage: str | None = None, compute: str = "float32") -> Iterator[Status]:
    """Replace in a `with` block, whatever the GPU and silently: for tests. What was in force before stays in
    force.
    """
    before = _state.swap is not None
    try:
        storage = storage or ("float32" if compute == "float32" else "bfloat16")
        yield install(mode="force", to=to, quiet=True, storage=storage, compute=compute)
    finally:
        if not before:
            uninstall()


def arm(*, now: bool = False) -> None:
    """Install when torch has been imported, at once if it has. Never raises and never imports torch.

    `now` says that torch is whole, though its import has not ended (an entry point that torch itself calls).
    """
    edit()
    if now:
        _install_silently()
    else:
        from precision_fix.runtime.flash import early

        early.watch(_decided)
        imports.when_imported("torch", _on_import)


def edit() -> None:
    """Edit in memory what is imported from now on, and the cells of a notebook. Never raises."""
    edits.arm(_decided)


def _decided() -> gate.Decision | None:
    """Whether anything is done, asked before torch is there; None where a word of the environment is wrong."""
    global _early
    with _LOCK:
        if _state.swap is not None:
            return _state.decision
        if _early is None:
            try:
                _early = gate.decide()
            except PrecisionFixError:
                return None  # it is said when torch comes
        return _early


def _on_import(torch: ModuleType) -> None:
    _install_silently()


def _install_silently() -> None:
    try:
        from precision_fix.runtime import audit

        install()
        audit.start_if_asked()
    except PrecisionFixError as error:
        _not_in_force(str(error))
    except Exception as error:
        with contextlib.suppress(Exception):
            uninstall()
        _not_in_force(f"{type(error).__name__}: {error}")
    gate.say_wrong(gate.mistaken())


def _not_in_force(why: str) -> None:
    if _state.swap is None:
        _state.decision = gate.Decision(False, "float32", why)
    gate.say_wrong(f"NOT in force, the program runs as it is: {why}")


def _replace(decision: gate.Decision) -> None:
    try:
        import torch
    except ImportError as error:
        raise PrecisionFixError(f"torch cannot be imported: {error}") from error
    from precision_fix.runtime import (
        autocast,
        casts,
        copies,
        hosts,
        loaders,
        lying,
        oldest,
        probes,
        producers,
        tables,
        uncompiled,
        wheel,
    )
    from precision_fix.runtime.failures import telling
    from precision_fix.runtime.flash import package
    from precision_fix.runtime.patching import Patches
    from precision_fix.runtime.swap import Swap
    from precision_fix.runtime.tried import when

    decision = oldest.fitting(torch, decision)
    stores = decision.storage != "float32"
    patches, swap = Patches(), Swap(torch.bfloat16, getattr(torch, decision.target), stores)
    decision = replace(decision, line=decision.line + wheel.remark(torch, decision.gpu))
    _state.decision, _state.patches, _state.swap = decision, patches, swap
    try:
        if decision.caches == "bfloat16":
            from precision_fix.runtime.storage import making

            making.use(patches, swap, everywhere=decision.storage == "bfloat16")
        tables.prime()
        producers.patch(patches, swap)
        casts.patch(patches, swap)
        lying.patch(patches, swap)
        hosts.patch(patches, swap)
        copies.patch(patches, swap)
        loaders.patch_torch(patches, swap)
        autocast.patch(patches, swap)
        probes.patch(patches, swap)
        tables.patch(patches)
        if uncompiled.is_too_old(decision.gpu):
            uncompiled.patch(torch, patches, decision.gpu or "")
        else:
            when.at_the_first_graph(patches, _try)
        if decision.flash != "off":
            package.patch(patches, decision.flash == "always")
            _wait_for(package.libraries(patches))
        if stores:
            from precision_fix.runtime.storage import mode

            mode.patch(patches, swap, decision.memory if decision.storage == "auto" else None)
            _wait_for(mode.libraries(patches, swap))
        if decision.compute == "float16":
            from precision_fix.runtime.compute import mode as computes

            computes.begin(decision)
            _state.computes = computes
        _wait_for_libraries(patches, swap)
        when.at_once(swap, _try)
        _wait_for(when.libraries(swap, _try))
        patches.skipped += filter(None, [oldest.remark(torch)])
        telling.follow()
        patches.on_restore(telling.leave)
        if not hasattr(torch, "_import_device_backends"):
            patches.skipped.append(
                "torch.backends: entry points came with torch 2.5; before, a subprocess needs its own import"
            )
    except BaseException:
        uninstall()
        raise


def _try(tries: list[Any], library: str, version: str) -> None:
    """Try what was just put in place, and say what does not hold."""
    from precision_fix.runtime import tried

    if _state.swap is not None and _state.swap.active:
        failed = tried.failing(tries, _state.swap)
        _state.failed += failed
        tried.said(failed, library, version)


def _wait_for_libraries(patches: Patches, swap: Swap) -> None:
    from precision_fix.runtime import autocast, compiled, loaders, lying, planners, probes

    waiting: list[tuple[str, Callable[[Any], object]]] = [
        ("torch._dynamo.output_graph", lambda module: compiled.patch(module, patches, swap)),
        (lying.CAPTURES, lambda module: lying.patch_capture(module, patches)),
        ("torch._dynamo.trace_rules", lambda module: compiled.patch_rules(module, patches)),
        ("torch._dynamo.variables.torch", lambda module: compiled.patch_handlers(module, patches)),
        ("torch.utils.checkpoint", lambda module: autocast.patch_checkpoint(module, patches, swap)),
        ("safetensors", lambda module: loaders.patch_safetensors(module, patches, swap)),
        ("safetensors.torch", lambda module: loaders.patch_safetensors_torch(module, patches, swap)),
        *((name, lambda module: planners.patch(module, patches, swap)) for name in planners.FUNCTIONS),
        *((name, lambda module: probes.patch_helper(module, patches, swap)) for name in probes.HELPERS),
    ]
    _wait_for(waiting)


def _wait_for(waiting: list[tuple[str, Callable[[Any], object]]]) -> None:
    for name, callback in waiting:
        _state.waiting.append(callback)
        imports.when_imported(name, callback)
