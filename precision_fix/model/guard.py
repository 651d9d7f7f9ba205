"""Guards: an assertion, or a test that raises, and the dtypes that it lets through."""

from __future__ import annotations

import ast
import re
from collections import Counter

from precision_fix.model.classes import is_own
from precision_fix.model.fate import Fate
from precision_fix.model.instead import is_float16
from precision_fix.model.kernels import cannot_run, near_kernel
from precision_fix.model.module import Module, remembered, unparsed
from precision_fix.model.syntax import called

# A list of dtypes goes by so many names to the test for it.
_MOST_NAMES = 3


@remembered
def accepted(module: Module, node: ast.AST) -> frozenset[str] | None:
    """The dtype names that the guard around a comparison lets through; None where the comparison guards nothing.

    Of a test that asks several things, what is joined by "or" widens the answer, and what is joined by "and" is asked
    besides: `assert x.dtype == torch.bfloat16 and x.dim() == 2` lets bfloat16 alone pass. What is joined by "or" and
    asks nothing of the same dtype tells when the guard stands: `assert not flash or dtype == torch.bfloat16`. Not so of
    a word: the config that chooses it also tells whether the guard stands.
    """
    lets: frozenset[str] | None = None
    for negated in (False, True):
        if guards(module, node, negated=negated):
            lets = _widened(module, node, negated=negated)
    return lets


def guards(module: Module, node: ast.AST, *, negated: bool) -> bool:
    """Whether the program goes on only where the comparison holds (or, negated, where it does not)."""
    test, above = node, module.parent(node)
    while isinstance(above, ast.BoolOp | ast.UnaryOp | ast.GeneratorExp | ast.ListComp):
        if isinstance(above, ast.GeneratorExp | ast.ListComp):
            # `all(p.dtype == dtype for p in ...)`.
            call = module.parent(above)
            if not isinstance(call, ast.Call) or called(call) != "all":
                return False
            above = call
        elif isinstance(above, ast.UnaryOp):
            negated = not negated
        test, above = above, module.parent(above)
    if isinstance(above, ast.Call) and isinstance(above.func, ast.Attribute):
        return not negated and above.func.attr == "assertTrue"
    if isinstance(above, ast.Assert) and test is above.test:
        return not negated
    return isinstance(above, ast.If) and test is above.test and negated and isinstance(above.body[-1], ast.Raise)


def _widened(module: Module, node: ast.AST, *, negated: bool) -> frozenset[str] | None:
    lets = passing(module, node, negated=negated)
    test, above = node, module.parent(node)
    while isinstance(above, ast.BoolOp | ast.UnaryOp) and lets is not None:
        if isinstance(above, ast.UnaryOp):
            negated = not negated
        elif isinstance(above.op, ast.And if negated else ast.Or):
            compared = _compared(module, node) if lets.isdisjoint(_WORDS) else frozenset()
            others = _beside(module, above, test, negated, compared)
            lets = None if others is None else lets | others
        test, above = above, module.parent(above)
    return lets


def _beside(
    module: Module, test: ast.BoolOp, part: ast.AST, negated: bool, compared: frozenset[str]
) -> frozenset[str] | None:
    """What the other parts of a test let through; None where one of them asks more of what is compared."""
    asked, names = _parts(module, test, negated)
    own = passing(module, part, negated=negated)
    if not compared or any(asked[value] > (own is None) for value in compared):
        return None
    return frozenset(name for name, number in names.items() if number > (own is not None and name in own))


@remembered
def _parts(module: Module, test: ast.BoolOp, negated: bool) -> tuple[Counter[str], Counter[str]]:
    """How many parts ask something else of each value, as it is written, and how many let each dtype through."""
    asked: Counter[str] = Counter()
    names: Counter[str] = Counter()
    for value in test.values:
        lets = passing(module, value, negated=negated)
        if lets is not None:
            names.update(lets)
        else:
            inside = (node for node in ast.walk(value) if isinstance(node, ast.Name | ast.Attribute))
            asked.update({unparsed(module, node) for node in inside})
    return asked, names


def _compared(module: Module, node: ast.AST) -> frozenset[str]:
    """How the values are written that a comparison asks for their dtypes."""
    sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
    # `x.is_floating_point()` asks for the dtype of x too.
    bases = (s.value if isinstance(s, ast.Attribute) and s.attr == "dtype" and not is_own(s) else s for s in sides)
    return frozenset(unparsed(module, base) for base in bases if isinstance(base, ast.Name | ast.Attribute))


# Words that programs have for float32.
FULL_WORDS = frozenset({"no", "float32", "torch.float32", "fp32", "f32", "32-true", "32", "full", "float", "none"})


