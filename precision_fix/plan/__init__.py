"""What is in checkpoints, what of it fits a GPU, and how: `precision-fix plan`. Nothing here imports torch.

`heads` and `jsontext` read, never more than a header; `safetensors_header`, `gguf_header` and `torch_file` know the
formats; `find` and `group` say which files are a model; `fit` is the arithmetic, which the runtime asks as well.
"""
