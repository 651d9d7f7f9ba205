"""The verdict on a setting, held against what the project's own code makes of the new word."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from precision_fix.model.blocks import NotApart
from precision_fix.model.classes import COMMON, is_own
from precision_fix.model.eager import eager_alone
from precision_fix.model.edit import GiveValue
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, change, keep, manual
from precision_fix.model.flow import Follower
from precision_fix.model.guard import FULL_WORDS, accepted, excluded
from precision_fix.model.held import End, Held
from precision_fix.model.module import Module
from precision_fix.model.setting import Setting
from precision_fix.model.target import TARGETS
from precision_fix.model.vocabulary import precision

_BECOMES = frozenset({"bfloat16", *(name for each in TARGETS.values() for name in (each.dtype, each.method))})


def checked(setting: Setting, verdict: Verdict, *, anybody: bool) -> Verdict:
    """The verdict, unless it would give a word that the program refuses, or that leads elsewhere than the old one.

    `anybody` says that no library is known to read the setting, so that the project itself may.
    """
    new = verdict.change.value if isinstance(verdict.change, GiveValue) else None
    if not isinstance(new, str):
        return verdict
    if new == "sdpa":
        why = eager_alone(setting.document.around)
        return change(why, GiveValue("eager")) if why else verdict
    if not precision.says(setting.value, setting.name):
        return verdict
    compared: End | None = None
    for end in _ends(setting):
        # So many things are called this that one is meant only where the reader shows.
        shows = setting.name not in COMMON or bool(setting.beside("target"))
        if end.fate is Fate.REFUSED and shows and _would_refuse(end, new):
            return manual(f"{_takes(end)} ({_where(end)}): change both")
        if end.fate is Fate.COMPARED and compared is None and _leads(end, str(setting.value)):
            compared = end
    if compared is not None and anybody:
        return keep(f"compared in {_where(compared)}; what it leads to is rewritten there")
    return verdict


def _ends(setting: Setting) -> Iterator[End]:
    target = str(setting.beside("target") or "").rpartition(".")[2]
    around = setting.document.around
    for _ in range(4):
        try:
            for module, reader in around.keyed(setting.name):
                if target and not _is_of(module, reader, target):
                    continue
                yield from Follower(True).run([Held(module, reader)])
            return
        except NotApart as apart:
            around.read_whole(str(apart.args[0]) if apart.args else "")


def _is_of(module: Module, reader: ast.expr, cls: str) -> bool:
    """Whether it is the attribute of this class."""
    around = (each for each in module.ancestors(reader) if isinstance(each, ast.ClassDef))
    return isinstance(reader, ast.Attribute) and is_own(reader) and any(each.name == cls for each in around)


def _would_refuse(end: End, new: str) -> bool:
    if not isinstance(end.node, ast.Compare):
        return True
    refused = excluded(end.module, end.node)
    if refused & FULL_WORDS:
        return new in refused
    return new not in (accepted(end.module, end.node) or ())


def _leads(end: End, word: str) -> bool:
    """`if precision == "bfloat16": x.to(torch.bfloat16)`; a second run finds what that has become."""
    test, above = end.node, end.module.parent(end.node)
    if not isinstance(test, ast.Compare) or not isinstance(above, ast.If | ast.IfExp) or above.test is not test:
        return False
    if not any(isinstance(each, ast.Constant) and each.value == word for each in ast.walk(test)):
        return False
    body = above.body if isinstance(above.body, list) else [above.body]
    return any(isinstance(node, ast.Attribute) and node.attr in _BECOMES for each in body for node in ast.walk(each))


def _takes(end: End) -> str:
    taken = (accepted(end.module, end.node) if isinstance(end.node, ast.Compare) else None) or frozenset()
    words = ", ".join(sorted(word.strip("'") for word in taken))
    return f"the program takes only {words} there" if words else "the program refuses the word there"


def _where(end: End) -> str:
    return f"{end.module.around.shown(end.module.real)}:{getattr(end.node, 'lineno', 0)}"
