"""Places of a module where a change changes what it does, and the change of each: what `tests.bench.mutation` tries.

Left out is what no test could see: annotations, docstrings, `__all__` and `__slots__`, blocks for type checkers,
decorators, assertions (they are for mypy), sizes of caches. So are the words of messages, in `raise`, titles and
strings with words of prose in them: a test of them would say them again.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

_SHIFTED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
}
_OTHER: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.BitOr: ast.BitAnd}
_OTHER_CALL = {"any": "all", "all": "any", "min": "max", "max": "min"}
_PROSE = re.compile(r"[a-z]{2}[,:;]? [a-z]")
_WORDS = re.compile(r"\s*[\w.*-]+(?: [\w.*-]+)+\s*")
# In a pattern, a word between bars, with the bar before or behind it.
_ALTERNATIVE = re.compile(r"(?<=[|(])[\w ?-]+\||^[\w ?-]+\||\|[\w ?-]+(?=[)]|$)")
_GENERIC = frozenset({"tuple", "list", "dict", "set", "frozenset", "Callable", "Mapping", "Sequence", "Iterable"})
_UNSEEN = frozenset({"__all__", "__slots__", "title", "why"})
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Mutant:
    """One change of one place: the child of `parent` in a field, or in a list that is its field, becomes `new`."""

    kind: str
    node: ast.AST
    parent: ast.AST
    slot: str
    index: int | None
    new: ast.AST | None
    """None takes the entry out."""
    lines: range = range(0)
    """Those of the statement, or of its head."""
    at_import: bool = False
    """Whether it runs as its module is imported."""

    @property
    def line(self) -> int:
        """Where the change is, as a person looks for it."""
        return int(getattr(self.node, "lineno", self.lines.start))

    def apply(self) -> None:
        """Change the tree that it is part of."""
        if self.new is not None:
            ast.fix_missing_locations(ast.copy_location(self.new, self.node))
        if self.index is None:
            setattr(self.parent, self.slot, self.new)
            return
        entries = getattr(self.parent, self.slot)
        if self.new is not None:
            entries[self.index] = self.new
            return
        del entries[self.index]
        if isinstance(self.parent, ast.Dict):
            del self.parent.values[self.index]

    def shown(self) -> tuple[str, str]:
        """The node before and after, in one line each."""
        after = "(out)" if self.new is None else ast.unparse(self.new)
        return _short(ast.unparse(self.node)), _short(after)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 110 else f"{line[:70]} ... {line[-35:]}"


def places(tree: ast.Module) -> list[list[Mutant]]:
    """For each place of a module the ways to change it."""
    return [ways for ways in _below(tree, _Where()) if ways]


@dataclass(frozen=True)
class _Where:
    """What stands around a node."""

    lines: range = range(0)
    at_import: bool = True
    in_class: bool = False
    pattern: bool = False
    looked_through: bool = False
    assigned: frozenset[str] = frozenset()


def _below(parent: ast.AST, where: _Where) -> Iterator[list[Mutant]]:
    for name, value in ast.iter_fields(parent):
        if _is_unseen(parent, name):
            continue
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            if not isinstance(child, ast.AST) or _is_for_checkers(child):
                continue
            here = _inside(parent, name, child, where)
            found = [
                Mutant(kind, child, parent, name, index if isinstance(value, list) else None, new)
                for kind, new in [*_changes(child, here), *_out(parent, name, where)]
            ]
            for each in found:
                each.lines, each.at_import = here.lines, here.at_import
            yield found
            yield from _below(child, here)


def _is_unseen(parent: ast.AST, name: str) -> bool:
    if name in ("annotation", "returns", "decorator_list", "bases", "ctx", "type_params"):
        return True
    match parent:
        case ast.Raise() | ast.Assert() | ast.JoinedStr() | ast.FormattedValue():
            return name != "value"
        case ast.Call(func=ast.Name(id="cast" | "TypeVar" | "NewType" | "lru_cache")):
            return True
    return False


def _is_for_checkers(child: ast.AST) -> bool:
    match child:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Expr(value=ast.Constant()) | ast.ImportFrom():
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name in _UNSEEN or _is_type(child.value)
    return False


def _is_type(value: ast.expr) -> bool:
    """`A | B`, `tuple[A, ...]`: a name for a type."""
    match value:
        case ast.BinOp(op=ast.BitOr()):
            return _is_type(value.left) and _is_type(value.right)
        case ast.Subscript():
            return ast.unparse(value.value) in _GENERIC
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name[:1].isupper()
    return False


def _inside(parent: ast.AST, name: str, child: ast.AST, where: _Where) -> _Where:
    lines, at_import, assigned = where.lines, where.at_import, where.assigned
    if isinstance(parent, _Function | ast.Lambda) and name == "body":
        at_import = False
    if isinstance(parent, _Function) and name == "body":
        assigned = frozenset(_assigned_twice(parent))
    if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
        lines = _head(child)
    compiled = isinstance(parent, ast.Call) and ast.unparse(parent.func).startswith("re.")
    looked_through = name in ("comparators", "iter")
    is_class = isinstance(parent, ast.ClassDef) and name == "body"
    return _Where(lines, at_import, is_class, compiled and name == "args", looked_through, assigned)


def _head(node: ast.stmt | ast.ExceptHandler | ast.match_case) -> range:
    body = getattr(node, "body", None)
    first = node.pattern.lineno if isinstance(node, ast.match_case) else node.lineno
    if isinstance(body, list) and body:
        return range(first, max(first + 1, body[0].lineno))
    return range(first, (node.end_lineno or first) + 1) if isinstance(node, ast.stmt) else range(first, first + 1)


def _assigned_twice(function: _Function) -> set[str]:
    """Names of which an assignment can be dropped and leave them with a value."""
    stored = [each.id for each in ast.walk(function) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]
    args = [each.arg for each in ast.walk(function) if isinstance(each, ast.arg)]
    names = [*stored, *args]
    return {each for each in names if names.count(each) > 1}


def _out(parent: ast.AST, name: str, where: _Where) -> Iterator[tuple[str, None]]:
    """An entry of a literal, an operand, a filter. A tuple is a record, unless it is a table or is looked through."""
    match parent:
        case ast.List(ctx=ast.Load()) | ast.Set(elts=[_, _, *_]):
            yield "entry", None
        case ast.Tuple(ctx=ast.Load()) if where.at_import or where.looked_through:
            yield "entry", None
        case ast.Dict() if name == "keys":
            yield "entry", None
        case ast.BoolOp(values=[_, _, _, *_]):
            yield "operand", None
        case ast.comprehension() if name == "ifs":
            yield "condition", None


def _changes(node: ast.AST, where: _Where) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Compare(ops=[op]):
            for other in _SHIFTED[type(op)]:
                yield "comparison", ast.Compare(node.left, [other()], node.comparators)
        case ast.BoolOp(op=ast.And()):
            yield "and/or", ast.BoolOp(ast.Or(), node.values)
        case ast.BoolOp():
            yield "and/or", ast.BoolOp(ast.And(), node.values)
        case ast.UnaryOp(op=ast.Not()):
            yield "not", node.operand
        case ast.Constant():
            yield from _constants(node, where)
        case ast.BinOp(op=op) if type(op) in _OTHER and not any(map(_is_text, (node.left, node.right))):
            yield "operator", ast.BinOp(node.left, _OTHER[type(op)](), node.right)
        case ast.Call(func=ast.Name(id=name)) if name in _OTHER_CALL:
            yield "call", ast.Call(ast.Name(_OTHER_CALL[name], ast.Load()), node.args, node.keywords)
        case ast.If() | ast.IfExp() | ast.While():
            for fixed in (True, False):
                if fixed and isinstance(node, ast.While):
                    continue
                yield "condition", type(node)(**{**dict(ast.iter_fields(node)), "test": ast.Constant(fixed)})
        case ast.match_case(guard=ast.expr()):
            yield "condition", ast.match_case(node.pattern, None, node.body)
        case ast.stmt():
            yield from _statements(node, where)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr | ast.List | ast.Tuple) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _statements(node: ast.stmt, where: _Where) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Return(value=ast.Constant(value=bool() | None)) | ast.Return(value=None):
            return
        case ast.Return():
            yield "return", ast.Return(ast.Constant(None))
        case ast.Raise(exc=ast.Name(id="NotImplementedError")):
            return
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()) | ast.AugAssign() | ast.Raise():
            yield "statement", ast.Pass()
        case ast.Continue() | ast.Break():
            yield "statement", ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "statement", ast.Pass()
        case ast.Assign(targets=[ast.Name(id=name)]) if where.in_class or name in where.assigned:
            yield "statement", ast.Pass()


def _constants(node: ast.Constant, where: _Where) -> Iterator[tuple[str, ast.AST]]:
    match node.value:
        case bool(value):
            yield "constant", ast.Constant(not value)
        case int(value):
            yield "constant", ast.Constant(value + 1)
        case str(text) if where.pattern:
            for found in _ALTERNATIVE.finditer(text):
                yield "entry", ast.Constant(text[: found.start()] + text[found.end() :])
            yield "constant", ast.Constant(f"{text}x")
        case str(text) if _WORDS.fullmatch(text) and where.at_import:
            words = text.split(" ")
            for index, word in enumerate(words):
                if word:
                    yield "entry", ast.Constant(" ".join([*words[:index], *words[index + 1 :]]))
        case str(text) if not _PROSE.search(text):
            yield "constant", ast.Constant(f"{text}x")
        case bytes(data):
            yield "constant", ast.Constant(data + b"x")
