"""Where a value goes: through names, containers, objects, calls and returns, across files, to what is done with it."""

from __future__ import annotations

import ast
from collections.abc import Collection

from precision_fix.model import dispatch, matched, memory
from precision_fix.model.containers import Containers, written_key
from precision_fix.model.fate import Fate
from precision_fix.model.held import End, Held, Shape
from precision_fix.model.kernels import to_native
from precision_fix.model.module import Module, remembered
from precision_fix.model.parts import by_default
from precision_fix.model.sizes import SIZES, refusing
from precision_fix.model.syntax import called
from precision_fix.model.vocabulary.callees import DESCRIBES

_PASSES = ast.Starred | ast.Await | ast.NamedExpr | ast.BoolOp | ast.BinOp
# What is asked of a tensor or a module without touching what it holds.
_TELLS_OF = frozenset(
    {"shape", "device", "ndim", "is_cuda", "requires_grad", "layout", "names", "grad_fn"}
    | {"training", "is_leaf", "is_sparse", "config", "generation_config"}
)
# Methods whose result is of another dtype, whatever the tensor's, or no tensor.
_LEAVES = frozenset(
    {"float", "double", "half", "int", "long", "bool", "short", "byte", "bfloat16", "item", "tolist", "size", "dim"}
    | {"numel", "stride", "nelement", "is_contiguous", "type_as", "numpy", "argmax", "argmin", "eq"}
    | {"ne", "lt", "gt", "le", "ge", "isnan", "isinf", "get_device", "backward", "tobytes", "zero_grad"}
)
# What is done to "torch.bfloat16" to get at the name alone.
_RESPELLS = frozenset({"split", "rsplit", "replace", "removeprefix", "lower", "strip", "partition", "rpartition"})
# What leaves a word for a precision as it is.
_SAME_WORD = frozenset({"lower", "casefold", "strip", "lstrip", "rstrip", "removeprefix", "replace"})
_FLOATS = frozenset({"float32", "float64", "float16", "bfloat16"})


