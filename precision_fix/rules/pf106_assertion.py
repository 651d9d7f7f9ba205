"""PF106: an assertion that takes bfloat16 alone moves with what it guards."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from precision_fix.model.context import says_bfloat16, tests_around
from precision_fix.model.edit import Edit, LetPass, Rename, Replace
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, agrees, guards, held, keep
from precision_fix.model.guard import accepted, guards_kernel, is_equality_assertion, says_it_needs
from precision_fix.model.kernels import cannot_run
from precision_fix.model.needs import guards_choice, need_behind
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site

_ONLY_ASKED = frozenset({Fate.AGREES, Fate.TEXT, Fate.SIZE})


class RULE(Rule):
    code = "PF106"
    title = "an assertion of bfloat16"
    why = (
        "`assert x.dtype == torch.bfloat16` checks the result of a cast that is rewritten, here or elsewhere; left "
        "alone it would fail. The guard of a compiled kernel stays, with what reaches it: that takes nothing else."
    )
    kinds = frozenset({Kind.DTYPE})
    stage = Stage.CHANGED
    before = ("PF105",)

    def judge(self, site: Site) -> Verdict | None:
        if Fate.AGREES in site.fates <= _ONLY_ASKED:
            edits = site.retarget()
            return agrees("what is rewritten with it is asserted to be of it", *edits) if edits else None
        above = site.parent
        sole = isinstance(above, ast.Compare) and accepted(site.module, above) == frozenset({"bfloat16"})
        if not sole and not (isinstance(above, ast.Call) and is_equality_assertion(above)):
            return None
        if cannot_run(site.module, site.node):
            return keep("guards a kernel that does not run on this GPU, so that nobody comes here")
        need = need_behind(site.module, above) if isinstance(above, ast.Compare) else None
        if need is Fate.BITS:
            return held("guards what reads its bits, which are others in float32")
        if need is not None or guards_kernel(site.module, site.node):
            return held("guards a compiled kernel, which takes nothing else")
        if says_it_needs(site.module, site.node) and not guards_choice(site.module, above):
            return held("guards what needs bfloat16, as its message says")
        if any(says_bfloat16(site.module, test) for test in tests_around(site)):
            return keep("asserts what the test around it has found")
        edits = site.retarget()
        if edits and site.module.target.lets_both and isinstance(above, ast.Compare):
            edits = tuple(_let_both(site, above, edits))
        return guards("asserts what is rewritten with it", *edits) if edits else None


def _let_both(site: Site, compare: ast.Compare, edits: tuple[Edit, ...]) -> Iterator[Edit]:
    """The same edits, made to what is compared with besides; in a form in which that cannot be said, as they are."""
    is_first = site.node is compare.left
    is_known = site.node is compare.comparators[-1] or (is_first and len(compare.ops) == 1)
    for edit in edits:
        if isinstance(edit, Rename) and is_known:
            own = site.module.source(edit.node).removesuffix(edit.node.attr)
            yield LetPass(compare, f"{own}{edit.name}", is_first)
        elif isinstance(edit, Replace) and is_known:
            yield LetPass(compare, edit.text, is_first)
        else:
            yield edit
