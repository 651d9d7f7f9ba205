"""PF203: a flag that turns bfloat16 on."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator

from precision_fix.model.arms import arm_of
from precision_fix.model.callees import callees
from precision_fix.model.context import receiver
from precision_fix.model.edit import Replace
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep, manual, rewrite
from precision_fix.model.flow import follow
from precision_fix.model.held import End
from precision_fix.model.module import Module, unparsed
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site
from precision_fix.model.syntax import called
from precision_fix.model.vocabulary import precision
from precision_fix.model.vocabulary.precision import turned_on

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
        if not values or any(_answers_by_itself(site, value) for value in values):
            return None
        name = site.token.strip("'\"")
        if any(isinstance(above, ast.Assert) for above in site.chain):
            return keep("part of what is asserted")
        if _TABLE.search(_holder(site)):
            return keep("tells what is supported")
        ends = [end for value in values for end in follow(site.module, value)]
        if ends and all(_allows_tf32(end) for end in ends):
            return keep("allows TF32, which this GPU does without")
        halves = next((end for end in ends if end.fate in (Fate.COMPARED, Fate.KEY) and _else_halves(end)), None)
        goes_out = _goes_out(ends) or _is_of_library(site)
        if halves is not None and not goes_out:
            return keep(f"without it float16 is chosen ({halves.where(site.module)}); what it leads to is rewritten")
        if halves is not None:
            return manual(
                f"{name} turns bfloat16 on, also for a library; without it float16 is chosen"
                f" ({halves.where(site.module)}): turn both off"
            )
        read = any(end.fate is Fate.COMPARED and end.module is site.module for end in ends)
        if read and _is_own(site) and not goes_out:
            return keep("read in this file; what it leads to is rewritten there")
        return rewrite(f"{name} turns {turned_on(name)} on", *(Replace(value, "False") for value in values))


def _allows_tf32(end: End) -> bool:
    """`torch.backends.cuda.matmul.allow_tf32 = args.tf32` allows it where there is any."""
    return isinstance(end.node, ast.Attribute) and end.node.attr == "allow_tf32"


def _answers_by_itself(site: Site, value: ast.expr) -> bool:
    """`self.bf16 = precision == "bf16"` is the program's own; a word that is set beside the test is changed there."""
    if not isinstance(value, ast.Compare):
        return False
    if isinstance(site.node, ast.Attribute):
        return True
    if not isinstance(value.left, ast.Name):
        return False
    words = (site.module.assigned_value(bound) for bound in site.module.bindings(value.left))
    # After a run it is another word, and the test still answers by itself.
    return any(isinstance(word, ast.Constant) and isinstance(word.value, str) for word in words)


def _is_own(site: Site) -> bool:
    """A variable or a parameter is this file's own. An attribute, an item, a field others read as well."""
    if isinstance(site.node, ast.Name):
        return not site.module.scope_of(site.node).is_class
    return isinstance(site.node, ast.arg | ast.keyword)


def _goes_out(ends: Iterable[End]) -> bool:
    """Whether something takes the flag that the project does not show: it must be told as well."""
    return any(end.fate in (Fate.CHOOSES, Fate.HANDED) for end in ends)


def _is_of_library(site: Site) -> bool:
    """Whether it is an argument of a class of the project that is derived from a library's: the library reads it."""
    call = site.parent
    if not isinstance(site.node, ast.keyword) or not isinstance(call, ast.Call):
        return False
    found = callees(site.module, call, site.value, site.node.arg)
    return any(_is_outside(each.module, base) for each in found if each.cls is not None for base in each.cls.bases)


def _is_outside(module: Module, base: ast.expr) -> bool:
    name = module.resolve(base)
    if name is None or name.partition(".")[0] in sys.stdlib_module_names:
        return False
    return "." in name and module.around.definition(module, name) is None


def _else_halves(end: End) -> bool:
    """`torch.bfloat16 if bf16 else torch.float16`, `fp16=not bf16`: turned off, the flag would choose float16."""
    arm = arm_of(end, None)
    return arm is not None and arm.else_half


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
