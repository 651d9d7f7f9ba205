"""The precision that takes bfloat16's place, in the words of torch and of the libraries that read a word."""

from __future__ import annotations

from dataclasses import dataclass

from precision_fix.model.vocabulary.spellings import STYLES


@dataclass(frozen=True, slots=True)
class Target:
    """A precision and how it is spelt: `dtype` for torch, `method` on a tensor, `short` in most configs.

    `offered` are the words by which programs offer it, the best first. Where the runtime casts as well, guards let both
    this and bfloat16 pass (`lets_both`): what they are given may be a tensor, or the dtype that was asked for. Where it
    keeps weights in bfloat16, `guards_alone` are edited: what the program wants in bfloat16 must be seen.
    """

    dtype: str
    method: str
    tensor: str
    short: str
    gguf: str
    offered: tuple[str, ...]
    lets_both: bool = False
    guards_alone: bool = False

    def pick(self, words: tuple[str, str]) -> str:
        """The one of a pair of the vocabulary, of which the first is for float32."""
        return words[self.dtype == "float16"]

    def word(self, old: str) -> str | None:
        """The word for this precision in the style of `old`, a word for bfloat16; None if `old` is no such word."""
        words = STYLES.get(old)
        return self.pick(words) if words is not None else None

    def word_like(self, old: str) -> str | None:
        """The same for a word in other capitals, in which the new one is written too; None where there is none."""
        new = self.word(old) or self.word(old.lower())
        if new is None or old.islower() or old in STYLES:
            return new
        return new.upper() if old.isupper() else None


_FULL = ("no", "float32", "torch.float32", "fp32", "f32", "32-true", "32", "full", "float", "FP32", "none")
_HALF = ("float16", "torch.float16", "fp16", "16-true", "half")
FLOAT32 = Target("float32", "float", "FloatTensor", "fp32", "f32", _FULL)
FLOAT16 = Target("float16", "half", "HalfTensor", "fp16", "f16", _HALF)
TARGETS = {"float32": FLOAT32, "float16": FLOAT16}
