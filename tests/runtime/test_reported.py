"""Programs that were reported to fail on a T4, P100 or V100, each rebuilt small: patched, and started with the runtime.

`outside` is what no patch of the project reaches: packages, and what a model brings along.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import precision_fix
from precision_fix import runtime
from precision_fix.runtime.storage.storing import storing
from tests.tools import REPOSITORY

BF16 = torch.bfloat16


class Report:
    """A project `main.py`, and what lies outside of it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project, self.outside = folder / "project", folder / "outside"
        self.project.mkdir()
        self.outside.mkdir()
        monkeypatch.syspath_prepend(str(self.outside))
        monkeypatch.chdir(self.project)

    def brings(self, name: str, text: str) -> None:
        (self.outside / f"{name}.py").write_text(text)
        sys.modules.pop(name, None)

    def run(self, text: str) -> Any:
        """What `main()` returns, after the one command."""
        (self.project / "main.py").write_text(text)
        precision_fix.patch(str(self.project), gpu="t4")
        scope: dict[str, Any] = {"__name__": "reported"}
        code = compile((self.project / "main.py").read_text(), str(self.project / "main.py"), "exec")
        with runtime.enabled():
            exec(code, scope)
            return scope["main"]()


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    assert REPOSITORY not in tmp_path.parents
    return Report(tmp_path, monkeypatch)


def test_layers_read_from_disk_one_by_one(report: Report) -> None:
    """Mega4alik/ollm#55: weights come as bytes through a map of tags, and meet hidden states."""
    (report.project / "layer.bin").write_bytes(struct.pack("<4H", 16256, 16384, 16448, 16512))
    result = report.run(
        """
import torch

TAGS = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}

def read(tag):
    data = bytearray(open("layer.bin", "rb").read())
    return torch.frombuffer(data, dtype=TAGS[tag]).view(2, 2)

def main():
    hidden = torch.ones(1, 2, dtype=torch.bfloat16)
    layer = torch.nn.Linear(2, 2, bias=False).to(torch.bfloat16)
    direct = torch.nn.functional.linear(hidden, read("BF16"))
    layer.weight.data = read("BF16")
    return direct, layer(hidden)
"""
    )
    for each in result:
        assert each.dtype is torch.float32 and each.tolist() == [[3.0, 7.0]]


def test_a_model_that_brings_its_own_code(report: Report) -> None:
    """neosun100/DeepSeek-OCR-WebUI#40, deepseek-ai/DeepSeek-OCR#102: that code casts the images."""
    report.brings(
        "modeling_remote",
        """
import torch

class Reader(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = torch.nn.Conv2d(3, 4, 2, 2)

    def infer(self, image):
        with torch.autocast("cuda", dtype=torch.bfloat16):
            return self.patches(image.unsqueeze(0).to(torch.bfloat16))
""",
    )
    got = report.run(
        """
import torch
from modeling_remote import Reader

def main():
    model = Reader().eval().to(torch.bfloat16)
    return model.infer(torch.rand(3, 4, 4))
"""
    )
    assert got.dtype is torch.float32


def test_a_trainer_that_casts_adapters(report: Report) -> None:
    """huggingface/trl#4901: a scaler of float16 gradients is given adapters that the package cast to bfloat16."""
    report.brings(
        "trainer_package",
        """
import torch

class Trainer:
    def __init__(self, model):
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.to(torch.bfloat16)
        self.model, self.optimizer = model, torch.optim.SGD(model.parameters(), lr=0.1)

    def train(self, batch):
        self.model(batch.to(next(self.model.parameters()).dtype)).sum().backward()
        for parameter in self.model.parameters():
            if parameter.grad.dtype == torch.bfloat16:
                raise NotImplementedError("unscale not implemented for 'BFloat16'")
        self.optimizer.step()
        return self.model.weight.grad
""",
    )
    got = report.run(
        """
import torch
from trainer_package import Trainer

def main():
    return Trainer(torch.nn.Linear(2, 1)).train(torch.ones(1, 2))
"""
    )
    assert got.dtype is torch.float32


