"""PF504: a config that asks for flash attention."""

from __future__ import annotations

from precision_fix.model.edit import GiveValue
from precision_fix.model.finding import Verdict, change, manual
from precision_fix.model.rule import SettingRule, Stage
from precision_fix.model.setting import Document, Form, Setting
from precision_fix.model.vocabulary import attention


class RULE(SettingRule):
    code = "PF504"
    title = "flash attention in a config"
    why = (
        "FlashAttention 2 has no kernels below compute capability 8.0, and none for float32. `sdpa`, PyTorch's own "
        "attention, runs anywhere; a switch is turned off. Where the program packs several examples into a row, takes "
        "other words, or stops without the switch, the setting is reported."
    )
    forms = frozenset({Form.KEY})
    stage = Stage.CHANGED
    before = ("PF503",)

    def judge(self, setting: Setting) -> Verdict | None:
        is_switch = attention.SWITCH.fullmatch(setting.name) is not None
        if not (is_switch and setting.value is True) and not (
            attention.needs_flash_attention(setting.word) and (is_switch or attention.TAKES_SDPA.search(setting.name))
        ):
            return None
        if setting.document.once(_packs):
            return manual(attention.PACKED)
        if setting.value is True:
            return change("flash attention does not run here", GiveValue(False))
        new = _other(setting)
        if new is None:
            return manual(f"flash attention does not run here: {attention.ADVICE}")
        return change(f"flash attention does not run here; {new} does", GiveValue(new))


def _packs(document: Document) -> bool:
    return attention.packed(document.values)


def _other(setting: Setting) -> str | None:
    """The word for torch's own attention, where the reader's is known."""
    if attention.TAKES_SDPA.search(setting.name):
        if attention.FLASH_WORDS.fullmatch(setting.word) or setting.word == "flash_attn":
            return "sdpa"
        # llm-foundry: models/mpt/configuration_mpt.py, attn_config.
        return "torch" if setting.ends_in("attn_config.attn_impl") else None
    return "sdpa" if setting.name == "flash_attn" and setting.word == "fa2" else None
