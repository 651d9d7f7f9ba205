"""An option as it stands where a program declares it: what it takes, which words it offers, where its value goes.

`argparse`, click, typer, and dataclasses that a parser is made of; nothing is run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from precision_fix.model.flow import Follower
from precision_fix.model.held import End
from precision_fix.model.module import Function, Module
from precision_fix.model.options import CALLS, destination
from precision_fix.model.readings import known
from precision_fix.model.setting import Declaration, Declared, Takes, plain
from precision_fix.model.syntax import defaults
from precision_fix.model.vocabulary.spellings import GENERAL

_TRUTH_TYPES = re.compile(r"(?i)str2bool|strtobool|boolean|parse_bool|to_bool|bool_arg|eval")
_DASHED = re.compile(r"[_-]")


def declarations(module: Module, option: str) -> Iterator[Declaration]:
    """Where a file declares an option of this plain name: calls and parameters first, then fields. Raises NotApart."""
    spelt = re.compile(rf"(?<!\w){_DASHED.sub('[_-]', re.escape(option).replace(chr(92) + '-', '-'))}(?!\w)", re.I)
    module.take([found.start() for found in spelt.finditer(module.text)])
    for name in CALLS:
        for call in module.names.calls_of(name):
            if option in map(plain, spellings(call)):
                yield call
    fields: list[ast.AnnAssign] = []
    for node in [each for found in module.names.definitions.values() for each in found]:
        if isinstance(node, Function):
            yield from (parameter for parameter in _of_typer(node) if plain(parameter.arg) == option)
        elif any("dataclass" in ast.unparse(each) for each in node.decorator_list):
            annotated = (each for each in node.body if isinstance(each, ast.AnnAssign))
            fields += [each for each in annotated if plain(_name(each)) == option]
    yield from fields


def spellings(call: ast.Call) -> list[str]:
    """The names of an option as they are written, dashes and all: `--bf16/--no-bf16` are two."""
    words = (each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str))
    return [part.strip() for word in words if word.startswith("-") for part in word.split("/")]


def ends(module: Module, node: Declaration) -> list[End]:
    """What is done with the value of an option, as far as the way from its declaration shows. Raises NotApart."""
    follower = Follower(True)
    follower.from_declaration(module, node)
    return follower.run([])


def variable(node: Declaration) -> str:
    """The attribute, or the parameter, that holds the value of an option."""
    if isinstance(node, ast.Call):
        return destination(node)
    return _name(node) if isinstance(node, ast.AnnAssign) else node.arg


def declared(module: Module, node: Declaration, *, by_transformers: bool) -> Declared:
    """What an option takes. A parser of transformers reads a field that is a bool in a way of its own."""
    if isinstance(node, ast.Call):
        found = _of_call(node)
    elif isinstance(node, ast.AnnAssign):
        found = _of_field(node)
        if by_transformers and found.takes is Takes.FIELD:
            found = Declared(Takes.TRUTH, found.offered)
    else:
        found = _of_parameter(module, node)
    offered = found.offered
    if found.takes is Takes.WORD and not offered:
        # The words that the program compares it with, or looks something up by.
        words = known(ends(module, node))
        offered = tuple(sorted(words)) if words.intersection(GENERAL) else ()
    return Declared(found.takes, offered, found.on, found.others, variable(node), isinstance(node, ast.AnnAssign))


# A call.


def _of_call(call: ast.Call) -> Declared:
    by_name = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    takes = _taken(by_name, call)
    others = _contrary(call) if takes is Takes.PAIR else ()
    return Declared(takes, _choices(by_name), _is_on(by_name.get("default")), others)


def _taken(by_name: dict[str, ast.expr], call: ast.Call) -> Takes:
    action, kind = by_name.get("action"), by_name.get("type")
    said = ast.unparse(action).strip("'\"") if action is not None else ""
    words = (each.value for each in call.args if isinstance(each, ast.Constant))
    if "BooleanOptionalAction" in said or any("/" in str(word) for word in words):
        return Takes.PAIR
    if said == "store_true" or _is_on(by_name.get("is_flag")):
        return Takes.NOTHING
    if said:
        return Takes.UNKNOWN
    reads = ast.unparse(kind) if kind is not None else ""
    if reads == "bool":
        return Takes.ANY_IS_TRUE
    if _TRUTH_TYPES.search(reads) or "const" in by_name or (isinstance(kind, ast.Lambda) and "true" in reads.lower()):
        return Takes.TRUTH
    return Takes.WORD


def _contrary(call: ast.Call) -> tuple[str, ...]:
    """`no-bf16`, of `--bf16/--no-bf16` or of a name to which argparse adds it."""
    names = [str(each.value) for each in call.args if isinstance(each, ast.Constant)]
    first = next((name for name in names if name.startswith("--")), names[0])
    return ((first.partition("/")[2] or f"no-{first.lstrip('-')}").strip().lstrip("-"),)


def _choices(by_name: dict[str, ast.expr]) -> tuple[str, ...]:
    chosen = by_name.get("choices", by_name.get("type"))
    if isinstance(chosen, ast.Call) and chosen.args:
        chosen = chosen.args[0]
    return _strings(chosen.elts) if isinstance(chosen, ast.List | ast.Tuple | ast.Set) else ()


# A field, a parameter.


def _of_field(field: ast.AnnAssign) -> Declared:
    annotation = ast.unparse(field.annotation)
    words = re.findall(r"['\"]([\w.-]+)['\"]", annotation) if "Literal[" in annotation else []
    takes = Takes.FIELD if re.search(r"\bbool\b", annotation) else Takes.WORD
    if isinstance(field.value, ast.Call) and not words:
        metadata = [each for each in ast.walk(field.value) if isinstance(each, ast.Dict)]
        by_name = {key: value for each in metadata for key, value in _items(each)}
        words = [*_choices({key: value for key, value in by_name.items() if key == "choices"})]
    return Declared(takes, tuple(words), _is_on(field.value))


def _items(display: ast.Dict) -> Iterator[tuple[str, ast.expr]]:
    for key, value in zip(display.keys, display.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value, value


def _of_typer(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.arg]:
    """The parameters that are options of a typer command under their own names."""
    for parameter, default in defaults(function.args):
        says = f"{_annotated(parameter)} {ast.unparse(default) if default else ''}"
        if "Option(" in says and not re.search(r"Option\([^)]*['\"]-", says):
            yield parameter


def _of_parameter(module: Module, parameter: ast.arg) -> Declared:
    """A bool is a pair of switches."""
    if not re.search(r"\bbool\b", _annotated(parameter)):
        return Declared(Takes.WORD)
    arguments = module.parent(parameter)
    found = defaults(arguments) if isinstance(arguments, ast.arguments) else ()
    on = any(each is parameter and _is_on(default) for each, default in found)
    return Declared(Takes.PAIR, on=on, others=(f"no-{parameter.arg.replace('_', '-')}",))


def _annotated(parameter: ast.arg) -> str:
    return ast.unparse(parameter.annotation) if parameter.annotation else ""


def _name(field: ast.AnnAssign) -> str:
    return field.target.id if isinstance(field.target, ast.Name) else ""


def _is_on(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        return any(keyword.arg == "default" and _is_on(keyword.value) for keyword in value.keywords)
    return isinstance(value, ast.Constant) and value.value is True


def _strings(nodes: Sequence[ast.expr]) -> tuple[str, ...]:
    return tuple(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
