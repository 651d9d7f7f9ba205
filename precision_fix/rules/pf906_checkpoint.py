"""PF906: a model that takes its dtype from its checkpoint."""

from __future__ import annotations

import ast
import re

from precision_fix.model.finding import Verdict, manual
from precision_fix.model.module import Module, remembered
from precision_fix.model.recast import is_cast_later, is_recast
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.scope import Scope
from precision_fix.model.site import Kind, Site
from precision_fix.model.syntax import called

_LOADERS = re.compile(r"from_pretrained|from_config|pipeline|load|LLM")


class RULE(Rule):
    code = "PF906"
    title = "the checkpoint decides"
    why = (
        '`torch_dtype="auto"` and `load_state_dict(..., assign=True)` give the model the dtype of the file, which '
        "may be bfloat16 whatever the code says. The runtime casts up while it loads."
    )
    kinds = frozenset({Kind.CHECKPOINT})
    stage = Stage.REPORTED
    runtime = True

    def judge(self, site: Site) -> Verdict | None:
        if isinstance(site.node, ast.Call):
            return _of_state(site.module, site.node)
        call = site.module.parent(site.parent) if site.parent is not None else None
        if isinstance(call, ast.Call) and _LOADERS.search(called(call)):
            return manual('"auto" takes the dtype of the checkpoint')
        return None


def _of_state(module: Module, load: ast.Call) -> Verdict | None:
    state = load.args[0] if load.args else None
    if state is not None and (_is_built_here(module, state) or is_recast(module, state)):
        return None
    if is_cast_later(module, load):
        return None
    return manual("assign=True brings back the dtype of the checkpoint")


def _is_built_here(module: Module, state: ast.expr) -> bool:
    """A dictionary that is written out holds tensors that the program has, not those of a file."""
    if isinstance(state, ast.Dict):
        return True
    if not isinstance(state, ast.Name):
        return False
    owner = module.scope_of(state).owner(state.id)
    return owner is not None and _is_written_out(module, owner, state.id)


@remembered
def _is_written_out(module: Module, owner: Scope, name: str) -> bool:
    values = (module.assigned_value(bound) for bound in owner.bindings[name])
    return any(isinstance(value, ast.Dict) and value.keys for value in values)
