"""PF921: a setting that speaks of bfloat16 in a way that is not known."""

from __future__ import annotations

from precision_fix.model.finding import Verdict, manual
from precision_fix.model.library_answers import replacement
from precision_fix.model.rule import SettingRule, Stage
from precision_fix.model.setting import Form, Setting
from precision_fix.model.vocabulary import precision


class RULE(SettingRule):
    code = "PF921"
    title = "a setting of unknown meaning"
    why = (
        "Its name does not say whether it chooses a precision, its word for float32 is not known, or a template fills "
        "it in. Whoever knows what reads it can tell; the runtime takes care of tensors that come out of it."
    )
    forms = frozenset({Form.KEY, Form.VARIABLE})
    stage = Stage.REPORTED
    before = ("PF920",)
    runtime = True

    def judge(self, setting: Setting) -> Verdict | None:
        if precision.is_filled_in(setting.value):
            return manual("filled in from elsewhere: give float32 there")
        if precision.is_optimizer(setting.name, setting.value):
            return manual(f"{setting.word} computes in bfloat16: choose another optimizer")
        if setting.in_node:
            return manual("chosen in a node of a workflow: choose another precision in the node")
        if replacement(setting) is not None:
            return None
        if precision.says(setting.value, setting.name):
            return manual(
                f"{setting.shown} names bfloat16: if it chooses a precision, give its reader's word for float32"
            )
        if precision.names_bfloat16(setting.name) and setting.value is not False:
            return manual(f"{setting.shown} may turn bfloat16 on: if it does, turn it off")
        return None
