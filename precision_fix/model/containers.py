"""What becomes of a value in what holds it: a sequence, a map, an object that has it as an attribute."""

from __future__ import annotations

import ast

from precision_fix.model import records
from precision_fix.model.compared import Compared
from precision_fix.model.fate import Fate
from precision_fix.model.held import Shape


class Containers(Compared):
    """The part of a follower that knows of containers."""

    # What a sequence that holds it meets.

    def items(self, node: ast.AST, above: ast.AST | None) -> None:
        match above:
            case ast.For() | ast.AsyncFor() | ast.comprehension():
                self.assigned(above.target, Shape.VALUE)
            case ast.Subscript() if node is above.value:
                self.indexed(above)
            case ast.Attribute():
                self.method(above)
            case ast.List() | ast.Tuple() | ast.Set() | ast.Expr():
                self.end(Fate.UNKNOWN, above)
            case ast.If() | ast.While() | ast.Assert() | ast.UnaryOp() | ast.IfExp():
                pass
            case _:
                self.end(Fate.UNKNOWN, above or node)

    def indexed(self, subscript: ast.Subscript) -> None:
        if isinstance(subscript.slice, ast.Slice):
            self.same(subscript, Shape.ITEMS)
        elif self.may_be(written_key(subscript.slice)):
            self.same(subscript, Shape.VALUE)

    # What a map that holds it as a value meets.

    def mapping(self, node: ast.AST, above: ast.AST | None) -> None:
        match above:
            case ast.Subscript() if node is above.value:
                if isinstance(above.ctx, ast.Load) and self.may_be(written_key(above.slice)):
                    self.same(above, Shape.VALUE)
                    self.copied(above.slice)
            case ast.Attribute():
                self.method(above)
            case ast.Dict():
                # `{**table}` copies the values; a map within a map is a record of something larger.
                place = self.module.index(above.values, node)
                if place is not None and above.keys[place] is None:
                    self.same(above)
                else:
                    self.end(Fate.UNKNOWN, above)
            case ast.For() | ast.AsyncFor() | ast.comprehension():
                self.copied(above.target)
            case ast.If() | ast.While() | ast.UnaryOp() | ast.IfExp():
                pass
            case _:
                self.end(Fate.UNKNOWN, above or node)

    def method(self, attribute: ast.Attribute) -> None:
        """A method of a sequence or a map; one that is given a name is called under that."""
        above = self.module.parent(attribute)
        if isinstance(above, ast.Call) and above.func is attribute:
            self.called(attribute.attr, above)
        elif isinstance(above, ast.Assign) and isinstance(above.targets[0], ast.Name):
            for reader in self.looking(self.module.readers(above.targets[0])):
                call = self.module.parent(reader)
                if isinstance(call, ast.Call) and call.func is reader:
                    self.called(attribute.attr, call)
                else:
                    self.end(Fate.UNKNOWN, reader)

    def called(self, name: str, call: ast.Call) -> None:
        is_map = self.held.shape is Shape.MAP
        if is_map and name in ("get", "pop", "setdefault", "__getitem__"):
            if not call.args or self.may_be(written_key(call.args[0])):
                self.same(call, Shape.VALUE)
        elif name in ("copy", "union", "__or__"):
            self.same(call)
        elif is_map and name == "values":
            self.same(call, Shape.ITEMS)
        elif is_map and name == "items":
            self.pairs(call)
        elif not is_map and name in ("index", "count", "remove", "__contains__"):
            self.end(Fate.COMPARED, call)
        elif not is_map and name == "pop":
            self.same(call, Shape.VALUE)

    def pairs(self, call: ast.Call) -> None:
        """`for key, value in table.items()`: the second name holds the value."""
        above = self.module.parent(call)
        if isinstance(above, ast.For | ast.comprehension):
            if isinstance(above.target, ast.Tuple) and len(above.target.elts) == 2:
                key, value = above.target.elts
                made = self.module.parent(above)
                if isinstance(made, ast.DictComp) and self._takes_over(made, key, value):
                    self.same(made)
                else:
                    self.assigned(value, Shape.VALUE)
                self.copied(key)
        else:
            self.end(Fate.UNKNOWN, call)

    def _takes_over(self, made: ast.DictComp, key: ast.expr, value: ast.expr) -> bool:
        """`{key: value for key, value in table.items() if key in wanted}`."""
        pairs = ((made.key, key), (made.value, value))
        names = all(isinstance(a, ast.Name) and isinstance(b, ast.Name) and a.id == b.id for a, b in pairs)
        return names and isinstance(value, ast.Name) and len(self.module.readers(value)) == 1

    # What an object that holds it as an attribute meets: a namespace of options, a record.

    def object(self, node: ast.AST, above: ast.AST | None) -> None:
        if isinstance(above, ast.Subscript) and node is above.value:
            if isinstance(above.ctx, ast.Load) and self.may_be(written_key(above.slice)):
                self.same(above, Shape.VALUE)
        elif isinstance(above, ast.Attribute):
            call = self.module.parent(above)
            if above.attr == self.held.key and isinstance(above.ctx, ast.Load):
                self.same(above, Shape.VALUE)
            elif above.attr == "__dict__":
                self.same(above, Shape.MAP, self.held.key)
            elif isinstance(call, ast.Call) and call.func is above:
                self.method_of_object(above.attr, call)

    def method_of_object(self, name: str, call: ast.Call) -> None:
        if name in records.ALIKE:
            self.same(call)
        elif name in records.PARTED:
            above = self.module.parent(call)
            target = above.targets[0] if isinstance(above, ast.Assign) else None
            if isinstance(target, ast.Tuple | ast.List):
                for each in target.elts[: 1 if name == "parse_known_args" else None]:
                    self.assigned(each)
            elif isinstance(above, ast.Subscript):
                self.same(above)
        elif name in records.MAPPED:
            self.same(call, Shape.MAP, self.held.key)
        elif name in records.LOOKED_UP and (not call.args or self.may_be(written_key(call.args[0]))):
            self.same(call, Shape.VALUE)


def written_key(node: ast.expr | None) -> str | int | None:
    """A key that is written out."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str | int) else None
