"""PF504: an attention that needs compute capability 8.0."""

from __future__ import annotations

from precision_fix.model.edit import GiveValue
from precision_fix.model.finding import Verdict, change
from precision_fix.model.rule import SettingRule
from precision_fix.model.setting import Form, Setting


class RULE(SettingRule):
    code = "PF504"
    title = "flash attention in a config"
    why = (
        "FlashAttention 2 has kernels for compute capability 8.0 and above, and for half precision alone. transformers "
        "takes `sdpa` in its place, which is part of torch and runs everywhere."
    )
    forms = frozenset({Form.KEY, Form.OPTION, Form.VARIABLE})

    def judge(self, setting: Setting) -> Verdict | None:
        if setting.value != "flash_attention_2" or not setting.name.endswith(("attn_implementation", "attn_impl")):
            return None
        return change("flash attention needs compute capability 8.0", GiveValue("sdpa"))
