"""PF203: a flag that turns bfloat16 on."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator

from precision_fix.model.callees import callee
from precision_fix.model.context import receiver
from precision_fix.model.edit import Replace
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep, manual, rewrite
from precision_fix.model.flow import follow
from precision_fix.model.guard import turns_to_float16
from precision_fix.model.held import End
from precision_fix.model.module import Module, unparsed
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site
from precision_fix.model.syntax import called
from precision_fix.model.vocabulary import precision

_TABLE = re.compile(r"(?i)support|capab|avail|feature|allow")
_FIELDS = frozenset({"field", "Field", "Option", "Argument", "option"})


class RULE(Rule):
    code = "PF203"
    title = "a flag that turns bfloat16 on"
    why = (
        '`TrainingArguments(bf16=True)`, `args.bf16 = True`, `bf16=not fp16` and DeepSpeed\'s `{"bf16": '
        '{"enabled": True}}` make a library compute in bfloat16. A variable that the file itself reads stays: '
        "what it leads to is rewritten there."
    )
    kinds = frozenset({Kind.FLAG})
    stage = Stage.CHANGED

    def judge(self, site: Site) -> Verdict | None:
        values = list(_turning_on(site.value)) if site.value is not None else []
        if not values:
            return None
        name = site.token.strip("'\"")
        if any(isinstance(above, ast.Assert) for above in site.chain):
            return keep("part of what is asserted")
        if _TABLE.search(_holder(site)):
            return keep("tells what is supported")
        # Anybody may read an attribute or an item; who reads a variable, a parameter or an argument can be told.
        ends = [end for value in values for end in follow(site.module, value)] if _has_readers(site) else []
        tested = [end for end in ends if end.fate is Fate.COMPARED]
        if tested:
            given = next((end for end in ends if end.fate in (Fate.CHOOSES, Fate.HANDED)), None)
            if given is None and not _is_of_library(site):
                return keep(f"read {_where(tested, site.module)}; what it leads to is rewritten there")
            falls = next((end for end in tested if turns_to_float16(end.module, end.node)), None)
            if falls is not None:
                who = f"what reads it on {given.where(site.module)}" if given is not None else "a library"
                return manual(
                    f"{name} turns bfloat16 on for {who}; without it {falls.where(site.module)} turns float16 on:"
                    " turn both off"
                )
        return rewrite(f"{name} turns bfloat16 on", *(Replace(value, "False") for value in values))


def _has_readers(site: Site) -> bool:
    return isinstance(site.node, ast.Name | ast.arg | ast.keyword)


def _where(ends: list[End], module: Module) -> str:
    """Where a flag is read: in this file, or the first place in another."""
    if any(end.module is module for end in ends):
        return "in this file"
    return f"in {ends[0].where(module)}"


def _is_of_library(site: Site) -> bool:
    """Whether the flag is an argument of a class of the project that is a library's as well: the library reads it."""
    call = site.parent
    if not isinstance(site.node, ast.keyword) or not isinstance(call, ast.Call):
        return False
    found = callee(site.module, call, site.value, site.node.arg)
    if found is None or found.cls is None:
        return False
    return any(_is_outside(found.module, base) for base in found.cls.bases)


def _is_outside(module: Module, base: ast.expr) -> bool:
    name = module.resolve(base)
    if name is None or name.partition(".")[0] in sys.stdlib_module_names:
        return False
    return "." in name and module.around.definition(module, name) is None


def _turning_on(value: ast.expr) -> Iterator[ast.expr]:
    """The parts of a flag's value that turn it on: True, `not fp16`, `word == "bf16"`, what is "enabled", an arm."""
    match value:
        case ast.Constant(value=True):
            yield value
        case ast.Compare(ops=[ast.Eq()], comparators=[ast.Constant(value=str(word))]) if precision.spelt(word):
            # `"enabled": args.precision == "bf16"`: the word stays, and what it means elsewhere is rewritten there.
            yield value
        case ast.UnaryOp(op=ast.Not()) if "fp16" in ast.unparse(value) or "float16" in ast.unparse(value):
            yield value
        case ast.IfExp():
            yield from _turning_on(value.body)
            yield from _turning_on(value.orelse)
        case ast.Dict():
            for key, item in zip(value.keys, value.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "enabled":
                    yield from _turning_on(item)
        case ast.Call(func=ast.Name(id="dict")):
            for keyword in value.keywords:
                if keyword.arg == "enabled":
                    yield from _turning_on(keyword.value)
        case ast.Call() if called(value) in _FIELDS:
            # A dataclass field, a typer option: `bf16: bool = field(default=True)`.
            for default in (*value.args[:1], *(k.value for k in value.keywords if k.arg == "default")):
                yield from _turning_on(default)


def _holder(site: Site) -> str:
    """The name of the map or the call that the flag stands in."""
    above = site.parent
    if isinstance(above, ast.Dict):
        return receiver(Site(site.module, site.kind, above, "")) or ""
    return unparsed(site.module, above.func) if isinstance(above, ast.Call) else ""
