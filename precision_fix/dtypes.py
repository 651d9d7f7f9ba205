"""The words that people have for a dtype."""

from __future__ import annotations

_WORDS = {
    "bfloat16": ("bf16",),
    "float16": ("fp16", "f16", "half"),
    "float32": ("fp32", "f32", "float", "single"),
}
_DTYPES = {word: dtype for dtype, words in _WORDS.items() for word in (dtype, *words)}


def dtype_named(word: str) -> str:
    """The name that torch has for a dtype: "float16" for "fp16", "half", "torch.float16". Any other word, in lower
    case."""
    word = word.strip().lower().removeprefix("torch.")
    return _DTYPES.get(word, word)
