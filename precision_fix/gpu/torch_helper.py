"""Runs as a program of its own: prints what the installed torch is built for and which GPUs it sees.

Importing torch takes seconds and may crash, and its CUDA calls do what detection must not do to the caller.
"""

from __future__ import annotations

import os
import sys

# A script's own folder comes first on sys.path, and this one holds modules with everyday names.
_HERE = os.path.realpath(os.path.dirname(__file__))  # noqa: PTH120
sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != _HERE]

import json  # noqa: E402
from typing import Any  # noqa: E402


def read(about: str) -> dict[str, Any]:
    """`about` is "kernels" or "gpus"; the latter makes torch start CUDA."""
    import torch  # type: ignore[import-not-found, unused-ignore]

    version: Any = torch.version
    answer: dict[str, Any] = {
        "version": str(torch.__version__),
        "cuda": version.cuda,
        "hip": getattr(version, "hip", None),
        "archs": [],
        "gpus": [],
    }
    if version.cuda is None:
        return answer
    answer["archs"] = _architectures(torch)
    if about == "gpus" and torch.cuda.is_available():
        for ordinal in range(torch.cuda.device_count()):
            try:
                gpu: Any = torch.cuda.get_device_properties(ordinal)
            except (RuntimeError, AssertionError) as error:
                answer["gpus"].append({"error": str(error)})
                continue
            uuid = getattr(gpu, "uuid", None)
            answer["gpus"].append(
                {
                    "gpu": str(gpu.name),
                    "capability": [int(gpu.major), int(gpu.minor)],
                    "memory": int(gpu.total_memory) or None,
                    "uuid": None if uuid is None else f"GPU-{uuid}",
                }
            )
    return answer


def _architectures(torch: Any) -> list[str]:
    architectures = torch.cuda.get_arch_list()
    if not architectures and hasattr(torch._C, "_cuda_getArchFlags"):
        # The public function says nothing on a machine without a usable GPU.
        architectures = (torch._C._cuda_getArchFlags() or "").split()
    return [str(architecture) for architecture in architectures]


if __name__ == "__main__":
    try:
        result = read(sys.argv[1])
    except Exception as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    print("\nprecision-fix-answer:" + json.dumps(result), flush=True)
