"""Whether what an autocast region works with is in float16: the region is then what makes its products meet.

Weights in float16 run below a region in bfloat16, which casts both sides of each product. With the region off they meet
what is float32 by now.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from precision_fix.model.callees import functions_of
from precision_fix.model.callers import given_to, stored_in
from precision_fix.model.classes import class_around, is_own
from precision_fix.model.module import Function, Module, remembered, unparsed
from precision_fix.model.syntax import defaults

_HALF = "float16"
# So many places are gone back to from one region, and so many functions below it are looked into.
_MOST = 120
_DEEPEST = 2
# What gives the same module or tensor, and says nothing of its dtype.
_SAME = frozenset({"to", "cuda", "cpu", "eval", "train", "requires_grad_", "compile", "detach", "clone", "contiguous"})
_WRAPS = frozenset(
    {"compile", "DataParallel", "DistributedDataParallel", "FullyShardedDataParallel", "prepare", "Parameter"}
)
# What gives the parts of what it has.
_OF_PARTS = frozenset({"values", "items", "get"})
_OVER_PARTS = frozenset({"zip", "enumerate", "reversed", "list", "tuple", "iter", "next", "tqdm"})
_CASTS = frozenset({"float", "bfloat16", "double"})
# `if args.fp16: model.half()`: what the user asks for by itself.
_CHOSEN = re.compile(r"(?i)half|fp_?16|float_?16")
_UNCHOSEN = re.compile(r"(?i)(?<![a-z])(?:no|not|non|without|skip|off|disabled?|forbid)(?![a-z])")
_MAY_NAME_DTYPE = re.compile(r"(?i)type|prec|half|float|fp_?\d")
_NAMES = ast.Name | ast.Attribute | ast.Subscript
_Place = tuple[Module, ast.expr]


@remembered
def meets_half(module: Module, region: ast.Call) -> bool:
    """Whether what is called or handed over within a region was put into float16, whatever the user asks for."""
    return _is_default(module) or any(_is_half(module, home, node) for home, node in _taken(module, region))


def _is_half(module: Module, home: Module, node: ast.expr) -> bool:
    """For all that read a variable the same, and found out once."""
    owner = home.scope_of(node).owner(node.id) if isinstance(node, ast.Name) else None
    if owner is None or not isinstance(node, ast.Name):
        return _comes_from_half(module, home, node)
    key = _is_half, home, owner, node.id
    return module.around.trace.remember(module.memory, key, _comes_from_half, module, home, node)


def _comes_from_half(module: Module, home: Module, node: ast.expr) -> bool:
    pending: list[_Place] = [(home, node)]
    seen: set[ast.AST] = set()
    while pending and len(seen) < _MOST:
        home, node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        found = _before(home, node)
        if found is None:
            return True
        pending += found or (_of_a_host(home, node) if home is module and isinstance(node, ast.Name) else [])
    return False


def _taken(module: Module, region: ast.Call) -> Iterator[_Place]:
    """The objects whose methods are called below a region, and what is handed to these calls."""
    pending = [(module, each, 0) for each in _below(module, region)]
    seen: set[ast.AST] = set()
    for home, block, depth in pending:
        for product in (each for each in ast.walk(block) if isinstance(each, ast.BinOp)):
            if isinstance(product.op, ast.MatMult):
                yield from ((home, each) for each in (product.left, product.right) if isinstance(each, _NAMES))
        for call in (each for each in ast.walk(block) if isinstance(each, ast.Call)):
            # `self.vae(x)` calls the one, `self.vae.decode(x)` the other.
            base = [call.func.value] if isinstance(call.func, ast.Attribute) else []
            for each in (call.func, *base, *call.args, *(keyword.value for keyword in call.keywords)):
                if isinstance(each, _NAMES):
                    yield home, each
            for there, function, _ in functions_of(home, call.func) if depth < _DEEPEST else ():
                if isinstance(function, Function) and function not in seen and len(seen) < _MOST:
                    seen.add(function)
                    pending.append((there, function, depth + 1))


def _below(module: Module, region: ast.Call) -> Iterator[ast.AST]:
    above = module.parent(region)
    items: list[ast.AST | None] = [above]
    if isinstance(above, ast.Assign) and isinstance(above.targets[0], ast.Name):
        items = [module.parent(reader) for reader in module.readers(above.targets[0])]
    if isinstance(above, ast.Call) and isinstance(above.func, ast.Attribute) and above.func.attr == "enter_context":
        yield module.function(region) or module.tree
    for item in items:
        opened = module.parent(item) if isinstance(item, ast.withitem) else item
        if isinstance(opened, ast.With | ast.AsyncWith | Function):
            yield from opened.body


def _before(module: Module, node: ast.expr) -> list[_Place] | None:
    """What a value comes from; None where it is put into float16 there."""
    match node:
        case ast.Call():
            return _of_call(module, node)
        case ast.Name():
            return _of_name(module, node)
        case ast.Attribute() if is_own(node):
            return _of_attribute(module, node)
        case ast.Attribute() if module.resolve(node) is None:
            return _of_part(module, node)
        case ast.Attribute() | ast.Await() | ast.NamedExpr() | ast.Subscript() | ast.Starred():
            return [(module, node.value)]
        case ast.Dict():
            return [(module, each) for each in node.values]
        case ast.List() | ast.Tuple() | ast.Set():
            return [(module, each) for each in node.elts]
        case ast.IfExp():
            return [(module, node.body), (module, node.orelse)]
    return []


def _of_call(module: Module, call: ast.Call) -> list[_Place] | None:
    told = _told(module, call)
    if told is not None:
        return None if told == _HALF and not _is_chosen(module, call) else []
    func = call.func
    if isinstance(func, ast.Attribute) and func.attr in _SAME | _OF_PARTS and module.resolve(func) is None:
        return [(module, func.value)]
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    if name in _WRAPS | _OVER_PARTS:
        return [(module, each) for each in call.args]
    if module.resolve(func) is not None and isinstance(func, ast.Attribute) and func.attr in _SAME:
        return [(module, func.value)]
    found = functions_of(module, func)
    if any(isinstance(each, ast.ClassDef) and _makes_half(home, each) for home, each, _ in found):
        return None
    return [
        (home, each.value)
        for home, function, _ in found
        if isinstance(function, Function)
        for each in ast.walk(function)
        if isinstance(each, ast.Return) and each.value is not None and home.function(each) is function
    ]


def _told(module: Module, call: ast.Call) -> str | None:
    """The dtype that a call names for what it gives; None where it names none."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if name == "half" and not call.args:
        return _HALF
    if name in _CASTS and not call.args:
        return name
    named = [each.value for each in call.keywords if each.arg in ("dtype", "torch_dtype")]
    named += call.args if name in ("to", "type") else []
    return next((told for each in named if (told := _dtype(module, each)) is not None), None)


