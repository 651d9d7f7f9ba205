"""PF001: a comparison stays true."""

from __future__ import annotations

import ast

from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, agrees_and_stays, keep
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site

_HARMLESS = frozenset({Fate.COMPARED, Fate.AGREES, Fate.TEXT, Fate.KEY, Fate.SIZE})
# A dtype kept for its size is kept in an attribute, where other files may ask for the size as well; a guard may too.
_SIZED = _HARMLESS | {Fate.STORED, Fate.REFUSED}


class RULE(Rule):
    code = "PF001"
    title = "compared or tested"
    why = (
        "The place asks whether something is bfloat16. Rewritten, the question would be answered yes for float32: "
        "a size table would give a float32 tensor two bytes, a half-precision path would be taken for a full one."
    )
    kinds = frozenset({Kind.DTYPE, Kind.TENSOR_TYPE})
    stage = Stage.LEFT

    def judge(self, site: Site) -> Verdict | None:
        kept_for_size = Fate.SIZE in site.fates and isinstance(site.parent, ast.Assign)
        if not site.ends or not site.fates <= (_SIZED if kept_for_size else _HARMLESS):
            return None
        if isinstance(site.parent, ast.Dict) and site.fates != {Fate.KEY}:
            return None
        if Fate.COMPARED in site.fates:
            kept = agrees_and_stays if Fate.AGREES in site.fates else keep
            return kept("compared with a dtype, or tested for membership")
        if Fate.AGREES in site.fates:
            return None  # it moves with what is asserted to be of it
        if Fate.KEY in site.fates:
            return keep("a key that something is looked up by")
        if all(isinstance(end.node, ast.Name) for end in site.ends):
            return keep("given to a name that nothing reads")
        return keep("describes a dtype")
