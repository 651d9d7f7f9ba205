"""PF204: the default of a command-line option or a menu, in a word that the option offers."""

from __future__ import annotations

import ast

from precision_fix.model.context import receiver
from precision_fix.model.edit import Respell
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep, manual, rewrite
from precision_fix.model.rule import Rule
from precision_fix.model.site import Kind, Site
from precision_fix.model.syntax import called

_OPTIONS = frozenset({"add_argument", "option", "Option", "Argument", "argument", "add_option", "Dropdown", "Radio"})


class RULE(Rule):
    code = "PF204"
    title = "the default of an option"
    why = (
        'The word comes from what the option offers: "no" beside ["no", "fp16", "bf16"], "fp32" beside ["bf16", '
        '"fp32"]. Where it offers no word for float32 the default stays.'
    )
    kinds = frozenset({Kind.WORD})

    def judge(self, site: Site) -> Verdict | None:
        assert isinstance(site.node, ast.Constant)
        above = site.parent
        declared = _literal(site)
        if declared is not None:
            return _chosen(site, declared)
        if not isinstance(above, ast.keyword | ast.Dict):
            return None
        if isinstance(above, ast.keyword):
            call = site.module.parent(above)
            if above.arg not in ("default", "value") or not isinstance(call, ast.Call) or called(call) not in _OPTIONS:
                return None
            offered = _words(next((k.value for k in call.keywords if k.arg in ("choices", "type")), None))
        else:
            offered = _menu(site, above)
            if offered is None:
                return None
        if offered is None:
            return _without_choices(site)
        return _chosen(site, offered)


def _chosen(site: Site, offered: list[str]) -> Verdict:
    assert isinstance(site.node, ast.Constant)
    new = next((word for word in _spellings(site) if word in offered), None)
    if new is None:
        return manual("the option offers no word for float32: pass another value when you start the program")
    return rewrite("the option's own word for float32", Respell(site.node, site.word, new))


def _literal(site: Site) -> list[str] | None:
    """The words of a `Literal[...]` annotation, also one that was given a name, of the default at hand."""
    annotation: ast.expr | None = None
    if isinstance(site.parent, ast.AnnAssign) and site.parent.value is site.node:
        annotation = site.parent.annotation
    elif isinstance(site.parent, ast.arguments):
        name = receiver(site)
        arguments = (*site.parent.posonlyargs, *site.parent.args, *site.parent.kwonlyargs)
        annotation = next((each.annotation for each in arguments if each.arg == name), None)
    if isinstance(annotation, ast.Name):
        owner = site.module.scope_of(annotation).owner(annotation.id)
        bound = owner.bindings[annotation.id] if owner else []
        annotation = site.module.assigned_value(bound[0]) if len(bound) == 1 else None
    if annotation is None or "Literal[" not in ast.unparse(annotation):
        return None
    return [n.value for n in ast.walk(annotation) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def _without_choices(site: Site) -> Verdict | None:
    new = site.module.target.word(site.word)
    if new is None or Fate.COMPARED in site.fates:
        return keep("compared later")
    assert isinstance(site.node, ast.Constant)
    return rewrite("the default chooses a precision", Respell(site.node, site.word, new))


def _spellings(site: Site) -> list[str]:
    target = site.module.target
    if target.dtype == "float32":
        return ["no", "float32", "fp32", "f32", "32-true", "32", "full", "float", "FP32"]
    return [target.dtype, target.short, target.lightning_true, "half"]


def _words(node: ast.expr | None) -> list[str] | None:
    if isinstance(node, ast.Call) and node.args:
        return _words(node.args[0])
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [item.value for item in node.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return None


def _menu(site: Site, settings: ast.Dict) -> list[str] | None:
    """`(["bf16", "fp32"], {"default": "bf16"})`: a menu of a ComfyUI node, and its default."""
    key = next(k for k, v in zip(settings.keys, settings.values, strict=True) if v is site.node)
    outer = site.module.parent(settings)
    if not (isinstance(key, ast.Constant) and key.value == "default" and isinstance(outer, ast.Tuple)):
        return None
    return _words(outer.elts[0])
