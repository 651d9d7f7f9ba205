"""Calls of torch.autocast and its older spellings."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from precision_fix.model.callees import is_partial
from precision_fix.model.context import under_short_weights
from precision_fix.model.halved import meets_half
from precision_fix.model.module import Module, remembered
from precision_fix.model.short import handles_short
from precision_fix.model.site import Site

# So many names are gone through to what a call opens.
_MOST_NAMES = 4


class Region(NamedTuple):
    """What a call opens, through aliases and `functools.partial`, in whatever file these are.

    `given` are the arguments of the partials, in their order; `shift` are so many at the front of the call that are
    none of the region's.
    """

    name: str
    given: tuple[ast.Call, ...] = ()
    shift: int = 0

    def before(self) -> list[ast.expr]:
        """The positional arguments that partials have given."""
        return [each for partial in self.given for each in partial.args[1:]]


def autocast_call(site: Site) -> ast.Call | None:
    """The autocast call that has the site itself for its dtype (not an arm of a condition)."""
    above = site.parent
    call = site.module.parent(above) if isinstance(above, ast.keyword) else above
    if not isinstance(call, ast.Call) or call.func is site.node:
        return None
    return call if region_of(site.module, call) is not None else None


@remembered
def region_of(module: Module, call: ast.Call) -> Region | None:
    """The region that a call opens, or makes a partial of."""
    if is_partial(module, call):
        inner = _opened(module, call.args[0])
        return inner._replace(shift=1) if inner is not None else None
    return _opened(module, call.func)


def _opened(module: Module, func: ast.expr, depth: int = 0) -> Region | None:
    name = module.resolve(func)
    if name is not None and name.startswith("torch."):
        return Region(name) if name.endswith("autocast") else None
    if depth > _MOST_NAMES:
        return None
    if isinstance(func, ast.Call) and is_partial(module, func):
        inner = _opened(module, func.args[0], depth + 1)
        return inner._replace(given=(*inner.given, func)) if inner is not None else None
    home, value = _bound(module, func)
    return _opened(home, value, depth + 1) if value is not None else None


def _bound(module: Module, func: ast.expr) -> tuple[Module, ast.expr | None]:
    """What a name or an attribute was set to once, here or in the file that it comes from."""
    dotted = module.resolve(func)
    bindings = module.bindings(func) if isinstance(func, ast.Name) else []
    if isinstance(func, ast.Attribute) and dotted is None:
        written = ast.unparse(func)
        module.ensure("." + func.attr)
        bindings = [
            each
            for each in module.names.attributes_of(func.attr)
            if isinstance(each.ctx, ast.Store) and ast.unparse(each) == written
        ]
    elif dotted is not None and "." in dotted:
        return module.around.bound(module, dotted) or (module, None)
    return module, module.assigned_value(bindings[0]) if len(bindings) == 1 else None


def device_of(module: Module, call: ast.Call) -> str | None:
    """The device type, where it is written out."""
    region = region_of(module, call)
    shift, given = (region.shift, region.given) if region is not None else (0, ())
    candidates = [k.value for each in (call, *given) for k in each.keywords if k.arg == "device_type"]
    candidates += [*(region.before() if region is not None else ()), *call.args[shift:]][:1]
    return next((c.value for c in candidates if isinstance(c, ast.Constant) and isinstance(c.value, str)), None)


def takes_kwargs(call: ast.Call) -> bool:
    return any(keyword.arg is None for keyword in call.keywords) or any(isinstance(a, ast.Starred) for a in call.args)


def enabled_position(module: Module, call: ast.Call) -> int | None:
    """The place of `enabled` among the positional arguments, if the call passes it so.

    torch.autocast(device_type, dtype, enabled, cache_enabled); torch.cuda.amp.autocast(enabled, dtype, cache_enabled).
    """
    region = region_of(module, call)
    if region is None:
        return None
    index = (0 if ".cuda." in region.name or ".cpu." in region.name else 2) - len(region.before()) + region.shift
    return index if len(call.args) > index >= region.shift else None


def cannot_say(module: Module, call: ast.Call) -> bool:
    """Whether a call has no place for `enabled`: a partial gave that already, by its position."""
    region = region_of(module, call)
    place = 0 if region is not None and (".cuda." in region.name or ".cpu." in region.name) else 2
    return region is not None and len(region.before()) > place


def turned_on_again(module: Module, call: ast.Call) -> list[tuple[Module, ast.Call]]:
    """The calls of a `functools.partial` of a region that say themselves whether it is on: by keyword, that it may be;
    by position, whatever it is, which leaves no place for it in the partial.
    """
    if not is_partial(module, call):
        return []
    above = module.parent(call)
    if isinstance(above, ast.Call) and above.func is call:
        return [(module, above)] if _says_on(module, above) else []
    target = above.targets[0] if isinstance(above, ast.Assign) else None
    readers: list[tuple[Module, ast.expr]] = []
    if isinstance(target, ast.Name):
        readers += [(module, each) for each in module.readers(target)]
        if module.scope_of(target) is module.names.root:
            readers += module.around.readers(module, target.id)
    if isinstance(target, ast.Attribute):
        module.ensure("." + target.attr)
        written = ast.unparse(target)
        found = module.names.attributes_of(target.attr)
        readers += [(module, each) for each in found if ast.unparse(each) == written]
    calls = ((home, home.parent(reader)) for home, reader in readers)
    return [(home, each) for home, each in calls if isinstance(each, ast.Call) and _says_on(home, each)]


def _says_on(module: Module, call: ast.Call) -> bool:
    said = [each.value for each in call.keywords if each.arg == "enabled"]
    on = any(not isinstance(each, ast.Constant) or bool(each.value) for each in said)
    return on or enabled_position(module, call) is not None


# Weights are put into float8, or read from a file of such: not a test for what they are in.
_PUTS = re.compile(r"^(?![^\S\n]*#)(?!.*(?:[=!]=|\bin\b|\bis\b))[^\n]*\btorch\.float8_", re.MULTILINE)
_FILE = re.compile(r"(?i)[\"'][^\"'\n]*(?:fp8|float8|e4m3)[^\"'\n]*\.(?:safetensors|ckpt|pth?|bin)[\"']")


def held_short(site: Site, call: ast.Call) -> str:
    """The short dtype of what a region may be there to cast for each product; "" where nothing says so.

    Weights in float8: what is around it or in its file says so. Float16: what it works with was put into that.
    """
    if under_short_weights(site) or handles_short(site.module, call) or _keeps_short(site.module):
        return "float8"
    return "float16" if meets_half(site.module, call) else ""


@remembered
def _keeps_short(module: Module) -> bool:
    return _PUTS.search(module.text) is not None or _FILE.search(module.text) is not None
