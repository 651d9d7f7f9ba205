"""PF202: a library's own word for mixed or reduced precision."""

from __future__ import annotations

import ast

from precision_fix.model.context import receiver, under_short_weights
from precision_fix.model.edit import Respell
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, manual, rewrite
from precision_fix.model.given import word_of_readers
from precision_fix.model.library_answers import no_word, of_argument, taken_by
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site
from precision_fix.model.vocabulary.spellings import GENERAL, STYLES


class RULE(Rule):
    code = "PF202"
    title = "a library's word for a precision"
    why = (
        'Accelerate says mixed_precision="no" for float32 (Accelerator, ACCELERATE_MIXED_PRECISION), Lightning '
        'says "32-true" for what it calls "bf16-mixed", "bf16-true" or, for short, "bf16" (Trainer and Fabric, '
        'precision=); Composer says "fp32" for its "amp_bf16".'
    )
    kinds = frozenset({Kind.WORD})
    stage = Stage.CHANGED
    before = ("PF201",)

    def judge(self, site: Site) -> Verdict | None:
        assert isinstance(site.node, ast.Constant)
        why = _without_word(site)
        if why is not None:
            return manual(why)
        new = _by_ends(site) or _by_name(site)
        if new is None:
            torn = _torn(site)
            return manual(torn) if torn is not None else None
        new = word_of_readers(site) or new
        if under_short_weights(site):
            return manual("the mixed precision may be what casts float8 weights for their products")
        return rewrite(f"the library's word for {site.module.target.dtype}", Respell(site.node, site.word, new))


def _by_ends(site: Site) -> str | None:
    """What the library takes that the word is handed to, under whatever name it was given; None where others take it
    as well, or who takes it cannot be told.
    """
    taken = {taken_by(end, site.word, site.module.target)[:1] for end in site.meets(Fate.CHOOSES)}
    new = taken.pop() if len(taken) == 1 else ()
    return new[0] if new and new[0] != site.module.target.word(site.word) else None


def _torn(site: Site) -> str | None:
    """What is said where a library with a word of its own takes it, and somebody else under another name."""
    ends = [*site.meets(Fate.CHOOSES)]
    known = [end for end in ends if taken_by(end, site.word, site.module.target)]
    words = {taken_by(end, site.word, site.module.target)[0] for end in known} - {site.module.target.word(site.word)}
    if not words or len(known) == len(ends) == 1:
        return None
    other = next((end for end in ends if end not in known), known[-1])
    both = f"{known[0].where(site.module)} and {other.where(site.module)}"
    return f"handed on to two that call float32 by different words ({both}): see which both take"


def _by_name(site: Site) -> str | None:
    """What its own spelling says, or the name that it is given to."""
    call = site.module.parent(site.parent) if isinstance(site.parent, ast.keyword) else None
    callee = site.module.resolve(call.func) if isinstance(call, ast.Call) else None
    words = of_argument(receiver(site) or "", site.word, callee)
    if site.word not in GENERAL:
        # A word that no other library has says by itself who reads it, whatever it is given to.
        words = words or STYLES.get(site.word)
    elif words == GENERAL[site.word]:
        return None  # what whoever reads torch's names takes
    return site.module.target.pick(words) if words is not None else None


def _without_word(site: Site) -> str | None:
    """Why the word stays where it is: the library that it comes to under its name takes none for float32."""
    name = receiver(site)
    for end in site.ends if name is not None else ():
        call = end.node
        if end.fate is Fate.CHOOSES and isinstance(call, ast.Call) and any(each.arg == name for each in call.keywords):
            why = no_word(name or "", end.module.resolve(call.func))
            if why is not None:
                return f"{why} ({end.where(site.module)})"
    return None
