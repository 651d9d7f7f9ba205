"""torch.compile: what dynamo writes into a graph, and the regions around it.

Dynamo does not call `Tensor.to` or `Tensor.bfloat16`: it writes them into the graph as the program spells
them. So the spelling is changed where a node is made, before dynamo computes the node's shape and dtype;
whatever reads the graph afterwards, the program's own branches on a dtype, and every backend see the target
alike.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, MethodDescriptorType, ModuleType
from typing import Any

from precision_fix.runtime.autocast import AutocastState
from precision_fix.runtime.patching import Patches
from precision_fix.runtime.producers import tensor_type
from precision_fix.runtime.swap import Swap

Function = Callable[..., Any]

#: Reinterpretation: the dtype says how to read bytes that are there.
_REINTERPRETS = {"view", "view_copy", "frombuffer", "from_file", "view_as", "_enter_autocast", "bitcast"}


def patch(module: ModuleType, patches: Patches, swap: Swap) -> None:
    """`module` is torch._dynamo.output_graph, once it has been imported."""
    tracer = getattr(module, "SubgraphTracer", None)
    if tracer is None or not hasattr(tracer, "create_proxy"):
        patches.skipped.append(f"{module.__name__}.SubgraphTracer.create_proxy: this version does not have it")
    else:
        patches.wrap(tracer, "create_proxy", lambda original: _create_proxy(original, patches, swap))
    graph = getattr(module, "OutputGraph", None)
    if graph is not None:
        patches.wrap(graph, "call_user_compiler", lambda original: _call_user_compiler(original, swap))
    _tag_the_caches(patches, swap)
    forget_graphs()
    patches.on_restore(forget_graphs)


def patch_rules(module: ModuleType, patches: Patches) -> None:
    """torch._dynamo.trace_rules: the table of functions that go into a graph as they are, by function."""
    missing: Any = object()
    if getattr(module, "get_torch_obj_rule_map", missing) is missing:
        patches.skipped.append(f"{module.__name__}.get_torch_obj_rule_map: this version does not have it")
        return
    in_graph = getattr(module, "TorchInGraphFunctionVariable", None)

    def default(original: Function) -> Any:
        # A method that the program calls unbound, torch.Tensor.to(x, ...), becomes a call of the method.
        return in_graph if isinstance(original, MethodDescriptorType) else None

    patches.wrap(module, "get_torch_obj_rule_map", lambda table: _told(table, patches, default))
    patches.wrap(module, "get_tensor_method", lambda methods: _with_methods(methods, patches))


def _with_methods(cached: Function, patches: Patches) -> Function:
    """The set of Tensor's own methods, with the stand-ins and with the originals that they hide."""
    both: set[Function] = set()
    for standin, original in patches.originals.items():
        if isinstance(original, MethodDescriptorType):
            both |= {standin, original}

    @functools.cache
    def get_tensor_method() -> frozenset[Function]:
        return frozenset(cached() | both)

    # The set may have been filled while the stand-ins stood in the way.
    patches.on_restore(getattr(cached, "cache_clear", lambda: None))
    return get_tensor_method


def patch_handlers(module: ModuleType, patches: Patches) -> None:
    """torch._dynamo.variables.torch: how single functions are captured (torch.full, torch.tensor), by
    function.
    """
    owner: Any = getattr(module, "TorchInGraphFunctionVariable", None)
    handlers = getattr(owner, "_get_handlers", None)
    if handlers is None:
        patches.skipped.append(f"{module.__name__}: this version has no table of handlers")
        return
    patches.set(owner, "_get_handlers", staticmethod(_told(handlers, patches, lambda original: None)))


def _told(cached: Function, patches: Patches, default: Function) -> Function:
    """The function that gives a table, which holds for both a stand-in and its original what it holds for
    one.

    Such a table looks the functions up when it is first asked for, before they were replaced or after.
    """
    told: dict[Function, Any] | None = None
    pairs = list(patches.originals.items())

    def table() -> Any:
        nonlocal told
        found: dict[Function, Any] = cached()
        if found is not told:
            told = found
            for standin, original in pairs:
                value = found.get(original) or found.get(standin) or default(original)
                if value is not None:
                    found[standin] = value
                    if not isinstance(original, MethodDescriptorType):
                        found[original] = value
        return found

    def back() -> None:
        for standin, _ in pairs:
            (told or {}).pop(standin, None)

    patches.on_restore(back)
    for name in ("cache_clear", "cache_info"):
        if hasattr(cached, name):
            setattr(table, name, getattr(cached, name))
    return table


def forget_graphs() -> None:
    """Drop the graphs that were captured under the other rule."""
    dynamo = sys.modules.get("torch._dynamo")
    if dynamo is not None and hasattr(dynamo, "reset"):
        dynamo.reset()


