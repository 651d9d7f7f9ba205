"""Guards that hold one thing against another, neither of which they name: `assert x.dtype == config.dtype`.

What they ask for is true as long as both sides change, or neither does.
"""

from __future__ import annotations

import ast

from precision_fix.model.fate import Fate
from precision_fix.model.guard import accepted, excluded, guards
from precision_fix.model.held import End
from precision_fix.model.module import Module
from precision_fix.model.syntax import called

#: What gives the name of a dtype, `torch.bfloat16`.
SPELL = frozenset({"str", "repr"})
_WRITTEN = ast.Constant | ast.List | ast.Tuple | ast.Set
_NAMES_OF_WORDS = ("torch.", "torch.{}", "torch.%s")
_OF_TEXT = frozenset({"startswith", "endswith"})


def agrees(module: Module, compare: ast.Compare) -> bool:
    """Whether a guard asks a thing to be of the dtype of another, or of a setting: `assert x.dtype == config.dtype`."""
    sides = (compare.left, *compare.comparators)
    named = all(isinstance(side, ast.Attribute) and module.dtype_name(side) is None for side in sides)
    asks = any(isinstance(side, ast.Attribute) and side.attr == "dtype" for side in sides)
    return named and asks and not isinstance(compare.ops[0], ast.In | ast.NotIn) and _is_guard(module, compare)


def by_name(module: Module, node: ast.AST) -> ast.expr | None:
    """The guard that holds the name of a dtype against a word: `assert str(kind) == f"torch.{word}"`, in any form."""
    above = module.parent(node)
    test = module.parent(above) if isinstance(above, ast.Attribute) and above.attr in _OF_TEXT else above
    others = _others(test, node)
    known = any(isinstance(each, _WRITTEN) or _tells_dtype(each) for each in others)
    return test if others and not known and isinstance(test, ast.expr) and _is_guard(module, test) else None


def by_lookup(module: Module, compare: ast.Compare, node: ast.AST) -> bool:
    """Whether a guard holds a dtype against what a word stands for: `assert getattr(torch, word) == kind`."""
    others = _others(compare, node)
    return len(others) == 1 and _is_looked_up(module, others[0]) and _is_guard(module, compare)


def to_name(module: Module, word: ast.AST) -> ast.expr | None:
    """The guard that holds a word against the name of a dtype that something has: `assert word in str(x.dtype)`."""
    test = module.parent(word)
    if isinstance(test, ast.Call):
        func = test.func
        others = [func.value] if isinstance(func, ast.Attribute) and func.attr in _OF_TEXT else []
    else:
        others = _others(test, word)
    if not isinstance(test, ast.expr) or not any(map(_spells_dtype, others)) or not _is_guard(module, test):
        return None
    return test


def of_word(module: Module, node: ast.AST) -> ast.expr | None:
    """The guard that holds what is made of a word, a text around it or a look-up in torch, against a dtype's name."""
    made = module.parent(node)
    made = module.parent(made) if isinstance(made, ast.FormattedValue) else made
    compare = module.parent(made) if made is not None else None
    if made is None or not isinstance(compare, ast.Compare) or not _is_guard(module, compare):
        return None
    is_name = _is_text(made) and any(map(_tells_dtype, _others(compare, made)))
    return compare if is_name or _is_looked_up(module, made) else None


def _is_text(made: ast.AST) -> bool:
    """`f"torch.{word}"`, `"torch.{}".format(word)`, `"torch.%s" % word`."""
    if isinstance(made, ast.Call):
        return isinstance(made.func, ast.Attribute) and made.func.attr == "format"
    return isinstance(made, ast.JoinedStr) or (isinstance(made, ast.BinOp) and isinstance(made.op, ast.Mod))


def names_neither(module: Module, end: End) -> bool:
    """Whether a guard refuses a word that it does not name: one of these."""
    compare = end.node
    if end.fate is not Fate.REFUSED:
        return False
    if not isinstance(compare, ast.Compare):
        return isinstance(compare, ast.Call)
    return accepted(module, compare) is None and not excluded(module, compare)


def _others(test: ast.AST | None, side: ast.AST) -> list[ast.expr]:
    if isinstance(test, ast.Compare):
        return [each for each in (test.left, *test.comparators) if each is not side]
    return [*test.args] if isinstance(test, ast.Call) and called(test) in _OF_TEXT else []


def _is_guard(module: Module, test: ast.expr) -> bool:
    if isinstance(test, ast.Compare) and len(test.ops) != 1:
        return False
    negated = isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.NotEq | ast.IsNot | ast.NotIn)
    return guards(module, test, negated=negated)


def _tells_dtype(node: ast.expr) -> bool:
    """`str(x.dtype)`, `kind_of(x.dtype)`, `str(kind)`: the name of a dtype that something has.

    In `f"torch.{config.dtype}"` the setting of that name is a word: of a dtype that would be "torch.torch.bfloat16".
    """
    inner = [*ast.walk(node)]
    if any(isinstance(each, ast.Constant) and each.value in _NAMES_OF_WORDS for each in inner):
        return False
    if any(isinstance(each, ast.Call) and called(each) in SPELL for each in inner):
        return True
    # A bare `config.dtype` is a word, where it is held against one.
    given = (arg for each in inner if isinstance(each, ast.Call | ast.FormattedValue) for arg in _given(each))
    return any(isinstance(each, ast.Attribute) and each.attr == "dtype" for each in given)


def _given(node: ast.Call | ast.FormattedValue) -> list[ast.expr]:
    return node.args if isinstance(node, ast.Call) else [node.value]


def _spells_dtype(node: ast.expr) -> bool:
    """`str(x.dtype)`, and parts of it."""
    calls = (each for each in ast.walk(node) if isinstance(each, ast.Call) and called(each) in SPELL)
    return any(isinstance(arg, ast.Attribute) and arg.attr == "dtype" for call in calls for arg in call.args)


def _is_looked_up(module: Module, node: ast.AST) -> bool:
    """`getattr(torch, word)`."""
    is_getattr = isinstance(node, ast.Call) and called(node) == "getattr" and len(node.args) > 1
    if not is_getattr or not isinstance(node, ast.Call) or isinstance(node.args[1], ast.Constant):
        return False
    return module.resolve(node.args[0]) == "torch"
