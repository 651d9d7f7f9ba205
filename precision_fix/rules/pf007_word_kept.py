"""PF007: a word that is compared, listed, shown or put into a file stays."""

from __future__ import annotations

import ast

from precision_fix.model.context import container, is_annotation, says_bfloat16, tests_around
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep
from precision_fix.model.rule import Rule
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF007"
    title = "a word that chooses nothing"
    why = (
        "The word is compared later, offered in a menu, shown to a person or recorded with stored bytes. What it leads "
        "to is a place of its own, and is rewritten there."
    )
    kinds = frozenset({Kind.WORD})

    def judge(self, site: Site) -> Verdict | None:
        if is_annotation(site):
            return keep("part of an annotation")
        if Fate.COMPARED in site.fates or Fate.KEY in site.fates:
            return keep("compared, or looked up by, later")
        if container(site) is not None:
            return keep("one of a list of words")
        if Fate.TEXT in site.fates:
            return keep("part of a message")
        if _is_enum_member(site):
            return keep("the value of an enum member, the word that people type")
        if any(says_bfloat16(site.module, test) for test in list(tests_around(site))[:1]):
            return keep("names the dtype that the test found")
        return None


def _is_enum_member(site: Site) -> bool:
    around = site.module.enclosing_class(site.node)
    if around is None or site.module.function(site.node) is not None:
        return False
    return any("Enum" in ast.unparse(base) for base in around.bases)
