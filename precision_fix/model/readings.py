"""What the readers of a word make of it: the words that they know, and which of those all of them take for float32."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from precision_fix.model.fate import Fate
from precision_fix.model.held import End
from precision_fix.model.library_answers import taken_by
from precision_fix.model.module import Module
from precision_fix.model.target import Target

_TESTED = (Fate.COMPARED, Fate.ASKED, Fate.FALLS, Fate.REFUSED, Fate.ASSERTED)
# Whatever else is done with a word, another reader than those that are seen may take it.
_SEEN = frozenset({*_TESTED, Fate.KEY, Fate.TEXT, Fate.STORED, Fate.RETURNED})


def known(ends: Iterable[End]) -> set[str]:
    """The words that the readers compare with, or look up."""
    return {word for end in ends for word in _words(end)}


def common_word(word: str, ends: Iterable[End], target: Target) -> str | None:
    """What every reader knows for the target precision, best in the style of the word that stands there.

    None where one of them does not, or where not all are seen. A library that it is handed to is a reader as well.
    """
    ends = [*ends]
    handed = [taken_by(end, word, target) for end in ends if end.fate is Fate.CHOOSES]
    fates = {end.fate for end in ends} - ({Fate.CHOOSES} if all(handed) else set())
    if not fates <= _SEEN or Fate.REFUSED in fates:
        return None
    maps = [set(_words(end)) for end in ends if end.fate is Fate.KEY]
    tested = {word for end in ends if end.fate in _TESTED for word in _words(end)}
    asked = [end for end in ends if end.fate in (Fate.COMPARED, Fate.FALLS)]
    if asked and all(_else_is(end, target.dtype) for end in asked):
        tested.update(target.offered)  # whatever is another word
    # A test for other words alone lets any new one pass by as it let the old one.
    sets = [*maps, *([tested] if any(end.fate in _TESTED and end.fate is not Fate.ASKED for end in ends) else [])]
    sets += [set(words) for words in handed]
    if not sets:
        return None
    alike = (*(handed[0] if handed else ()), target.word(word), *target.offered)
    return next((new for new in alike if new is not None and all(new in each for each in sets)), None)


def _else_is(end: End, dtype: str) -> bool:
    """`torch.bfloat16 if word == "bf16" else torch.float32`."""
    above = end.module.parent(end.node)
    if not isinstance(above, ast.IfExp | ast.If) or above.test is not end.node or not isinstance(end.node, ast.Compare):
        return False
    orelse = above.orelse if isinstance(above.orelse, list) else [above.orelse]
    if isinstance(above, ast.If) and any(isinstance(each, ast.If) for each in orelse[:1]):
        return False  # an `elif` asks for a word by itself
    names = {end.module.dtype_name(node) for each in orelse for node in ast.walk(each) if isinstance(node, ast.expr)}
    return isinstance(end.node.ops[0], ast.Eq | ast.In) and names - {None} == {dtype}


def _words(end: End) -> Iterator[str]:
    node = end.node
    if isinstance(node, ast.Compare):
        for part in (node.left, *node.comparators):
            yield from _strings(end.module, part)
    elif end.fate is Fate.KEY:
        table = node.value if isinstance(node, ast.Subscript) else None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            table = node.func.value
        yield from _keys(end.module, table)


def _strings(module: Module, node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.List | ast.Tuple | ast.Set):
        for item in node.elts:
            yield from _strings(module, item)
    elif isinstance(node, ast.Name):
        value = _value_of(module, node)
        if isinstance(value, ast.List | ast.Tuple | ast.Set):
            yield from _strings(module, value)
        elif isinstance(value, ast.Dict | ast.Call):
            yield from _keys(module, value)


def _keys(module: Module, table: ast.expr | None) -> Iterator[str]:
    if isinstance(table, ast.Name):
        table = _value_of(module, table)
    if isinstance(table, ast.Call) and isinstance(table.func, ast.Name) and table.func.id == "dict":
        yield from (keyword.arg for keyword in table.keywords if keyword.arg)
    if isinstance(table, ast.Dict):
        yield from (key.value for key in table.keys if isinstance(key, ast.Constant) and isinstance(key.value, str))


def _value_of(module: Module, name: ast.Name) -> ast.expr | None:
    bindings = module.bindings(name)
    dotted = module.imported(bindings[0]) if len(bindings) == 1 else None
    if dotted is not None:
        found = module.around.bound(module, dotted)
        return found[1] if found is not None else None
    return module.assigned_value(bindings[0]) if len(bindings) == 1 else None
