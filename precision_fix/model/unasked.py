"""Calls of a package that nothing stands in for: where the program comes to them whatever it is asked for."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence

from precision_fix.model.classes import class_around
from precision_fix.model.module import Function, Module, remembered
from precision_fix.model.scope import Definition

# So many callers are gone up to; who calls these is not asked.
_HIGHEST = 4
_LEAVES = ast.Return | ast.Continue | ast.Break


def unasked(module: Module, packages: Collection[str]) -> tuple[Module, ast.Call] | None:
    """A call that the program makes without another way, of what the file imports from one of these packages."""
    seen: set[ast.AST] = set()
    for call in _calls(module, packages):
        found = _up(module, call, packages, seen, 0)
        if found is not None:
            return found
    return None


def _calls(module: Module, packages: Collection[str]) -> Iterator[ast.Call]:
    for scope in [*module.names.scopes.values()]:
        for name, bound in [*scope.bindings.items()]:
            if any(_is_of(module, each, packages) for each in bound) and not _stands_in(module, bound):
                module.ensure(name)
                for reader in module.names.readers(scope, name):
                    call = _called(module, reader)
                    if call is not None:
                        yield call


def _is_of(module: Module, bound: ast.AST, packages: Collection[str]) -> bool:
    dotted = module.imported(bound)
    return dotted is not None and dotted.partition(".")[0] in packages


def _stands_in(module: Module, bound: list[ast.AST]) -> bool:
    """Whether the name is given to something else where the package is not there."""
    values = [module.assigned_value(each) for each in bound]
    others = [value for value in values if value is not None and not isinstance(value, ast.Constant)]
    return bool(others) or any(isinstance(each, Definition) for each in bound)


def _called(module: Module, reader: ast.expr) -> ast.Call | None:
    """`flash_attn_func(...)`, `flash_attn.flash_attn_interface.flash_attn_func(...)`."""
    above = module.parent(reader)
    while isinstance(above, ast.Attribute):
        reader, above = above, module.parent(above)
    return above if isinstance(above, ast.Call) and above.func is reader else None


def _up(
    module: Module, call: ast.Call, packages: Collection[str], seen: set[ast.AST], height: int
) -> tuple[Module, ast.Call] | None:
    """The call itself or, of a function that comes to it in any case, one that calls that in any case."""
    if _is_asked(module, call, packages):
        return None
    function = module.function(call)
    if function is None:
        return module, call
    if function in seen or height > _HIGHEST:
        return None
    seen.add(function)
    cls = class_around(module, function)
    calls = users(module, cls or function)
    if cls is not None:
        # Whoever has such a part in it comes here: which of such wholes is made is another question.
        return next(((module, call) for home, user in calls if not _is_asked(home, user, packages)), None)
    found = (_up(home, user, packages, seen, height + 1) for home, user in calls)
    return next((each for each in found if each is not None), None)


def users(module: Module, owner: Definition) -> list[tuple[Module, ast.Call]]:
    """The calls of a function or a class; none where it is looked up, handed on or derived from as well."""
    module.ensure(owner.name)
    scope = module.scope_of(owner).owner(owner.name) or module.names.root
    reads: list[tuple[Module, ast.expr]] = [(module, each) for each in module.names.readers(scope, owner.name)]
    reads += module.around.readers(module, owner.name)
    calls = [(home, call) for home, read in reads if (call := _called(home, read)) is not None]
    return calls if len(calls) == len(reads) else []


def _is_asked(module: Module, call: ast.Call, packages: Collection[str]) -> bool:
    """Whether a test around a call, or one that leaves before it, has the function go on without it."""
    node: ast.AST = call
    for above in module.ancestors(call):
        if isinstance(above, ast.If | ast.IfExp | ast.Try | ast.BoolOp) and _has_other(module, above, node, packages):
            return True
        block = getattr(above, "body", None)
        if isinstance(block, list) and any(leaves_before(each, node) for each in block):
            return True
        if isinstance(above, Function):
            return False
        node = above
    return False


def leaves_before(statement: ast.stmt, node: ast.AST) -> bool:
    """Whether a statement tests something before a node stands, and leaves."""
    before = statement.lineno < node.lineno and isinstance(statement, ast.If)  # type: ignore[attr-defined]
    return before and isinstance(statement, ast.If) and isinstance(statement.body[-1], _LEAVES)


def _has_other(module: Module, test: ast.AST, node: ast.AST, packages: Collection[str]) -> bool:
    """Whether what is done in the other case is no call of the package either, and does not stop the program."""
    if isinstance(test, ast.If | ast.IfExp):
        if node is test.test:
            return False
        in_body = node is test.body if isinstance(test, ast.IfExp) else module.index(test.body, node) is not None
        other = test.orelse if in_body else test.body
        return not _needs(module, other if isinstance(other, list) else [other], packages)
    if isinstance(test, ast.Try):
        handlers = [each for handler in test.handlers for each in handler.body]
        return module.index(test.body, node) is not None and bool(handlers) and not _needs(module, handlers, packages)
    return isinstance(test, ast.BoolOp)


def _needs(module: Module, block: Sequence[ast.AST], packages: Collection[str]) -> bool:
    if block and isinstance(block[-1], ast.Raise):
        return True
    return any(_names_it(module, each, packages) for each in block)


@remembered
def _names_it(module: Module, block: ast.AST, packages: Collection[str]) -> bool:
    for node in ast.walk(block):
        if isinstance(node, ast.Call):
            dotted = module.resolve(node.func)
            if dotted is not None and dotted.partition(".")[0] in packages:
                return True
    return False
