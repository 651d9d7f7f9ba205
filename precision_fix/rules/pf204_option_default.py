"""PF204: the default of a command-line option or a menu, in a word that the option offers."""

from __future__ import annotations

import ast
import re

from precision_fix.model.context import receiver
from precision_fix.model.edit import Respell
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep, manual, rewrite
from precision_fix.model.module import Module, by_default, key_of, remembered, unparsed
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site
from precision_fix.model.syntax import called

_OPTIONS = frozenset({"add_argument", "option", "Option", "Argument", "argument", "add_option", "Dropdown", "Radio"})

_LEADS = "compared later; what it leads to is rewritten there"


class RULE(Rule):
    code = "PF204"
    title = "the default of an option"
    why = (
        'The word comes from what the option offers: "no" beside ["no", "fp16", "bf16"], "fp32" beside ["bf16", '
        '"fp32"]. Where it offers no word for float32 the default stays.'
    )
    kinds = frozenset({Kind.WORD})
    stage = Stage.CHANGED
    before = ("PF202",)

    def judge(self, site: Site) -> Verdict | None:
        assert isinstance(site.node, ast.Constant)
        above = site.parent
        declared = _literal(site) or _form(site)
        if declared is not None:
            return _chosen(site, declared)
        if isinstance(above, ast.Call) and receiver(site) is not None:
            # `value=config.get("dtype", "bf16")`: the default of a look-up, which is the option's.
            above = site.module.parent(above)
        if isinstance(above, ast.Dict):
            offered = _menu(site, above)
            return _chosen(site, offered) if offered is not None else None
        call = site.module.parent(above) if isinstance(above, ast.keyword) else None
        if not isinstance(call, ast.Call) or not isinstance(above, ast.keyword):
            return None
        if above.arg not in ("default", "value") or called(call) not in _OPTIONS:
            return None
        offered = _offered(site.module, call)
        if offered is not None:
            return _chosen(site, offered, is_compared=Fate.COMPARED in site.fates or _is_compared(site, call))
        return _without_choices(site, call) if above.value is site.node else None


@remembered
def _offered(module: Module, call: ast.Call) -> list[str] | None:
    """The words of `choices=[...]`, of click's `type=Choice([...])`, or of a list that comes first."""
    by_name = {keyword.arg: keyword.value for keyword in call.keywords}
    chosen = by_name.get("type")
    choice = chosen if isinstance(chosen, ast.Call) else None
    candidates = (by_name.get("choices"), choice, next(iter(call.args), None))
    return next((words for words in map(_words, candidates) if words), None)


def _is_compared(site: Site, call: ast.Call) -> bool:
    """Whether the file compares `args.NAME`, the option's value, with the word."""
    names = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    dest = next((name for name in names if name.startswith("--")), "").lstrip("-").replace("-", "_")
    site.module.wanted.add("." + dest)
    return site.word in _compared_with(site.module, dest)


@remembered
def _compared_with(module: Module, attr: str) -> set[object]:
    comparisons = {module.parent(reader) for reader in module.names.attributes.get(attr, ())}
    nodes = (node for each in comparisons if isinstance(each, ast.Compare) for node in ast.walk(each))
    return {node.value for node in nodes if isinstance(node, ast.Constant)}


def _chosen(site: Site, offered: list[str], *, is_compared: bool = False) -> Verdict:
    assert isinstance(site.node, ast.Constant)
    new = next((word for word in site.module.target.offered if word in offered), None)
    if new is None and is_compared:
        return keep(_LEADS)
    if new is None:
        return manual("the option offers no word for float32: pass another value when you start the program")
    return rewrite("the option's own word for float32", Respell(site.node, site.word, new))


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


def _without_choices(site: Site, call: ast.Call) -> Verdict | None:
    new = site.module.target.word(site.word)
    if new is None or Fate.COMPARED in site.fates or _is_compared(site, call):
        return keep(_LEADS)
    assert isinstance(site.node, ast.Constant)
    return rewrite("the default chooses a precision", Respell(site.node, site.word, new))


def _words(node: ast.expr | None) -> list[str] | None:
    if isinstance(node, ast.Call) and node.args:
        return _words(node.args[0])
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [item.value for item in node.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return None


def _menu(site: Site, settings: ast.Dict) -> list[str] | None:
    """`(["bf16", "fp32"], {"default": "bf16"})`: a menu of a ComfyUI node, and its default."""
    key = key_of(site.module, settings, site.node)
    outer = site.module.parent(settings)
    if not (isinstance(key, ast.Constant) and key.value == "default" and isinstance(outer, ast.Tuple)):
        return None
    return _words(outer.elts[0])
