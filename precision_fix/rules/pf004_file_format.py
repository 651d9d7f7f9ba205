"""PF004: what a file format calls bfloat16 stays."""

from __future__ import annotations

import ast

from precision_fix.model.context import receiver
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep
from precision_fix.model.module import Module, remembered
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site

# The dtype tags of the safetensors header (safetensors README, "Format") and of GGUF.
_TAGS = frozenset({"F64", "F32", "F16", "I64", "I32", "I16", "I8", "U8", "U16", "BOOL", "F8_E4M3", "F8_E5M2"})


class RULE(Rule):
    code = "PF004"
    title = "a tag of a file format"
    why = (
        "safetensors and GGUF name the type of the bytes that follow. Those stay bfloat16, whatever the program "
        "computes in; read as another type they are garbage."
    )
    kinds = frozenset({Kind.DTYPE, Kind.WORD, Kind.TENSOR_TYPE})
    stage = Stage.LEFT
    before = ("PF003",)

    def judge(self, site: Site) -> Verdict | None:
        if site.kind is Kind.WORD:
            return keep("the tag of a file format") if site.word == "BF16" else None
        if site.token.endswith("Storage"):
            return keep("a class of stored bytes")
        above = site.parent
        if Fate.BYTES in site.fates:
            return None  # what is read by it is another question
        if isinstance(above, ast.Dict) and (receiver(site) == "BF16" or _is_of_tags(site.module, above)):
            return keep("a table of file-format tags")
        return None


@remembered
def _is_of_tags(module: Module, table: ast.Dict) -> bool:
    return len(_TAGS & {key.value for key in table.keys if isinstance(key, ast.Constant)}) >= 2
