"""PF401: bytes read as bfloat16 are read so, then cast up."""

from __future__ import annotations

import ast
from functools import partial

from precision_fix.model.edit import CallOn
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep, manual, rewrite
from precision_fix.model.held import End
from precision_fix.model.marks import Marks
from precision_fix.model.module import Module, remembered
from precision_fix.model.parts import is_direct_argument
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.scope import Scope
from precision_fix.model.site import Kind, Site
from precision_fix.model.syntax import called
from precision_fix.model.uses import Part, readers_from


class RULE(Rule):
    code = "PF401"
    title = "stored bytes"
    why = (
        "`torch.frombuffer(b, dtype=torch.bfloat16)` and `x.view(torch.bfloat16)` read bytes that are bfloat16. "
        "Another dtype would read garbage, so the result is cast up instead. A view that is written through "
        "stays: a cast is a copy, and the writes would be lost."
    )
    kinds = frozenset({Kind.DTYPE})
    stage = Stage.STORED
    runtime = True

    def judge(self, site: Site) -> Verdict | None:
        if Fate.BYTES not in site.fates:
            return None
        call = _reading_call(site)
        if call is None:
            brought = next((end for end in site.ends if end.fate is Fate.BYTES and _brings_bfloat16(end)), None)
            if brought is None:
                return keep("says how stored bytes are read")
            return manual(f"what is read so is bfloat16 ({brought.where(site.module)}), and meets what is float32")
        if _is_cast_up(site.module, call):
            return keep("reads bfloat16 bytes and casts them up")
        if (_is_from_buffer(call) and not _is_written(site.module, call)) or _is_plain_value(site.module, call):
            return rewrite("reads bfloat16 bytes, then casts them up", CallOn(call, _cast(site)))
        return manual("a view of bfloat16 bytes that may be written through: cast up what is read from it")


def _cast(site: Site) -> str:
    torch, target = site.module.local_name("torch", site.node), site.module.target
    return f"to({torch}.{target.dtype})" if torch else f"{target.method}()"


def _reading_call(site: Site) -> ast.Call | None:
    """The call that the site is an argument of, if it reads bytes itself."""
    call = next((above for above in site.chain if isinstance(above, ast.Call)), None)
    if call is None or not any(end.node is call and end.fate is Fate.BYTES for end in site.ends):
        return None
    return call if is_direct_argument(site.module, call, site.node) else None


def _is_cast_up(module: Module, call: ast.Call) -> bool:
    """A cast to another dtype follows at once."""
    attribute = module.parent(call)
    cast = module.parent(attribute) if isinstance(attribute, ast.Attribute) else None
    if not isinstance(cast, ast.Call) or cast.func is not attribute:
        return False
    assert isinstance(attribute, ast.Attribute)
    return attribute.attr in ("float", "double", "half") or (attribute.attr in ("to", "type") and bool(cast.args))


def _brings_bfloat16(end: End) -> bool:
    """Whether what is read has nothing written into it and no cast right behind it: it goes on as it is."""
    call = end.node
    if not isinstance(call, ast.Call) or _is_cast_up(end.module, call):
        return False
    return (_is_from_buffer(call) and not _is_written(end.module, call)) or _is_plain_value(end.module, call)


def _is_from_buffer(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute | ast.Name) and ast.unparse(call.func).endswith("frombuffer")


def _is_plain_value(module: Module, call: ast.Call) -> bool:
    """Returned, be it in another shape, or given to one name that nothing writes into and no call receives."""
    above = module.parent(call)
    if isinstance(above, ast.Attribute) and above.attr in _VIEWS:
        outer = module.parent(above)
        return isinstance(outer, ast.Call) and outer.func is above and _is_plain_value(module, outer)
    if isinstance(above, ast.Return):
        return True
    if not (isinstance(above, ast.Assign) and len(above.targets) == 1 and isinstance(above.targets[0], ast.Name)):
        return False
    name = above.targets[0]
    owner = module.scope_of(name).owner(name.id)
    last, last_other = _last_readers(module, name.id, owner)
    if last > name.lineno >= last_other:
        return True
    return _is_only_computed_with(module, name, owner) and _is_the_last_look(module, call)


def _is_only_computed_with(module: Module, name: ast.Name, owner: Scope | None) -> bool:
    """Whether every reader of a variable of a function is the operand of an operator."""
    if owner is None or not isinstance(owner.node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    if len(owner.bindings[name.id]) > 1:
        return False
    readers = module.names.readers(owner, name.id)
    computes = [isinstance(module.parent(each), ast.BinOp) for each in readers if isinstance(each.ctx, ast.Load)]
    return bool(computes) and all(computes) and min(each.lineno for each in readers) >= name.lineno


def _is_the_last_look(module: Module, call: ast.Call) -> bool:
    """Whether the memory that is read belongs to variables of this function, which nobody asks after this line."""
    for name in ast.walk(call.func):
        if isinstance(name, ast.Attribute) and isinstance(name.value, ast.Name) and name.value.id in ("self", "cls"):
            return False
        if isinstance(name, ast.Name):
            owner = module.scope_of(name).owner(name.id)
            if owner is None or any(isinstance(bound, ast.alias) for bound in owner.bindings[name.id]):
                continue
            if not isinstance(owner.node, ast.FunctionDef | ast.AsyncFunctionDef):
                return False
            if _last_readers(module, name.id, owner)[0] > call.lineno:
                return False
    return True


@remembered
def _last_readers(module: Module, name: str, owner: Scope | None) -> tuple[int, int]:
    """The lines of the last reader of a variable, and of the last that does not return it."""
    readers = module.names.readers(owner, name) if owner is not None else []
    others = (reader.lineno for reader in readers if not isinstance(module.parent(reader), ast.Return))
    return max((reader.lineno for reader in readers), default=0), max(others, default=0)


_VIEWS = frozenset({"view", "reshape", "flatten", "unsqueeze", "squeeze", "transpose", "permute", "t"})
_WRITERS = frozenset({"recv", "irecv", "broadcast", "all_reduce", "all_gather", "readinto", "copyto", "numpy"})


def _is_written(module: Module, value: ast.expr) -> bool:
    """Whether something writes into a tensor, or into a view of it: in place, by index, or as somebody's buffer."""
    return bool(_writes(module).marks(value))


@remembered
def _writes(module: Module) -> Marks[ast.AST | Part]:
    return Marks(partial(_written_or_led_on, module))


def _written_or_led_on(module: Module, value: ast.AST | Part) -> tuple[list[ast.AST | Part], bool]:
    """What holds the tensor next, and whether something writes into it here."""
    if isinstance(value, Part):
        return [value.reader, *value.behind], False
    above = module.parent(value)
    if isinstance(above, ast.Assign) and len(above.targets) == 1 and isinstance(above.targets[0], ast.Name):
        return [*readers_from(module, above.targets[0], above.targets[0].lineno)], False
    if isinstance(above, ast.Subscript) and above.value is value:
        is_set = isinstance(above.ctx, ast.Store)
        return [] if is_set else [above], is_set
    call = module.parent(above) if isinstance(above, ast.Attribute | ast.keyword) else above
    if isinstance(above, ast.Attribute):
        if not isinstance(call, ast.Call) or call.func is not above:
            return [], False
        in_place = above.attr.endswith("_") and not above.attr.endswith("__")
        return [call] if above.attr in _VIEWS else [], in_place or above.attr in _WRITERS
    if isinstance(call, ast.Call) and value is not call.func:
        return [], called(call) in _WRITERS or (isinstance(above, ast.keyword) and above.arg == "out")
    return [], False
