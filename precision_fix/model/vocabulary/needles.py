"""What a file must hold to be worth reading, as few words as find every word and switch of the vocabulary."""

from __future__ import annotations

from collections.abc import Iterable

from precision_fix.model.vocabulary.spellings import QUIET_SWITCHES, QUIET_WORDS, STYLES


def missed(words: Iterable[str], needles: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the words that hold none of the needles."""
    return tuple(word for word in words if not any(needle in word for needle in needles))


# A switch is `brain_mode` in a config and `--brain-mode` on a launch line.
_QUIET = (*QUIET_WORDS, *QUIET_SWITCHES, *(name.replace("_", "-") for name in QUIET_SWITCHES if "_" in name))
_USUAL = ("bfloat16", "bf16", "BFloat16", "BF16")
#: bfloat16 in the spellings that people use, and what of the libraries' words these do not find.
BFLOAT16 = (*_USUAL, *missed((*STYLES, *_QUIET), _USUAL))
#: In a config, where capitals and underscores are as good, and attention stands under any name.
CONFIGS = (*BFLOAT16, *missed(("Bfloat16", "BFLOAT16", "BFLOAT_16"), BFLOAT16), "flash_att", "flash-att", "attn_impl")
#: On a launch line, an attention that needs what bfloat16 needs.
LAUNCH = (*BFLOAT16, *("flash_att", "flash-att", "FLASH_ATT", "fa2", "backend flash", "backend=flash"))
#: In Python, a dtype that comes from elsewhere, and the choice of a kernel.
ELSEWHERE = (
    *("getattr(t", "dtype=eval(", "assign=True", 'dtype="auto"', "dtype='auto'", "sdpa_kernel(", "sdp_kernel("),
    *("scaled_mm(", "scaled_grouped_mm(", "import scaled_mm"),
)
#: In Python, the same attention; looked for where `flash` is.
FLASH = (
    *('"flash_attention_', "'flash_attention_", '"kernels-community/', "'kernels-community/"),
    *("use_flash_att", "from flash_attn", "import flash_attn"),
)
#: In Python, a guard that lets everything pass but float32.
REFUSES = ("dtype != torch.float", "dtype is not torch.float")
#: In C++ and CUDA.
NATIVE = ("bfloat16", "bf16", "BFloat16")
#: Parts of strings and names by which a syntax tree keeps them.
MARKS = ("16", "flash", *missed(_QUIET, ("16", "flash")))