def judged_by(module: Module, compare: ast.Compare, subject: ast.AST) -> Fate | None:
    """What the guard around a comparison makes of a value that was bfloat16 and becomes the target precision.

    None where the comparison guards nothing, or lets both through.
    """
    lets = accepted(module, compare)
    is_subject = compare.left is subject or (
        len(compare.comparators) == 1 and isinstance(compare.ops[0], ast.Eq | ast.NotEq)
    )
    if not is_subject:
        return Fate.ASSERTED if lets == frozenset({"bfloat16"}) else None
    if lets is not None and "bfloat16" in lets and module.target.dtype not in lets:
        if cannot_run(module, compare):
            return Fate.NEVER
        # A list that stands elsewhere does not move with what is checked by it.
        apart = isinstance(compare.ops[0], ast.In | ast.NotIn) and isinstance(compare.comparators[0], ast.Name)
        return Fate.ASSERTED if lets == frozenset({"bfloat16"}) and not apart else Fate.REFUSED
    if lets is not None and lets & _WORDS and not {word.lower() for word in lets} & FULL_WORDS:
        return Fate.REFUSED
    if lets is None and _is_asked_of(compare, subject) and guards(module, compare, negated=False):
        return Fate.ASSERTED  # what others are to be of: it moves by itself
    if refused(module, compare) is not None:
        return Fate.ASSERTED
    names = excluded(module, compare)
    if names & (_WORDS | {"bfloat16"}):
        return None  # of both the guard says the same
    if names & FULL_WORDS if module.target.dtype == "float32" else module.target.dtype in names:
        return Fate.NEVER if cannot_run(module, compare) else Fate.REFUSED
    return None


def refused_by(annotation: ast.expr | None) -> bool:
    """Whether a `Literal[...]` takes a word for bfloat16 and none for float32."""
    if annotation is None or "Literal[" not in ast.unparse(annotation):
        return False
    words = {each.value for each in ast.walk(annotation) if isinstance(each, ast.Constant)}
    taken = {word for word in words if isinstance(word, str)}
    return bool(taken & {"bf16", "bfloat16", "torch.bfloat16"}) and not {word.lower() for word in taken} & FULL_WORDS


def _is_asked_of(compare: ast.Compare, subject: ast.AST) -> bool:
    """`x.dtype == dtype`, asked with the variable."""
    sides = (compare.left, *compare.comparators)
    others = [side for side in sides if side is not subject]
    is_equal = len(compare.ops) == 1 and isinstance(compare.ops[0], ast.Eq) and isinstance(subject, ast.Name)
    return is_equal and all(isinstance(side, ast.Attribute) and side.attr == "dtype" for side in others)


_WORDS = frozenset({"bf16", "torch.bfloat16", "'bfloat16'"})


def excluded(module: Module, compare: ast.Compare) -> frozenset[str]:
    """The dtypes and words that a guard refuses by name: `assert dtype != torch.float`, `if word == "no": raise`."""
    found: frozenset[str] = frozenset()
    for negated in (False, True):
        if guards(module, compare, negated=negated):
            found |= passing(module, compare, negated=not negated) or frozenset()
    return found


def refused(module: Module, compare: ast.Compare) -> ast.expr | None:
    """float32 in a guard that lets every other dtype pass, where that is the target: `assert p.dtype != torch.float`.

    None for other guards, and for that of a kernel.
    """
    right, op = compare.comparators[0], compare.ops[0]
    if len(compare.ops) != 1 or not isinstance(op, ast.NotEq | ast.IsNot) or module.target.dtype != "float32":
        return None
    if not isinstance(compare.left, ast.Attribute) or compare.left.attr != "dtype":
        return None
    if module.dtype_name(right) != "float32" or excluded(module, compare) != {"float32"} or cannot_run(module, compare):
        return None
    return None if guards_kernel(module, compare) or says_it_needs(module, compare) else right


# What a message says where something needs bfloat16, and what is asked of a tensor before its memory is handed over.
_NEEDS = re.compile(r"(?i)\b(?:requires?|only|supports?|supported|needs?)\b")
# The message names a setting that a person is to give: `--mixed_precision bf16`, `mixed_precision='bf16'`.
_SETTING = re.compile(r"(?<![\w-])--[a-z]|\b[a-z]\w*=['\"]")
_LAYOUT = re.compile(r"is_contiguous|\bstride\b|is_cuda|data_ptr|device\.type|\.device\b")


def guards_kernel(module: Module, node: ast.AST) -> bool:
    """Whether a guard stands before a compiled kernel: by what is near it, or by what else it asks."""
    return near_kernel(module, node) or _asks_for_layout(module, module.statement(node))


@remembered
def _asks_for_layout(module: Module, statement: ast.stmt) -> bool:
    test = statement.test if isinstance(statement, ast.Assert | ast.If) else statement
    return _LAYOUT.search(unparsed(module, test)) is not None


