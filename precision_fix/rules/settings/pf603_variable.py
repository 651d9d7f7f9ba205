"""PF603: an environment variable that names a precision."""

from __future__ import annotations

from precision_fix.model.edit import GiveValue
from precision_fix.model.finding import Verdict, change, keep, manual
from precision_fix.model.library_answers import answer
from precision_fix.model.rule import SettingRule, Stage
from precision_fix.model.setting import Form, Setting
from precision_fix.model.vocabulary import precision


class RULE(SettingRule):
    code = "PF603"
    title = "a variable that names a precision"
    why = (
        "`export ACCELERATE_MIXED_PRECISION=bf16` chooses a precision as the option does. A variable that no library "
        "of the table reads is reported: which word its reader takes for float32 is not to be seen. A variable that "
        "an option reads is the option's (PF601)."
    )
    forms = frozenset({Form.ASSIGNED})
    stage = Stage.CHANGED

    def judge(self, setting: Setting) -> Verdict | None:
        known = answer(setting) if "_" in setting.name else None
        if known is not None and known.value is None:
            return keep(known.why)
        if known is not None and setting.name.startswith("accelerate"):
            new = known.value if isinstance(known.value, str) else False
            return change("Accelerate reads it", GiveValue(new))
        if precision.says(setting.word, setting.name) and (
            precision.is_precision(setting.name) or precision.is_mixed(setting.name)
        ):
            return manual("what reads the variable, and in which words, is not to be seen")
        return None
