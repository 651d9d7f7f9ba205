"""Options of a command line as a program declares them, and whose attribute the value becomes."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from precision_fix.model.bindings import Bindings
from precision_fix.model.callees import functions_of
from precision_fix.model.classes import class_around
from precision_fix.model.held import Held, Shape
from precision_fix.model.module import Function, Module, unparsed
from precision_fix.model.syntax import called

_GROUPS = frozenset({"add_argument_group", "add_mutually_exclusive_group", "add_parser", "add_subparsers"})
_NAMESPACES = frozenset({"args", "opt", "opts", "options", "flags", "FLAGS", "cli_args", "self.args", "parsed"})
#: What declares an option of a parser, or of a command that the function below the decorator is.
DECLARES = frozenset({"add_argument", "add_option"})
DECORATES = frozenset({"option", "argument"})
#: What gives options of a parser other defaults, each as a keyword.
SETS_DEFAULTS = "set_defaults"
#: What gives an option the names that a command line has.
CALLS = ("add_argument", "add_option", "option", "Option")
#: What stands for the default of a field or a parameter.
FIELDS = frozenset({"field", "Field", "Option", "Argument"})


def destination(call: ast.Call) -> str:
    """The attribute that holds the value of an option: of `--model-dtype` it is `model_dtype`."""
    for keyword in call.keywords:
        if keyword.arg == "dest" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    names = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    long = next((name for name in names if name.startswith("--")), names[0] if names else "")
    return long.partition("/")[0].lstrip("-").replace("-", "_")


class Options(Bindings):
    """The part of a follower that knows of options."""

    def from_declaration(self, module: Module, node: ast.Call | ast.AnnAssign | ast.arg) -> None:
        """Begin with whatever holds the value that a command line gives an option."""
        self.module, self.held = module, Held(module, node)
        if isinstance(node, ast.Call):
            self.option(node)
        elif isinstance(node, ast.arg):
            self.parameter(node, Shape.VALUE)
        else:
            cls = class_around(module, node)
            if cls is not None and isinstance(node.target, ast.Name):
                self.field(cls, node.target.id, Shape.VALUE)

    def option(self, call: ast.Call) -> bool:
        """Go on with whatever is parsed by the parser that an option is added to; False where that does not show."""
        name = destination(call)
        if called(call) in DECORATES:
            return self._decorated(call, name)
        if not name or not isinstance(call.func, ast.Attribute):
            return False
        self._converted(call)
        found = self.parsed(call, name)
        return self._by_habit(name) or found

    def parsed(self, call: ast.Call, name: str) -> bool:
        """Go on with what is parsed by the parser whose method is called, where an option of this name may hold it."""
        found = False
        parsers = _parsers(self.module, call.func.value) if isinstance(call.func, ast.Attribute) else ()
        for module, parser in parsers:
            home = self.module
            self.within(module)
            for reader in self.looking(self._held_by(parser)):
                found = True
                self.same(reader, Shape.OBJECT, name)
            self.within(home)
        return found

    def _converted(self, call: ast.Call) -> None:
        """`type=precision_of`: what the parser makes of the word, or refuses it by."""
        given = next((each.value for each in call.keywords if each.arg == "type"), None)
        for home, function, before in functions_of(self.module, given) if given is not None else ():
            parameters = function.args.args[before:] if isinstance(function, Function) else []
            if parameters:
                held, module = self.held, self.module
                self.within(home)
                self.parameter(parameters[0], Shape.VALUE)
                self.held, self.module = held, module

    def _by_habit(self, name: str) -> bool:
        """`args.dtype`: what everybody calls the namespace, where the way from the parser to it may not be seen."""
        self.module.ensure("." + name)
        found = False
        for reader in self.looking(self.module.names.attributes_of(name)):
            if isinstance(reader.ctx, ast.Load) and unparsed(self.module, reader.value) in _NAMESPACES:
                found = True
                self.same(reader, Shape.VALUE)
        return found

    def _held_by(self, parser: ast.expr) -> Iterator[ast.expr]:
        if isinstance(parser, ast.Name):
            yield from self.module.readers(parser)
        elif isinstance(parser, ast.Attribute):
            base = ast.unparse(parser.value)
            self.module.ensure("." + parser.attr)
            for reader in self.module.names.attributes_of(parser.attr):
                if isinstance(reader.ctx, ast.Load) and unparsed(self.module, reader.value) == base:
                    yield reader

    def _decorated(self, call: ast.Call, name: str) -> bool:
        """`@click.option("--dtype")`: a parameter of the function below."""
        function = self.module.parent(call)
        if not isinstance(function, Function) or call not in function.decorator_list:
            return False
        arguments = function.args
        for parameter in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if parameter.arg == name:
                self.parameter(parameter, Shape.VALUE)
                return True
        return False


def _parsers(module: Module, parser: ast.expr) -> Iterator[tuple[Module, ast.expr]]:
    """A parser, and what it is a group of or was handed on as."""
    pending, seen = [(module, parser)], {parser}
    for at in pending:  # which grows
        yield at
        further = [each for each in _came_from(*at) if each[1] not in seen]
        seen.update(each for _, each in further)
        pending += further


def _came_from(module: Module, parser: ast.expr) -> Iterator[tuple[Module, ast.expr]]:
    if isinstance(parser, ast.Name):
        for bound in module.bindings(parser):
            if isinstance(bound, ast.arg):
                yield from _given(module, bound)
            else:
                yield from _grouped(module, module.assigned_value(bound))
    else:
        yield from _grouped(module, parser)


def _grouped(module: Module, made: ast.expr | None) -> Iterator[tuple[Module, ast.expr]]:
    """`parser.add_argument_group("model")`."""
    if isinstance(made, ast.Call) and called(made) in _GROUPS and isinstance(made.func, ast.Attribute):
        yield module, made.func.value


def _given(module: Module, parameter: ast.arg) -> Iterator[tuple[Module, ast.expr]]:
    """What the callers of a function hand to a parameter: `add_options(parser)`."""
    function = module.function(parameter)
    if function is None:
        return
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    if parameter.arg not in names:
        return
    index = names.index(parameter.arg)
    module.ensure(function.name)
    calls = [(module, call) for call in module.names.calls_of(function.name)]
    for other, reader in module.around.readers(module, function.name):
        above = other.parent(reader)
        if isinstance(above, ast.Call) and above.func is reader:
            calls.append((other, above))
    for home, call in calls:
        given = next((keyword.value for keyword in call.keywords if keyword.arg == parameter.arg), None)
        shift = 1 if names[0] in ("self", "cls") else 0
        if given is None and len(call.args) > index - shift >= 0:
            given = call.args[index - shift]
        if given is not None:
            yield home, given
