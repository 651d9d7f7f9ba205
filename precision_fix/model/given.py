"""A word that is given to its readers, and the word that all of them have for the target precision."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from precision_fix.model.context import receiver, tests_around
from precision_fix.model.module import Module, remembered, unparsed
from precision_fix.model.parts import by_default, key_of
from precision_fix.model.readings import common_word
from precision_fix.model.site import Site
from precision_fix.model.syntax import called
from precision_fix.model.vocabulary.spellings import GENERAL

OPTIONS = frozenset({"add_argument", "option", "Option", "Argument", "argument", "add_option", "Dropdown", "Radio"})


def is_given(site: Site) -> bool:
    """Whether the word is set, as a default or a value, and not itself a part of a test, a list or a table's key."""
    node, above = site.node, site.parent
    while isinstance(above, ast.BoolOp) or (isinstance(above, ast.IfExp) and node is not above.test):
        node, above = above, site.module.parent(above)
    if isinstance(above, ast.Assign) and _answers_a_test(site, above):
        return False
    if isinstance(above, ast.keyword | ast.arguments | ast.Assign | ast.AnnAssign):
        return True
    if isinstance(above, ast.Call):
        return receiver(site) is not None  # the default of a look-up: `settings.get("dtype", "bf16")`
    return isinstance(above, ast.Dict) and site.module.index(above.values, node) is not None


def _answers_a_test(site: Site, assignment: ast.Assign) -> bool:
    """`if self.precision == "16" and on_cpu: self.precision = "bf16"`: other tests of it have been passed already."""
    target = ast.unparse(assignment.targets[0])
    return any(target == ast.unparse(part) for test in tests_around(site) for part in ast.walk(test))


def of_library(site: Site) -> bool:
    """Whether it is a library's own word, or given under a library's own name: what that makes of it is known."""
    return site.word not in GENERAL or (receiver(site) or "").lower().endswith("mixed_precision")


def word_of_readers(site: Site) -> str | None:
    """What the word becomes: one that its readers get from elsewhere already, or that all of them are seen to know."""
    if not is_given(site):
        return None
    return _given_elsewhere(site) or common_word(site.word, site.ends, site.module.target)


def _given_elsewhere(site: Site) -> str | None:
    """The word for the target precision that the same variable is given in another branch: its readers take that."""
    others = [*_other_arms(site), *_other_values(site)]
    words = [each.value for each in others if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return next((word for word in site.module.target.offered if word in words), None)


def _other_arms(site: Site) -> Iterator[ast.expr]:
    node: ast.AST = site.node
    for above in site.module.ancestors(site.node):
        if not isinstance(above, ast.IfExp) or node is above.test:
            return
        yield above.orelse if node is above.body else above.body
        node = above


def _other_values(site: Site) -> Iterator[ast.expr]:
    """What the other branches of the same `if` assign to the same target."""
    assignment = site.statement
    target = assignment.targets[0] if isinstance(assignment, ast.Assign) else None
    if target is None or site.parent is not assignment:
        return
    name, first = ast.unparse(target), site.module.parent(assignment)
    while (
        isinstance(first, ast.If) and isinstance(above := site.module.parent(first), ast.If) and first in above.orelse
    ):
        first = above
    for each in _branches(first):
        if isinstance(each, ast.Assign) and each is not assignment and ast.unparse(each.targets[0]) == name:
            yield each.value


def _branches(test: ast.AST | None) -> Iterator[ast.stmt]:
    """The statements of an `if`, of each `elif` and of the `else`."""
    while isinstance(test, ast.If):
        yield from test.body
        last = test.orelse
        test = last[0] if len(last) == 1 else None
        if not isinstance(test, ast.If):
            yield from last


def offered(site: Site) -> list[str] | None:
    """The words that are offered where a default stands: by choices, an annotation, a menu; None where none are."""
    declared = _literal(site) or _form(site)
    if declared is not None:
        return declared
    above = site.parent
    if isinstance(above, ast.Call) and receiver(site) is not None:
        # `value=config.get("dtype", "bf16")`: the default of a look-up, which is the option's.
        above = site.module.parent(above)
    if isinstance(above, ast.Dict):
        return _menu(site, above)
    call = site.module.parent(above) if isinstance(above, ast.keyword) else None
    if not isinstance(call, ast.Call) or not isinstance(above, ast.keyword) or above.arg not in ("default", "value"):
        return None
    return _choices(site.module, call) if called(call) in OPTIONS else None


@remembered
def _choices(module: Module, call: ast.Call) -> list[str] | None:
    """The words of `choices=[...]`, of click's `type=Choice([...])`, or of a list that comes first."""
    by_name = {keyword.arg: keyword.value for keyword in call.keywords}
    chosen = by_name.get("type")
    choice = chosen if isinstance(chosen, ast.Call) else None
    candidates = (by_name.get("choices"), choice, next(iter(call.args), None))
    return next((words for words in map(_words, candidates) if words), None)


def _literal(site: Site) -> list[str] | None:
    """The words of a `Literal[...]` annotation, also one that was given a name, of the default at hand."""
    annotation: ast.expr | None = None
    if isinstance(site.parent, ast.AnnAssign) and site.parent.value is site.node:
        annotation = site.parent.annotation
    elif isinstance(site.parent, ast.arguments):
        annotation = by_default(site.module, site.parent)[site.node].annotation
    if isinstance(annotation, ast.Name):
        bound = site.module.bindings(annotation)
        annotation = site.module.assigned_value(bound[0]) if len(bound) == 1 else None
    return _words_of(site.module, annotation) if annotation is not None else None


@remembered
def _words_of(module: Module, annotation: ast.expr) -> list[str] | None:
    if "Literal[" not in ast.unparse(annotation):
        return None
    return [n.value for n in ast.walk(annotation) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


_PARAM = re.compile(r"#\s*@param\s*(\[[^\]]*\])")


def _form(site: Site) -> list[str] | None:
    """The words of a form in Colab: `dtype = "bf16" # @param ["bf16", "fp32"]`, unless it says how to save."""
    above = site.parent
    if (
        not isinstance(above, ast.Assign)
        or above.value is not site.node
        or "save" in unparsed(site.module, above.targets[0])
    ):
        return None
    found = _PARAM.search(site.module.lines[above.lineno - 1])
    try:
        offered = ast.literal_eval(found[1]) if found else None
    except (SyntaxError, ValueError):
        return None
    return [word for word in offered if isinstance(word, str)] if offered else None


def _words(node: ast.expr | None) -> list[str] | None:
    if isinstance(node, ast.Call) and node.args:
        return _words(node.args[0])
    if isinstance(node, ast.List | ast.Tuple | ast.Set) and not any(isinstance(e, ast.Starred) for e in node.elts):
        return [item.value for item in node.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return None


def _menu(site: Site, settings: ast.Dict) -> list[str] | None:
    """`(["bf16", "fp32"], {"default": "bf16"})`: a menu of a ComfyUI node, and its default."""
    key = key_of(site.module, settings, site.node)
    outer = site.module.parent(settings)
    if not (isinstance(key, ast.Constant) and key.value == "default" and isinstance(outer, ast.Tuple)):
        return None
    return _words(outer.elts[0])
