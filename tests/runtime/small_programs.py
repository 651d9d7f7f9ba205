"""Small programs that ask for bfloat16, each a module with `main()`: on disk and in memory they are patched alike.

What `main` gives is compared bit by bit. Some are two files; `PROGRAMS` has them by path.
"""

from __future__ import annotations

PROGRAMS = {
    "cast_and_assert.py": """
import torch

def main():
    x = torch.arange(4.0).reshape(2, 2).to(torch.bfloat16)
    assert x.dtype == torch.bfloat16
    return x @ (x / 3)
""",
    "products.py": """
import torch

def product(a, b):
    assert a.dtype == torch.bfloat16
    assert b.dtype == torch.bfloat16
    return (a * 1.001) @ b
""",
    "guard_in_another_file.py": """
import torch
from products import product

def main():
    return product(torch.full((2, 2), 0.1, dtype=torch.bfloat16), torch.eye(2).to(torch.bfloat16))
""",
    "autocast_region.py": """
import torch

def main():
    torch.manual_seed(1)
    layer = torch.nn.Linear(4, 4)
    with torch.autocast(
        "cpu",
        dtype=torch.bfloat16,  # fast
    ):
        return layer(torch.full((1, 4), 0.3))
""",
    "default_and_guard.py": """
import torch

def make(n, dtype=torch.bfloat16):
    if dtype != torch.bfloat16:
        raise ValueError(dtype)
    return torch.linspace(0, 1, n, dtype=dtype)

def main():
    return make(7)
""",
    "map_of_words.py": """
import torch

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}

def main(precision="bf16"):
    return torch.ones(3, dtype=DTYPES[precision]) / 7
""",
    "bytes_as_bfloat16.py": """
import torch

def main():
    raw = bytearray(torch.tensor([16256, 16300, 16448], dtype=torch.int16).numpy().tobytes())
    return torch.frombuffer(raw, dtype=torch.bfloat16) * 0.1
""",
    "sizes.py": """
import torch

SIZES = {torch.float32: 4, torch.bfloat16: 2, torch.float16: 2}

def main():
    x = torch.zeros(5).bfloat16()
    return x.numel() * SIZES[x.dtype], SIZES[torch.bfloat16]
""",
    "training.py": """
import torch

def main():
    torch.manual_seed(2)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 1)).bfloat16()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    for _ in range(3):
        loss = net(torch.ones(2, 4, dtype=torch.bfloat16)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [parameter.detach() for parameter in net.parameters()]
""",
    "probe.py": """
import torch

def main():
    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float64
    return torch.ones(2, dtype=dtype)
""",
    "default_dtype.py": """
import torch

def main():
    torch.set_default_dtype(torch.bfloat16)
    try:
        return torch.ones(3) / 3
    finally:
        torch.set_default_dtype(torch.float32)
""",
    "imported_name.py": """
from torch import arange, bfloat16 as short

def main():
    return arange(5).to(short).div(3)
""",
    "module_with_buffer.py": """
import torch

class Scale(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.linspace(0, 1, 9, dtype=torch.bfloat16))

    def forward(self, x):
        assert self.table.dtype == torch.bfloat16
        return x.to(torch.bfloat16) * self.table

def main():
    return Scale()(torch.full((9,), 1.1))
""",
    "branch.py": """
import torch

def halves(x):
    return x.dtype in (torch.float16, torch.bfloat16)

def main():
    x = torch.ones(2, dtype=torch.bfloat16)
    return "half" if halves(x) else "full", halves(torch.ones(1, dtype=torch.float16))
""",
    "scripted.py": """
import torch

@torch.jit.script
def rounded(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.bfloat16) * 3

def main():
    return rounded(torch.full((2,), 1.01))
""",
    "pickled.py": """
import pickle
import torch

class Config:
    def __init__(self):
        self.scale = torch.tensor([1.01, 2.02], dtype=torch.bfloat16)

def main():
    return pickle.loads(pickle.dumps(Config())).scale
""",
    "reloaded.py": """
import importlib
import map_of_words

def main():
    first = map_of_words.main()
    return first, importlib.reload(map_of_words).main()
""",
    "seeded.py": """
import torch

def main():
    generator = torch.Generator().manual_seed(3)
    return torch.randn(8, generator=generator, dtype=torch.bfloat16).softmax(0)
""",
    "configured.py": """
from dataclasses import dataclass
import torch

@dataclass
class Config:
    dtype: torch.dtype = torch.bfloat16
    width: int = 4

def main():
    config = Config()
    x = torch.full((config.width,), 0.7).to(config.dtype)
    assert x.dtype == config.dtype
    return x.cumsum(0)
""",
    "all_of_them.py": """
import torch

def main():
    parts = [torch.full((2,), value).to(dtype=torch.bfloat16) for value in (0.1, 0.2)]
    assert all(part.dtype == torch.bfloat16 for part in parts)
    return torch.cat(parts).sum()
""",
    "bits.py": """
import torch

def bits(t):
    b = t.detach().cpu().to(torch.bfloat16)
    i = b.view(torch.int16)
    return i

def main():
    rounded = torch.full((2,), 1.001).to(
        torch.bfloat16
    ).to(torch.float32)
    return bits(torch.tensor([1.0, 2.5])), rounded, torch.ones(1).to(torch.bfloat16)
""",
    "bits_by_a_table.py": """
import torch

KINDS = {"bf16": torch.bfloat16, "fp32": torch.float32}

def dump(x, word):
    return x.to(
        KINDS[word]
    ).view(torch.int16)

def main():
    return dump(torch.tensor([1.0, 2.5]), "bf16")
""",
    "lines.py": """
import inspect
import torch

def failing(x):
    with torch.autocast(
        device_type="cpu",
        dtype=torch.bfloat16
    ):
        y = x.to(torch.bfloat16)
    raise ValueError(y.dtype)

def main():
    try:
        failing(torch.ones(1))
    except ValueError as error:
        return str(error), "enabled=False" in inspect.getsource(failing), inspect.getsourcelines(failing)[0][0]

def line():
    try:
        failing(torch.ones(1))
    except ValueError as error:
        return error.__traceback__.tb_next.tb_lineno
""",
}

#: Runs them all, and says in JSON what each gave, and on how many files this process was edited.
ALL = """
import importlib, json, sys
import torch

def told(value):
    if isinstance(value, torch.Tensor):
        return [str(value.dtype), value.contiguous().view(torch.uint8).tolist() if value.dim() else value.item()]
    if isinstance(value, (list, tuple)):
        return [told(each) for each in value]
    return value

def one(name):
    try:
        return told(importlib.import_module(name).main())
    except Exception as error:
        return f"{type(error).__name__}: {error}"

found = {name: one(name) for name in sys.argv[1:]}
edited = 0
if "precision_fix.runtime" in sys.modules:
    edited = sys.modules["precision_fix.runtime"].status().edited
print(json.dumps([found, edited, importlib.import_module("lines").line()]))
"""
