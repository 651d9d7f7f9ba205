"""PF902: an operator or a kernel that takes nothing but bfloat16 (or half)."""

from __future__ import annotations

import ast
import re

from precision_fix.model.calls import role
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, held, keep, manual
from precision_fix.model.held import End
from precision_fix.model.kernels import cannot_run, is_kernel, stood_in
from precision_fix.model.launched import follows_what_comes
from precision_fix.model.module import Module, remembered
from precision_fix.model.quantized import may_take_others
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site
from precision_fix.model.syntax import called
from precision_fix.model.uses import next_reader
from precision_fix.model.vocabulary.callees import Role

# "must only use bfloat16", "only supports bf16", "requires bfloat16"; but not "only use bfloat16 if ...".
_DEMAND = re.compile(
    r"(?i)\b(?:must|only|requires?|needs?)\s+(?:[\w.]+\s+){0,3}`?(?:torch\.)?(?:bf16|bfloat16)\b(?!\W+(?:if|when|on)\b)"
)
# "must match the bf16 base": it is of the dtype of something else, and moves with that.
_AGREES = re.compile(r"(?i)\b(?:match(?:es)?|same|equals?|agrees?)\b")
_FALLBACK = re.compile(r"(?i)falls? ?back|slower|otherwise")


class RULE(Rule):
    code = "PF902"
    title = "an operator that takes nothing else"
    why = (
        "The CUDA kernel behind the call is compiled for bfloat16 or half precision (int4 and scaled matrix "
        "products, flash attention, a Triton kernel). Given float32 it raises or reads garbage. Use another path "
        "of the project: eager or SDPA attention, another quantization."
    )
    kinds = frozenset({Kind.DTYPE, Kind.METHOD, Kind.KERNEL})
    stage = Stage.REPORTED
    before = ("PF901",)

    def judge(self, site: Site) -> Verdict | None:
        if site.kind is Kind.KERNEL:
            if follows_what_comes(site):
                return keep("for what comes to the kernel in bfloat16 alone")
            return manual("Triton: the kernel itself names bfloat16, which does not compile below 8.0")
        if site.kind is Kind.DTYPE and Fate.KERNEL in site.fates:
            return held("goes to an operator that takes nothing else")
        if _said_by_author(site):
            return manual("the author says that nothing else will do")
        tensor = _tensor(site)
        if tensor is not None and _is_handed_over(site.module, tensor):
            return manual("an output buffer of something that the file does not show")
        end = _need(site)
        if end is None:
            return None
        if end.fate is Fate.NEVER:
            reason = f"goes to a kernel that does not run on this GPU ({end.where(site.module)})"
            return held(reason, runtime=stood_in(end.module, end.node))
        if isinstance(end.node, ast.Call) and may_take_others(end.module, end.node):
            return held(f"what torchao makes of it may take nothing else: see the config ({end.where(site.module)})")
        return held(f"the tensor goes to an operator that takes nothing else ({end.where(site.module)})")


def _need(site: Site) -> End | None:
    """The kernel that all goes to that is made with the site; where other things are made as well, those decide."""
    made = {end.origin for end in site.results} | {e.node for e in site.results if e.fate is Fate.CHOOSES}
    made -= {None}
    needs = {end.origin: end for end in site.results if end.fate in (Fate.KERNEL, Fate.NEVER) and end.origin in made}
    nowhere = next(site.meets(Fate.NEVER), None)
    if nowhere is not None and cannot_run(site.module, site.node):
        return nowhere
    here = next((end for origin, end in needs.items() if end.fate is Fate.KERNEL and origin in site.chain), None)
    if here is not None or not needs:
        return here
    return next(iter(needs.values())) if needs.keys() >= made else None


def _said_by_author(site: Site) -> bool:
    """A comment above the statement or its branch, or a message in that branch, says so."""
    statement = site.statement
    if isinstance(site.parent, ast.Compare):
        return False  # the message of a guard: whether something behind it needs it, is asked there
    around = site.module.parent(statement)
    said = [_said_above(site.module, statement)]
    if isinstance(around, ast.If):
        said.append(_said_in_branch(site.module, around))
    return any(demands for demands, _ in said) and not any(falls_back for _, falls_back in said)


def _demands(said: str) -> tuple[bool, bool]:
    """Whether words say that nothing else will do, and whether they say that something else will."""
    demands = any(not _AGREES.search(found[0]) for found in _DEMAND.finditer(said))
    return demands, _FALLBACK.search(said) is not None


@remembered
def _said_above(module: Module, statement: ast.stmt) -> tuple[bool, bool]:
    return _demands(module.comments_above(statement))


@remembered
def _said_in_branch(module: Module, branch: ast.If) -> tuple[bool, bool]:
    # What an assertion says is told of the assertion.
    rest = (each for each in branch.body if not isinstance(each, ast.Assert))
    strings = (node.value for each in rest for node in ast.walk(each) if isinstance(node, ast.Constant))
    return _demands("\n".join([module.comments_above(branch), *(text for text in strings if isinstance(text, str))]))


def _tensor(site: Site) -> ast.Call | None:
    """The call that casts or creates a tensor with this very dtype."""
    if isinstance(site.node, ast.Call):
        return site.node
    around = set(site.chain)
    casts = (end.node for end in site.ends if end.fate is Fate.CHOOSES and end.node in around)
    return next(
        (c for c in casts if isinstance(c, ast.Call) and role(site.module, c, site.node, None) is Role.CAST), None
    )


def _is_handed_over(module: Module, tensor: ast.Call) -> bool:
    """An uninitialised tensor that is first of all given to a call whose own result nobody takes: it is filled there.

    Only where the callee is neither torch's nor the project's: what it writes cannot be seen.
    """
    name = module.parent(tensor)
    if not called(tensor).startswith(("empty", "new_empty")) or not isinstance(name, ast.Assign):
        return False
    target = name.targets[0]
    if not isinstance(target, ast.Name):
        return False
    reader = next_reader(module, target)
    call = module.parent(reader) if reader is not None else None
    if isinstance(call, ast.keyword):
        call = module.parent(call)
    if not isinstance(call, ast.Call) or call.func is reader or not isinstance(module.parent(call), ast.Expr):
        return False
    resolved = module.resolve(call.func)
    of_torch = resolved is not None and resolved.startswith("torch.") and not is_kernel(resolved)
    if of_torch or isinstance(call.func, ast.Subscript):
        return False
    function = called(call)
    if function:
        module.ensure_bound(function)
    if module.names.definitions_of(function):
        return False
    return resolved is None or module.around.definition(module, resolved) is None