class Follower(Containers):
    """A worklist of expressions that hold the value. With `tensors`, what is made with it is followed as well."""

    def step(self, held: Held) -> None:
        self.held, self.module = held, held.module
        node, above = held.node, held.module.parent(held.node)
        if isinstance(above, _PASSES) or (isinstance(above, ast.IfExp) and node is not above.test):
            self.same(above)
            if isinstance(above, ast.NamedExpr):
                self.assigned(above.target)
        elif isinstance(above, ast.Assign | ast.AnnAssign | ast.AugAssign):
            for target in above.targets if isinstance(above, ast.Assign) else [above.target]:
                self.assigned(target)
        elif isinstance(above, ast.Return | ast.Yield | ast.YieldFrom):
            self.returned(above)
        elif isinstance(above, ast.Lambda) and node is above.body:
            self.returned_by_lambda(above)
        elif isinstance(above, ast.arguments):
            self.parameter(by_default(self.module, above)[node])
        elif isinstance(above, ast.Call):
            self.in_call(node, above)
        elif isinstance(above, ast.keyword):
            self.keyword(node, above)
        elif isinstance(above, ast.Compare):
            self.compared(node, above)
        elif isinstance(above, ast.FormattedValue | ast.JoinedStr):
            guard = matched.of_word(self.module, node) if self.is_word else None
            self.end(Fate.TEXT if guard is None else Fate.REFUSED, guard or above)
            text = self.module.parent(above)
            if isinstance(text, ast.JoinedStr) and len(text.values) == 1 and not (self.is_word or self.held.tensor):
                self.spelt(text)
        else:
            self.by_shape(node, above)

    def in_call(self, node: ast.AST, call: ast.Call) -> None:
        method = memory.of_class(self.module, call, node) if self.held.tensor else None
        if method is not None:
            self.method_of_tensor(method, call)
        elif node is not call.func:
            self.argument(node, call, None)
        elif self.held.tensor and self.held.shape is Shape.VALUE:
            self.same(call)  # a module that was cast is called

    def by_shape(self, node: ast.AST, above: ast.AST | None) -> None:
        shape = self.held.shape
        if shape is Shape.VALUE and self.held.tensor:
            self.tensor(node, above)
        elif shape is Shape.VALUE:
            self.value(node, above)
        elif shape is Shape.ITEMS:
            self.items(node, above)
        elif shape is Shape.MAP:
            self.mapping(node, above)
        elif shape is Shape.MEMORY:
            self.memory(node, above)
        else:
            self.object(node, above)

    # What a value itself meets.

    def value(self, node: ast.AST, above: ast.AST | None) -> None:
        match above:
            case ast.Subscript() if self.held.spelt and node is above.value:
                self.spelt(above)
            case ast.Subscript():
                self.end(dispatch.by_key(self.module, above) if node is above.slice else Fate.UNKNOWN, above)
            case ast.Attribute() if self.held.spelt and above.attr in _RESPELLS:
                self.spelt(self.module.parent(above) or above)
            case ast.Attribute() if self.held.spelt:
                self.named(node)
            case ast.Attribute() if self.is_word and above.attr in _SAME_WORD:
                self.same(self.module.parent(above) or above)
            case ast.Attribute():
                self.end(Fate.SIZE if above.attr in DESCRIBES else Fate.UNKNOWN, above)
                self.counted(above)
            case ast.Match() | ast.MatchValue():
                self.end(dispatch.by_tests(self.module, above, node, spelt=self.held.spelt), above)
            case ast.Expr() | ast.Raise():
                self.end(Fate.TEXT, above)
            case ast.IfExp() | ast.UnaryOp() | ast.If() | ast.While() | ast.Assert():
                self.end(Fate.COMPARED, above)
            case ast.comprehension():
                self.end(Fate.COMPARED, node)  # a comprehension's part has no line of its own
            case _:
                self.contained(node, above)

    def contained(self, node: ast.AST, above: ast.AST | None) -> None:
        """In a display or a comprehension."""
        match above:
            case ast.List() | ast.Set() | ast.Tuple():
                self.element(node, above)
            case ast.Dict():
                index = self.module.index(above.values, node)
                if index is None:
                    self.end(Fate.KEY, above)
                else:
                    self.same(above, Shape.MAP, written_key(above.keys[index]))
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                self.same(above, Shape.ITEMS)
            case ast.DictComp():
                if node is above.key:
                    self.end(Fate.INVERTED, above)
                else:
                    self.same(above, Shape.MAP)
            case _ if not self.held.tensor:
                self.end(Fate.UNKNOWN, above or node)

    def element(self, node: ast.AST, sequence: ast.List | ast.Set | ast.Tuple) -> None:
        above = self.module.parent(sequence)
        index = self.module.index(sequence.elts, node)
        assert index is not None
        if isinstance(above, ast.Assign) and isinstance(sequence, ast.Tuple | ast.List):
            for target in above.targets:
                if isinstance(target, ast.Tuple | ast.List) and len(target.elts) == len(sequence.elts):
                    self.assigned(target.elts[index])
                else:
                    self.same(sequence, Shape.ITEMS)
        elif isinstance(above, ast.Return) and not is_dtype_list(self.module, sequence):
            self.returned(above, Shape.ITEMS, index)
            self.end(Fate.RETURNED, above)
        elif isinstance(above, ast.Subscript) and sequence is above.slice:
            self.end(Fate.KEY, above)
        elif isinstance(above, ast.Match):
            self.end(dispatch.by_tests(self.module, above, node, spelt=self.held.spelt), above)
        else:
            self.same(sequence, Shape.ITEMS)

    # What a tensor or a module of that precision meets.

    def tensor(self, node: ast.AST, above: ast.AST | None) -> None:
        match above:
            case ast.Attribute():
                self.member(above)
            case ast.Subscript() if node is above.value and isinstance(above.ctx, ast.Load):
                self.same(above)
            case ast.For() | ast.AsyncFor() | ast.comprehension() if node is above.iter:
                self.assigned(above.target)
            case _:
                self.contained(node, above)

    def member(self, attribute: ast.Attribute) -> None:
        call = self.module.parent(attribute)
        if attribute.attr == "dtype":
            self.push(attribute, Shape.VALUE)
        elif attribute.attr == "data_ptr":
            self.address(attribute)
        elif attribute.attr in memory.GIVES:
            self.same(call if isinstance(call, ast.Call) and call.func is attribute else attribute, Shape.MEMORY)
        elif attribute.attr in SIZES:
            self.counted(attribute)
        elif isinstance(call, ast.Call) and call.func is attribute:
            self.method_of_tensor(attribute.attr, call)
        elif attribute.attr not in _TELLS_OF and isinstance(attribute.ctx, ast.Load):
            self.same(attribute)

    def address(self, attribute: ast.Attribute) -> None:
        """Near the cast it is handed to a kernel; further off it tells tensors apart, unless C takes it."""
        self.end(Fate.KERNEL, attribute, near=not to_native(self.module, attribute))

    def memory(self, node: ast.AST, above: ast.AST | None) -> None:
        call = self.module.parent(above) if isinstance(above, ast.Attribute) else None
        match above:
            case ast.Attribute(attr="data_ptr"):
                self.address(above)
            case ast.Attribute() if above.attr in memory.READS:
                self.end(Fate.BITS, call if isinstance(call, ast.Call) else above)
            case ast.Attribute() if above.attr in memory.PASSES and isinstance(call, ast.Call):
                self.same(call)
            case ast.Attribute() if above.attr in SIZES:
                self.counted(above)
            case ast.For() | ast.AsyncFor() | ast.comprehension():
                self.end(Fate.BITS, node)
            case ast.Subscript() if node is above.value and isinstance(above.ctx, ast.Load):
                self.end(Fate.BITS, above)
            case _:
                self.contained(node, above)

    def counted(self, attribute: ast.Attribute) -> None:
        """`x.element_size()`, `x.nbytes`, `kind.itemsize`: a guard of the size that would not let the new one pass."""
        call = self.module.parent(attribute)
        size = call if isinstance(call, ast.Call) and call.func is attribute else attribute
        of_a_name = self.module.dtype_name(attribute.value) is not None
        if attribute.attr in SIZES and not of_a_name and (attribute.attr != "bits" or _is_finfo(attribute.value)):
            guard = refusing(self.module, size)
            if guard is not None:
                self.end(Fate.REFUSED, guard)

    def method_of_tensor(self, name: str, call: ast.Call) -> None:
        if name in ("to", "type", "view"):
            given = [*call.args, *(keyword.value for keyword in call.keywords)]
            dtypes = {self.module.dtype_name(value) for value in given} - {None}
            if name == "view" and any(str(dtype).startswith(("int", "uint")) for dtype in dtypes):
                self.end(Fate.BITS, call)
            is_dtype = any("dtype" in ast.unparse(value) for value in given) or any(
                k.arg == "dtype" for k in call.keywords
            )
            if dtypes & _FLOATS or (is_dtype and not dtypes and name != "view"):
                return
        if name not in _LEAVES:
            self.same(call)


