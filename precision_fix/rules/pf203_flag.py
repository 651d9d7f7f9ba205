"""PF203: a flag that turns bfloat16 on."""

from __future__ import annotations

import ast
import re

from precision_fix.model.edit import Replace
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep, rewrite
from precision_fix.model.flow import follow
from precision_fix.model.rule import Rule
from precision_fix.model.site import Kind, Site

# Names that record a fact or allow something, rather than choose.
_FACT = re.compile(
    r"(?i)^_|cast|convert|^is_|^has_|^was_|support|avail|allow|reduc|load|found|seen|skip|disable|^no_|^not_|test"
)


class RULE(Rule):
    code = "PF203"
    title = "a flag that turns bfloat16 on"
    why = (
        '`TrainingArguments(bf16=True)`, `args.bf16 = True` and DeepSpeed\'s `{"bf16": {"enabled": True}}` make a library '
        "compute in bfloat16. A flag that the file itself reads stays: what it leads to is rewritten there."
    )
    kinds = frozenset({Kind.FLAG})

    def judge(self, site: Site) -> Verdict | None:
        value = _enabled(site.value)
        if value is None:
            return None
        name = site.token.strip("'\"")
        if _FACT.search(name):
            return keep("records a fact")
        if any(end.fate is Fate.COMPARED for end in follow(site.module, value)):
            return keep("read in this file; what it leads to is rewritten there")
        return rewrite(f"{name} turns bfloat16 on", Replace(value, "False"))


def _enabled(value: ast.expr | None) -> ast.expr | None:
    """The `True` of a flag: the value itself, or what stands under "enabled" in a section."""
    if isinstance(value, ast.Dict):
        for key, item in zip(value.keys, value.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "enabled":
                return _enabled(item)
        return None
    if isinstance(value, ast.Call):
        # A dataclass field: `bf16: bool = field(default=True)`.
        return next((_enabled(keyword.value) for keyword in value.keywords if keyword.arg == "default"), None)
    return value if isinstance(value, ast.Constant) and value.value is True else None
