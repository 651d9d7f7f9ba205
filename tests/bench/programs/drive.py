"""Run one program, in this process: drive.py DRIVER TREE OUTPUT asis|float32|started [PART ...]

A driver is a file of functions, each a part of the program in small: it returns what came out, as a dict. Here the
parts are run one after the other on a CPU that says it is a T4, and what is to be compared is written to OUTPUT.

Of a driver, besides PARTS: `prepare` makes files and stand-ins first; LIBRARIES are imported before the program, ABSENT
modules have stand-ins, SOURCES are folders of the tree to import from besides its root. DEVICE = ["cpu"] leaves the CPU
a CPU. A program that is `started` begins with the start line; the environment says for which GPU.
"""

from __future__ import annotations

import ast
import collections
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import traceback
import types
import warnings
from pathlib import Path
from typing import Any

import gpu
import torch
from torch.utils._python_dispatch import TorchDispatchMode

REAL = torch.bfloat16


class InBfloat16(TorchDispatchMode):
    """Counts, by operator, what came out in bfloat16; not what makes room, or names what is there already."""

    def __init__(self) -> None:
        super().__init__()
        self.found: collections.Counter[str] = collections.Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.partition("::")[2]
        results = result if isinstance(result, (list, tuple)) else [result]
        if any(isinstance(one, torch.Tensor) and one.dtype is REAL for one in results):
            alias = func._schema.returns[0].alias_info
            view = alias is not None and not alias.is_write and getattr(args[0], "dtype", None) is REAL
            if not view and not name.startswith(("empty", "set_", "detach", "view")):
                self.found[name] += 1
        return result


def statement(path: str, name: str, **names: object) -> Any:
    """What the program's own script assigns to `name`: a script that runs when it is imported is not."""
    for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and any(isinstance(at, ast.Name) and at.id == name for at in node.targets):
            return eval(compile(ast.Expression(node.value), path, "eval"), names)
    raise LookupError(f"{path} assigns nothing to {name}")


def as_bfloat16(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As a checkpoint in bfloat16 has them: the upper halves of float32, whatever a cast comes to here.

    In the float32 run these numbers are in float32.
    """
    halves = {name: one.detach().contiguous().view(torch.int32) >> 16 for name, one in weights.items()}
    if torch.bfloat16 is not REAL:
        return {name: (one << 16).view(torch.float32) for name, one in halves.items()}
    return {name: one.to(torch.int16).view(REAL) for name, one in halves.items()}


def save_bfloat16(weights: dict[str, torch.Tensor], path: Path) -> None:
    """A safetensors file of them."""
    header, data = {}, b""
    for name, one in as_bfloat16(weights).items():
        word = "F32" if one.dtype is torch.float32 else "BF16"
        part = one.view(torch.uint8).numpy().tobytes()
        header[name] = {"dtype": word, "shape": list(one.shape), "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def _attribute(_: object, name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return _anything(name)


class _Anything(type):
    """A class that has everything and does nothing, as its instances do; what they decorate stays as it is."""

    __getattr__ = _attribute


def _anything(name: str) -> Any:
    call = lambda _, *found, **__: found[0] if found else None  # noqa: E731
    return _Anything(name, (), {"__init__": lambda *_, **__: None, "__call__": call, "__getattr__": _attribute})


class _Absent(types.ModuleType):
    """A module that is imported and, in what is run, not used."""

    __version__ = "99"
    __getattr__ = _attribute


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Makes stand-ins for modules that are not installed, and for what is in them."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        wanted = any(f"{name}.".startswith(f"{absent}.") for absent in self.names)
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if wanted else None

    def create_module(self, spec: Any) -> types.ModuleType:
        return _Absent(spec.name)  # the import system gives it the rest, its __path__ too

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def run(part: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    try:
        with InBfloat16() as seen:
            outcome = part()
    except BaseException as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
    dtypes = sorted({str(one.dtype).removeprefix("torch.") for one in gpu.floating(outcome)})
    compared = {name: value for name, value in outcome.items() if not isinstance(value, torch.nn.Module)}
    return {"dtypes": dtypes, "in bfloat16": dict(seen.found), "outcome": compared}


def constant(driver: str, name: str) -> list[str]:
    """What the driver says before it is run, or nothing: LIBRARIES, ABSENT, SOURCES, DEVICE."""
    try:
        found: list[str] = statement(driver, name)
    except LookupError:
        return []
    return found


def load(driver: str, how: str) -> types.ModuleType:
    """The driver, with the program's modules that it imports."""
    spec = importlib.util.spec_from_file_location("driver", driver)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path[:0] = [str(Path(folder).resolve()) for folder in (".", *constant(driver, "SOURCES"))]
    if how == "started":
        importlib.import_module("precision_fix.auto")
    if constant(driver, "DEVICE") != ["cpu"]:
        gpu.pretend()
    for name in constant(driver, "LIBRARIES"):  # while torch.bfloat16 is still itself
        importlib.import_module(name)
    sys.meta_path.insert(0, Absent(constant(driver, "ABSENT")))
    if how == "float32":
        gpu.only_float32()
    spec.loader.exec_module(module)
    return module


def main() -> None:
    driver, tree, output, how, *parts = sys.argv[1:]
    warnings.simplefilter("ignore")
    os.chdir(tree)
    sys.modules["drive"] = sys.modules["__main__"]
    module = load(driver, how)
    torch.manual_seed(0)
    getattr(module, "prepare", lambda: None)()
    results = {part.__name__: run(part) for part in module.PARTS if not parts or part.__name__ in parts}
    torch.bfloat16 = REAL
    torch.save(results, output)
    for name, found in results.items():
        print(name, found.get("error") or (found["dtypes"], found["in bfloat16"]))


if __name__ == "__main__":
    main()