def _is_finfo(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and called(node) == "finfo"


def follow(module: Module, node: ast.AST) -> list[End]:
    """The ends of every way that the value of an expression takes."""
    is_word = isinstance(node, ast.Constant) and isinstance(node.value, str)
    follower = Follower(is_word, is_dtype=module.dtype_name(node) is not None)
    return follower.run([Held(module, node)], module)


def follow_results(module: Module, node: ast.AST, *, is_tensor: bool) -> list[End]:
    """The ends of what is made with a dtype, or of a tensor: through operators, modules, buffers and functions."""
    follower = Follower(is_dtype=module.dtype_name(node) is not None, tensors=True)
    if is_tensor:
        follower.made(module, node)
        return follower.run([], module)
    return follower.run([Held(module, node)], module)


def passed(module: Module, node: ast.AST, *, is_tensor: bool) -> Collection[Held]:
    """All that holds a value on its way, or what is made with it, as far as that is followed."""
    is_word = isinstance(node, ast.Constant)
    follower = Follower(is_word, is_dtype=module.dtype_name(node) is not None, tensors=True)
    if is_tensor:
        follower.made(module, node)
        follower.run([], module)
    else:
        follower.run([Held(module, node)], module)
    return follower.seen


def follow_variable(module: Module, target: ast.Name | ast.Attribute, *, tensors: bool) -> list[End]:
    """The ends of what a variable or an attribute holds: with all that read it, or as if it was assigned here."""
    follower = Follower(tensors=tensors)
    follower.held, follower.module = Held(module, target), module
    follower.assigned(target)
    return follower.run([], module)


@remembered
def is_dtype_list(module: Module, sequence: ast.List | ast.Set | ast.Tuple) -> bool:
    """Whether every element is a dtype; a tuple that holds other things too is a record."""
    return bool(sequence.elts) and all(module.dtype_name(item) is not None for item in sequence.elts)
