"""PF012: one of a list of words."""

from __future__ import annotations

from precision_fix.model.finding import Verdict, keep
from precision_fix.model.rule import SettingRule, Stage
from precision_fix.model.setting import Form, Setting

_OFFERS = frozenset({"choices", "options", "enum", "values", "allowed", "supported", "examples"})


class RULE(SettingRule):
    code = "PF012"
    title = "a word of a list in a config"
    why = (
        "`choices: [bf16, fp32]`, the values of a sweep, the `enum` of a schema: what is offered is not yet chosen, "
        "and whoever chooses must find the word."
    )
    forms = frozenset({Form.KEY})
    stage = Stage.LEFT
    before = ("PF011",)

    def judge(self, setting: Setting) -> Verdict | None:
        is_item = isinstance(setting.keys[-1], int) if setting.keys else False
        if is_item and not setting.in_node and setting.name not in ("args", "command", "entrypoint"):
            return keep("one of a list of words")
        offered = not _OFFERS.isdisjoint(setting.names[:-1])
        return keep("offered, not chosen") if offered else None
