"""Where a value goes within its file: through names, containers, calls and returns to what is done with it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from enum import Enum, auto

from precision_fix.model import calls
from precision_fix.model.fate import Fate
from precision_fix.model.guard import falls_to_float16, refuses, stands_in_for_others
from precision_fix.model.module import Function, Module
from precision_fix.model.syntax import defaults

_BUDGET = 400
_SEQUENCES = ast.List | ast.Tuple | ast.Set


class Shape(Enum):
    """What holds the value: itself, a sequence or set of which it is an item, or a map of which it is a value."""

    VALUE = auto()
    ITEMS = auto()
    MAP = auto()


@dataclass(frozen=True, slots=True)
class End:
    """An end of a value's way: its fate, and the node where it meets it."""

    fate: Fate
    node: ast.AST


class _Follower:
    """A worklist of expressions that hold the value. With `tensors`, what is computed from it holds it as well."""

    def __init__(self, module: Module, *, tensors: bool = False) -> None:
        self.module = module
        self.tensors = tensors
        self.is_word = False
        self.pending: list[tuple[ast.AST, Shape]] = []
        self.seen: set[tuple[ast.AST, Shape]] = set()
        self.ends: list[End] = []

    def push(self, node: ast.AST, shape: Shape) -> None:
        if (node, shape) not in self.seen:
            self.seen.add((node, shape))
            self.pending.append((node, shape))

    def end(self, fate: Fate, node: ast.AST) -> None:
        self.ends.append(End(fate, node))

    def run(self) -> list[End]:
        steps = 0
        while self.pending:
            steps += 1
            if steps > _BUDGET:
                self.end(Fate.UNKNOWN, self.pending[-1][0])
                break
            self.step(*self.pending.pop())
        return self.ends

    def step(self, node: ast.AST, shape: Shape) -> None:
        above = self.module.parent(node)
        if isinstance(above, ast.Starred | ast.Await | ast.NamedExpr | ast.BoolOp | ast.BinOp) or (
            isinstance(above, ast.IfExp) and node is not above.test
        ):
            self.push(above, shape)
            if isinstance(above, ast.NamedExpr):
                self.assigned(above.target, shape)
        elif isinstance(above, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = above.targets if isinstance(above, ast.Assign) else [above.target]
            for target in targets:
                self.assigned(target, shape)
        elif isinstance(above, ast.Return | ast.Yield | ast.YieldFrom):
            self.returned(above, shape)
        elif isinstance(above, ast.arguments):
            self.parameter(next(p for p, default in defaults(above) if default is node), shape)
        elif isinstance(above, ast.Call):
            if node is not above.func:
                self.argument(node, above, None, shape)
        elif isinstance(above, ast.keyword):
            self.keyword(node, above, shape)
        elif isinstance(above, ast.Compare):
            self.compared(node, above, shape)
        elif isinstance(above, ast.FormattedValue | ast.JoinedStr):
            self.end(Fate.TEXT, above)
        elif shape is Shape.VALUE:
            self.value(node, above)
        elif shape is Shape.ITEMS:
            self.items(node, above)
        else:
            self.mapping(node, above)

    # What a value itself meets.

    def value(self, node: ast.AST, above: ast.AST | None) -> None:
        match above:
            case ast.List() | ast.Set() | ast.Tuple():
                self.element(node, above)
            case ast.Dict():
                is_key = any(key is node for key in above.keys)
                if is_key:
                    self.end(Fate.KEY, above)
                else:
                    self.push(above, Shape.MAP)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                self.push(above, Shape.ITEMS)
            case ast.DictComp():
                if node is above.key:
                    self.end(Fate.INVERTED, above)
                else:
                    self.push(above, Shape.MAP)
            case ast.Subscript():
                self.end(Fate.KEY if node is above.slice else Fate.UNKNOWN, above)
            case ast.Attribute():
                self.member(above)
            case ast.Match() | ast.MatchValue():
                self.end(Fate.COMPARED, above)
            case ast.Expr() | ast.Raise():
                self.end(Fate.TEXT, above)
            case ast.IfExp() | ast.UnaryOp() | ast.If() | ast.While() | ast.Assert() | ast.comprehension():
                self.end(Fate.COMPARED, above)
            case _:
                self.end(Fate.UNKNOWN, above or node)

    def member(self, attribute: ast.Attribute) -> None:
        call = self.module.parent(attribute)
        if self.tensors and attribute.attr == "data_ptr":
            self.end(Fate.KERNEL, attribute)
        elif self.tensors and isinstance(call, ast.Call) and call.func is attribute:
            self.push(call, Shape.VALUE)
        else:
            self.end(Fate.SIZE if attribute.attr in calls.DESCRIBES else Fate.UNKNOWN, attribute)

    def element(self, node: ast.AST, sequence: ast.List | ast.Set | ast.Tuple) -> None:
        above = self.module.parent(sequence)
        if isinstance(above, ast.Assign) and isinstance(sequence, ast.Tuple | ast.List):
            index = next(i for i, item in enumerate(sequence.elts) if item is node)
            for target in above.targets:
                if isinstance(target, ast.Tuple | ast.List) and len(target.elts) == len(sequence.elts):
                    self.assigned(target.elts[index], Shape.VALUE)
                else:
                    self.push(sequence, Shape.ITEMS)
        elif isinstance(above, ast.Return) and not is_dtype_list(self.module, sequence):
            if self.tensors:
                self.returned(above, Shape.ITEMS)
            self.end(Fate.RETURNED, above)
        elif isinstance(above, ast.Subscript) and sequence is above.slice:
            self.end(Fate.KEY, above)
        else:
            self.push(sequence, Shape.ITEMS)

    # What a sequence that holds it meets.

    def items(self, node: ast.AST, above: ast.AST | None) -> None:
        match above:
            case ast.For() | ast.AsyncFor() | ast.comprehension():
                self.assigned(above.target, Shape.VALUE)
            case ast.Subscript() if node is above.value:
                self.push(above, Shape.ITEMS if isinstance(above.slice, ast.Slice) else Shape.VALUE)
            case ast.Attribute():
                self.method(above, Shape.ITEMS)
            case ast.List() | ast.Tuple() | ast.Set() | ast.Expr():
                self.end(Fate.UNKNOWN, above)
            case ast.If() | ast.While() | ast.Assert() | ast.UnaryOp() | ast.IfExp():
                pass
            case _:
                self.end(Fate.UNKNOWN, above or node)

    # What a map that holds it as a value meets.

    def mapping(self, node: ast.AST, above: ast.AST | None) -> None:
        match above:
            case ast.Subscript() if node is above.value:
                if isinstance(above.ctx, ast.Load):
                    self.push(above, Shape.VALUE)
            case ast.Attribute():
                self.method(above, Shape.MAP)
            case ast.Dict():
                # `{**table}` copies the values; a map within a map is a record of something larger.
                unpacked = any(
                    key is None and value is node for key, value in zip(above.keys, above.values, strict=True)
                )
                if unpacked:
                    self.push(above, Shape.MAP)
                else:
                    self.end(Fate.UNKNOWN, above)
            case (
                ast.For() | ast.AsyncFor() | ast.comprehension() | ast.If() | ast.While() | ast.UnaryOp() | ast.IfExp()
            ):
                pass
            case _:
                self.end(Fate.UNKNOWN, above or node)

    def method(self, attribute: ast.Attribute, shape: Shape) -> None:
        call = self.module.parent(attribute)
        if not isinstance(call, ast.Call) or call.func is not attribute:
            return
        name = attribute.attr
        if shape is Shape.MAP and name in ("get", "pop", "setdefault", "__getitem__"):
            self.push(call, Shape.VALUE)
        elif name in ("copy", "union", "__or__"):
            self.push(call, shape)
        elif shape is Shape.MAP and name == "values":
            self.push(call, Shape.ITEMS)
        elif shape is Shape.MAP and name == "items":
            self.pairs(call)
        elif shape is Shape.ITEMS and name in ("index", "count", "remove", "__contains__"):
            self.end(Fate.COMPARED, call)
        elif shape is Shape.ITEMS and name == "pop":
            self.push(call, Shape.VALUE)

    def pairs(self, call: ast.Call) -> None:
        """`for key, value in table.items()`: the second name holds the value."""
        above = self.module.parent(call)
        if isinstance(above, ast.For | ast.comprehension):
            if isinstance(above.target, ast.Tuple) and len(above.target.elts) == 2:
                self.assigned(above.target.elts[1], Shape.VALUE)
        else:
            self.end(Fate.UNKNOWN, call)

    # Where it is bound again.

    def assigned(self, target: ast.expr, shape: Shape) -> None:
        if isinstance(target, ast.Name):
            self.name(target, shape)
        elif isinstance(target, ast.Attribute):
            self.attribute(target, shape)
        elif isinstance(target, ast.Tuple | ast.List) and (shape is Shape.VALUE or self.tensors):
            # A record was unpacked: any of the names may be the one.
            for item in target.elts:
                self.assigned(item, Shape.VALUE)
        else:
            self.end(Fate.STORED, target)

    def name(self, target: ast.Name, shape: Shape) -> None:
        scope = self.module.scope_of(target)
        owner = scope.owner(target.id) or scope
        if not isinstance(owner.node, Function | ast.Lambda):
            self.module.ensure(target.id)
        readers = list(owner.readers(target.id))
        later = [reader for reader in readers if self._may_follow(target, reader)]
        for reader in later:
            self.push(reader, shape)
        if owner.is_class:
            self._attribute_readers(target.id, None, shape)
        if not later and not owner.is_class:
            self.end(Fate.STORED if owner is self.module.names.root else Fate.TEXT, target)

    def _may_follow(self, target: ast.Name, reader: ast.Name) -> bool:
        """Within one function a read above the assignment sees another value, unless a loop goes round both."""
        function = self.module.function(target)
        if function is None or self.module.function(reader) is not function or reader.lineno >= target.lineno:
            return True
        return any(
            isinstance(above, ast.For | ast.While) and above.lineno <= reader.lineno
            for above in self.module.ancestors(target)
        )

    def attribute(self, target: ast.Attribute, shape: Shape) -> None:
        self._attribute_readers(target.attr, ast.unparse(target.value), shape)
        self.end(Fate.STORED, target)

    def _attribute_readers(self, attr: str, base: str | None, shape: Shape) -> None:
        self.module.ensure("." + attr)
        for reader in self.module.names.attributes.get(attr, ()):
            if isinstance(reader.ctx, ast.Load) and (base is None or ast.unparse(reader.value) == base):
                self.push(reader, shape)

    # Where it leaves a function, or goes into one.

    def returned(self, statement: ast.AST, shape: Shape) -> None:
        function = self.module.function(statement)
        if function is None:
            self.end(Fate.RETURNED, statement)
            return
        self.module.ensure(function.name)
        results = [c for c in self.module.names.calls.get(function.name, ()) if c.func is not statement]
        for call in results:
            self.push(call, shape)
        if not results or not function.name.startswith("_"):
            self.end(Fate.RETURNED, statement)

    def parameter(self, parameter: ast.arg, shape: Shape) -> None:
        inner = self.module.scope_of(parameter)
        readers = list(inner.readers(parameter.arg))
        for reader in readers:
            self.push(reader, shape)
        if not readers:
            self.end(Fate.UNKNOWN, parameter)

    def keyword(self, node: ast.AST, keyword: ast.keyword, shape: Shape) -> None:
        call = self.module.parent(keyword)
        if not isinstance(call, ast.Call):
            self.end(Fate.UNKNOWN, keyword)
        elif keyword.arg is None:
            # f(**settings): every value of the map is an argument.
            self.end(Fate.CHOOSES, call)
        else:
            self.argument(node, call, keyword.arg, shape)

    def argument(self, node: ast.AST, call: ast.Call, keyword: str | None, shape: Shape) -> None:
        role = calls.role(self.module, call, node, keyword)
        if self.tensors and role is calls.Role.OTHER and calls.is_launch(self.module, call):
            role = calls.Role.KERNEL
        container = calls.container_of(call, role)
        if role in (calls.Role.SEQUENCE, calls.Role.PICK) and shape is not Shape.VALUE:
            self.push(call, Shape.ITEMS if role is calls.Role.SEQUENCE else Shape.VALUE)
        elif container is not None:
            self.push(container, Shape.ITEMS)
            if isinstance(container, ast.Name):
                self.name_of_container(container)
        elif role is calls.Role.DEFAULT:
            self.push(call, shape)
        elif role is calls.Role.NOTHING:
            return
        elif role in _FATE_OF_ROLE:
            self.end(_FATE_OF_ROLE[role], call)
        elif self.tensors and role in (calls.Role.CAST, calls.Role.REGISTER):
            self.tensor(call, role)
        elif role is calls.Role.CAST and shape is Shape.VALUE:
            needs_half = stands_in_for_others(self.module, call, self.module.target.dtype)
            self.end(Fate.REFUSED if needs_half else calls.fate_of_cast(self.module, call), call)
        else:
            self.callee(node, call, keyword, shape)

    def tensor(self, call: ast.Call, role: calls.Role) -> None:
        """A tensor goes into an operator, whose result it lives on in, or becomes a buffer of its module."""
        if role is calls.Role.CAST:
            self.push(call, Shape.VALUE)
        elif isinstance(call.args[0], ast.Constant):
            self._attribute_readers(str(call.args[0].value), "self", Shape.VALUE)

    def name_of_container(self, container: ast.Name) -> None:
        for reader in self.module.readers(container):
            if reader is not container:
                self.push(reader, Shape.ITEMS)

    def callee(self, node: ast.AST, call: ast.Call, keyword: str | None, shape: Shape) -> None:
        """Go into a function of the same file; another one is taken to use its argument as what it looks like."""
        parameter = calls.local_parameter(self.module, call, node, keyword)
        if parameter is not None and any(self.module.scope_of(parameter).readers(parameter.arg)):
            self.parameter(parameter, shape)
        else:
            self.end(Fate.CHOOSES if shape is Shape.VALUE else Fate.UNKNOWN, call)

    def compares_other_things(self, node: ast.AST, compare: ast.Compare) -> bool:
        """Whether a dtype's variable is compared with words, or a word's variable with dtypes."""
        others = [side for side in (compare.left, *compare.comparators) if side is not node]
        items = [item for side in others for item in (side.elts if isinstance(side, _SEQUENCES) else [side])]
        if self.is_word:
            # A test for another word says nothing of this one either.
            words = [item.value for item in items if isinstance(item, ast.Constant)]
            other = len(words) == len(items) and not any("16" in str(word) and "b" in str(word) for word in words)
            return other or any(self.module.dtype_name(item) is not None for item in items)
        return bool(items) and all(isinstance(item, ast.Constant) and isinstance(item.value, str) for item in items)

    def compared(self, node: ast.AST, compare: ast.Compare, shape: Shape) -> None:
        # A variable that holds now a word and now a dtype: a comparison with the one says nothing of the other.
        if shape is Shape.MAP or self.compares_other_things(node, compare):
            return
        if shape is Shape.VALUE and isinstance(node, ast.Name) and refuses(self.module, compare, node):
            self.end(Fate.REFUSED, compare)
        elif isinstance(node, ast.Name) and falls_to_float16(self.module, compare):
            self.end(Fate.FALLS, compare)
        else:
            self.end(Fate.COMPARED, compare)


_FATE_OF_ROLE = {
    calls.Role.TEXT: Fate.TEXT,
    calls.Role.TEST: Fate.COMPARED,
    calls.Role.BYTES: Fate.BYTES,
    calls.Role.SIZE: Fate.SIZE,
    calls.Role.KERNEL: Fate.KERNEL,
    calls.Role.KEY: Fate.KEY,
    calls.Role.CASES: Fate.CHOOSES,
}


def follow(module: Module, node: ast.AST) -> list[End]:
    """The ends of every way that the value of an expression takes within the file."""
    follower = _Follower(module)
    follower.is_word = isinstance(node, ast.Constant) and isinstance(node.value, str)
    follower.push(node, Shape.VALUE)
    return follower.run()


def follow_tensor(module: Module, node: ast.AST) -> list[End]:
    """The ends of a tensor's way, through methods, operators, buffers and functions of the file."""
    follower = _Follower(module, tensors=True)
    follower.push(node, Shape.VALUE)
    return follower.run()


def is_dtype_list(module: Module, sequence: ast.List | ast.Set | ast.Tuple) -> bool:
    """Whether every element is a dtype; a tuple that holds other things too is a record."""
    return bool(sequence.elts) and all(module.dtype_name(item) is not None for item in sequence.elts)
