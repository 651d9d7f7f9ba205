"""Where what is made in two places comes together: in one call, or as the sides of one product of matrices.

Asked where a person keeps one of them: PyTorch takes no two dtypes there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from precision_fix.model.calls import use
from precision_fix.model.flow import passed
from precision_fix.model.held import Held
from precision_fix.model.linked import place_of
from precision_fix.model.module import Module, remembered
from precision_fix.model.moves import Place
from precision_fix.model.site import Kind, Site
from precision_fix.model.uses import may_follow
from precision_fix.model.vocabulary.callees import Role

_MAKE = frozenset({Kind.DTYPE, Kind.METHOD, Kind.TENSOR_TYPE, Kind.WORD})
_ASK = (Role.TEXT, Role.TEST, Role.NOTHING)
_WITHIN = ast.keyword | ast.Starred | ast.List | ast.Tuple
#: A call or a product, in its file, and the operands of it that one place has made.
_Operands: TypeAlias = dict[tuple[Module, ast.AST], set[ast.AST]]


def together(kept: Iterable[Site], moving: Iterable[Site]) -> Mapping[Site, tuple[Place, ...]]:
    """Of each site, kept or moving, the calls and products in which one that is kept meets one that is not."""
    theirs = {site: _operands(site) for site in kept}
    found: dict[Site, dict[Place, None]] = {}
    for site in moving:
        own = _operands(site)
        for held, its in theirs.items():
            for at in own.keys() & its.keys():
                if own[at] != its[at]:
                    for each in (site, held):
                        found.setdefault(each, {})[_place(*at)] = None
    return {site: (*places,) for site, places in found.items()}


def _place(module: Module, node: ast.AST) -> Place:
    line, column = place_of(module, node)
    return Place(module.real, line, -column)


def _operands(site: Site) -> _Operands:
    found: _Operands = {}
    for held in passed(site.module, site.node, is_tensor=site.kind is Kind.METHOD) if site.kind in _MAKE else ():
        if held.tensor:
            at = _taken_by(held)
            for taken, operand in [*([at] if at is not None else ()), *_multiplied_in_place(held)]:
                found.setdefault((held.module, taken), set()).add(operand)
    return found


def _multiplied_in_place(held: Held) -> Iterator[tuple[ast.AST, ast.AST]]:
    """The products `x @= y` of a name that the tensor is given: they read it, and are no readers of it."""
    module, above = held.module, held.module.parent(held.node)
    if "@=" not in module.text or not isinstance(above, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return
    targets = above.targets if isinstance(above, ast.Assign) else [above.target]
    names = {each.id: each for each in targets if isinstance(each, ast.Name)}
    for product in _in_place(module, module.function(above) or module.tree) if names else ():
        name = names.get(product.target.id) if isinstance(product.target, ast.Name) else None
        if name is not None and isinstance(product.target, ast.Name) and may_follow(module, name, product.target):
            yield product, product.target


@remembered
def _in_place(module: Module, around: ast.AST) -> list[ast.AugAssign]:
    each = (node for node in ast.walk(around) if isinstance(node, ast.AugAssign))
    return [node for node in each if isinstance(node.op, ast.MatMult)]


def _taken_by(held: Held) -> tuple[ast.AST, ast.AST] | None:
    """The call or the product that takes a tensor, or a module that is called, and as which operand."""
    node, above = held.node, held.module.parent(held.node)
    if isinstance(above, ast.Attribute):
        call = held.module.parent(above)
        return (call, node) if isinstance(call, ast.Call) and call.func is above else None  # a method of the tensor
    keyword = None
    while isinstance(above, _WITHIN):
        keyword = above.arg if isinstance(above, ast.keyword) else None
        node, above = above, held.module.parent(above)
    if isinstance(above, ast.BinOp | ast.AugAssign) and isinstance(above.op, ast.MatMult):
        return above, held.node
    if not isinstance(above, ast.Call) or use(held.module, above, node, keyword).role in _ASK:
        return None
    return above, held.node
