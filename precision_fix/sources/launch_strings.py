"""Launch lines within Python: a command in a string or a list of strings; and strings that are configs."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from precision_fix.model import hearing
from precision_fix.model.edit import Edit, GiveName, GiveValue, Replace, Respell, spliced
from precision_fix.model.finding import Action, Verdict, manual
from precision_fix.model.module import Module, remembered
from precision_fix.model.site import Kind, Site
from precision_fix.model.syntax import called
from precision_fix.model.vocabulary.libraries import LIBRARIES
from precision_fix.model.vocabulary.needles import BFLOAT16
from precision_fix.rules import rule
from precision_fix.sources.config_strings import Answer, config, is_config, of_string, raw_of

if TYPE_CHECKING:
    from precision_fix.sources.launch import Place

# A command begins with what starts programs, perhaps behind variables that are set for it.
_STARTERS = "|".join(re.escape(each) for library in LIBRARIES for each in library.targets if each[-1] != ".")
#: How a launch line begins.
COMMAND = re.compile(
    rf"\s*(?:[A-Za-z_]\w*=\S*\s+)*(?:\S*/)?(?:python[\d.]*|{_STARTERS}|torchrun|swift|srun|bash|sh|nohup|uv|poetry|"
    r"mpirun|horovodrun|ray|\{?sys\.executable\}?|[\w./-]+\.(?:py|sh))\s"
)
_PROGRAM = re.compile(rf"(?:\S*/)?(?:python[\d.]*|{_STARTERS}|torchrun|[\w./-]+\.py)")
_OPTION = re.compile(r"--[A-Za-z][\w.-]*(?:=\S+)?")
# What shows a text to a person: there it is no command.
_SHOWS = frozenset(
    {
        "print",
        "echo",
        "info",
        "debug",
        "warning",
        "error",
        "ArgumentParser",
        "add_argument",
        "format_help",
        "write",
        "log",
    }
    | {"add_parser", "ValueError", "RuntimeError", "Exception", "warn", "option", "Option", "Markdown", "markdown"}
)
_SHOWN = re.compile(r"(?i)help|usage|doc|example|epilog|description|readme|message|msg|text|title|prompt")
# What starts a program, or holds the words that one was started with.
_STARTS = frozenset(
    {"run", "call", "check_call", "check_output", "Popen", "popen", "system", "append", "extend", "parse_args", "main"}
    | {
        "create_subprocess_exec",
        "parse_known_args",
        "insert",
        "execute",
        "invoke",
        "spawn",
        "parse_args_into_dataclasses",
    }
)


def launch_lines(module: Module) -> Iterator[Answer]:
    """What is said of the launch lines that a module holds as text."""
    for node in module.names.strings:
        value = node.value
        if not isinstance(value, str) or not any(word in value for word in BFLOAT16):
            continue
        above = module.parent(node)
        if isinstance(above, ast.JoinedStr):
            if above.values[0] is node:
                yield from _formatted(module, above, value)
        elif COMMAND.match(value) and not is_shown(module, node):
            yield from _within(module, node, value)
        elif not isinstance(above, ast.Expr) and is_config(module, node, value):
            yield from config(module, node, value)
        elif _OPTION.fullmatch(value):
            yield from _listed(module, node, value)


def is_shown(module: Module, node: ast.AST) -> bool:
    """Whether a text is there for a person, or to be compared with."""
    for above in module.ancestors(node):
        if isinstance(above, ast.Expr | ast.Raise | ast.Assert | ast.Compare):
            return not isinstance(module.parent(node), ast.Call) or isinstance(
                above, ast.Raise | ast.Assert | ast.Compare
            )
        if isinstance(above, ast.Call) and called(above) in _SHOWS:
            return True
        if isinstance(above, ast.keyword) and _SHOWN.search(above.arg or ""):
            return True
        if isinstance(above, ast.Assign | ast.AnnAssign):
            target = above.targets[0] if isinstance(above, ast.Assign) else above.target
            return _SHOWN.search(ast.unparse(target)) is not None
        if isinstance(above, ast.stmt):
            return False
    return False


def _within(module: Module, node: ast.Constant, value: str) -> Iterator[Answer]:
    raw = raw_of(module, node, value)
    if raw is None:
        return
    yield from _answers(module, node, raw, raw[1], lambda new: Respell(node, value, new))


def _answers(
    module: Module, node: ast.expr, raw: tuple[int, str], text: str, edit: Callable[[str], Edit]
) -> Iterator[Answer]:
    from precision_fix.sources.launch import settings_in

    places = settings_in(text, module.target, path=module.path, around=module.around)
    splices = [splice for place in places if place.verdict.action is Action.REWRITE for splice in place.splices]
    edits: tuple[Edit, ...] = (edit(spliced(text, splices)),) if splices else ()
    for place in places:
        if not place.code:
            continue
        site = Site(module, Kind.LAUNCH, node, place.token, within=raw[0] + place.offset)
        hearing.give(site, place.hearings)
        mine = edits if place.verdict.action is Action.REWRITE else ()
        yield site, rule(place.code), of_string(replace(place.verdict, edits=mine, change=None), len(splices))
        edits = () if mine else edits


#: An f-string: what it begins with, its quotes, its content.
F_STRING = re.compile(r"([fF][rR]?|[rR][fF])(\"\"\"|'''|\"|')(.*)\2", re.DOTALL)


def _formatted(module: Module, node: ast.JoinedStr, first: str) -> Iterator[Answer]:
    """`f"accelerate launch --mixed_precision bf16 {script}"`: what stands in braces is a word like any other."""
    match = F_STRING.fullmatch(module.source(node))
    if not COMMAND.match(first) or match is None or "\\" in match[3] or match[2] in match[3] or is_shown(module, node):
        return
    head = match[1] + match[2]
    yield from _answers(
        module, node, (len(head), match[3]), match[3], lambda new: Replace(node, f"{head}{new}{match[2]}")
    )


# Words in a list.


def _listed(module: Module, node: ast.Constant, value: str) -> Iterator[Answer]:
    """`["torchrun", "train.py", "--bf16"]`: an option that stands in one string, with its value if it has one."""
    above = module.parent(node)
    line: ast.expr = above if isinstance(above, ast.List | ast.Tuple) else node
    words = above.elts if isinstance(above, ast.List | ast.Tuple) else [node]
    index = (module.index(words, node) or 0) if line is above else 0
    behind = words[index + 1] if index + 1 < len(words) else None
    is_pair = isinstance(behind, ast.Constant) and not str(behind.value).startswith("-") and "=" not in value
    if is_pair or not _starts(module, line):
        return
    for place in _settings_of(module, line).get(index, ()):
        if not place.code:
            continue
        verdict = place.verdict
        if verdict.action is Action.REWRITE:
            verdict = _respelt(node, value, verdict)
        site = Site(module, Kind.LAUNCH, node, place.token)
        hearing.give(site, place.hearings)
        yield site, rule(place.code), verdict


def _words_of(line: ast.expr) -> Sequence[ast.expr]:
    return line.elts if isinstance(line, ast.List | ast.Tuple) else [line]


@remembered
def _settings_of(module: Module, line: ast.expr) -> dict[int, list[Place]]:
    """What is said of the words of a list, or of a word alone, by their places in it."""
    from precision_fix.sources.launch import settings_of

    texts = [
        each.value if isinstance(each, ast.Constant) and isinstance(each.value, str) else "$_"
        for each in _words_of(line)
    ]
    return settings_of(texts, module.target, path=module.path, around=module.around)


@remembered
def _starts(module: Module, line: ast.expr) -> bool:
    """Whether a list of words, or a word alone, is given to what starts a program, or names one."""
    outer = module.parent(line)
    if isinstance(outer, ast.AugAssign):
        return "argv" in ast.unparse(outer.target) or "cmd" in ast.unparse(outer.target).lower()
    if isinstance(outer, ast.Call) and called(outer) in _STARTS:
        return True
    return any(
        ast.unparse(each) == "sys.executable"
        or (isinstance(each, ast.Constant) and isinstance(each.value, str) and _PROGRAM.fullmatch(each.value))
        for each in _words_of(line)
    )


def _respelt(node: ast.Constant, value: str, verdict: Verdict) -> Verdict:
    """The change within the one string that there is; a string more or less is left to a person."""
    name, equal, _ = value.partition("=")
    match verdict.change:
        case GiveValue(value=False):
            new = f"{name}=False"
        case GiveValue(value=str() as word) if equal:
            new = f"{name}={word}"
        case GiveName(name=other):
            new = f"--{other}{value[len(name) :]}"
        case _:
            return manual(f"{verdict.reason}: take it out of the list")
    return Verdict(verdict.action, verdict.reason, (Respell(node, value, new),))
