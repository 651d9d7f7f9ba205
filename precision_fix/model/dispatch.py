"""Tests in a row that end in an exception: `if x.dtype == torch.bfloat16: return ...`, and below them `raise`.

None of them is a guard by itself. What is of a dtype that none of them takes comes to the exception all the same; so
does what is looked up in a map that lacks it.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from precision_fix.model.fate import Fate
from precision_fix.model.maybe import all_of, any_of, joined, negated
from precision_fix.model.module import Function, Module, unparsed

_COMPARES: dict[type[ast.cmpop], Callable[[object, object], bool]] = {
    ast.Eq: operator.eq,
    ast.Is: operator.eq,
    ast.NotEq: operator.ne,
    ast.IsNot: operator.ne,
}
_CAUGHT = ast.Try | getattr(ast, "TryStar", ast.Try)


class _Dtype(str):
    """The name of a dtype, which equals no word."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Dtype) and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other


class _Way(Enum):
    RAISES = auto()
    LEAVES = auto()
    GOES_ON = auto()


def by_tests(module: Module, test: ast.AST, subject: ast.AST, *, spelt: bool = False) -> Fate:
    """What becomes of a dtype, or of its name, in a test that is no guard by itself."""
    return Fate.REFUSED if _refuses(module, test, subject, spelt) else Fate.COMPARED


def by_key(module: Module, lookup: ast.Subscript) -> Fate:
    """What becomes of a dtype that something is looked up by."""
    return Fate.REFUSED if _lacks(module, lookup) else Fate.KEY


def _refuses(module: Module, test: ast.AST, subject: ast.AST, spelt: bool) -> bool:
    """Whether what was bfloat16 gets through the tests around one, and what is of the target precision raises."""
    if spelt:
        # Of a part of the name, `str(x.dtype).split(".")[-1]`, a test knows the one or the other.
        forms: tuple[Callable[[str], object], ...] = ("torch.{}".format, str)
    elif isinstance(subject, ast.Name | ast.Attribute) and module.dtype_name(subject) is None:
        forms = (_Dtype,)
    else:
        return False
    return any(comes_to_raise(module, test, subject, form("bfloat16"), form(module.target.dtype)) for form in forms)


