"""PF923: an attention that needs compute capability 8.0, where its reader's word for another is not known."""

from __future__ import annotations

from precision_fix.model import words
from precision_fix.model.finding import Verdict, manual
from precision_fix.model.rule import SettingRule
from precision_fix.model.setting import Form, Setting


class RULE(SettingRule):
    code = "PF923"
    title = "flash attention by another name"
    why = (
        "FlashAttention 2 has no kernels below compute capability 8.0, nor for float32. What takes its place differs: "
        "axolotl has `sdp_attention: true`, LLaMA-Factory `flash_attn: sdpa`."
    )
    forms = frozenset({Form.KEY})

    def judge(self, setting: Setting) -> Verdict | None:
        if not words.asks_for_flash(setting) or setting.name.endswith(words.IMPLEMENTATION):
            return None
        return manual(f"{setting.shown} needs compute capability 8.0: choose torch's own attention (sdpa)")
