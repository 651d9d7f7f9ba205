"""PF013: C++ that compares, lists or dispatches on a dtype stays."""

from __future__ import annotations

import re

from precision_fix.model.finding import Verdict, keep
from precision_fix.model.rule import LineRule, Lines, Stage

_ASKS = re.compile(
    r"[!=]=|\bcase\b|\bis_same|\b(?:STD_)?TORCH_CHECK|\bAT_DISPATCH|\bDISPATCH_|\bCHECK_|\bstatic_assert\b|\bassert\b"
    r"|^\s*#\s*(?:if|elif|ifdef|ifndef|define|undef|endif|include)|\breturn\s+[\w.]*is_bf16|\bis_bf16\b|\bsizeof\b"
    r"|^\s*(?:struct|class)\s+\w+;|\bnumeric_limits\b|\btypeToScalar|\bm\.(?:def|impl)\b|\bvalue\s*\("
)


class RULE(LineRule):
    code = "PF013"
    title = "native code that asks for a dtype"
    why = (
        "A dispatch macro, a comparison, a `case` or a conditional of the preprocessor serves every dtype that it "
        "names; a float32 tensor takes its own branch."
    )
    lines = Lines.NATIVE
    stage = Stage.LEFT

    def judge(self, line: str) -> Verdict | None:
        return keep("asks which dtype it is") if _ASKS.search(line) else None
