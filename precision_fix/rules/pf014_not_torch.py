"""PF014: a word or a flag where another library computes, a dtype of what is no torch."""

from __future__ import annotations

import ast

from precision_fix.model.called_torch import other
from precision_fix.model.finding import Verdict, keep, manual
from precision_fix.model.module import Module, remembered
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site
from precision_fix.model.vocabulary.arrays import WITH_TORCH, WITHOUT_TORCH, computes


class RULE(Rule):
    code = "PF014"
    title = "a word where torch does not compute"
    why = (
        "JAX, TensorFlow, Keras, MLX and Paddle have a bfloat16 of their own. A word in a file that imports one of "
        "these and not torch, or in a config module among such files, is theirs, and so is the answer for this GPU. "
        "So is the dtype of what is called torch, and is seen to be something else."
    )
    kinds = frozenset({Kind.WORD, Kind.FLAG, Kind.DTYPE})
    stage = Stage.LEFT
    before = ("PF001", "PF002")
    after = ("PF003", "PF004", "PF007", "PF010")

    def judge(self, site: Site) -> Verdict | None:
        if site.kind is Kind.DTYPE:
            return _dtype(site)
        own = computes(_packages(site.module))
        library = "" if own == "torch" else own or site.module.around.without_torch(site.module.real)
        return keep(f"another library's word: {library} computes here, not torch") if library else None


def _dtype(site: Site) -> Verdict | None:
    found = other(site.module, site.node)
    if found is None:
        return None
    where = found.where(site.module)
    if found.alone:
        return keep(f"what is called torch here is something else ({where})")
    return manual(f"what is called torch here is something else in one place ({where}), not in all: see both")


@remembered
def _packages(module: Module) -> frozenset[str]:
    """What is imported, by the first part of its name."""
    known = _imported(module)
    if "torch" in known:
        return known  # whatever else there is
    module.ensure_imports(lambda name: name.partition(".")[0] in WITH_TORCH | WITHOUT_TORCH)
    return _imported(module)


def _imported(module: Module) -> frozenset[str]:
    bound = (each for scope in module.names.scopes.values() for some in scope.bindings.values() for each in some)
    return frozenset((module.imported(each) or "").partition(".")[0] for each in bound if isinstance(each, ast.alias))
