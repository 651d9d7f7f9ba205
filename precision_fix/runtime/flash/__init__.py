"""What flash-attn's functions compute, for GPUs below compute capability 8.0, which flash-attn 2 refuses.

`dense` is the attention itself, by PyTorch's scaled dot product attention; `functions`, `varlen` and `kvcache` are
flash-attn's functions in its terms, `padding`, `rotary`, `norms` and `losses` what model files import beside them;
`package` puts them where the program looks for them. Semantics are those of flash-attn 2.8's docstrings.
"""
