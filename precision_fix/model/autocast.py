"""Calls of torch.autocast and its older spellings."""

from __future__ import annotations

import ast
import re

from precision_fix.model.context import under_short_weights
from precision_fix.model.module import Module, remembered
from precision_fix.model.short import handles_short
from precision_fix.model.site import Site

OTHER_DEVICES = frozenset({"xpu", "mps", "hpu", "npu", "xla", "ipu", "mtia", "musa", "mlu"})


def autocast_call(site: Site) -> ast.Call | None:
    """The autocast call that has the site itself for its dtype (not an arm of a condition)."""
    above = site.parent
    call = site.module.parent(above) if isinstance(above, ast.keyword) else above
    if not isinstance(call, ast.Call) or call.func is site.node:
        return None
    return call if _is_autocast(site.module, _callee(site.module, call)) else None


def _callee(module: Module, call: ast.Call) -> ast.expr:
    """What is called in the end, through functools.partial."""
    is_partial = module.resolve(call.func) in ("functools.partial", "partial")
    return call.args[0] if is_partial and call.args else call.func


def _is_autocast(module: Module, func: ast.expr) -> bool:
    name = module.resolve(func)
    return name is not None and name.startswith("torch.") and name.endswith("autocast")


def device_of(call: ast.Call) -> str | None:
    """The device type, where it is written out."""
    candidates = [*(k.value for k in call.keywords if k.arg == "device_type"), *call.args[:1]]
    return next((c.value for c in candidates if isinstance(c, ast.Constant) and isinstance(c.value, str)), None)


def takes_kwargs(call: ast.Call) -> bool:
    return any(keyword.arg is None for keyword in call.keywords) or any(isinstance(a, ast.Starred) for a in call.args)


def enabled_position(module: Module, call: ast.Call) -> int | None:
    """The place of `enabled` among the positional arguments, if the call passes it so.

    torch.autocast(device_type, dtype, enabled, cache_enabled); torch.cuda.amp.autocast(enabled, dtype, cache_enabled).
    """
    name = module.resolve(_callee(module, call)) or ""
    index = 0 if ".cuda." in name or ".cpu." in name else 2
    index += _callee(module, call) is not call.func
    return index if len(call.args) > index else None


def is_off(module: Module, call: ast.Call) -> bool:
    """Whether the call already says enabled=False."""
    position = enabled_position(module, call)
    values = [k.value for k in call.keywords if k.arg == "enabled"]
    if position is not None:
        values.append(call.args[position])
    return any(isinstance(value, ast.Constant) and value.value is False for value in values)


def turned_on_again(module: Module, call: ast.Call) -> list[ast.Call]:
    """The calls of a `functools.partial` of a region that say themselves whether it is on, by keyword."""
    if _callee(module, call) is call.func:
        return []
    above = module.parent(call)
    target = above.targets[0] if isinstance(above, ast.Assign) else None
    readers: list[ast.expr] = [*module.readers(target)] if isinstance(target, ast.Name) else []
    if isinstance(target, ast.Attribute):
        module.ensure("." + target.attr)
        written = ast.unparse(target)
        readers = [each for each in module.names.attributes.get(target.attr, ()) if ast.unparse(each) == written]
    calls = (module.parent(reader) for reader in readers)
    return [each for each in calls if isinstance(each, ast.Call) and any(k.arg == "enabled" for k in each.keywords)]


# Weights are put into float8, or read from a file of such: not a test for what they are in.
_PUTS = re.compile(r"^(?![^\S\n]*#)(?!.*(?:[=!]=|\bin\b|\bis\b))[^\n]*\btorch\.float8_", re.MULTILINE)
_FILE = re.compile(r"(?i)[\"'][^\"'\n]*(?:fp8|float8|e4m3)[^\"'\n]*\.(?:safetensors|ckpt|pth?|bin)[\"']")


def may_hold_short_weights(site: Site, call: ast.Call) -> bool:
    """Whether a region may be what casts float8 weights for each product: what is around it or in its file says so."""
    return under_short_weights(site) or handles_short(site.module, call) or _keeps_short(site.module)


@remembered
def _keeps_short(module: Module) -> bool:
    return _PUTS.search(module.text) is not None or _FILE.search(module.text) is not None
