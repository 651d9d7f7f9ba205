"""Strings of Python that are configs: JSON, and what is written into a file of a config's name or read as one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace

from precision_fix.model import hearing
from precision_fix.model.edit import Edit, Respell, spliced
from precision_fix.model.finding import Action, Part, Verdict
from precision_fix.model.module import Module, remembered
from precision_fix.model.rule import AnyRule
from precision_fix.model.site import Kind, Site
from precision_fix.model.syntax import called
from precision_fix.rules import rule
from precision_fix.sources.analysis import Analysis, Unparsable
from precision_fix.sources.positions import Positions

Answer = tuple[Site, AnyRule, Verdict]

_PLAIN = re.compile(r"([rR]?)(\"\"\"|'''|\"|')(.*)\2", re.DOTALL)
_NAMED = re.compile(r"[\w.-]*\.(?:ya?ml|json|toml|ini|cfg|env|py)\b")
_READS = {"yaml": ".yaml", "toml": ".toml", "tomllib": ".toml", "OmegaConf": ".yaml", "json": ".json"}
_LOADS = frozenset({"load", "loads", "load_all", "safe_load", "safe_load_all", "full_load", "create"})
_WRITES = frozenset({"write", "write_text", "write_bytes", "writestr"})
_CALLED = re.compile(rf"\.[\s\\]*(?:({'|'.join(sorted(_WRITES))})|{'|'.join(sorted(_LOADS))})\b")


def raw_of(module: Module, node: ast.Constant, value: str) -> tuple[int, str] | None:
    """Where the content of a string begins in its source; None where that is not the value itself."""
    if "\r" in module.text and "\n" in value:
        return None
    match = _PLAIN.fullmatch(module.source(node))
    return (match.start(3), value) if match and match[3] == value else None


def handles_configs(text: str) -> bool:
    """Whether a Python text may write a file, or read a config, at all."""
    reads = any(each in text for each in _READS)
    return any(found[1] or reads for found in _CALLED.finditer(text))


def is_config(module: Module, node: ast.Constant, value: str) -> bool:
    if value.lstrip()[:1] == "{":
        return True
    name = _name_of(module, node) if "\n" in value.strip() else ""
    return bool(name) and not name.endswith(".py")


def config(module: Module, node: ast.Constant, value: str) -> Iterator[Answer]:
    """`json.loads('{"bf16": {"enabled": true}}')`, `Path("a.yaml").write_text(TEXT)`: a config, and read as one."""
    raw = raw_of(module, node, value)
    found = _read(module, node, value) if raw is not None else None
    if raw is None or found is None:
        return
    edits: tuple[Edit, ...] = (Respell(node, value, spliced(value, found.splices)),) if found.splices else ()
    lines = Positions(value)
    moves = {(move.place.line, move.place.column): move for move in found.moves}
    for finding in found.findings:
        offset = lines.start(finding.line) + finding.column - 1
        site = Site(module, Kind.LAUNCH, node, finding.token, within=raw[0] + offset)
        hearing.give(site, finding.hearings)
        mine = edits if finding.action is Action.REWRITE else ()
        move = moves.get((finding.line, finding.column))
        verdict = Verdict(finding.action, finding.reason, mine)
        if move is not None:
            verdict = replace(verdict, part=move.part, moves_with=move.moves_with)
        yield site, rule(finding.code), of_string(verdict, len(found.splices))
        edits = () if mine else edits


def of_string(verdict: Verdict, changes: int) -> Verdict:
    """The verdict on a place within a string, which is changed at once or not at all: of several none goes alone."""
    if verdict.action is Action.REWRITE and changes > 1:
        return replace(verdict, part=Part.NONE, moves_with=())
    return verdict


def _read(module: Module, node: ast.Constant, value: str) -> Analysis | None:
    from precision_fix.sources import format_of

    name = _name_of(module, node) or "document.json"
    format_ = format_of(name)
    if format_ is None or name.endswith(".py"):
        return None
    try:
        return format_.source().analyse(module.path, value, module.target, around=module.around)
    except Unparsable:
        return None  # some other text


@remembered
def _name_of(module: Module, node: ast.expr) -> str:
    """What the file is called that a text is written into, or one that is read as it is."""
    # To see who reads a text of many examples, all of a class is parsed: not where none of these is called at all.
    if not handles_configs(module.text):
        return ""
    for each in (node, *_held_by(module, node)):
        call = module.parent(each)
        if isinstance(call, ast.keyword):
            call = module.parent(call)
        if isinstance(call, ast.Call) and each is not call.func:
            return file_of(module, call)
    return ""


def _held_by(module: Module, node: ast.expr) -> list[ast.Name]:
    above = module.parent(node)
    target = above.targets[0] if isinstance(above, ast.Assign) and above.value is node else None
    return module.readers(target) if isinstance(target, ast.Name) else []


def file_of(module: Module, call: ast.Call) -> str:
    """What the file is called that a call writes a text into, or that it reads one as; empty where it does neither."""
    name, func = called(call), call.func
    if name in _WRITES and isinstance(func, ast.Attribute):
        return _file(module, func.value) or (_file(module, call.args[0]) if name == "writestr" and call.args else "")
    if name in _LOADS and isinstance(func, ast.Attribute):
        read = module.resolve(func.value) or ""
        return next((f"text{end}" for whose, end in _READS.items() if read.rpartition(".")[2] == whose), "")
    return ""


def _file(module: Module, node: ast.expr) -> str:
    """The name of a file that stands in an expression, or in what a variable was made of: `open("a.yaml", "w")`."""
    found = _NAMED.search(ast.unparse(node))
    if found is None and isinstance(node, ast.Name):
        for bound in module.bindings(node):
            item = module.parent(bound)
            value = item.context_expr if isinstance(item, ast.withitem) else module.assigned_value(bound)
            found = _NAMED.search(ast.unparse(value)) if value is not None else None
            if found is not None:
                break
    return found[0] if found is not None else ""
