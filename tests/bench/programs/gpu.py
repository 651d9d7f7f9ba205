"""A CPU that says it is a CUDA device with the capability of a T4, so that a program takes the branches it takes there.

Tensors say that they are on `cuda:0`, and what is sent there stays where it is; regions of autocast for `cuda` are
regions for `cpu`, in any dtype. bfloat16 is «supported», as torch says of a T4. Nothing of precision-fix is used here.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import safetensors.torch
import torch
import torch.nn.attention
from torch.overrides import TorchFunctionMode

DEVICE = torch.device("cuda", 0)
CPU = torch.device("cpu")
_TENSOR: Any = torch.Tensor
_AT, _IS_CUDA, _IS_CPU = _TENSOR.device.__get__, _TENSOR.is_cuda.__get__, _TENSOR.is_cpu.__get__
_T4 = SimpleNamespace(name="Tesla T4", major=7, minor=5, total_memory=15 << 30, multi_processor_count=40)
#: Of torch.cuda, what a program asks of the device, and what it tells it.
_ANSWERS: dict[str, Callable[..., Any]] = {
    "is_available": lambda: True,
    "is_initialized": lambda: True,
    "is_bf16_supported": lambda *_, **__: True,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "get_device_capability": lambda *_: (7, 5),
    "get_device_name": lambda *_: _T4.name,
    "get_device_properties": lambda *_: _T4,
    "mem_get_info": lambda *_: (14 << 30, 15 << 30),
}
_SILENT = [
    "synchronize", "empty_cache", "set_device", "manual_seed", "manual_seed_all", "reset_peak_memory_stats",
    "ipc_collect", "init",
]  # fmt: skip
_NUMBERS = ["memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved"]
_PARSE_TO: Any = torch._C._nn._parse_to  # type: ignore[attr-defined]
#: In a region CUDA computes these in float32; the CPU's regions leave them as they are, and refuse float8 weights.
_WIDE = {torch.nn.functional.layer_norm, torch.nn.functional.group_norm}


def _wide(value: Any) -> Any:
    return value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def _here(value: Any) -> Any:
    """`value`, or the CPU where it names a CUDA device."""
    if isinstance(value, torch.device):
        return CPU if value.type == "cuda" else value
    return "cpu" if isinstance(value, str) and value.partition(":")[0] == "cuda" else value


class _OneDevice(TorchFunctionMode):
    """What names the device gets the CPU, and a tensor of the CPU says that it is on the device."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func == _AT:
            found = func(*args)
            return DEVICE if found.type == "cpu" else found
        if func in (_IS_CUDA, _IS_CPU):
            return func == _IS_CUDA
        if func in (torch.Tensor.cuda, torch.Tensor.pin_memory):
            return args[0]
        if func is torch.device:  # `device.type` is what a program tells a region
            return func("cuda", *args) if type(args[0]) is int else func(*args, **kwargs)
        if func in (torch.Tensor.to, _PARSE_TO):  # a number is a device
            args = [CPU if type(one) is int else one for one in args]
        kwargs = {name: CPU if name == "device" and type(at) is int else _here(at) for name, at in kwargs.items()}
        if func in _WIDE and torch.is_autocast_enabled("cpu"):
            args, kwargs = map(_wide, args), {name: _wide(value) for name, value in kwargs.items()}
        return func(*map(_here, args), **kwargs)


class _Generator:
    """torch.Generator has no hook to ask: this makes one for the CPU, and says that it is its class."""

    real = torch.Generator

    def __new__(cls, device: Any = "cpu") -> Any:
        return cls.real(_here(device))


class _IsGenerator(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _Generator.real)


def _autocast(real: Callable[..., None]) -> Callable[..., None]:
    """On a CPU the class takes two dtypes; on a GPU any. What it tells the dispatcher is the program's."""

    @functools.wraps(real)
    def __init__(self: Any, device_type: str, dtype: Any = None, enabled: bool = True, *args: Any, **kw: Any) -> None:
        if device_type != "cuda":
            return real(self, device_type, dtype, enabled, *args, **kw)
        real(self, "cpu", torch.float16, enabled, *args, **kw)
        self.fast_dtype = dtype or torch.float16
        return None

    return __init__


def _asked(real: Callable[..., Any], *leading: str) -> Callable[..., Any]:
    return lambda *args: real(*(_here(at) for at in args or leading))


def _loaded(real: Callable[..., Any], option: str) -> Callable[..., Any]:
    @functools.wraps(real)
    def load(*args: Any, **options: Any) -> Any:
        if isinstance(options.get(option), int):
            options[option] = CPU
        return real(*map(_here, args), **{name: _here(value) for name, value in options.items()})

    return load


def _in_threads(run: Callable[..., None]) -> Callable[..., None]:
    """A mode is a thread's own, and libraries load weights in threads."""

    def anew(self: Any) -> None:
        with _OneDevice():
            run(self)

    return anew


def pretend() -> None:
    """For the rest of the process."""
    for name, answer in _ANSWERS.items():
        setattr(torch.cuda, name, answer)
    for name in _SILENT:
        setattr(torch.cuda, name, lambda *_, **__: None)
    for name in _NUMBERS:
        setattr(torch.cuda, name, lambda *_, **__: 0)
    cuda: Any = torch.cuda
    torch.version.cuda, cuda.nccl.version = "12.8", lambda: (2, 27, 5)
    torch.distributed.is_nccl_available = lambda: True
    torch.Generator = _IsGenerator("Generator", (_Generator,), {})
    region: Any = torch.amp.autocast_mode.autocast
    region.__init__ = _autocast(region.__init__)
    torch.is_autocast_enabled = _asked(torch.is_autocast_enabled, "cpu")
    torch.get_autocast_dtype = _asked(torch.get_autocast_dtype)
    torch.get_autocast_gpu_dtype = lambda: torch.get_autocast_dtype("cpu")
    torch.load = _loaded(torch.load, "map_location")
    safetensors.torch.load_file = _loaded(safetensors.torch.load_file, "device")
    kernels: Any = torch.nn.attention  # a CPU has one of them only
    kernels.sdpa_kernel = functools.wraps(kernels.sdpa_kernel)(lambda *_, **__: contextlib.nullcontext())
    threads: Any = threading.Thread
    threads.run = _in_threads(threads.run)
    _OneDevice().__enter__()


def only_float32() -> None:
    """Every mention of bfloat16 means float32 from now on: the program's own float32 run, with nothing rewritten."""
    tensor: Any = torch.Tensor
    module: Any = torch.nn.Module
    storage: Any = torch.storage
    for table in (storage._new_dtypes, storage._dtype_to_storage_type_map, storage._storage_type_to_dtype_map):
        table()  # filled once, with bfloat16 as it is
    torch.bfloat16 = torch.float32
    tensor.bfloat16, module.bfloat16 = tensor.float, module.float


def floating(value: object) -> Iterator[torch.Tensor]:
    """The floating tensors of a result: of modules, and of what is nested."""
    if isinstance(value, torch.nn.Module):
        value = [*value.parameters(), *value.buffers()]
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from floating(one)
    elif isinstance(value, torch.Tensor) and value.is_floating_point():
        yield value
