"""Guards of a size: an assertion, or a test that raises, of how many bytes an element or a tensor has.

What is made in bfloat16 has two bytes an element; in the target precision it may have more, and the guard would stop
the program though it speaks of no dtype.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from precision_fix.model.dispatch import comes_to_raise
from precision_fix.model.guard import is_equality_assertion
from precision_fix.model.maybe import any_of, joined, negated
from precision_fix.model.module import Function, Module, remembered, unparsed

#: What a tensor or a dtype is asked for to get at a size.
SIZES = frozenset({"element_size", "itemsize", "nbytes", "bits"})
_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
# A size goes through so many names to the test of it.
_MOST_NAMES = 3
_PASSES = (
    ast.BinOp
    | ast.UnaryOp
    | ast.Compare
    | ast.BoolOp
    | ast.List
    | ast.Tuple
    | ast.Set
    | ast.GeneratorExp
    | ast.ListComp
)
_OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Mult: operator.mul,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
}
_ORDERS: dict[type[ast.AST], Callable[[float, float], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def refusing(module: Module, size: ast.expr) -> ast.expr | None:
    """The test of a guard that lets what was bfloat16 pass by its size, and not what is of the target precision."""
    for test, wanted in _tests(module, size, _MOST_NAMES):
        before, after = (_World(module, size, dtype).holds(test) for dtype in ("bfloat16", module.target.dtype))
        if after is not wanted and before is not after and not _is_under_bfloat16(module, test):
            return test
    asks = module.parent(size)
    worth = [_World(module, size, dtype).number(size) for dtype in ("bfloat16", module.target.dtype)]
    if isinstance(asks, ast.Compare | ast.Match) and comes_to_raise(module, asks, size, *worth):
        return asks if isinstance(asks, ast.Compare) else size
    return None


def _tests(module: Module, size: ast.AST, most: int) -> Iterator[tuple[ast.expr, bool]]:
    """The tests that a size stands in, each with what it must come to for the program to go on."""
    node, above = size, module.parent(size)
    while isinstance(above, _PASSES) or (isinstance(above, ast.Call) and _is_all(module, above, node)):
        node, above = above, module.parent(above)
    match above:
        case ast.Assert() if node is above.test:
            yield above.test, True
        case ast.If() if node is above.test and isinstance(above.body[-1], ast.Raise):
            yield above.test, False
        case ast.Call() if is_equality_assertion(above) or _name(above) == "assertTrue":
            yield above, True
        case ast.Assign(targets=[ast.Name() as name]) if most and len(module.bindings(name)) == 1:
            for reader in module.readers(name):
                yield from _tests(module, reader, most - 1)


def _is_all(module: Module, call: ast.Call, node: ast.AST) -> bool:
    """`all(x.itemsize == 2 for x in ...)`."""
    return isinstance(call.func, ast.Name) and call.func.id == "all" and module.index(call.args, node) is not None


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


@remembered
def _is_under_bfloat16(module: Module, test: ast.AST) -> bool:
    """Whether a test around a guard has found bfloat16: what is none any more does not come there."""
    node = test
    for above in module.ancestors(test):
        if isinstance(above, Function | ast.ClassDef):
            return False
        if isinstance(above, ast.If) and node is not above.test and module.index(above.body, node) is not None:
            compares = (each for each in ast.walk(above.test) if isinstance(each, ast.Compare))
            if any(module.dtype_name(side) == "bfloat16" for each in compares for side in each.comparators):
                return True
        node = above
    return False


@dataclass(frozen=True)
class _World:
    """What a test comes to where a thing is of a dtype; None where that does not show."""

    module: Module
    size: ast.expr
    dtype: str

    def holds(self, test: ast.expr) -> bool | None:
        match test:
            case ast.UnaryOp(op=ast.Not()):
                return negated(self.holds(test.operand))
            case ast.BoolOp():
                return joined(test, [self.holds(value) for value in test.values])
            case ast.Call(func=ast.Name(id="all"), args=[ast.GeneratorExp() | ast.ListComp() as each]):
                return self.holds(each.elt)
            case ast.Call() if is_equality_assertion(test) and len(test.args) > 1:
                return self._compared(test.args[0], ast.Eq(), test.args[1])
            case ast.Call(args=[inner, *_]) if _name(test) == "assertTrue":
                return self.holds(inner)
            case ast.Compare(ops=[op], comparators=[right]):
                return self._compared(test.left, op, right)
        return None

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> bool | None:
        if isinstance(op, ast.In | ast.NotIn):
            items = right.elts if isinstance(right, ast.List | ast.Tuple | ast.Set) else []
            is_in = any_of([self._compared(left, ast.Eq(), item) for item in items]) if items else None
            return is_in if isinstance(op, ast.In) else negated(is_in)
        one, other = self.number(left), self.number(right)
        if one is not None and other is not None and type(op) in _ORDERS:
            return _ORDERS[type(op)](one, other)
        named = {self.module.dtype_name(side) for side in (left, right)} - {None}
        if named and self._is_its_dtype(left, right):
            return (self.dtype in named) is isinstance(op, ast.Eq | ast.Is)
        if isinstance(op, ast.Eq | ast.NotEq) and self._counts_by_two(left, right):
            return (self.dtype == "bfloat16") is isinstance(op, ast.Eq)
        return None

    def _is_its_dtype(self, *sides: ast.expr) -> bool:
        owner = next((each.value for each in ast.walk(self.size) if isinstance(each, ast.Attribute)), None)
        text = unparsed(self.module, owner).removesuffix(".dtype") if owner is not None else ""
        return f"{text}.dtype" in map(ast.unparse, sides)

    def _counts_by_two(self, *sides: ast.expr) -> bool:
        """`x.nbytes == 2 * n`: the one side has the size, the other multiplies by two and has none."""
        sized = [side for side in sides if any(each is self.size for each in ast.walk(side))]
        others = [side for side in sides if side not in sized]
        if len(sized) != 1 or _BYTES.get(self.module.target.dtype) == _BYTES["bfloat16"]:
            return False
        inner = [each for each in ast.walk(others[0]) if isinstance(each, ast.expr)]
        if any(isinstance(each, ast.Attribute) and each.attr in {*SIZES, "dtype"} for each in inner):
            return False
        products = (each for each in inner if isinstance(each, ast.BinOp) and isinstance(each.op, ast.Mult))
        factors = (side for each in products for side in (each.left, each.right))
        return any(isinstance(each, ast.Constant) and each.value in (2, 16) for each in factors)

    def number(self, node: ast.expr) -> float | None:
        """A number that is written out, or follows from the size of an element."""
        if node is self.size or self._is_alike(node):
            return self._of_element()
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.BinOp() if type(node.op) in _OPERATORS:
                one, other = self.number(node.left), self.number(node.right)
                if one is None or other is None or (other == 0 and isinstance(node.op, ast.Div | ast.FloorDiv)):
                    return None
                return _OPERATORS[type(node.op)](one, other)
            case ast.Name():
                bound = self.module.bindings(node)
                value = self.module.assigned_value(bound[0]) if len(bound) == 1 else None
                return self.number(value) if value is not None and not isinstance(value, ast.Name) else None
        return None

    def _is_alike(self, node: ast.expr) -> bool:
        return type(node) is type(self.size) and unparsed(self.module, node) == unparsed(self.module, self.size)

    def _of_element(self) -> float | None:
        attribute = self.size.func if isinstance(self.size, ast.Call) else self.size
        asked = attribute.attr if isinstance(attribute, ast.Attribute) else ""
        if asked == "nbytes":
            return None  # as many bytes as there are elements
        return float(_BYTES[self.dtype] * (8 if asked == "bits" else 1))
