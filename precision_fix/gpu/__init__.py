"""Which GPUs there are, and whether they compute in bfloat16 (compute capability 8.0 and above)."""

from __future__ import annotations

from precision_fix.gpu.detect import detect
from precision_fix.gpu.model import ComputeCapability, Detection, Gpu
from precision_fix.gpu.names import UnknownGpu, named, usual_memory
from precision_fix.gpu.torch_probe import missing_kernels

__all__ = ["ComputeCapability", "Detection", "Gpu", "UnknownGpu", "detect", "missing_kernels", "named", "usual_memory"]