def test_an_engine_that_refuses(report: Report) -> None:
    """canopyai/Orpheus-TTS#44: a default that goes on to an engine, which refuses bfloat16 below 8.0."""
    report.brings(
        "engine_package",
        """
import torch

class Engine:
    def __init__(self, model, dtype):
        if dtype in (torch.bfloat16, "bfloat16"):
            raise ValueError("Bfloat16 is only supported on GPUs with compute capability of at least 8.0.")
        self.dtype = dtype
""",
    )
    got = report.run(
        """
import torch
from engine_package import Engine

class Speech:
    def __init__(self, model, dtype=torch.bfloat16):
        self.dtype = dtype
        self.engine = Engine(model=model, dtype=self.dtype)

def main():
    return Speech("model").engine.dtype
"""
    )
    assert got is torch.float32


def test_a_node_in_a_host_in_float16(report: Report) -> None:
    """sipie800/ComfyUI-PuLID-Flux-Enhanced#33: the host hands float16 to the layers that the node adds."""
    got = report.run(
        """
import torch

class CrossAttention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.out = torch.nn.LayerNorm(4), torch.nn.Linear(4, 4)

    def forward(self, embedding, image):
        return self.out(self.norm(image) + self.norm(embedding))

class Node:
    def apply(self):
        layers = torch.nn.ModuleList([CrossAttention()])
        layers.to("cpu", dtype=torch.bfloat16)
        return layers

NODE_CLASS_MAPPINGS = {"Node": Node}

def main():
    image = torch.rand(2, 4).half()
    return image + Node().apply()[0](torch.rand(2, 4).half(), image)
"""
    )
    assert got.dtype is torch.float16 and bool(got.isfinite().all())


def test_weights_in_eight_bits(report: Report) -> None:
    """BobJohnson24/ComfyUI-INT8-Fast#61: what computes knows two short types, and falls back to one of them."""
    got = report.run(
        """
import torch

class Linear8(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.randint(-127, 127, (4, 4), dtype=torch.int8))
        self.register_buffer("scale", torch.tensor(0.01))

    def forward(self, x):
        compute = x.dtype if x.dtype in (torch.float16, torch.bfloat16) else torch.bfloat16
        weight = self.weight.to(compute) * self.scale.to(compute)
        return torch.nn.functional.linear(x, weight)

def main():
    return Linear8()(torch.rand(2, 4).to(torch.bfloat16))
"""
    )
    assert got.dtype is torch.float32


def test_layers_streamed_in_bfloat16(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """MakazhanAlpamys/Soup#385: a probe that says True by emulation, and a dtype by the kind of device."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    got = report.run(
        """
import torch

def stream_dtype(kind):
    return torch.bfloat16 if kind == "cuda" else torch.float32

def main():
    mixed = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    buffer = torch.empty(4, 4, dtype=stream_dtype("cuda"))
    buffer.copy_(torch.ones(4, 4))
    return mixed, (torch.ones(1, 4, dtype=stream_dtype("cuda")) @ buffer)
"""
    )
    assert got[0] == "fp16" and got[1].dtype is torch.float32


def test_a_compiler_that_refuses(report: Report) -> None:
    """inclusionAI/AReno#159: no graph holds bfloat16, so it is compiled."""
    report.brings(
        "compiler_package",
        """
import torch

def backend(graph, inputs):
    for node in graph.graph.nodes:
        value = node.meta.get("example_value")
        if isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16:
            raise RuntimeError("BF16 is not supported")
    return graph.forward
""",
    )
    got = report.run(
        """
import torch
from compiler_package import backend

def main():
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU()).to(dtype=torch.bfloat16)
    step = torch.compile(model, backend=backend)
    loss = step(torch.rand(2, 4, dtype=torch.bfloat16)).float().sum()
    loss.backward()
    return loss
"""
    )
    assert got.dtype is torch.float32


def test_the_reports_are_real() -> None:
    """What the tests above refuse is what bfloat16 gives."""
    with storing():
        narrow = torch.nn.Linear(2, 2).to(BF16)
    with pytest.raises(RuntimeError):
        narrow(torch.ones(1, 2))
    with pytest.raises(RuntimeError):
        narrow.half()(torch.ones(1, 2, dtype=BF16))
