"""What a file must hold to be worth reading."""

from __future__ import annotations

#: bfloat16 in any spelling.
BFLOAT16 = ("bfloat16", "bf16", "BFloat16", "BF16")
#: In Python, a dtype that comes from elsewhere.
ELSEWHERE = ("getattr(t", "assign=True", 'dtype="auto"', "dtype='auto'")
#: On a launch line, an attention that needs what bfloat16 needs.
ATTENTION = ("flash_att", "flash-att", "FLASH_ATT", "fa2", "backend flash", "backend=flash")
#: In Python, the same.
FLASH = (
    *('"flash_attention_', "'flash_attention_", '"kernels-community/', "'kernels-community/"),
    *("use_flash_att", "from flash_attn", "import flash_attn"),
)
