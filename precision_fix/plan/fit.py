"""What fits a GPU."""

from __future__ import annotations

#: Of the GPU's memory, what is left for activations and the CUDA context.
_RESERVE = 0.2


def storage_for(parameter_bytes_float32: int, gpu_memory: int) -> str:
    """ "float32" where that many bytes of weights leave a fifth of the GPU's memory (bytes) free, else "bfloat16"."""
    return "float32" if parameter_bytes_float32 <= (1 - _RESERVE) * gpu_memory else "bfloat16"
