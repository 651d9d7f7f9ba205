"""What a file must hold to be worth reading."""

from __future__ import annotations

#: bfloat16 in any spelling.
BFLOAT16 = ("bfloat16", "bf16", "BFloat16", "BF16")
#: In Python, a dtype that comes from elsewhere.
ELSEWHERE = ("getattr(t", "assign=True", 'dtype="auto"', "dtype='auto'")
