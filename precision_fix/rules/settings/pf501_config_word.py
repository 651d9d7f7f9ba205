"""PF501: a word that names a dtype, under a key that takes one."""

from __future__ import annotations

from precision_fix.model.edit import GiveValue
from precision_fix.model.finding import Verdict, change
from precision_fix.model.library_answers import replacement
from precision_fix.model.rule import SettingRule, Stage
from precision_fix.model.setting import Form, Setting


class RULE(SettingRule):
    code = "PF501"
    title = "a config's word for a dtype"
    why = (
        "`dtype: bfloat16` in a config chooses a precision just as `dtype=torch.bfloat16` does in Python. The word for "
        "float32 is in the style of what stands there: `bf16` becomes `fp32`, `torch.bfloat16` becomes `torch.float32`."
    )
    forms = frozenset({Form.KEY, Form.VARIABLE})
    stage = Stage.CHANGED

    def judge(self, setting: Setting) -> Verdict | None:
        found = replacement(setting)
        if found is None or not isinstance(found.value, str):
            return None
        return change(f"{setting.shown} chooses a precision", GiveValue(found.value))
