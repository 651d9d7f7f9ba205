"""Where a variable is always bound anew before it is read, so that what it held further up is not seen there."""

from __future__ import annotations

import ast
from bisect import bisect_left
from enum import Enum

from precision_fix.model.module import Function, Module, remembered
from precision_fix.model.scope import COMPREHENSIONS, Scope

Position = tuple[int, int]
Stretch = tuple[Position, Position]
_LEAVES = ast.Return | ast.Raise | ast.Continue | ast.Break
_BLOCKS = ("body", "orelse", "finalbody")
# None of these is a base of another, so that what is one of them is no other.
_TYPES = frozenset(
    {"str", "bytes", "int", "float", "dict", "list", "tuple", "set", "torch.dtype", "torch.device", "torch.Tensor"}
)


class Sort(Enum):
    """The type of a value, as `isinstance` is asked for it."""

    WORD = "str"
    DTYPE = "torch.dtype"
    OTHER = ""

    # There is one of each, and that of Enum asks for its name.
    __hash__ = object.__hash__


@remembered
def rebound(module: Module, reader: ast.Name, sort: Sort) -> Stretch | None:
    """The stretch of the text in which a read finds all that it may see: from the last statement that always binds the
    name before it, in a block around it, to the end of the statement of that block that holds it.

    A way that a value of this sort does not take is none. None where there is no such statement, and where the name is
    read in another function than it belongs to, whenever that is called.
    """
    owner = _owner(module, reader)
    if owner is None:
        return None
    binding = _binding(module, owner, reader.id, sort)
    node: ast.AST = module.statement(reader)
    while node is not owner.node:
        above = module.parent(node)
        assert above is not None, "the function is above"
        places = binding.get(id(_block(module, above, node)))
        before = bisect_left(places, _start(node)) - 1 if places else -1
        if places and before >= 0:
            return places[before], _end(node)
        if (
            isinstance(above, ast.For | ast.AsyncFor)
            and _binds(above.target, reader.id)
            and module.index(above.body, node) is not None
        ):
            return _start(above), _end(node)
        node = above
    return None


def _owner(module: Module, reader: ast.Name) -> Scope | None:
    """The function that a name belongs to, where it is read as that runs."""
    scope: Scope | None = module.scope_of(reader)
    while scope is not None and isinstance(scope.node, COMPREHENSIONS) and reader.id not in scope.bindings:
        scope = scope.parent
    is_function = scope is not None and isinstance(scope.node, Function)
    return scope if is_function and scope is not None and reader.id in scope.bindings else None


@remembered
def _binding(module: Module, owner: Scope, name: str, sort: Sort) -> dict[int, list[Position]]:
    """By the id of a block of statements, where those of it begin that always bind a name, or lead away."""
    found: dict[int, list[Position]] = {}
    pending: list[ast.stmt] = [each for bound in owner.bindings[name] if (each := _statement(module, bound))]
    pending += _asked_first(module, owner, name, sort)
    seen: set[ast.AST] = set()
    for node in pending:
        above = module.parent(node)
        block = _block(module, above, node) if above is not None else None
        if node in seen or block is None or above is None:
            continue
        seen.add(node)
        found.setdefault(id(block), []).append(_start(node))
        outer = module.parent(above) if isinstance(above, ast.ExceptHandler) else above
        if isinstance(outer, ast.stmt) and _always(module, outer, name, sort, found):
            pending.append(outer)
    return {block: sorted(places) for block, places in found.items()}


def _statement(module: Module, bound: ast.AST) -> ast.stmt | None:
    """The statement that binds a name whenever it runs."""
    if isinstance(bound, Function | ast.ClassDef):
        return bound
    statement = module.statement(bound) if not isinstance(bound, ast.arg) else None
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return statement
    if isinstance(statement, ast.Assign):
        return statement if any(_holds(target, bound) for target in statement.targets) else None
    return statement if isinstance(statement, ast.AnnAssign) and statement.value is not None else None


def _asked_first(module: Module, owner: Scope, name: str, sort: Sort) -> list[ast.stmt]:
    """`if isinstance(kind, str): return ...`: the tests behind which a value of this sort does not come."""
    if sort is Sort.OTHER:
        return []
    tests = (module.statement(read) for read in module.names.readers(owner, name))
    return [test for test in dict.fromkeys(tests) if isinstance(test, ast.If) and _always(module, test, name, sort, {})]


def _always(module: Module, node: ast.AST, name: str, sort: Sort, binding: dict[int, list[Position]]) -> bool:
    """Whether each way through a statement binds the name, or leads away from what is below it."""
    if isinstance(node, ast.If):
        taken = _asks(module, node.test, name, sort)
        ways = [*([] if taken is False else [node.body]), *([] if taken is True else [node.orelse])]
        return all(_through(way, binding) for way in ways)
    if isinstance(node, ast.Try):
        ways = [node.body, *(handler.body for handler in node.handlers)]
        return all(_through(way, binding) for way in ways) or _through(node.finalbody, binding)
    return False


def _through(block: list[ast.stmt], binding: dict[int, list[Position]]) -> bool:
    return bool(block) and (isinstance(block[-1], _LEAVES) or id(block) in binding)


def is_of_another_sort(module: Module, target: ast.AST, reader: ast.Name, sort: Sort) -> bool:
    """Whether a read stands where a test of what was assigned further up has found it to be of another type."""
    node: ast.AST = reader
    for above in module.ancestors(reader) if sort is not Sort.OTHER else ():
        if isinstance(above, Function | ast.ClassDef):
            return False
        if isinstance(above, ast.If | ast.IfExp) and node is not above.test:
            in_body = node is above.body if isinstance(above, ast.IfExp) else module.index(above.body, node) is not None
            found = _asks(module, above.test, reader.id, sort)
            if found is (not in_body) and not _start(above) <= _start(target) <= _end(above):
                return True
        node = above
    return False


def _asks(module: Module, test: ast.expr, name: str, sort: Sort) -> bool | None:
    """What a test for the type of a variable says of a value of this sort; None for another test."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        denied = _asks(module, test.operand, name, sort)
        return None if denied is None else not denied
    is_test = isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id == "isinstance"
    if not isinstance(test, ast.Call) or not is_test or len(test.args) != 2 or sort is Sort.OTHER:
        return None
    of, types = test.args
    if not isinstance(of, ast.Name) or of.id != name:
        return None
    named = [module.resolve(each) for each in (types.elts if isinstance(types, ast.Tuple) else [types])]
    return True if sort.value in named else False if _TYPES.issuperset(named) else None


def _holds(target: ast.expr, bound: ast.AST) -> bool:
    if isinstance(target, ast.Tuple | ast.List):
        return any(_holds(each, bound) for each in target.elts)
    return target is bound or (isinstance(target, ast.Starred) and target.value is bound)


def _binds(target: ast.expr, name: str) -> bool:
    if isinstance(target, ast.Tuple | ast.List):
        return any(_binds(each, name) for each in target.elts)
    return isinstance(target, ast.Name) and target.id == name


def _block(module: Module, above: ast.AST, node: ast.AST) -> list[ast.stmt] | None:
    for field in _BLOCKS:
        block = getattr(above, field, None)
        if isinstance(block, list) and module.index(block, node) is not None:
            return block
    return None


def _start(node: ast.AST) -> Position:
    return node.lineno, node.col_offset  # type: ignore[attr-defined]


def _end(node: ast.AST) -> Position:
    return node.end_lineno, node.end_col_offset  # type: ignore[attr-defined]
