"""PF504: a config that asks for flash attention."""

from __future__ import annotations

import re

from precision_fix.model.attention import ADVICE, FLASH_WORDS, PACKED, needs_flash_attention
from precision_fix.model.edit import GiveValue
from precision_fix.model.finding import Verdict, change, manual
from precision_fix.model.rule import SettingRule
from precision_fix.model.setting import Form, Setting

# These take transformers' word (transformers: modeling_utils.py; accelerate: utils/dataclasses.py, ms-swift: AttnImpl);
# LLaMA-Factory has `flash_attn` for it (extras/constants.py, AttentionFunction).
_TAKES_WORD = re.compile(r"(?:.*_)?attn_impl(?:ementation)?")
_SWITCH = re.compile(r"(?:use_|enable_)?flash_?(?:attn|attention)(?:_?2)?")
# Several examples in one row are told apart by flash attention alone.
_PACKING = frozenset({"packing", "padding_free", "packing_samples", "sample_packing", "eval_sample_packing"})


class RULE(SettingRule):
    code = "PF504"
    title = "flash attention in a config"
    why = (
        "FlashAttention 2 has no kernels below compute capability 8.0, and none for float32. `sdpa`, PyTorch's own "
        "attention, runs anywhere. Where the program packs several examples into a row, or takes other words, the "
        "setting is reported."
    )
    forms = frozenset({Form.KEY})

    def judge(self, setting: Setting) -> Verdict | None:
        is_switch = _SWITCH.fullmatch(setting.name) is not None
        if not (is_switch and setting.value is True) and not (
            needs_flash_attention(setting.word) and (is_switch or _TAKES_WORD.fullmatch(setting.name))
        ):
            return None
        if any(keys and str(keys[-1]) in _PACKING and value is True for keys, value in setting.document.values.items()):
            return manual(PACKED)
        new = _other(setting)
        if new is None:
            return manual(f"flash attention does not run here: {ADVICE}")
        return change(f"flash attention does not run here; {new} does", GiveValue(new))


def _other(setting: Setting) -> str | None:
    """The word for torch's own attention, where the reader's is known."""
    if _TAKES_WORD.fullmatch(setting.name):
        if FLASH_WORDS.fullmatch(setting.word) or setting.word == "flash_attn":
            return "sdpa"
        # llm-foundry: models/mpt/configuration_mpt.py, attn_config.
        return "torch" if setting.ends_in("attn_config.attn_impl") else None
    return "sdpa" if setting.name == "flash_attn" and setting.word == "fa2" else None
