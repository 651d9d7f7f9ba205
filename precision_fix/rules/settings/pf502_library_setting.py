"""PF502: a word of the library that reads the config."""

from __future__ import annotations

from precision_fix.model.edit import GiveValue
from precision_fix.model.finding import Verdict, change
from precision_fix.model.library_answers import answer
from precision_fix.model.rule import SettingRule, Stage
from precision_fix.model.setting import Form, Setting


class RULE(SettingRule):
    code = "PF502"
    title = "a library's word in a config"
    why = (
        'Accelerate reads `mixed_precision: "no"` for float32, Lightning `precision: 32-true`, Composer `fp32`, '
        "OneTrainer `FLOAT_32`. Which library reads a file is told by the word itself, by the keys beside it, or by "
        "what the project requires."
    )
    forms = frozenset({Form.KEY, Form.VARIABLE})
    stage = Stage.CHANGED
    before = ("PF501",)

    def judge(self, setting: Setting) -> Verdict | None:
        found = answer(setting)
        if found is None or not isinstance(found.value, str):
            return None
        whose = f"{found.reader}'s word" if found.reader else "the usual reader's word"
        return change(f"{whose} for {setting.target.dtype}", GiveValue(found.value))
