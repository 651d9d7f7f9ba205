"""PF007: a word that is compared, listed, shown or put into a file stays."""

from __future__ import annotations

import ast

from precision_fix.model.context import (
    container,
    is_option_value,
    mirrors,
    name_of,
    receiver,
    says_bfloat16,
    tests_around,
)
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep, manual
from precision_fix.model.given import is_given, of_library, offered, word_of_readers
from precision_fix.model.module import Module, remembered, unparsed
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site
from precision_fix.model.syntax import called


class RULE(Rule):
    code = "PF007"
    title = "a word that chooses nothing"
    why = (
        "The word is compared later, offered in a menu, shown to a person or recorded with stored bytes. What it "
        "leads to is a place of its own, and is rewritten there."
    )
    kinds = frozenset({Kind.WORD})
    stage = Stage.LEFT
    before = ("PF004",)

    def judge(self, site: Site) -> Verdict | None:
        tested = [
            end for end in site.meets(Fate.COMPARED, Fate.KEY) if end.module is site.module or not of_library(site)
        ]
        if tested and offered(site) is None:
            known = word_of_readers(site)
            out = next(site.meets(Fate.CHOOSES, Fate.LOST), None) if known is None and is_given(site) else None
            if out is not None:
                where = out.where(site.module)
                return manual(f"compared with, and handed on ({where}): see which word for it all readers take")
            return keep("compared, or looked up by, later") if known is None else None
        sequence = container(site)
        if sequence is not None and not is_option_value(site) and not _is_all(sequence, site):
            return keep("one of a list of words")
        if Fate.ASKED in site.fates <= {Fate.ASKED, Fate.TEXT} and isinstance(site.parent, ast.arguments):
            # `{"bf16": {"enabled": False}, "fp16": {"enabled": kind == "fp16"}}` is what a rewrite has left of it.
            return keep("tested for other words alone")
        if site.fates and site.fates <= {Fate.TEXT} and not _is_set(site):
            return keep("part of a message")
        if any(isinstance(above, ast.Assert) for above in site.chain):
            return keep("part of what is asserted")
        if _is_recorded(site):
            return keep("recorded in the metadata of a file")
        if mirrors(site):
            return keep("names the dtype that the test compares")
        if _is_enum_member(site):
            return keep("the value of an enum member, the word that people type")
        if _names_what_was_found(site):
            return keep("names the precision that the test found")
        return None


def _is_set(site: Site) -> bool:
    """`os.environ.setdefault(NAME, "bf16")` stores the word, whoever takes what it gives back."""
    return isinstance(site.parent, ast.Call) and called(site.parent) == "setdefault"


def _is_all(sequence: ast.expr, site: Site) -> bool:
    """`precisions = ("bf16",)`: nothing else to choose from."""
    plural = (receiver(site) or "").endswith(("dtypes", "precisions"))
    return plural and _alone(site.module, sequence) == site.word


@remembered
def _alone(module: Module, sequence: ast.expr) -> object:
    """What all items of a list say."""
    items = sequence.elts if isinstance(sequence, ast.List | ast.Tuple) else []
    said = {item.value if isinstance(item, ast.Constant) else None for item in items}
    return said.pop() if len(said) == 1 else None


def _is_recorded(site: Site) -> bool:
    target = site.parent.targets[0] if isinstance(site.parent, ast.Assign) else None
    return isinstance(target, ast.Subscript) and "metadata" in ast.unparse(target.value).lower()


def _is_enum_member(site: Site) -> bool:
    around = site.module.enclosing_class(site.node)
    if around is None or site.module.function(site.node) is not None:
        return False
    return _is_enum(site.module, around)


@remembered
def _is_enum(module: Module, around: ast.ClassDef) -> bool:
    return any("Enum" in unparsed(module, base) for base in around.bases)


def _names_what_was_found(site: Site) -> bool:
    """The branch is taken where bfloat16 was found; unless the word is then given to something that reads a dtype."""
    test = next(tests_around(site), None)
    if test is None or Fate.CHOOSES in site.fates:
        return False
    items = [end.node for end in site.ends if isinstance(end.node, ast.Subscript)]
    if any("dtype" in (name_of(item) or "") for item in items):
        return False
    return says_bfloat16(site.module, test) or _mentions(site.module, test)


@remembered
def _mentions(module: Module, test: ast.expr) -> bool:
    return any(isinstance(node, ast.Constant) and node.value in ("bf16", "bfloat16") for node in ast.walk(test))
