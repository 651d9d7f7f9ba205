"""Where a value is handed over: what a callee does with its argument, in this file, in another, or out of sight."""

from __future__ import annotations

import ast
import sys

from precision_fix.model import calls
from precision_fix.model.bindings import object_of
from precision_fix.model.callees import Callee, callees, callees_that_mind, crowded, is_partial
from precision_fix.model.callees import guessed as guessed_callees
from precision_fix.model.classes import is_own
from precision_fix.model.fate import Fate
from precision_fix.model.guard import refused_by
from precision_fix.model.held import Shape
from precision_fix.model.matched import SPELL, of_word, to_name
from precision_fix.model.memory import reads_bits
from precision_fix.model.module import Module
from precision_fix.model.options import DECLARES, DECORATES, FIELDS, SETS_DEFAULTS, Options
from precision_fix.model.rebound import Sort
from precision_fix.model.syntax import NUMBERS, called
from precision_fix.model.vocabulary.callees import Role
from precision_fix.model.worklist import MOST_OF_TENSORS

# Methods of a tensor that take another and give one of the wider precision of both.
_OPERATORS = frozenset(
    {"matmul", "mm", "bmm", "add", "mul", "sub", "div", "add_", "mul_", "sub_", "where", "masked_fill", "addmm", "dot"}
)
_COPIES = frozenset({"copy", "deepcopy", "replace", "cast"})
_AS_MAP = frozenset({"vars", "asdict", "dict", "to_dict"})


