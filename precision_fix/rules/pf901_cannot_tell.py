"""PF901: a place whose meaning the file does not show."""

from __future__ import annotations

import ast

from precision_fix.model.context import container
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, manual
from precision_fix.model.guard import accepted
from precision_fix.model.held import End
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF901"
    title = "cannot tell"
    why = (
        "A list of dtypes leaves the file, or its use is out of sight: it may be walked to choose a precision, or "
        "tested against. The first would have to change, the second must not. A missed place costs speed, a wrong "
        "edit correctness."
    )
    kinds = frozenset({Kind.DTYPE, Kind.TENSOR_TYPE})
    stage = Stage.REPORTED
    runtime = True

    def judge(self, site: Site) -> Verdict | None:
        if Fate.CHOOSES in site.fates:
            guard = next((end for end in site.meets(Fate.COMPARED) if _is_guard(end)), None)
            if guard is None or container(site) is None:
                return None
            return manual(f"the list is walked, and a guard tests against it ({guard.where(site.module)}): see both")
        if container(site) is not None:
            return manual("a list whose use this file does not show: see whether it is walked or tested against")
        return None


def _is_guard(end: End) -> bool:
    return isinstance(end.node, ast.Compare) and accepted(end.module, end.node) is not None
