"""Which other places a site moves with: the guards that its value reaches, what else the same call is given."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from precision_fix.model.fate import Fate
from precision_fix.model.finding import Action, Part, Verdict
from precision_fix.model.guard import refused
from precision_fix.model.module import Module
from precision_fix.model.moves import GUARDS, Place
from precision_fix.model.site import Kind, Site

_CONTAINERS = ast.List | ast.Tuple | ast.Set | ast.Dict | ast.ListComp | ast.GeneratorExp | ast.Starred | ast.keyword
_CASTS = frozenset({Kind.DTYPE, Kind.METHOD})


def moves_with(site: Site, verdict: Verdict) -> tuple[Place, ...]:
    """The places that a site changes together with, or not at all."""
    if site.kind not in _CASTS or not (verdict.action is Action.REWRITE or verdict.part is Part.HOLDS):
        return ()
    if verdict.part in GUARDS:
        return ()
    found = [place for end in site.meets(Fate.ASSERTED) for place in _tokens(end.module, end.node)]
    for end in site.meets(Fate.AGREES):
        line, column = place_of(end.module, end.node)
        found.append(Place(end.module.real, line, -column))
    call = _taking(site)
    if call is not None:
        line, column = place_of(site.module, call)
        found.append(Place(site.module.real, line, -column))
    return tuple(dict.fromkeys(found))


def _tokens(module: Module, guard: ast.AST) -> Iterator[Place]:
    """The sites in a guard; what it compares with under another name moves where that name is bound."""
    for node in ast.walk(guard):
        named = isinstance(node, ast.Attribute) or (isinstance(node, ast.Name) and module.is_imported(node))
        if named and module.resolve(node) == "torch.bfloat16":
            yield Place(module.real, *place_of(module, node))
    against = refused(module, guard) if isinstance(guard, ast.Compare) else None
    if against is not None:
        yield Place(module.real, *place_of(module, against))


def _taking(site: Site) -> ast.Call | None:
    """The call that is given the site's cast as an argument, be it within a list or a comprehension."""
    module = site.module
    cast = site.node if site.kind is Kind.METHOD else next((a for a in site.chain if isinstance(a, ast.Call)), None)
    if not isinstance(cast, ast.Call) or not isinstance(cast.func, ast.Attribute):
        return None
    if cast.func.attr not in ("to", "type", "bfloat16"):
        return None
    for above in module.ancestors(cast):
        if isinstance(above, ast.Call):
            return above if cast is not above.func else None
        if not isinstance(above, _CONTAINERS):
            return None
    return None


def place_of(module: Module, node: ast.AST) -> tuple[int, int]:
    """Line and column of a node, both from 1, the column in characters; of a method call that of its name."""
    line, column = node.lineno, node.col_offset  # type: ignore[attr-defined]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "bfloat16":
        line, column = node.func.end_lineno or line, (node.func.end_col_offset or 0) - len("bfloat16")
    return line, module.column(line, column) + 1
