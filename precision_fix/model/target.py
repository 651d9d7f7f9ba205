"""The precision that takes bfloat16's place, in the words of torch and of the libraries that read a word."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A precision and how it is spelt: `dtype` for torch, `method` on a tensor, `short` in most configs."""

    dtype: str
    method: str
    tensor: str
    short: str
    gguf: str
    accelerate: str
    lightning_mixed: str
    lightning_true: str
    composer: str

    def word(self, old: str) -> str | None:
        """The word for this precision in the style of `old`, a word for bfloat16; None if `old` is no such word."""
        styles = {
            "bfloat16": self.dtype,
            "torch.bfloat16": f"torch.{self.dtype}",
            "bf16": self.short,
            "amp_bf16": self.composer,
            "bf16-mixed": self.lightning_mixed,
            "bf16-true": self.lightning_true,
        }
        return styles.get(old)


FLOAT32 = Target("float32", "float", "FloatTensor", "fp32", "f32", "no", "32-true", "32-true", "fp32")
FLOAT16 = Target("float16", "half", "HalfTensor", "fp16", "f16", "fp16", "16-mixed", "16-true", "amp_fp16")
TARGETS = {"float32": FLOAT32, "float16": FLOAT16}
