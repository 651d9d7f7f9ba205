"""A word in a map that goes out of sight, into a config's class say: who reads a setting of its name in the project."""

from __future__ import annotations

import ast

from precision_fix.model.arms import applies
from precision_fix.model.classes import COMMON
from precision_fix.model.context import receiver
from precision_fix.model.fate import Fate
from precision_fix.model.flow import Follower
from precision_fix.model.guard import FULL_WORDS, guards, passing
from precision_fix.model.held import End, Held
from precision_fix.model.site import Site
from precision_fix.model.vocabulary import precision


def refused(site: Site) -> End | None:
    """The guard that lets no other word pass, of a setting of the name that a word is given under.

    One that stands under a test of another setting counts where that is given beside.
    """
    name, mapping = receiver(site) or "", _map(site)
    if mapping is None or Fate.UNKNOWN not in site.fates or not name or name in COMMON:
        return None
    held = [Held(module, reader) for module, reader in site.module.around.keyed(name)]
    beside = _names(mapping) - {name}
    ends = Follower(is_word=True).run(held, site.module)
    return next((end for end in ends if _stops(end, beside) and applies(end, beside)), None)


def _stops(end: End, beside: set[str]) -> bool:
    """Whether another word stops the program: by `if config.vlm and config.dtype != "bf16": raise` with a `vlm`."""
    compare, module = end.node, end.module
    if end.fate is not Fate.COMPARED or not isinstance(compare, ast.Compare):
        return end.fate is Fate.REFUSED
    lets = passing(module, compare, negated=True) if guards(module, compare, negated=True) else None
    if not lets or lets & FULL_WORDS or not any(precision.says(word.strip("'")) for word in lets):
        return False
    test = module.statement(compare)
    asked = ast.walk(test.test) if isinstance(test, ast.If) else ()
    return not beside.isdisjoint(each.attr for each in asked if isinstance(each, ast.Attribute))


def _map(site: Site) -> ast.Dict | ast.Call | None:
    """The map that the word is a value of."""
    above = site.module.parent(site.parent) if isinstance(site.parent, ast.keyword) else site.parent
    if isinstance(above, ast.Call):
        return above if site.module.resolve(above.func) == "dict" else None
    return above if isinstance(above, ast.Dict) else None


def _names(mapping: ast.Dict | ast.Call) -> set[str]:
    if isinstance(mapping, ast.Call):
        return {each.arg for each in mapping.keywords if each.arg}
    return {str(key.value) for key in mapping.keys if isinstance(key, ast.Constant)}
