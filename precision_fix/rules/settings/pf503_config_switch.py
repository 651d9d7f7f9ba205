"""PF503: a switch of a config that turns bfloat16 on."""

from __future__ import annotations

from precision_fix.model.edit import GiveValue
from precision_fix.model.finding import Verdict, change
from precision_fix.model.library_answers import replacement
from precision_fix.model.rule import SettingRule, Stage
from precision_fix.model.setting import Form, Setting
from precision_fix.model.vocabulary.precision import turned_on


class RULE(SettingRule):
    code = "PF503"
    title = "a config's switch for bfloat16"
    why = (
        "`bf16: true` makes the Trainer of transformers, axolotl or LLaMA-Factory compute in bfloat16, and so does "
        'DeepSpeed\'s `"bf16": {"enabled": true}`. axolotl\'s `bf16: auto` asks torch, which says yes below compute '
        "capability 8.0 as well."
    )
    forms = frozenset({Form.KEY, Form.VARIABLE})
    stage = Stage.CHANGED
    before = ("PF502",)

    def judge(self, setting: Setting) -> Verdict | None:
        found = replacement(setting)
        if found is None or found.value is not False:
            return None
        shown = f"{setting.above}.{setting.name}" if setting.name == "enabled" else setting.shown
        return change(f"{shown} turns {turned_on(shown)} on", GiveValue(False))