class Handed(Options):
    """The part of a follower that knows of calls."""

    def keyword(self, node: ast.AST, keyword: ast.keyword) -> None:
        call = self.module.parent(keyword)
        if not isinstance(call, ast.Call):
            self.end(Fate.UNKNOWN, keyword)
        elif keyword.arg is None:
            self._spread(call)
        elif called(call) == "dict" and isinstance(call.func, ast.Name):
            self.same(call, Shape.MAP, keyword.arg)
        elif keyword.arg == "default" and called(call) in FIELDS:
            self.same(call)
        elif self._updates(call, keyword.arg):
            self._gained(call, Shape.MAP, keyword.arg)
        elif called(call) == SETS_DEFAULTS and self.parsed(call, keyword.arg):
            pass
        elif keyword.arg != "default" or called(call) not in DECLARES | DECORATES or not self.option(call):
            self.argument(node, call, keyword.arg)

    def _spread(self, call: ast.Call) -> None:
        """`f(**settings)`: every value of the map is an argument, under its key."""
        if self.held.shape is Shape.MAP and isinstance(self.held.key, str):
            if called(call) == "dict":
                self.same(call)
                return
            if self._updates(call, self.held.key):
                self._gained(call, Shape.MAP, self.held.key)
                return
            found = callees(self.module, call, None, self.held.key)
            for each in found:
                self._enter(each, call, Shape.VALUE)
            if found:
                return
        if not self.held.tensor and not self._recorded(call, self.held.key):
            key = self.held.key
            self.end(Fate.CHOOSES, call, under=key if isinstance(key, str) else None)

    def _updates(self, call: ast.Call, keyword: str) -> bool:
        """`settings.update(kind="bf16")`: a map's own method, as far as the project shows no other."""
        if called(call) != "update" or not isinstance(call.func, ast.Attribute) or self.held.tensor:
            return False
        return not callees(self.module, call, None, keyword)

    def argument(self, node: ast.AST, call: ast.Call, keyword: str | None) -> None:
        if self.held.spelt:
            for each in callees(self.module, call, node, keyword):
                self._enter(each, call, self.held.shape)
            return
        guard = to_name(self.module, node) if self.is_word else None
        if guard is None and self.is_word and called(call) == "format":
            guard = of_word(self.module, node)
        if guard is not None:
            self.end(Fate.REFUSED, guard)
            return
        if called(call) == "setattr" and self._set(node, call):
            return
        if called(call) in NUMBERS and self.sort(self.held.shape) is Sort.OTHER and self.held.shape is Shape.VALUE:
            self.same(call)
            return
        role, guessed = calls.use(self.module, call, node, keyword)
        if self.held.tensor and role is Role.OTHER and calls.is_launch(self.module, call):
            role = Role.KERNEL
        if self.held.shape is Shape.OBJECT:
            self._object(node, call, keyword)
        elif self.held.shape is Shape.MEMORY:
            self._memory(node, call, keyword)
        elif self.held.shape is not Shape.VALUE and role in (Role.SEQUENCE, Role.PICK):
            self.same(call, Shape.ITEMS if role is Role.SEQUENCE else Shape.VALUE)
        elif self.held.shape is Shape.MAP and called(call) in (
            "dict",
            "OrderedDict",
            "MappingProxyType",
            "copy",
            "deepcopy",
        ):
            self.same(call)
        elif role is Role.APPEND:
            self._gained(call, Shape.ITEMS)
            if self.held.tensor and called(call) in _OPERATORS:
                self.same(call)  # `x.add(y)` may be one of a set, or a sum
        elif self.held.shape is Shape.MAP and called(call) == "update" and isinstance(call.func, ast.Attribute):
            self._gained(call, Shape.MAP, self.held.key)
        elif role is Role.DEFAULT:
            self.same(call)
            if called(call) == "setdefault" and isinstance(call.args[0], ast.Constant):
                self._gained(call, Shape.MAP, str(call.args[0].value))
        elif role is not Role.NOTHING:
            if called(call) in SPELL and not self.is_word and not self.held.tensor:
                self.spelt(call)
            self._used(node, call, keyword, calls.Use(role, guessed))

    def _used(self, node: ast.AST, call: ast.Call, keyword: str | None, use: calls.Use) -> None:
        role, guessed = use
        if self.held.tensor:
            self._tensor_used(node, call, keyword, use)
        elif role in _FATE_OF_ROLE:
            self.end(_FATE_OF_ROLE[role], call, guessed)
        elif role is Role.CAST and self.is_word and called(call) in ("to", "type"):
            pass  # a tensor is cast to no word: it is none any more where this runs
        elif role is Role.CAST and self.held.shape is Shape.VALUE:
            guard = of_word(self.module, node) if self.is_word else None
            fate = calls.fate_of_cast(self.module, call) if guard is None else Fate.REFUSED
            self.end(fate, guard or call, guessed, under=keyword)
            self.made(self.module, call)
        else:
            self._given(node, call, keyword)

    def made(self, module: Module, call: ast.AST) -> None:
        """What a call makes with the value, and what it changes in place; who asks for the value alone leaves both."""
        self.push(call, Shape.VALUE, module=module, tensor=True, origin=call)
        if (
            isinstance(module.parent(call), ast.Expr)
            and isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
        ):
            # `model.to(torch.bfloat16)`, whose result nobody takes, casts the model itself.
            base = call.func.value
            if isinstance(base, ast.Name) and not module.is_imported(base):
                for reader in self.looking(module.readers(base)):
                    if reader.lineno > call.lineno:
                        self.push(reader, Shape.VALUE, module=module, tensor=True, origin=call)

    def _tensor_used(self, node: ast.AST, call: ast.Call, keyword: str | None, use: calls.Use) -> None:
        role = use.role
        if role is Role.KERNEL and use.guessed and self._is_shown(node, call, keyword):
            self._given(node, call, keyword)  # whatever it is called, the class shows what it does
        elif role in (Role.KERNEL, Role.NEVER):
            self.end(_FATE_OF_ROLE[role], call)
        elif role is Role.REGISTER and isinstance(call.args[0], ast.Constant):
            self._registered(call, str(call.args[0].value))
        elif role is Role.CAST:
            given = {self.module.dtype_name(k.value) for k in call.keywords if k.arg == "dtype"} - {None, "bfloat16"}
            if not given:
                self.same(call, Shape.VALUE)  # `torch.cat([...])` is a tensor
        elif role in (Role.SEQUENCE, Role.PICK):
            self.same(call)
        elif role is Role.OTHER:
            if isinstance(call.func, ast.Attribute) and call.func.attr in _OPERATORS:
                self.same(call)
            else:
                self._given(node, call, keyword)

    def _is_shown(self, node: ast.AST, call: ast.Call, keyword: str | None) -> bool:
        """Whether what is called is a method of the object's own, which the project has."""
        if not isinstance(call.func, ast.Attribute) or not is_own(call.func):
            return False
        is_many = crowded(self.module, call.func, MOST_OF_TENSORS)
        return not is_many and bool(callees(self.module, call, node, keyword))

    def _registered(self, call: ast.Call, name: str) -> None:
        """A buffer is an attribute of its module."""
        from precision_fix.model.classes import class_around

        cls = class_around(self.module, call)
        if cls is not None:
            self.field(cls, name, Shape.VALUE)

    def _set(self, node: ast.AST, call: ast.Call) -> bool:
        """`setattr(args, "dtype", value)`; under a name that is computed, what is a map's has come by its key."""
        name = call.args[1] if len(call.args) == 3 and node is call.args[2] else None
        written = isinstance(name, ast.Constant) and isinstance(name.value, str)
        if name is None or self.held.shape is not Shape.VALUE or (self.held.tensor and not written):
            return False
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            self.put(call.args[0], name.value, Shape.VALUE)
        self.end(Fate.STORED, call)
        return True

    def copied(self, key: ast.expr) -> None:
        """`for key, value in settings.items(): setattr(args, key, value)`: under the name that it has in the map."""
        if not isinstance(key, ast.Name) or not isinstance(self.held.key, str) or self.held.tensor:
            return
        for reader in self.looking(self.module.readers(key)):
            call = self.module.parent(reader)
            if isinstance(call, ast.Call) and called(call) == "setattr" and reader in call.args[1:2]:
                self.put(call.args[0], self.held.key, Shape.VALUE)

    def _gained(self, call: ast.Call, shape: Shape, key: str | int | None = None) -> None:
        """`kinds.append(kind)`, `settings.update(more)`: what else reads the container finds it there."""
        container = call.func.value if isinstance(call.func, ast.Attribute) else None
        if container is None:
            return
        of_object = object_of(container)
        if of_object is not None and isinstance(key, str):
            self.put(of_object, key, Shape.VALUE)
        self.same(container, shape, key)
        for module, reader_there in self.looking(self.elsewhere(container)):
            self.same(reader_there, shape, key, module=module)
        if isinstance(container, ast.Name):
            for reader in self.looking(self.module.readers(container)):
                if reader is not container:
                    self.same(reader, shape, key)
        elif shape is Shape.MAP:
            self.end(Fate.STORED, call)

    def _given(self, node: ast.AST, call: ast.Call, keyword: str | None) -> None:
        """Go into a function of the project; another one is taken to use its argument as what it looks like."""
        if self.held.tensor and crowded(self.module, call.func, MOST_OF_TENSORS):
            self.end(Fate.LOST, call)  # as it would be after the first so many of them; to some the dtype may matter
            self._enter_all(callees_that_mind(self.module, call, node, keyword), call, self.held.shape)
            return
        found = callees(self.module, call, node, keyword)
        if self._enter_all(found, call, self.held.shape):
            return
        for each in guessed_callees(self.module, call, node, keyword) if not found else ():
            self._enter(each, call, self.held.shape)
        if self.held.tensor:
            self.end(Fate.HANDED, call)
        elif self.held.shape is not Shape.VALUE:
            self._recorded(call, self.held.key if self.held.shape is Shape.MAP else None)
            self.end(Fate.UNKNOWN, call)
        elif not self._recorded(call, keyword):
            self.end(Fate.CHOOSES, call, guessed=True, under=keyword)
            self.made(self.module, call)

    def _recorded(self, call: ast.Call, key: str | int | None) -> bool:
        """`SimpleNamespace(bf16=True)`, `TrainingArguments(**settings)`: what is made may have it as an attribute.

        Whether that is all that becomes of it: nothing of the standard library takes such an argument for itself.
        """
        if not isinstance(key, str) or self.sort(Shape.VALUE) is Sort.DTYPE or is_partial(self.module, call):
            return False
        self.same(call, Shape.OBJECT, key)
        name = self.module.resolve(call.func)
        return name is not None and "." in name and name.partition(".")[0] in sys.stdlib_module_names

    def _enter_all(self, found: list[Callee], call: ast.Call, shape: Shape) -> bool:
        """Go into each that may be called; whether one of them takes the value up."""
        taken = [self._enter(each, call, shape) for each in found]
        return any(taken)

    def _enter(self, found: Callee, call: ast.Call, shape: Shape) -> bool:
        """Go on in the callee's module, with its parameter or its field."""
        held, module = self.held, self.module
        self.within(found.module)
        try:
            if found.field is not None and found.cls is not None:
                declared = _declared(found.cls, found.field)
                if self.is_word and declared is not None and refused_by(declared.annotation):
                    self.end(Fate.REFUSED, declared.target)
                    return True
                self.field(found.cls, found.field, shape)
                self.push(call, Shape.OBJECT, found.field, module=module, tensor=held.tensor, origin=held.origin)
                return True
            if found.parameter is None:
                return False
            if self.is_word and refused_by(found.parameter.annotation):
                self.end(Fate.REFUSED, found.parameter)
                return True
            if not found.module.names.readers(found.module.scope_of(found.parameter), found.parameter.arg):
                return False
            function = found.module.function(found.parameter)
            if function is not None:
                self.enter(function, call, module)
            if found.by_keyword:
                self.parameter(found.parameter, Shape.MAP, found.by_keyword)
            else:
                self.parameter(found.parameter, shape, held.key)
            return True
        finally:
            self.held, self.module = held, module

    def _memory(self, node: ast.AST, call: ast.Call, keyword: str | None) -> None:
        """Bytes that something unknown is given may be there to be told apart, or shared."""
        if reads_bits(self.module, call, node):
            self.end(Fate.BITS, call)
        else:
            self._enter_all(callees(self.module, call, node, keyword), call, Shape.MEMORY)

    def _object(self, node: ast.AST, call: ast.Call, keyword: str | None) -> None:
        name = called(call)
        if name == "getattr" and len(call.args) > 1 and call.args[0] is node:
            asked = call.args[1].value if isinstance(call.args[1], ast.Constant) else None
            if asked is None or asked == self.held.key:
                self.same(call, Shape.VALUE)
        elif name in _AS_MAP:
            self.same(call, Shape.MAP, self.held.key)
        elif name in _COPIES:
            self.same(call)
        elif name not in ("isinstance", "print", "setattr", "hasattr", "type", "id", "len", "str", "repr"):
            found = callees(self.module, call, node, keyword)
            if not self._enter_all(found, call, Shape.OBJECT):
                self.end(Fate.HANDED, call)


def _declared(cls: ast.ClassDef, name: str) -> ast.AnnAssign | None:
    fields = (each for each in cls.body if isinstance(each, ast.AnnAssign))
    return next((each for each in fields if isinstance(each.target, ast.Name) and each.target.id == name), None)


_FATE_OF_ROLE = {
    Role.TEXT: Fate.TEXT,
    Role.TEST: Fate.COMPARED,
    Role.BYTES: Fate.BYTES,
    Role.SIZE: Fate.SIZE,
    Role.KERNEL: Fate.KERNEL,
    Role.NEVER: Fate.NEVER,
    Role.KEY: Fate.KEY,
    Role.CASES: Fate.CHOOSES,
}
