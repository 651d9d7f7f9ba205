"""Runs as a program of its own: reads the GPUs from the driver's library and prints them as one JSON line.

A program of its own, because a process that has called cuInit can fork no child that uses CUDA, and
detection must leave the caller as it was. cuInit and the queries here make no CUDA context.
Standard library only: it runs with `python -I -S`. Constants: cuda.h of the CUDA Toolkit.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
_SUCCESS = 0


def load(folders: Iterable[str]) -> ctypes.CDLL:
    """The driver's library. Raises OSError, with the loader's complaint, if there is none."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        return ctypes.CDLL(name)
    except OSError:
        for path in (Path(folder, name) for folder in folders):
            if path.exists():
                return ctypes.CDLL(str(path))
        raise


def read(library: ctypes.CDLL) -> dict[str, Any]:
    code = library.cuInit(0)
    if code != _SUCCESS:
        return {"code": code, "name": _name_of(library, code)}
    count = ctypes.c_int()
    code = library.cuDeviceGetCount(ctypes.byref(count))
    if code != _SUCCESS:
        return {"code": code, "name": _name_of(library, code)}
    return {"gpus": [_gpu(library, ordinal) for ordinal in range(count.value)]}


def _gpu(library: ctypes.CDLL, ordinal: int) -> dict[str, Any]:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    code = (
        library.cuDeviceGet(ctypes.byref(device), ordinal)
        or library.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
        or library.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    )
    if code != _SUCCESS:
        return {"code": code, "name": _name_of(library, code)}
    name = ctypes.create_string_buffer(256)
    library.cuDeviceGetName(name, len(name), device)
    memory = ctypes.c_size_t()
    # The unsuffixed function writes 32 bits; a driver always has the second version too.
    known = library.cuDeviceTotalMem_v2(ctypes.byref(memory), device) == _SUCCESS
    return {
        "capability": [major.value, minor.value],
        "gpu": name.value.decode("utf-8", "replace"),
        "memory": memory.value if known else None,
        "uuid": _uuid(library, device),
    }


def _uuid(library: ctypes.CDLL, device: ctypes.c_int) -> str | None:
    raw = (ctypes.c_ubyte * 16)()
    # Version 2 (driver 470) also tells MIG devices apart; the first one came with driver 396.
    for function in ("cuDeviceGetUuid_v2", "cuDeviceGetUuid"):
        if hasattr(library, function):
            if getattr(library, function)(ctypes.byref(raw), device) != _SUCCESS:
                return None
            digits = bytes(raw).hex()
            return "GPU-" + "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return None


def _name_of(library: ctypes.CDLL, code: int) -> str:
    text = ctypes.c_char_p()
    if hasattr(library, "cuGetErrorName") and not library.cuGetErrorName(code, ctypes.byref(text)) and text.value:
        return text.value.decode("ascii", "replace")
    return f"CUDA error {code}"


def main() -> None:
    try:
        answer = read(load(sys.argv[1:]))
    except (OSError, AttributeError) as error:
        answer = {"missing": str(error)}
    print("\nprecision-fix-answer:" + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
