"""PF201: a word that an API reads as a dtype."""

from __future__ import annotations

import ast
import re

from precision_fix.model.context import receiver
from precision_fix.model.edit import Respell
from precision_fix.model.finding import Verdict, keep, rewrite
from precision_fix.model.rule import Rule
from precision_fix.model.site import Kind, Site

_PRECISION = re.compile(r"(?i)dtype|precision|data_type|torch_type|compute_type|weight_type|amp_type")
_DESCRIBES = re.compile(
    r"(?i)src|source|orig|from_|stored|file|expected|checkpoint|model_dtype|name|str|tag|choices|options"
)


class RULE(Rule):
    code = "PF201"
    title = "a word that names a dtype"
    why = '`torch_dtype="bfloat16"` and its like choose a precision just as torch.bfloat16 does.'
    kinds = frozenset({Kind.WORD})

    def judge(self, site: Site) -> Verdict | None:
        assert isinstance(site.node, ast.Constant)
        name = receiver(site)
        if name is None or not _PRECISION.search(name) or _DESCRIBES.search(name):
            return keep("a word whose reader the file does not show")
        new = site.module.target.word(site.word)
        if new is None:
            return keep("a word that is no dtype of its own")
        return rewrite(f"{name} chooses a precision", Respell(site.node, site.word, new))
