"""Which class a name is an instance of, as far as annotations and constructors tell."""

from __future__ import annotations

import ast
import re

from precision_fix.model.module import Function, Module, remembered
from precision_fix.model.scope import Scope
from precision_fix.model.syntax import called

# So many things have an attribute of this name that one is meant only where the class shows.
COMMON = frozenset(
    {
        "dtype",
        "device",
        "weight",
        "bias",
        "data",
        "shape",
        "precision",
        "config",
        "args",
        "model",
        "type",
        "name",
        "value",
    }
    | {"forward", "__call__", "get", "to", "run", "load", "build", "dtypes", "torch_dtype", "cfg", "options", "state"}
)
# What is called on tensors and modules alone.
_OF_TENSORS = frozenset(
    {"contiguous", "numel", "dim", "size", "view", "reshape", "detach", "unsqueeze", "squeeze", "permute", "transpose"}
    | {"flatten", "expand", "cuda", "backward", "is_floating_point", "element_size", "requires_grad_", "parameters"}
)
_WORD = re.compile(r"\w+")


def is_own(attribute: ast.Attribute) -> bool:
    """`self.name`, `cls.name`."""
    return is_self(attribute.value)


def is_self(base: ast.expr) -> bool:
    return isinstance(base, ast.Name) and base.id in ("self", "cls")


def class_around(module: Module, node: ast.AST) -> ast.ClassDef | None:
    """The class of a method that a node stands in, or of which the node is a method."""
    return module.enclosing_class(node)


def is_instance(module: Module, base: ast.expr, names: frozenset[str]) -> bool | None:
    """Whether an expression is an instance of one of these classes, or the class itself; None where nothing tells."""
    if isinstance(base, ast.Call):
        name = called(base)
        return True if name in names else False if name[:1].isupper() else None
    if isinstance(base, ast.Attribute):
        return True if base.attr in names else None
    if not isinstance(base, ast.Name):
        return None
    if base.id in names:
        return True
    told = [_told(module, bound, names) for bound in module.bindings(base)]
    if True in told:
        return True
    return False if (told and all(each is False for each in told)) or _is_tensor(module, base) else None


def _is_tensor(module: Module, name: ast.Name) -> bool:
    """Whether a variable is asked for what a tensor or a module alone has."""
    scope = module.scope_of(name).owner(name.id)
    return scope is not None and _asked_as_tensor(module, scope, name.id)


@remembered
def _asked_as_tensor(module: Module, scope: Scope, name: str) -> bool:
    for reader in module.names.readers(scope, name):
        above = module.parent(reader)
        call = module.parent(above) if isinstance(above, ast.Attribute) and above.attr in _OF_TENSORS else None
        if isinstance(call, ast.Call) and call.func is above:
            return True
    return False


def _told(module: Module, bound: ast.AST, names: frozenset[str]) -> bool | None:
    if isinstance(bound, ast.arg):
        return _annotated(bound.annotation, names)
    if isinstance(bound, ast.alias):
        return False  # a module, or another class
    above = module.parent(bound)
    if isinstance(above, ast.AnnAssign):
        return _annotated(above.annotation, names)
    value = module.assigned_value(bound)
    return is_instance(module, value, names) if isinstance(value, ast.Call) else None


def _annotated(annotation: ast.expr | None, names: frozenset[str]) -> bool | None:
    if annotation is None:
        return None
    words = set(_WORD.findall(ast.unparse(annotation)))
    if words & names:
        return True
    return None if words & {"Any", "object", "Namespace", "T", "Self"} else False


def constructed(module: Module, base: ast.expr) -> ast.expr | None:
    """The class that an expression was made of, as it is named: by an annotation, a constructor, an attribute's."""
    if isinstance(base, ast.Call):
        return base.func
    if isinstance(base, ast.Attribute) and is_own(base):
        return _of_attribute(module, base)
    if not isinstance(base, ast.Name):
        return None
    for bound in module.bindings(base):
        if isinstance(bound, ast.arg) and isinstance(bound.annotation, ast.Name | ast.Attribute):
            return bound.annotation
        value = module.assigned_value(bound)
        if isinstance(value, ast.Call):
            return value.func
    return None


def _of_attribute(module: Module, attribute: ast.Attribute) -> ast.expr | None:
    cls = class_around(module, attribute)
    module.ensure_assigned("." + attribute.attr)
    for each in module.names.attributes_of(attribute.attr):
        value = module.assigned_value(each)
        if isinstance(value, ast.Call) and is_own(each) and class_around(module, each) is cls:
            return value.func
    return None


@remembered
def validators(module: Module, cls: ast.ClassDef, attr: str) -> list[ast.arg]:
    """What the methods that check a field are given of it: `@field_validator("dtype")`, attrs' `@dtype.validator`."""
    if "validator" not in module.text:
        return []
    module.ensure("validator")
    module.ensure("field_validator")
    found = []
    for each in cls.body:
        for decorator in each.decorator_list if isinstance(each, Function) else ():
            place = _checked(decorator, attr)
            if place is not None and isinstance(each, Function):
                found += each.args.args[place : place + 1]
    return found


def _checked(decorator: ast.expr, attr: str) -> int | None:
    """The place of the field's value among the parameters of what checks it; None where that is none of this field."""
    if isinstance(decorator, ast.Attribute):
        is_of_field = isinstance(decorator.value, ast.Name) and decorator.value.id == attr
        return 2 if decorator.attr == "validator" and is_of_field else None
    if not isinstance(decorator, ast.Call) or not called(decorator).endswith("validator"):
        return None
    return 1 if any(isinstance(each, ast.Constant) and each.value == attr for each in decorator.args) else None


def method(cls: ast.ClassDef, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    return next((each for each in cls.body if isinstance(each, Function) and each.name == name), None)
