"""PF011: a setting that tells how something is stored, or is no more than a name."""

from __future__ import annotations

from precision_fix.model import words
from precision_fix.model.finding import Verdict, keep
from precision_fix.model.readers import answer
from precision_fix.model.rule import SettingRule
from precision_fix.model.setting import Form, Setting

# What stands beside a dtype where it tells of bytes: safetensors' header, GGUF's list of tensors.
_LAYOUT = ("data_offsets", "shape", "offset", "offsets", "nbytes")


class RULE(SettingRule):
    code = "PF011"
    title = "a setting that chooses no precision"
    why = (
        "The precision in which a file is saved, the dtype beside a tensor's shape and offsets, a name or a text that "
        "a person reads: nothing is computed in it. A setting that follows another one stays as well."
    )
    forms = frozenset({Form.KEY, Form.OPTION, Form.VARIABLE})

    def judge(self, setting: Setting) -> Verdict | None:
        found = answer(setting)
        if found is not None and found.value is None:
            return keep(found.why)
        if any(setting.beside(name) is not None for name in _LAYOUT):
            return keep("tells how bytes are laid out")
        return keep("tells how something is stored or called") if words.describes(setting) else None
