"""What stands around a site in its statement: the name that receives it, the container it is in, its branch."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from precision_fix.model.module import Function, Module, remembered, unparsed
from precision_fix.model.parts import by_default, key_of
from precision_fix.model.site import Site
from precision_fix.model.syntax import called

Sequence = ast.List | ast.Tuple | ast.Set


def receiver(site: Site) -> str | None:
    """The keyword, parameter, variable, attribute or item that the site's value is given to, through arms and lists."""
    module = site.module
    node: ast.AST = site.node
    option = _option(site)
    if option is not None:
        return option
    for above in module.ancestors(site.node):
        match above:
            case ast.keyword():
                call = module.parent(above)
                if above.arg != "default" or not isinstance(call, ast.Call) or called(call) not in FIELDS:
                    return above.arg
            case ast.arguments():
                parameter = by_default(module, above).get(node)
                return parameter.arg if parameter is not None else None
            case ast.Assign() | ast.AnnAssign():
                target = above.targets[0] if isinstance(above, ast.Assign) else above.target
                return name_of(target)
            case ast.Dict():
                key = key_of(module, above, node)
                return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None
            case ast.Return():
                function = module.function(above)
                return function.name if function else None
            case ast.IfExp() | ast.BoolOp() | ast.List() | ast.Tuple() | ast.Set() | ast.Starred() | ast.BinOp():
                node = above
            case ast.Call() if _is_collection(module, above) or called(above) in FIELDS:
                node = above
            case ast.Call():
                return _looked_up(module, above, node)
            case _:
                return None
    return None


# What declares a field or an option: its default is the default of what it is assigned to.
FIELDS = frozenset({"field", "Field", "Option", "Argument"})


def _looked_up(module: Module, call: ast.Call, node: ast.AST) -> str | None:
    """The key of a look-up that the value is the default of; "dtype" for a name that is looked up in torch."""
    name, args = called(call), call.args
    is_evaluated = name == "eval" and isinstance(call.func, ast.Name)
    if is_evaluated or (name == "getattr" and args and module.resolve(args[0]) == "torch"):
        # A name that is written out is the dtype itself (PF107), not a word on its way to one.
        return None if isinstance(node, ast.Constant) else "dtype"
    index = {"getattr": 2, "get": 1, "pop": 1, "setdefault": 1, "getenv": 1, "putenv": 1}.get(name)
    if index is None or len(args) <= index or args[index] is not node:
        return None
    key = args[index - 1]
    return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None


def is_option_value(site: Site) -> bool:
    """`["accelerate", "launch", "--mixed_precision", "bf16"]`: the word after an option."""
    return _option(site) is not None


def _option(site: Site) -> str | None:
    above = site.parent
    if not isinstance(above, ast.List | ast.Tuple):
        return None
    index = site.module.index(above.elts, site.node)
    before = above.elts[index - 1] if index else None
    is_option = isinstance(before, ast.Constant) and isinstance(before.value, str) and before.value.startswith("--")
    return before.value.lstrip("-").replace("-", "_") if is_option else None  # type: ignore[union-attr]


def name_of(target: ast.expr) -> str | None:
    """The last name of a target: `dtype` for `dtype`, `self.dtype` and `config["dtype"]`."""
    if isinstance(target, ast.Name):
        return target.id
    if isinstance(target, ast.Attribute):
        return target.attr
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        return str(target.slice.value)
    return None


def _is_collection(module: Module, call: ast.Call) -> bool:
    return module.resolve(call.func) in ("set", "frozenset", "list", "tuple")


def container(site: Site) -> Sequence | None:
    """The outermost list, tuple or set that the site stands in, within its expression."""
    found: Sequence | None = None
    for above in site.chain:
        if isinstance(above, Sequence):
            if _is_unpacked(site.module.parent(above), above):
                break
            found = above
        elif not isinstance(above, ast.Starred | ast.BinOp):
            break
    return found