def says_it_needs(module: Module, node: ast.AST) -> bool:
    """Whether the message of a guard says that something needs what it asks for."""
    statement = module.statement(node)
    if isinstance(statement, ast.Assert):
        said: ast.AST | None = statement.msg
    else:
        said = statement.body[-1] if isinstance(statement, ast.If) else None
    parts = (part.value for part in ast.walk(said) if isinstance(part, ast.Constant)) if said is not None else ()
    strings = [text for text in parts if isinstance(text, str)]
    return any(map(_NEEDS.search, strings)) and not any(map(_SETTING.search, strings))


@remembered
def passing(module: Module, test: ast.AST, *, negated: bool = False) -> frozenset[str] | None:
    """The dtypes that make a test true (false, when negated); None where it tests something else too."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return passing(module, test.operand, negated=not negated)
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And if negated else ast.Or):
        parts = [passing(module, value, negated=negated) for value in test.values]
        known = [part for part in parts if part is not None]
        return frozenset().union(*known) if len(known) == len(parts) else None
    if not isinstance(test, ast.Compare):
        return None
    if len(test.ops) != 1:
        return _chained(module, test, negated=negated)
    op, right = test.ops[0], test.comparators[0]
    equal = isinstance(op, ast.Eq | ast.Is), isinstance(op, ast.NotEq | ast.IsNot)
    member = isinstance(op, ast.In), isinstance(op, ast.NotIn)
    if equal[negated]:
        names = [_named(module, side) for side in (test.left, right)]
        return frozenset(name for name in names if name) or None
    if member[negated]:
        return _members(module, right)
    return None


@remembered
def _members(module: Module, container: ast.expr, most: int = _MOST_NAMES) -> frozenset[str] | None:
    if isinstance(container, ast.Name):
        bindings = module.bindings(container)
        value = module.assigned_value(bindings[0]) if len(bindings) == 1 else None
        return _members(module, value, most - 1) if value is not None and most else None
    if isinstance(container, ast.Call) and len(container.args) == 1:
        return _members(module, container.args[0], most)
    if isinstance(container, ast.List | ast.Tuple | ast.Set):
        names = [_named(module, item) for item in container.elts]
        return frozenset(name for name in names if name) or None
    return None


def _chained(module: Module, test: ast.Compare, *, negated: bool) -> frozenset[str] | None:
    """`a.dtype == b.dtype == torch.bfloat16`."""
    if negated or not all(isinstance(op, ast.Eq | ast.Is) for op in test.ops):
        return None
    names = [_named(module, side) for side in (test.left, *test.comparators)]
    return frozenset(name for name in names if name) or None


def _named(module: Module, node: ast.expr) -> str | None:
    """A dtype by its name, a word as it is written; a word that is a dtype's name is put into quotes."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return f"'{node.value}'" if node.value == "bfloat16" else node.value
    return module.dtype_name(node)


def is_equality_assertion(call: ast.Call) -> bool:
    """`self.assertEqual(x.dtype, torch.bfloat16)` and its like."""
    return isinstance(call.func, ast.Attribute) and call.func.attr in ("assertEqual", "assertIs", "assert_equal")


def replaced_where(module: Module, node: ast.AST) -> tuple[ast.expr | None, bool]:
    """The test that an expression is the alternative to, and whether it is taken where the test fails.

    `a if TEST else NODE` gives (TEST, True): what passes needs no replacement. `if TEST: x = NODE` gives (TEST, False).
    """
    child, above = node, module.parent(node)
    while isinstance(above, ast.Call | ast.keyword):
        child, above = above, module.parent(above)
    if isinstance(above, ast.IfExp) and child is above.orelse:
        return above.test, True
    statement = above if isinstance(above, ast.Assign) else None
    around = module.parent(statement) if statement is not None else None
    if isinstance(around, ast.If) and statement is not None and module.index(around.body, statement) is not None:
        return around.test, False
    return None, False


def stands_in_for_others(module: Module, node: ast.AST, target: str) -> bool:
    """Whether a value takes the place of every dtype that is no half precision, the target's included."""
    test, where_it_fails = replaced_where(module, node)
    if test is None:
        return False
    lets = passing(module, test, negated=not where_it_fails)
    return lets is not None and len(lets) > 1 and "bfloat16" in lets and target not in lets


def falls_to_float16(module: Module, compare: ast.Compare, node: ast.AST) -> bool:
    """`... if dtype == torch.bfloat16 else torch.float16`: what is no longer bfloat16 would become float16."""
    equal = len(compare.ops) == 1 and isinstance(compare.ops[0], ast.Eq | ast.Is)
    others = [side for side in (compare.left, *compare.comparators) if side is not node]
    if not equal or not any(module.dtype_name(side) == "bfloat16" for side in others):
        return False
    return is_float16(module, compare)
