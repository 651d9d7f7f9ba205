"""`torch.bfloat16 if args.bf16 else torch.float16`: what is float16 once bfloat16 is turned off."""

from __future__ import annotations

import ast

from precision_fix.model.edit import Edit, Rename, Replace
from precision_fix.model.module import Module, remembered, unparsed
from precision_fix.model.vocabulary import precision


@remembered
def asked_for_half(module: Module, choice: ast.AST | None) -> tuple[Edit, ...] | None:
    """The edits that have it float16 where the switch for that is on, and float32 otherwise.

    None for another choice, and where no such switch is read beside that for bfloat16, in the same function.
    """
    if not isinstance(choice, ast.IfExp) or not isinstance(choice.test, ast.Attribute | ast.Name):
        return None
    then, otherwise = choice.body, choice.orelse
    if not isinstance(then, ast.Attribute) or not isinstance(otherwise, ast.Attribute):
        return None
    if (module.dtype_name(then), module.dtype_name(otherwise)) != ("bfloat16", "float16"):
        return None
    other = _other_switch(module, choice.test)
    if other is None:
        return None
    switch = Rename(choice.test, other) if isinstance(choice.test, ast.Attribute) else Replace(choice.test, other)
    return Rename(then, otherwise.attr), switch, Rename(otherwise, "float32")


def _other_switch(module: Module, switch: ast.Attribute | ast.Name) -> str | None:
    """The switch for float16 that is read in the same function: `args.fp16` beside `args.bf16`."""
    name = switch.attr if isinstance(switch, ast.Attribute) else switch.id
    if not precision.is_switch(name):
        return None
    other = name.replace("bfloat16", "float16").replace("bf16", "fp16")
    function = module.function(switch)
    if isinstance(switch, ast.Name):
        owner = module.scope_of(switch).owner(name)
        return other if owner is not None and other != name and other in owner.bindings else None
    base = unparsed(module, switch.value)
    alike = (
        each
        for each in module.names.attributes_of(other)
        if module.function(each) is function and unparsed(module, each.value) == base
    )
    return other if any(isinstance(each.ctx, ast.Load) for each in alike) else None