def _dtype(module: Module, node: ast.expr, depth: int = 0) -> str | None:
    """A dtype, also by a name that is set once, a parameter or an attribute; "" for one that something else decides."""
    name = module.dtype_name(node)
    if name is not None or depth > _DEEPEST or not isinstance(node, ast.Name | ast.Attribute):
        return name
    told = "" if _MAY_NAME_DTYPE.search(node.id if isinstance(node, ast.Name) else node.attr) else None
    values = stored_in(module, node) if isinstance(node, ast.Attribute) else _values(module, node)
    if len(values) == 1:
        given = _dtype(*values[0], depth + 1)
        return told if given is None else given
    bound = module.bindings(node) if isinstance(node, ast.Name) else []
    if len(bound) == 1 and isinstance(bound[0], ast.arg):
        return _of_parameter(module, bound[0], depth) or told
    return told


def _values(module: Module, name: ast.Name) -> list[_Place]:
    return [(module, value) for each in module.bindings(name) if (value := module.assigned_value(each)) is not None]


def _of_parameter(module: Module, parameter: ast.arg, depth: int) -> str:
    """The dtype that a parameter is in where somebody gives it float16, or nobody gives it another than its own."""
    given = [_dtype(home, value, depth + 1) for home, value in given_to(module, parameter)]
    if given:
        return _HALF if _HALF in given else ""
    function = module.function(parameter)
    default = dict(defaults(function.args)).get(parameter) if function is not None else None
    return (_dtype(module, default, depth + 1) if default is not None else None) or ""


def _is_chosen(module: Module, call: ast.Call) -> bool:
    node: ast.AST = call
    for above in module.ancestors(call):
        if isinstance(above, ast.If | ast.IfExp):
            orelse = above.orelse if isinstance(above.orelse, list) else [above.orelse]
            is_else = module.index(orelse, node) is not None
            named = (each for each in ast.walk(above.test) if isinstance(each, _NAMES | ast.Constant))
            if any(_asks_for_half(module, each, is_else) for each in named):
                return True
        node = above
    return False