def comes_to_raise(module: Module, test: ast.AST, subject: ast.AST, before: object, after: object) -> bool:
    """The same of an expression that was one value, and is another."""
    around = [test, *module.ancestors(test)]
    end = next((at for at, each in enumerate(around) if isinstance(each, Function | ast.ClassDef | ast.Lambda)), None)
    if end is not None and not isinstance(around[end], ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    body = getattr(around[end] if end is not None else around[-1], "body", [])
    inside: set[ast.AST] = {each for each in around[:end] if isinstance(each, ast.stmt | ast.match_case)}
    if not any(isinstance(each, ast.If | ast.Match) for each in inside):
        return False
    text = unparsed(module, subject)
    ways = [_Walk(module, text, value, inside).through(body) for value in (after, before)]
    return ways[0] is _Way.RAISES and ways[1] is not _Way.RAISES


def _lacks(module: Module, lookup: ast.Subscript) -> bool:
    """Whether a map that is written out has a key for bfloat16 and none for the target precision."""
    mapping = lookup.value
    if isinstance(mapping, ast.Name):
        bound = module.bindings(mapping)
        value = module.assigned_value(bound[0]) if len(bound) == 1 else None
        if value is None or not all(_only_reads(module, reader) for reader in module.readers(mapping)):
            return False
        mapping = value
    if not isinstance(mapping, ast.Dict) or not isinstance(lookup.ctx, ast.Load):
        return False
    keys = [module.dtype_name(key) if key is not None else None for key in mapping.keys]
    caught = any(isinstance(each, _CAUGHT) and each.handlers for each in module.ancestors(lookup))
    return None not in keys and "bfloat16" in keys and module.target.dtype not in keys and not caught


def _only_reads(module: Module, reader: ast.AST) -> bool:
    above = module.parent(reader)
    return isinstance(above, ast.Subscript) and isinstance(above.ctx, ast.Load)


@dataclass(frozen=True)
class _Walk:
    """A way through statements, where an expression of this text has this value."""

    module: Module
    text: str
    value: object
    inside: set[ast.AST]
    """The statements around the test that is asked about: what is unknown leads there."""

    def through(self, block: Sequence[ast.stmt]) -> _Way:
        for statement in block:
            way = self._of(statement)
            if way is not _Way.GOES_ON:
                return way
        return _Way.GOES_ON

    def _of(self, statement: ast.stmt) -> _Way:
        match statement:
            case ast.Raise():
                return _Way.RAISES
            case ast.Assert(test=ast.Constant(value=False)):
                return _Way.RAISES
            case ast.Return() | ast.Continue() | ast.Break():
                return _Way.LEAVES
            case ast.If(orelse=[]) if isinstance(statement.body[-1], ast.Raise) and statement not in self.inside:
                return _Way.GOES_ON  # a guard by itself, which may move
            case ast.If():
                taken = self._holds(statement.test)
                if taken is None and self.text in unparsed(self.module, statement.test):
                    return _Way.LEAVES  # held against something that is not known
                return self._one([(taken, statement.body)], statement.orelse, statement)
            case ast.Match():
                cases = [(self._takes(each, statement.subject), each.body) for each in statement.cases]
                return self._one(cases, [], statement)
            case ast.With() | ast.AsyncWith():
                return self.through(statement.body)
            case ast.For() | ast.AsyncFor() | ast.While() if statement in self.inside:
                return self._last(self.through(statement.body))
            case ast.Try() if statement in self.inside:
                return _Way.LEAVES if statement.handlers else self.through(statement.body)
        return _Way.GOES_ON

    @staticmethod
    def _last(way: _Way) -> _Way:
        """What follows a loop is another question."""
        return _Way.LEAVES if way is _Way.GOES_ON else way

    def _one(
        self, cases: Sequence[tuple[bool | None, Sequence[ast.stmt]]], other: Sequence[ast.stmt], at: ast.stmt
    ) -> _Way:
        """The way through the first case that is taken; where that is not known, to the test that is asked about."""
        open_ways: list[Sequence[ast.stmt]] = []
        for taken, body in cases:
            if taken is None:
                open_ways.append(body)
            elif taken:
                other = body
                break
        open_ways.append(other)
        leading = [block for block in open_ways if any(each in self.inside for each in block)]
        found = {self._bound(block, at) for block in leading or open_ways}
        if _Way.LEAVES in found or not found:
            return _Way.LEAVES if found == {_Way.LEAVES} or at in self.inside else _Way.GOES_ON
        return _Way.GOES_ON if _Way.GOES_ON in found else _Way.RAISES

    def _bound(self, block: Sequence[ast.stmt], at: ast.stmt) -> _Way:
        """A way on which the subject is bound anew says nothing of what comes after."""
        way = self.through(block)
        if way is not _Way.GOES_ON:
            return way
        root = self.text.partition(".")[0].rpartition("(")[2].rstrip(")")
        names = (each for part in block for each in ast.walk(part) if isinstance(each, ast.Name))
        bound = any(each.id == root and isinstance(each.ctx, ast.Store) for each in names)
        return _Way.LEAVES if bound else way

    def _worth(self, node: ast.AST | None) -> object:
        if node is None:
            return None
        if unparsed(self.module, node) == self.text:
            return self.value
        if isinstance(node, ast.Constant):
            return node.value
        name = self.module.dtype_name(node) if isinstance(node, ast.expr) else None
        return _Dtype(name) if name is not None else None

    def _holds(self, test: ast.expr) -> bool | None:
        match test:
            case ast.UnaryOp(op=ast.Not()):
                return negated(self._holds(test.operand))
            case ast.BoolOp():
                return joined(test, [self._holds(value) for value in test.values])
            case ast.Compare(
                ops=[ast.In() | ast.NotIn() as op], comparators=[ast.List() | ast.Tuple() | ast.Set() as r]
            ):
                found = any_of([self._equal(test.left, item) for item in r.elts])
                return found if isinstance(op, ast.In) else negated(found)
            case ast.Compare(ops=[op], comparators=[right]) if type(op) in _COMPARES:
                equal = self._equal(test.left, right)
                return None if equal is None else _COMPARES[type(op)](equal, True)
        return None

    def _equal(self, left: ast.AST, right: ast.AST) -> bool | None:
        one, other = self._worth(left), self._worth(right)
        return None if one is None or other is None else one == other

    def _takes(self, case: ast.match_case, subject: ast.expr) -> bool | None:
        fits = self._fits(case.pattern, subject)
        more = True if case.guard is None else self._holds(case.guard)
        return all_of([fits, more])

    def _fits(self, pattern: ast.pattern, subject: ast.expr) -> bool | None:
        match pattern:
            case ast.MatchValue():
                return self._equal(subject, pattern.value)
            case ast.MatchAs():
                return True if pattern.pattern is None else self._fits(pattern.pattern, subject)
            case ast.MatchOr():
                return any_of([self._fits(each, subject) for each in pattern.patterns])
            case ast.MatchSequence() if isinstance(subject, ast.Tuple) and len(subject.elts) == len(pattern.patterns):
                return all_of([self._fits(*each) for each in zip(pattern.patterns, subject.elts, strict=True)])
        return None
