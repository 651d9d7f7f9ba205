"""Casts that have to stay copies: of a float32 tensor, a cast to float32 is the tensor itself.

`v.to(torch.bfloat16)` made a new one. Where somebody could tell, since one of the two is changed in place or is kept
for later, the edit asks for the copy by name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from precision_fix.model.edit import CallOn, Edit, SetArgument
from precision_fix.model.module import Module, remembered
from precision_fix.model.parts import is_direct_argument
from precision_fix.model.scope import Scope
from precision_fix.model.site import Site
from precision_fix.model.syntax import called
from precision_fix.model.uses import may_follow

# Methods and attributes of a tensor that give the same memory (PyTorch: Tensor Views; `contiguous` where it is so).
_VIEWS = frozenset(
    {"detach", "view", "reshape", "flatten", "squeeze", "unsqueeze", "t", "transpose", "permute", "expand", "narrow"}
    | {"contiguous", "view_as", "expand_as", "unflatten", "swapaxes", "movedim", "ravel", "chunk", "unbind", "diagonal"}
)
_STATES = frozenset({"state_dict", "parameters", "named_parameters", "buffers", "named_buffers"})
_ATTRIBUTES = frozenset({"data", "T", "mT", "H"})
# What moves a result without making it another tensor on the same device.
_MOVES = frozenset({"cpu", "cuda", "to", "numpy"})
_KEEPS = frozenset({"append", "add", "insert", "appendleft", "setdefault", "register_buffer"})
# What changes a tensor in place (docs: torch.Tensor), and no module: that has no copy to be asked for.
_IN_PLACE = re.compile(
    r"(?:abs|add|addcdiv|addcmul|addmm|bernoulli|ceil|clamp|clamp_max|clamp_min|clip|copy|div|erf|exp|fill|floor"
    r"|index_add|index_copy|index_fill|index_put|lerp|log|logical_not|masked_fill|masked_scatter|mul|nan_to_num|neg"
    r"|normal|pow|random|relu|round|rsqrt|scatter|scatter_add|sigmoid|sqrt|sub|tanh|tril|triu|trunc|uniform|zero)_"
)
_LOOPS = ast.For | ast.AsyncFor | ast.comprehension


def copying(site: Site) -> tuple[Edit, ...]:
    """The edits by which casts go on making copies: the site's own, and those to float32 of what it makes; none where
    nobody could tell.
    """
    if site.module.target.dtype != "float32":
        return ()
    cast = _cast(site)
    found = [] if cast is None or not _could_tell(site.module, cast) else [cast]
    found += [each for each, made in _casts_up(site) if _is_told_apart(site.module, each, made)]
    return tuple(_copy(each) for each in found)


def _copy(cast: ast.Call) -> Edit:
    return SetArgument(cast, "copy", "True") if called(cast) == "to" else CallOn(cast, "clone()")


def _casts_up(site: Site) -> Iterator[tuple[ast.Call, ast.Name]]:
    """`half = x.to(torch.bfloat16); whole = half.float()`: of what is float32 already, that is the same tensor, and so
    may be x. Each with the variable that is cast.
    """
    module = site.module
    made = next((above for above in (site.node, *site.chain) if isinstance(above, ast.Call)), None)
    assigned = module.parent(made) if made is not None else None
    target = assigned.targets[0] if isinstance(assigned, ast.Assign) else None
    if not isinstance(target, ast.Name):
        return
    for reader in module.readers(target):
        method = module.parent(reader)
        call = module.parent(method) if isinstance(method, ast.Attribute) else None
        if not isinstance(call, ast.Call) or call.func is not method or not may_follow(module, target, reader):
            continue
        if module.function(reader) is module.function(target) and _gives_float32(module, call):
            yield call, reader


def _is_told_apart(module: Module, cast: ast.Call, made: ast.Name) -> bool:
    """Whether what is cast up, or what it was, is changed in place."""
    above = module.parent(cast)
    target = above.targets[0] if isinstance(above, ast.Assign) else None
    if not isinstance(target, ast.Name):
        return _changes(module, cast)
    line = target.lineno
    return _is_changed(module, target, line) or (made.id != target.id and _is_changed(module, made, line))


def _gives_float32(module: Module, call: ast.Call) -> bool:
    if called(call) == "float":
        return not call.args and not call.keywords
    if called(call) not in ("to", "type") or any(each.arg in (None, "copy") for each in call.keywords):
        return False
    given = [*call.args, *(each.value for each in call.keywords)]
    return any(module.dtype_name(each) == "float32" for each in given)


def _cast(site: Site) -> ast.Call | None:
    """`x.to(torch.bfloat16)`, `x.type(torch.bfloat16)`, `x.bfloat16()`, without a word on copies."""
    if isinstance(site.node, ast.Call):
        return site.node
    call = next((above for above in site.chain if isinstance(above, ast.Call)), None)
    if call is None or not isinstance(call.func, ast.Attribute) or call.func.attr not in ("to", "type"):
        return None
    said = any(keyword.arg in (None, "copy") for keyword in call.keywords) or len(call.args) > 2
    return call if not said and is_direct_argument(site.module, call, site.node) else None


def _could_tell(module: Module, cast: ast.Call) -> bool:
    assert isinstance(cast.func, ast.Attribute)
    root, taken = _root(cast.func.value)
    if root is None:
        return False  # what was just computed is nobody else's
    if (taken or _is_of_state(module, root)) and _is_kept(module, cast):
        return True
    if _changes(module, cast):
        return True  # `x.to(torch.bfloat16).mul_(2)`
    above = module.parent(cast)
    target = above.targets[0] if isinstance(above, ast.Assign) else None
    if not isinstance(target, ast.Name):
        return False
    if isinstance(root, ast.Name) and _is_fresh(module, root, target):
        return False
    return _is_changed(module, target, target.lineno) or (
        isinstance(root, ast.Name) and root.id != target.id and _is_changed(module, root, target.lineno)
    )


def _root(node: ast.expr) -> tuple[ast.expr | None, bool]:
    """The variable or attribute whose memory an expression shows, and whether it was taken out of a graph for that."""
    taken = False
    while True:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _VIEWS:
            taken, node = taken or node.func.attr == "detach", node.func.value
        elif isinstance(node, ast.Subscript) or (isinstance(node, ast.Attribute) and node.attr in _ATTRIBUTES):
            node = node.value
        else:
            return (node if isinstance(node, ast.Name | ast.Attribute) else None), taken


def _is_of_state(module: Module, root: ast.expr) -> bool:
    """`for name, value in net.state_dict().items()`: the tensors of a module, which its training changes."""
    if not isinstance(root, ast.Name):
        return False
    for bound in module.bindings(root):
        loop = next((above for above in module.ancestors(bound) if isinstance(above, _LOOPS | ast.stmt)), None)
        if isinstance(loop, _LOOPS):
            calls = (each for each in ast.walk(loop.iter) if isinstance(each, ast.Call))
            if any(called(each) in _STATES for each in calls):
                return True
    return False


def _is_kept(module: Module, value: ast.expr) -> bool:
    """Whether a result goes into a container or an attribute, to be looked at later."""
    above = module.parent(value)
    if isinstance(above, ast.Attribute) and above.attr in _VIEWS | _MOVES:
        call = module.parent(above)
        return isinstance(call, ast.Call) and call.func is above and _is_kept(module, call)
    if isinstance(above, ast.DictComp | ast.ListComp | ast.Dict | ast.List):
        return True
    if isinstance(above, ast.Assign):
        return any(
            isinstance(target, ast.Attribute | ast.Subscript) and not _is_back(target, value)
            for target in above.targets
        )
    return isinstance(above, ast.Call) and value is not above.func and called(above) in _KEEPS


def _is_back(target: ast.expr, value: ast.expr) -> bool:
    """`p.data = p.data.to(torch.bfloat16)`."""
    base = value.func.value if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) else value
    return ast.unparse(target) == ast.unparse(base)


def _is_fresh(module: Module, root: ast.Name, target: ast.Name) -> bool:
    """Whether a variable holds nothing but what was computed here, and is not looked at behind the cast."""
    bound = [each for each in module.bindings(root) if each is not target]
    values = [module.assigned_value(each) for each in bound]
    if not values or not all(isinstance(value, ast.BinOp | ast.Call) and _root(value)[0] is None for value in values):
        return False
    return root.id == target.id or all(reader.lineno <= target.lineno for reader in module.readers(root))


def _is_changed(module: Module, name: ast.Name, line: int) -> bool:
    """Whether what a variable holds is changed in place below a line of its function."""
    owner = module.scope_of(name).owner(name.id)
    return owner is not None and _changed_last(module, owner, name.id).get(module.function(name), 0) > line


@remembered
def _changed_last(module: Module, owner: Scope, name: str) -> dict[ast.AST | None, int]:
    """By function, the last line in which what a variable holds is changed in place."""
    changed = [each for each in module.names.readers(owner, name) if _changes(module, each)]
    bound = [each for each in owner.bindings.get(name, ()) if isinstance(module.parent(each), ast.AugAssign)]
    last: dict[ast.AST | None, int] = {}
    for each in (*changed, *bound):
        function = module.function(each)
        last[function] = max(last.get(function, 0), getattr(each, "lineno", 0))
    return last


def _changes(module: Module, value: ast.expr) -> bool:
    above = module.parent(value)
    if isinstance(above, ast.Subscript) and above.value is value:
        # `layers[0] = layer` puts a module into a list of them.
        if isinstance(above.ctx, ast.Store):
            return not isinstance(above.slice, ast.Constant | ast.Name)
        return _changes(module, above)
    if not isinstance(above, ast.Attribute):
        return False
    if above.attr in _ATTRIBUTES:
        return _changes(module, above)
    call = module.parent(above)
    if not isinstance(call, ast.Call) or call.func is not above:
        return False
    if above.attr in _VIEWS:
        return _changes(module, call)
    return _IN_PLACE.fullmatch(above.attr) is not None
