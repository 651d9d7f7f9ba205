"""Calls of a package that nothing stands in for: where the program comes to them whatever it is asked for."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from precision_fix.model.callees import functions_of
from precision_fix.model.classes import class_around
from precision_fix.model.module import Function, Module, remembered
from precision_fix.model.paths import always, blocks, leaves, may_leave, takes_any, ways
from precision_fix.model.said import given, said
from precision_fix.model.scope import Definition

# So many callers are gone up to; who calls these is not asked, and that is said.
_HIGHEST = 4
_ASKS = ast.If | ast.IfExp | ast.Try | ast.BoolOp | ast.Match
#: A test, and what it comes to where the program goes on to the call.
_Test = tuple[ast.AST, bool]


class Needed(NamedTuple):
    """A call that has no way around it. Without `all_seen` it may have one further up than callers were asked."""

    module: Module
    call: ast.Call
    all_seen: bool = True


@dataclass(frozen=True)
class _Sought:
    packages: frozenset[str]
    #: Whether functions that a block calls are looked into.
    deep: bool = True


def unasked(module: Module, packages: Collection[str]) -> Needed | None:
    """A call that the program makes without another way, of what the file imports from one of these packages."""
    seen: set[ast.AST] = set()
    sought = _Sought(frozenset(packages))
    return _surest(_up(module, call, sought, seen, 0) for call in _calls(module, sought))


def _surest(found: Iterable[Needed | None]) -> Needed | None:
    unsure = None
    for each in found:
        if each is not None and each.all_seen:
            return each
        unsure = unsure or each
    return unsure


def _calls(module: Module, sought: _Sought) -> Iterator[ast.Call]:
    module.ensure_imports(lambda name: name.partition(".")[0] in sought.packages)
    for scope in [*module.names.scopes.values()]:
        for name, bound in [*scope.bindings.items()]:
            if any(_is_of(module, each, sought) for each in bound) and not _stands_in(module, bound):
                module.ensure(name)
                for reader in module.names.readers(scope, name):
                    call = _called(module, reader)
                    if call is not None:
                        yield call


def _is_of(module: Module, bound: ast.AST, sought: _Sought) -> bool:
    dotted = module.imported(bound)
    return dotted is not None and dotted.partition(".")[0] in sought.packages


def _stands_in(module: Module, bound: list[ast.AST]) -> bool:
    """Whether the name is given to something else where the package is not there."""
    values = [(each, module.assigned_value(each)) for each in bound]
    others = [value for each, value in values if value is not None and not _is_nothing_else(value, each)]
    return bool(others) or any(isinstance(each, Definition) for each in bound)


def _is_nothing_else(value: ast.expr, bound: ast.AST) -> bool:
    """`flash = None`, and `flash = flash` where a second try failed."""
    own = bound.id if isinstance(bound, ast.Name) else None
    inner = [*ast.walk(value)]
    made = any(isinstance(each, ast.Call | ast.Attribute | ast.Lambda) for each in inner)
    return not made and all(each.id == own for each in inner if isinstance(each, ast.Name))


def _called(module: Module, reader: ast.expr) -> ast.Call | None:
    """`flash_attn_func(...)`, `flash_attn.flash_attn_interface.flash_attn_func(...)`."""
    above = module.parent(reader)
    while isinstance(above, ast.Attribute):
        reader, above = above, module.parent(above)
    return above if isinstance(above, ast.Call) and above.func is reader else None


def _up(module: Module, call: ast.Call, sought: _Sought, seen: set[ast.AST], height: int) -> Needed | None:
    """The call itself or, of a function that comes to it in any case, one that calls that in any case.

    What a function tests of its own parameters is settled by who calls it: `mode="flash"`, and nobody says otherwise.
    """
    tests = _tests(module, call, sought)
    function = module.function(call)
    if function is None:
        return Needed(module, call) if not tests else None
    if function in seen:
        return None
    if height > _HIGHEST:
        return Needed(module, call, all_seen=False)
    cls = class_around(module, function)
    if tests and (cls is not None or not isinstance(function, ast.FunctionDef)):
        return None
    calls = users(module, cls or function)
    if not tests:
        seen.add(function)
    elif isinstance(function, ast.FunctionDef):
        calls = [each for each in calls if _comes_to(tests, given(module, function, each[1]))]
    if cls is not None:
        # Whoever has such a part in it comes here: which of such wholes is made is another question.
        return next((Needed(module, call) for home, user in calls if not _tests(home, user, sought)), None)
    return _surest(_up(home, user, sought, seen, height + 1) for home, user in calls)


def _comes_to(tests: Sequence[_Test], values: Mapping[str, object]) -> bool:
    return all(said(test, values) is wanted for test, wanted in tests)


def users(module: Module, owner: Definition) -> list[tuple[Module, ast.Call]]:
    """The calls of a function or a class; none where it is looked up, handed on or derived from as well."""
    found = reads(module, owner)
    calls = _called_in(found)
    return calls if len(calls) == len(found) else []


def calls_of(module: Module, owner: Definition) -> list[tuple[Module, ast.Call]]:
    """The calls of a function or a class, whatever else it is read for."""
    return _called_in(reads(module, owner))


def reads(module: Module, owner: Definition) -> list[tuple[Module, ast.expr]]:
    """Where a function or a class is named, in whatever file."""
    module.ensure(owner.name)
    scope = module.scope_of(owner).owner(owner.name) or module.names.root
    here: list[tuple[Module, ast.expr]] = [(module, each) for each in module.names.readers(scope, owner.name)]
    return [*here, *module.around.readers(module, owner.name)]


def _called_in(found: Sequence[tuple[Module, ast.expr]]) -> list[tuple[Module, ast.Call]]:
    return [(home, call) for home, read in found if (call := _called(home, read)) is not None]


def _tests(module: Module, call: ast.Call, sought: _Sought) -> list[_Test]:
    """What is tested around a call, or before it, and may have the function go on without it."""
    found: list[_Test] = []
    node: ast.AST = call
    for above in module.ancestors(call):
        if isinstance(above, _ASKS) and _has_other(module, above, node, sought):
            found += _asked(module, above, node)
        for block in blocks(above):
            if module.index(block, node) is not None:
                before = (each for each in block if leaves_before(each, node))
                found += [each for statement in before for each in _left(module, statement, sought)]
        if isinstance(above, Function):
            break
        node = above
    return found


def _asked(module: Module, test: ast.AST, node: ast.AST) -> Iterator[_Test]:
    """What a test comes to on the way to a node in it."""
    if not isinstance(test, ast.Match):
        yield getattr(test, "test", test), _is_in_body(module, test, node)
        return
    for case in test.cases:
        is_here = case is node
        if not (is_here and takes_any(case)):
            yield _equal(test, case), is_here
        if is_here:
            return


def _equal(match: ast.Match, case: ast.match_case) -> ast.AST:
    """`case "a" | "b"` as a test of the subject; what is no such case is a test of which nothing is known."""
    patterns = case.pattern.patterns if isinstance(case.pattern, ast.MatchOr) else [case.pattern]
    values = [each.value for each in patterns if isinstance(each, ast.MatchValue)]
    if len(values) < len(patterns) or case.guard is not None:
        return case
    return ast.Compare(match.subject, [ast.In()], [ast.Tuple(values, ast.Load())])


def _left(module: Module, statement: ast.AST, sought: _Sought) -> Iterator[_Test]:
    """The tests that lead away from the package: of an `if` and its `elif`s, or others, of which nothing is known."""

    def away(block: Sequence[ast.AST]) -> bool:
        return leaves(block, lambda each: _names_it(module, each, sought))

    if not isinstance(statement, ast.If) and away([statement]):
        yield statement, True
    while isinstance(statement, ast.If):
        if away(statement.body):
            yield statement.test, False
        following = statement.orelse
        statement = following[0] if len(following) == 1 else statement.test
        if not isinstance(statement, ast.If) and away(following):
            yield statement, True


def leaves_before(statement: ast.stmt, node: ast.AST) -> bool:
    """Whether a statement tests something before a node stands, and may leave."""
    is_test = isinstance(statement, ast.If | ast.Match | ast.Try | ast.With | ast.For | ast.While)
    return is_test and statement.lineno < node.lineno and may_leave(statement)  # type: ignore[attr-defined]


def _is_in_body(module: Module, test: ast.AST, node: ast.AST) -> bool:
    body = getattr(test, "body", None)
    return module.index(body, node) is not None if isinstance(body, list) else node is body


def _has_other(module: Module, test: ast.AST, node: ast.AST, sought: _Sought) -> bool:
    """Whether what is done in the other case is no call of the package either, and does not stop the program."""
    if isinstance(test, ast.Match):
        return any(not _needs(module, way, sought) for way in ways(test) if way is not getattr(node, "body", None))
    if isinstance(test, ast.If | ast.IfExp):
        if node is test.test or _is_main(test.test):
            return False
        other = test.orelse if _is_in_body(module, test, node) else test.body
        return not _needs(module, other if isinstance(other, list) else [other], sought)
    if isinstance(test, ast.Try):
        handlers = [each for handler in test.handlers for each in handler.body]
        return module.index(test.body, node) is not None and bool(handlers) and not _needs(module, handlers, sought)
    return isinstance(test, ast.BoolOp)


def _is_main(test: ast.expr) -> bool:
    """`__name__ == "__main__"`: where the file is the program, it comes there."""
    sides = [test.left, *test.comparators] if isinstance(test, ast.Compare) else []
    return any(isinstance(each, ast.Name) and each.id == "__name__" for each in sides)


def _needs(module: Module, block: Sequence[ast.AST], sought: _Sought) -> bool:
    """Whether each way through a block calls the package, or stops the program."""
    return always(block, lambda each: _names_it(module, each, sought))


@remembered
def _names_it(module: Module, block: ast.AST, sought: _Sought) -> bool:
    """Whether a block calls the package, or a function that calls it in any case."""
    for call in ast.walk(block):
        if isinstance(call, ast.Call):
            dotted = module.resolve(call.func)
            if dotted is not None and dotted.partition(".")[0] in sought.packages:
                return True
            if sought.deep and _leads_to_it(module, call, sought):
                return True
    return False


def _leads_to_it(module: Module, call: ast.Call, sought: _Sought) -> bool:
    """Whether a function that is called calls the package itself; of those that it calls nothing is asked."""
    shallow = replace(sought, deep=False)
    for home, function, before in functions_of(module, call.func):
        values = given(home, function, call) if isinstance(function, ast.FunctionDef) and not before else {}
        theirs = (each for each in _calls(home, sought) if home.function(each) is function)
        if any(_comes_to(_tests(home, each, shallow), values) for each in theirs):
            return True
    return False
