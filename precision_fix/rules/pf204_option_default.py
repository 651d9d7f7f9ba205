"""PF204: the default of a command-line option or a menu, in a word that the option offers."""

from __future__ import annotations

import ast

from precision_fix.model.edit import Respell
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep, manual, rewrite
from precision_fix.model.given import OPTIONS, offered, word_of_readers
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site
from precision_fix.model.syntax import called

_LEADS = "compared, or looked up by, later; what it leads to is rewritten there"


class RULE(Rule):
    code = "PF204"
    title = "the default of an option"
    why = (
        'The word comes from what the option offers: "no" beside ["no", "fp16", "bf16"], "fp32" beside ["bf16", '
        '"fp32"]. Where it offers no word for float32 the default stays.'
    )
    kinds = frozenset({Kind.WORD})
    stage = Stage.CHANGED
    before = ("PF202",)

    def judge(self, site: Site) -> Verdict | None:
        assert isinstance(site.node, ast.Constant)
        words = offered(site)
        if words is not None:
            return _chosen(site, words)
        call = site.module.parent(site.parent) if isinstance(site.parent, ast.keyword) else None
        is_default = isinstance(call, ast.Call) and called(call) in OPTIONS and site.parent.arg in ("default", "value")  # type: ignore[union-attr]
        return _without_choices(site) if is_default else None


def _chosen(site: Site, words: list[str]) -> Verdict:
    assert isinstance(site.node, ast.Constant)
    new = next((word for word in site.module.target.offered if word in words), None)
    if new is None and {Fate.COMPARED, Fate.KEY} & site.fates:
        return keep(_LEADS)
    if new is None:
        return manual("the option offers no word for float32: pass another value when you start the program")
    return rewrite("the option's own word for float32", Respell(site.node, site.word, new))


def _without_choices(site: Site) -> Verdict | None:
    known = word_of_readers(site)
    new = known or site.module.target.word(site.word)
    if new is None or (known is None and Fate.COMPARED in site.fates):
        return keep(_LEADS)
    assert isinstance(site.node, ast.Constant)
    return rewrite("the default chooses a precision", Respell(site.node, site.word, new))
