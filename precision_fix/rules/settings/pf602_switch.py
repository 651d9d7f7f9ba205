"""PF602: an option of a command line that turns bfloat16 on."""

from __future__ import annotations

import re
from dataclasses import replace

from precision_fix.model.edit import GiveName, GiveValue, TakeOut
from precision_fix.model.finding import Verdict, change, manual
from precision_fix.model.library_answers import answer, is_on
from precision_fix.model.rule import SettingRule, Stage
from precision_fix.model.setting import Document, Form, Setting, Takes
from precision_fix.model.vocabulary import precision
from precision_fix.model.vocabulary.spellings import ALIKE, speaks

_OFF = re.compile(r"(?:^|_)(?:no|disable|without|not|skip|allow)(?:_|$)")
# What is the Trainer's own, beyond names that any training script may use as well. It and those that build on it take a
# word behind a switch, and some of them turn bfloat16 on where nothing is said (TRL: trainer/sft_config.py).
_TRAINER = frozenset({"per_device_train_batch_size", "per_device_eval_batch_size", "save_strategy", "eval_strategy"})


class RULE(SettingRule):
    code = "PF602"
    title = "an option that turns bfloat16 on"
    why = (
        "`--bf16 True` becomes `--bf16 False`, whoever reads it. A switch that stands alone is taken out where the "
        'program declares it so (`action="store_true"`), gets the word False behind it where a parser of transformers '
        "reads it, or another name where there is one (`--fp32-vae`). Where neither the program nor its library is "
        "known it stays, and is reported."
    )
    forms = frozenset({Form.OPTION})
    stage = Stage.CHANGED
    before = ("PF601",)

    def judge(self, setting: Setting) -> Verdict | None:
        name = setting.name
        if not (speaks(name) or precision.is_switch(name)) or not is_on(setting) or _OFF.search(name):
            return None
        reason = f"{name} turns {precision.turned_on(name)} on"
        if name in ALIKE:
            return change(reason, GiveName(str(setting.keys[-1]).replace("bf16", setting.target.short)))
        declared = setting.declared
        takes = declared.takes if declared is not None else Takes.UNKNOWN
        if declared is not None and takes in (Takes.PAIR, Takes.NOTHING) and setting.value is None:
            return _renamed(setting) or _without(setting, reason)
        if takes is Takes.ANY_IS_TRUE:
            return _without(setting, f"{reason}, and whatever word follows it counts as true")
        if setting.value is not None or takes is Takes.TRUTH:
            return change(reason, GiveValue(False))
        # That a project uses a library does not say that this program is one of its.
        known = answer(replace(setting, document=replace(setting.document, libraries=frozenset())))
        if known is not None and known.library is not None and known.value is False:
            if known.library.alone is False and _is_certain(setting):
                return change(reason, GiveValue(False))
            if known.library.alone:
                return change(reason, TakeOut())
        return manual(
            f"turns {precision.turned_on(name)} on: take it out, or say False, whichever the program understands"
        )


def _is_certain(setting: Setting) -> bool:
    """Whether the command is one of transformers' own, beyond names that any training script may use as well."""
    if setting.declared is not None:
        return False  # the program is at hand, and does not say so
    return setting.document.once(_has_trainers_options) or setting.document.command[:1] in (
        ("trl",),
        ("llamafactory-cli",),
    )


def _has_trainers_options(document: Document) -> bool:
    return not _TRAINER.isdisjoint(str(keys[-1]) for keys in document.values)


def _renamed(setting: Setting) -> Verdict | None:
    """The contrary of a switch, or its like for the target precision, where the program has one."""
    others = setting.declared.others if setting.declared is not None else ()
    for name in others:
        if name.startswith("no") or setting.target.short in name or setting.target.dtype in name:
            return change("the program's own option for it", GiveName(name))
    return None


def _without(setting: Setting, reason: str) -> Verdict:
    if setting.declared is not None and setting.declared.on:
        return manual("is on whether or not it is given")
    return change(reason, TakeOut())