def _asks_for_half(module: Module, named: ast.AST, is_else: bool) -> bool:
    """`if args.fp16:`; not `if not args.no_half:`, which holds where nobody has asked, nor `if args.half_disabled:`."""
    text, above = unparsed(module, named), module.parent(named)
    is_negated = isinstance(above, ast.UnaryOp) and isinstance(above.op, ast.Not)
    return is_negated is is_else and _CHOSEN.search(text) is not None and _UNCHOSEN.search(text) is None


def _of_name(module: Module, name: ast.Name) -> list[_Place] | None:
    found: list[_Place] = _values(module, name)
    for bound in module.bindings(name):
        around = module.parent(bound)
        if isinstance(bound, ast.arg):
            found += given_to(module, bound)
        elif isinstance(around, ast.For | ast.AsyncFor | ast.comprehension):
            found.append((module, around.iter))
    readers = [inner for each in module.readers(name) for inner in (each, *_parts(module, each))]
    return None if any(_put(module, each) for each in readers) else found


def _parts(module: Module, name: ast.Name) -> list[ast.Name]:
    """What reads each of what a loop goes through."""
    loop = module.parent(name)
    if isinstance(loop, ast.For) and loop.iter is name and isinstance(loop.target, ast.Name):
        return module.readers(loop.target)
    return []


def _of_attribute(module: Module, attribute: ast.Attribute) -> list[_Place] | None:
    """What is stored as `self.name` in the class and its family."""
    cls = class_around(module, attribute)
    found: list[_Place] = []
    for home, each in module.around.family(module, cls, f".{attribute.attr}") if cls is not None else ():
        home.ensure("." + attribute.attr)
        if _puts_itself(home, each):
            return None
        for other in home.names.attributes_of(attribute.attr):
            if is_own(other) and class_around(home, other) is each and _put(home, other):
                return None
    return found + stored_in(module, attribute)


def _of_part(module: Module, part: ast.Attribute) -> list[_Place] | None:
    """`pipe.vae`: what the classes of the file store under that name, and the whole."""
    module.ensure_assigned("." + part.attr)
    found: list[_Place] = [(module, part.value)]
    for each in module.names.attributes_of(part.attr):
        value = module.assigned_value(each)
        found += [(module, value)] if value is not None else []
    return found


def _makes_half(home: Module, cls: ast.ClassDef) -> bool:
    """Whether what is made of a class has parts in float16: its constructor makes them so."""
    home.ensure_bound("__init__")
    own = next((each for each in cls.body if isinstance(each, Function) and each.name == "__init__"), None)
    calls = (each for each in (ast.walk(own) if own is not None else ()) if isinstance(each, ast.Call))
    return any(
        isinstance(home.parent(call), ast.Assign | ast.Expr)
        and _told(home, call) == _HALF
        and not _is_chosen(home, call)
        for call in calls
    )


@remembered
def _puts_itself(home: Module, cls: ast.ClassDef) -> bool:
    """`self.half()`."""
    selves = (each for each in ast.walk(cls) if isinstance(each, ast.Name) and each.id == "self")
    return any(_put(home, each) for each in selves)


@remembered
def _is_default(module: Module) -> bool:
    """Whether the file makes tensors in float16 where nothing else is said."""
    if "set_default_dtype" not in module.text:
        return False
    module.ensure("set_default_dtype")
    calls = module.names.calls.get("set_default_dtype", ())
    return any(each.args and module.dtype_name(each.args[0]) == _HALF for each in calls)


def _put(module: Module, node: ast.expr) -> bool:
    """`model.half()`, `model.encoder.half()`, whose result nobody takes."""
    above = module.parent(node)
    while isinstance(above, ast.Attribute) and isinstance(module.parent(above), ast.Attribute):
        above = module.parent(above)
    call = module.parent(above) if isinstance(above, ast.Attribute) else None
    is_done = isinstance(call, ast.Call) and call.func is above and isinstance(module.parent(call), ast.Expr)
    return is_done and isinstance(call, ast.Call) and _told(module, call) == _HALF and not _is_chosen(module, call)


def _of_a_host(module: Module, name: ast.Name) -> list[_Place]:
    """What another program hands to a method of which nothing of the project is seen to make use: what the file makes
    is handed out and comes back so (a node of ComfyUI loads a model, another one runs it).
    """
    if class_around(module, name) is None or not any(isinstance(each, ast.arg) for each in module.bindings(name)):
        return []
    for each in [*module.names.root.bindings]:
        module.ensure(each)
    calls = (each for found in [*module.names.calls.values()] for each in found)
    return [(module, each) for each in calls if isinstance(each.func, ast.Name)]
