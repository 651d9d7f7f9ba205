"""PF601: an option of a command line that takes the word for a precision."""

from __future__ import annotations

import re

from precision_fix.model.edit import GiveValue
from precision_fix.model.finding import Verdict, change, manual
from precision_fix.model.library_answers import answer
from precision_fix.model.rule import SettingRule, Stage
from precision_fix.model.setting import Form, Setting, Takes
from precision_fix.model.vocabulary import precision

# Whose precision this is, a file keeps or another library decides.
_STORES = re.compile(r"(?:^|_)(?:save|saved|store|storage|output|out|export)(?:_|$)")


class RULE(SettingRule):
    code = "PF601"
    title = "an option that names a precision"
    why = (
        "The word is the one that the program takes: of the choices that its own parser offers where its file is in "
        "the project, of the library's where the command shows which one reads it (`accelerate launch "
        "--mixed_precision no`, `vllm serve --dtype float32`), torch's own for `bfloat16`. For `bf16` that an unknown "
        "program reads there is no word that is sure to be taken: that is reported."
    )
    forms = frozenset({Form.OPTION})
    stage = Stage.CHANGED

    def judge(self, setting: Setting) -> Verdict | None:
        if not precision.says(setting.word, setting.name):
            return None
        by_program = _offered(setting)
        if by_program is not None:
            return by_program
        if "kv_cache" in setting.name:
            return _kv_cache(setting)
        known = answer(setting)
        if known is not None and isinstance(known.value, str):
            return change(f"the word that {known.reader or 'the usual reader'} reads", GiveValue(known.value))
        if not precision.is_precision(setting.name):
            return manual(f"{setting.name} is given the word; whether it chooses a precision is not to be seen")
        if _STORES.search(setting.name):
            return manual("the precision of what is stored, it seems")
        new = setting.target.word_like(setting.word)
        if setting.word.lower() == "bf16" or new is None:
            return manual(f"which word for {setting.target.dtype} the program takes is not to be seen: see its --help")
        return change("torch's own name of the dtype", GiveValue(new))


def _kv_cache(setting: Setting) -> Verdict:
    """vLLM (--kv-cache-dtype) and SGLang offer no float32 here; `auto` follows the model."""
    if " ".join(setting.document.command).startswith(("vllm", "sglang")):
        return change("`auto` follows the model's dtype", GiveValue("auto"))
    return manual("the dtype of a cache, for which programs rarely offer float32: see its --help")


def _offered(setting: Setting) -> Verdict | None:
    """The word that the program's own parser, or its own comparisons, offer."""
    declared = setting.declared
    if declared is None or declared.takes is not Takes.WORD or setting.word not in declared.offered:
        return None
    target = setting.target
    new = next((word for word in target.offered if word in declared.offered), None)
    if new is None:
        return manual(f"the program offers no word for {target.dtype}")
    return change("the program's own word", GiveValue(new))