def _is_unpacked(above: ast.AST | None, sequence: Sequence) -> bool:
    """`a, b = x, y` makes no tuple that anybody sees."""
    targets = above.targets if isinstance(above, ast.Assign) else []
    return any(isinstance(target, Sequence) and len(target.elts) == len(sequence.elts) for target in targets)


@remembered
def is_record(module: Module, sequence: Sequence) -> bool:
    """Whether a sequence mixes kinds of things: `("cuda", torch.bfloat16, 1e-2)`."""
    return len({type(item) for item in sequence.elts}) > 1


def tests_around(site: Site) -> Iterator[ast.expr]:
    """The conditions under which a site is evaluated, innermost first, within its function."""
    return (test for test, holds in conditions(site) if holds)


def conditions(site: Site) -> Iterator[tuple[ast.expr, bool]]:
    """The tests that decide whether a site is evaluated, innermost first, in its function; each with what it says."""
    node: ast.AST = site.node
    for above in site.module.ancestors(site.node):
        if isinstance(above, Function | ast.ClassDef):
            return
        if isinstance(above, ast.IfExp) and node is not above.test:
            yield above.test, node is above.body
        elif isinstance(above, ast.If) and node is not above.test:
            yield above.test, site.module.index(above.body, node) is not None
        node = above


def mirrors(site: Site) -> bool:
    """`torch.bfloat16 if dtype == torch.bfloat16 else ...` says nothing but what `dtype` is, whichever arm it is."""
    test, holds = next(conditions(site), (None, True))
    while isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        test, holds = test.operand, not holds
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return False
    equal = isinstance(test.ops[0], ast.Eq | ast.Is if holds else ast.NotEq | ast.IsNot)
    return equal and any(site.module.resolve(side) == "torch.bfloat16" for side in (test.left, *test.comparators))


def is_annotation(site: Site) -> bool:
    """Whether a site is part of an annotation, or of a `Literal[...]`."""
    node: ast.AST = site.node
    for above in site.module.ancestors(site.node):
        if isinstance(above, ast.Subscript) and node is above.slice:
            name = site.module.resolve(above.value) or ""
            if name.rpartition(".")[2] in ("Literal", "Annotated"):
                return True
        if isinstance(above, ast.arg) or (isinstance(above, ast.AnnAssign) and node is above.annotation):
            return True
        if isinstance(above, Function) and node is above.returns:
            return True
        if isinstance(above, ast.stmt):
            return False
        node = above
    return False


@remembered
def finds_bfloat16(module: Module, test: ast.expr) -> bool:
    """Whether a test that holds has found bfloat16, rather than anything else."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return False
    parts = test.values if isinstance(test, ast.BoolOp) else [test]
    if len(parts) > 1:
        return any(finds_bfloat16(module, part) for part in parts)
    denied = isinstance(test, ast.Compare) and all(isinstance(op, ast.NotEq | ast.NotIn | ast.IsNot) for op in test.ops)
    return not denied and says_bfloat16(module, test)


@remembered
def says_bfloat16(module: Module, expression: ast.AST) -> bool:
    """Whether an expression compares a dtype with torch.bfloat16, by any spelling."""
    for node in ast.walk(expression):
        if isinstance(node, ast.Compare):
            for part in ast.walk(node):
                if module.resolve(part) == "torch.bfloat16":
                    return True
                if isinstance(part, ast.Constant) and part.value in ("bfloat16", "torch.bfloat16"):
                    return True
    return False


_SHORT = re.compile(r"(?i)float8|fp8|e4m3|e5m2|itemsize|int8|quanti[sz]")


def under_short_weights(site: Site) -> bool:
    """Whether a test around the site asks for weights in float8 or the like, which mixed precision casts for each use.

    `if precision in ("bf16", "fp8")` asks for either, and says nothing of the weights.
    """
    tests = (unparsed(site.module, test) for test in tests_around(site))
    return any(_SHORT.search(test) and "bf16" not in test for test in tests)