def _create_proxy(original: Function, patches: Patches, swap: Swap) -> Function:
    # The body of a compiled function may hold our own stand-in, where dynamo was imported after it stood
    # there.
    originals = dict(patches.originals)

    def create_proxy(self: Any, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **more: Any) -> Any:
        if swap.active:
            if kind == "call_function":
                with contextlib.suppress(TypeError):  # an unhashable callable
                    target = originals.get(target, target)
                if isinstance(target, MethodDescriptorType) and args:
                    kind, target = "call_method", target.__name__
            if kind in ("call_method", "call_function"):
                target, args, kwargs = respelled(kind, target, args, kwargs, swap)
        return original(self, kind, target, args, kwargs, *rest, **more)

    return create_proxy


def respelled(kind: str, target: Any, args: Any, kwargs: Any, swap: Swap) -> tuple[Any, Any, Any]:
    """A call as it would be spelled in the target: a cast, or a creation with a dtype. Others come back as
    they are.
    """
    if kind == "call_method" and target == "bfloat16":
        return ("half" if swap.target.itemsize == 2 else "float"), args, kwargs
    name = target if kind == "call_method" else getattr(target, "__name__", "")
    if name in _REINTERPRETS or (kind == "call_function" and not _is_torchs(target)):
        return target, args, kwargs
    if name == "type":
        args = tuple(tensor_type(a, swap) for a in args)
    args = tuple(swap.target if a is swap.source else a for a in args)
    kwargs = {key: swap.target if value is swap.source else value for key, value in kwargs.items()}
    return target, args, kwargs


def _is_torchs(target: Any) -> bool:
    """A function of PyTorch's Python interface; an operator (torch.ops) is called with the dtype it names."""
    if isinstance(target, BuiltinFunctionType | MethodDescriptorType):
        return True
    if type(target).__module__.startswith("torch._ops"):
        return False
    return str(getattr(target, "__module__", None) or "").split(".", maxsplit=1)[0] == "torch"


def _call_user_compiler(original: Function, swap: Swap) -> Function:
    state = AutocastState()

    def call_user_compiler(self: Any, gm: Any, *args: Any, **kwargs: Any) -> Any:
        if not swap.active or not _all_wide(gm, swap):
            return original(self, gm, *args, **kwargs)
        _leave_regions_out(gm, swap)
        devices = [device for device in ("cuda", "cpu") if _is_ours(device, state, swap)]
        if not devices:
            return original(self, gm, *args, **kwargs)
        with _without(devices, state):
            compiled = original(self, gm, *args, **kwargs)

        @functools.wraps(compiled)
        def run(*inputs: Any) -> Any:
            with _without(devices, state):
                return compiled(*inputs)

        return run

    return call_user_compiler


def _is_ours(device: str, state: AutocastState, swap: Swap) -> bool:
    return state.enabled(device) and state.dtype(device) is swap.target


@contextlib.contextmanager
def _without(devices: list[str], state: AutocastState) -> Iterator[None]:
    """The region around a graph, off for this graph."""
    for device in devices:
        state.enable(device, False)
    try:
        yield
    finally:
        for device in devices:
            state.enable(device, True)


def _all_wide(gm: Any, swap: Swap) -> bool:
    """Whether no floating number in the graph is narrower than the target: then a region in the target does
    nothing. A stored weight is widened before it meets anything.
    """
    import torch
    from torch.utils._pytree import tree_leaves

    width = swap.target.itemsize
    stored = swap.source if swap.stores else None
    values: list[Any] = [*gm.parameters(), *gm.buffers()]
    for inner in gm.modules():
        for node in getattr(getattr(inner, "graph", None), "nodes", ()):
            values.extend(tree_leaves(node.meta.get("example_value")))
    return not any(
        isinstance(value, torch.Tensor)
        and value.dtype.is_floating_point
        and value.dtype.itemsize < width
        and value.dtype is not stored
        for value in values
    )


def _leave_regions_out(gm: Any, swap: Swap) -> None:
    """`_enter_autocast(device, dtype, enabled, cache)` nodes, off. They stay in the graph, so nothing is
    renumbered.
    """
    for inner in gm.modules():
        changed = False
        for node in getattr(getattr(inner, "graph", None), "nodes", ()):
            if node.op == "call_function" and getattr(node.target, "__name__", "") == "_enter_autocast":
                device, dtype, enabled, *rest = node.args
                if enabled and dtype is swap.source:
                    node.args = (device, dtype, False, *rest)
                    changed = True
        if changed:
            inner.recompile()


def _tag_the_caches(patches: Patches, swap: Swap) -> None:
    """Compiled code is cached on disk by what the graph says; regions say bfloat16 in both kinds of
    program.
    """
    with contextlib.suppress(ImportError, AttributeError):
        import torch.compiler.config as config

        before = config.cache_key_tag
        config.cache_key_tag = f"{before}precision-fix-{swap.target}"

        def back() -> None:
            config.cache_key_tag = before

        patches.on_restore(back)
