"""PF922: an option of a command line that is kept in a config."""

from __future__ import annotations

from precision_fix.model.finding import Verdict, manual
from precision_fix.model.library_answers import answer
from precision_fix.model.rule import SettingRule, Stage
from precision_fix.model.setting import Form, Setting
from precision_fix.model.vocabulary import precision


class RULE(SettingRule):
    code = "PF922"
    title = "a command line in a config"
    why = (
        "Keys such as `--bf16: true`, and the words of `args: [--dtype, bfloat16]`, become a command line, whose "
        "program says what else it takes."
    )
    forms = frozenset({Form.KEY})
    stage = Stage.REPORTED
    before = ("PF921",)

    def judge(self, setting: Setting) -> Verdict | None:
        last = setting.keys[-1] if setting.keys else ""
        if isinstance(last, int):
            before = setting.document.values.get((*setting.keys[:-1], last - 1))
            if isinstance(before, str) and before.startswith("-"):
                return manual(f"{before} of a command line: give its program's word for float32")
            return None
        says = precision.says(setting.value, setting.name) or precision.names_bfloat16(setting.name)
        if not last.startswith("-") or not says:
            return None
        known = answer(setting)
        if known is not None and isinstance(known.value, str):
            return None
        if setting.value is True:
            return manual(f"{last} of a command line: take the line out")
        return manual(f"{last} of a command line: give its program's word for float32")
