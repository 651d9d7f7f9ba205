"""Checkpoints in bfloat16."""

from __future__ import annotations

import copy
import io
import json
import tempfile
from pathlib import Path

import torch

from precision_fix.runtime.tried import Try
from precision_fix.runtime.tried.real import two_numbers


def tries(stores: bool) -> list[Try]:
    """What holds at once. Weights that stay in two bytes come as they are."""
    return [] if stores else [("torch.load of bfloat16", _loaded), ("copies of bfloat16", _copied)]


def of_safetensors() -> list[Try]:
    """What holds when safetensors has been imported."""
    return [("safetensors files in bfloat16", _opened)]


def of_safetensors_torch() -> list[Try]:
    """What holds when safetensors.torch has been imported."""
    return [("bytes of safetensors in bfloat16", _read)]


def _loaded(target: torch.dtype) -> bool:
    file = io.BytesIO()
    torch.save({"w": two_numbers()}, file)
    file.seek(0)
    read = torch.load(file, map_location="cpu", weights_only=True)["w"]
    return bool(read.dtype is target and read.tolist() == [1, 2])


def _copied(target: torch.dtype) -> bool:
    return bool(copy.copy(two_numbers()).dtype is target)


def _bytes_of_a_file() -> bytes:
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    return len(header).to_bytes(8, "little") + header + b"\x80\x3f\x00\x40"


def _opened(target: torch.dtype) -> bool:
    from safetensors import safe_open

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "two.safetensors")
        path.write_bytes(_bytes_of_a_file())
        with safe_open(str(path), framework="pt", device="cpu") as file:
            whole, part = file.get_tensor("w"), file.get_slice("w")[:1]
    return bool(whole.dtype is target and part.dtype is target and whole.tolist() == [1, 2])


def _read(target: torch.dtype) -> bool:
    from safetensors.torch import load

    read = load(_bytes_of_a_file())["w"]
    return bool(read.dtype is target and read.tolist() == [1, 2])
