"""PF604: an option of a command line that asks for flash attention."""

from __future__ import annotations

from precision_fix.model.edit import GiveValue, TakeOut
from precision_fix.model.finding import Verdict, change, manual
from precision_fix.model.library_answers import is_on
from precision_fix.model.rule import SettingRule, Stage
from precision_fix.model.setting import Document, Form, Setting, Takes
from precision_fix.model.vocabulary import attention


class RULE(SettingRule):
    code = "PF604"
    title = "an option that asks for flash attention"
    why = (
        "flash-attn 2 and later have no kernels below compute capability 8.0, and none for float32. `sdpa`, PyTorch's "
        "own attention, runs anywhere. Where the program packs several examples into a row, or takes other words, the "
        "option is reported."
    )
    forms = frozenset({Form.OPTION})
    stage = Stage.CHANGED
    before = ("PF602",)

    def judge(self, setting: Setting) -> Verdict | None:
        if attention.SWITCH.fullmatch(setting.name) and is_on(setting):
            return _switch(setting)
        if not attention.needs_flash_attention(setting.word):
            return None
        if setting.document.once(_packs):
            return manual(attention.PACKED)
        declared = setting.declared
        other = attention.instead((declared.offered or None) if declared is not None else None)
        if other is None:
            return manual(f"flash attention does not run here, and the program offers no sdpa: {attention.ADVICE}")
        is_factory = setting.name == "flash_attn" and setting.word == "fa2"
        if attention.TAKES_SDPA.search(setting.name) or is_factory:
            return change(f"flash attention does not run here; {other} does", GiveValue(other))
        return manual(f"flash attention does not run here: {attention.ADVICE}")


def _packs(document: Document) -> bool:
    return attention.packed(document.values)


def _switch(setting: Setting) -> Verdict:
    reason = "flash attention does not run here"
    if setting.value is not None:
        return change(reason, GiveValue(False))
    declared = setting.declared
    if declared is not None and declared.takes is Takes.NOTHING and not declared.on:
        return change(reason, TakeOut())
    if declared is not None and declared.takes is Takes.TRUTH:
        return change(reason, GiveValue(False))
    return manual(f"{reason}: {attention.ADVICE}")
