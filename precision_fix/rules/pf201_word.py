"""PF201: a word that an API reads as a dtype."""

from __future__ import annotations

import ast

from precision_fix.model.context import receiver
from precision_fix.model.edit import Respell
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep, rewrite
from precision_fix.model.given import word_of_readers
from precision_fix.model.held import End
from precision_fix.model.module import Function
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site
from precision_fix.model.syntax import called
from precision_fix.model.vocabulary import precision
from precision_fix.model.vocabulary.arrays import WITHOUT_TORCH

# Languages for kernels, in which a dtype's word is part of a program that is compiled.
_LANGUAGES = ("tilelang", "cutlass", "helion", "cute")

# What a dtype that is looked up may come to where it is chosen.
_CHOSEN = frozenset({Fate.CHOOSES, Fate.TEXT})


class RULE(Rule):
    code = "PF201"
    title = "a word that names a dtype"
    why = '`torch_dtype="bfloat16"` and its like choose a precision just as torch.bfloat16 does.'
    kinds = frozenset({Kind.WORD})
    stage = Stage.CHANGED

    def judge(self, site: Site) -> Verdict | None:
        assert isinstance(site.node, ast.Constant)
        name = receiver(site)
        says = f"{name} chooses a precision"
        if name is None or not _chooses(name.lower()):
            reader = _reader(site)
            if reader is None:
                return keep("a word whose reader the file does not show")
            says = f"looked up in torch ({reader.where(site.module)})"
        if _is_of_another(site):
            return keep("another library's word: what is called is not torch's")
        if _in_decorator(site):
            return keep("registers something under this word")
        if any(site.module.local_name(language, site.node) for language in _LANGUAGES):
            return keep("part of a kernel's own program")
        new = word_of_readers(site) or _beside(site) or site.module.target.word(site.word)
        if new is None:
            return keep("a word that is no dtype of its own")
        return rewrite(says, Respell(site.node, site.word, new))


def _reader(site: Site) -> End | None:
    """Who looks the word up in torch, to choose what it names, where nobody else reads it: `getattr(torch, kind)`."""
    readers = [end for end in site.ends if end.fate is not Fate.TEXT]
    if not readers or any(end.node is site.parent for end in readers):
        return None  # `getattr(torch, "bfloat16")` is a place of its own
    return readers[0] if all(map(_looks_up, readers)) else None


def _looks_up(end: End) -> bool:
    call = end.node
    if end.fate is not Fate.CHOOSES or not isinstance(call, ast.Call) or called(call) != "getattr" or not call.args:
        return False
    if end.module.resolve(call.args[0]) != "torch":
        return False
    return Fate.CHOOSES in Site(end.module, Kind.LOOKUP, call, "getattr").fates <= _CHOSEN


def _is_of_another(site: Site) -> bool:
    """Whether the word goes straight into a call of a library that computes without torch."""
    call = site.module.parent(site.parent) if isinstance(site.parent, ast.keyword) else site.parent
    name = site.module.resolve(call.func) if isinstance(call, ast.Call) else None
    return name is not None and name.partition(".")[0] in WITHOUT_TORCH


def _chooses(name: str) -> bool:
    # A cache of keys and values is often kept in another precision than the one that is computed in.
    return precision.is_precision(name) and not precision.describes(name) and "kv" not in name.split("_")


def _beside(site: Site) -> str | None:
    """GGUF's word, where the other arm of a condition is one of its words: `"f16" if half else "bf16"`."""
    above = site.parent
    arms = (above.body, above.orelse) if isinstance(above, ast.IfExp) else ()
    is_gguf = any(isinstance(arm, ast.Constant) and arm.value in ("f16", "f32", "q8_0") for arm in arms)
    return site.module.target.gguf if is_gguf else None


def _in_decorator(site: Site) -> bool:
    node: ast.AST = site.node
    for above in site.module.ancestors(site.node):
        if isinstance(above, Function | ast.ClassDef):
            return site.module.index(above.decorator_list, node) is not None
        node = above
    return False
