"""Models that transformers and diffusers know, built without memory by another process, and counted there.

This one imports neither, nor torch. What a config names is never downloaded, and no code of a repository is run: only
classes of the installed libraries are built (`precision_fix.runtime.counting` is the other process).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from precision_fix.plan.config import Config
from precision_fix.plan.contents import Tensor, Unreadable
from precision_fix.plan.dtypes import DTYPES
from precision_fix.plan.known import Dial, Known
from precision_fix.plan.operators import Mode
from precision_fix.plan.use import Use
from precision_fix.safe_path import neutral_folder

_ANSWER = "precision-fix-counted:"
# A model of 80 layers takes some 20 s on a slow machine.
_PATIENCE = 180.0
_MOST = 1 << 50
_BOOT = """
import sys
sys.path.insert(0, sys.argv[1])
import precision_fix
del sys.path[0]
sys.path += [each for each in sys.argv[2:] if each not in sys.path]
from precision_fix.runtime.counting import main
main()
"""


def counted(config: Config, use: Use) -> Counted | None:
    """What the libraries say of a model; None where they are not installed, do not know it, or take too long."""
    library = "diffusers" if config.name("_class_name") else "transformers"
    named = config.name("_class_name") or config.name("model_type")
    if not named or any(_missing(name) for name in ("torch", library)):
        return None
    runs = [_run(use, width=4), _run(use, width=4, cast=True), _run(use, width=2)]
    answer = _ask({"config": config.data, "runs": [*runs, *_nearby(use)]})
    return None if answer is None else _checked(config, use, answer)


def _missing(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is None
    except (ImportError, ValueError):
        return True


def _run(use: Use, *, width: int, cast: bool = False) -> dict[str, Any]:
    sizes = ("batch", "length", "width", "height", "frames", "rank", "checkpointing", "train")
    said = {name: getattr(use, name) for name in sizes}
    return {**said, "targets": list(use.targets), "bytes": width, "cast": cast}


def _nearby(use: Use) -> list[dict[str, Any]]:
    """Two more runs, from which other sizes are told: of half the length (and sides), and of twice the batch."""
    run = _run(use, width=4)
    return [{**run, "half": True}, {**run, "batch": 2 * use.batch}]


def _ask(asked: dict[str, Any]) -> dict[str, Any] | None:
    root = str(Path(__file__).parents[2])
    installed = [each for each in sys.path if os.path.basename(each) in ("site-packages", "dist-packages")]  # noqa: PTH119
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-W", "ignore", "-c", _BOOT, root, *installed],
            input=json.dumps(asked),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            cwd=neutral_folder(),
            env={**os.environ, **offline},
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    for line in done.stdout.splitlines():
        if line.startswith(_ANSWER):
            found: dict[str, Any] = json.loads(line.removeprefix(_ANSWER))
            return found if "error" not in found else None
    return None


def _checked(config: Config, use: Use, answer: dict[str, Any]) -> Counted:
    made = Counted(config, use, answer)
    if sum(tensor.numel for tensor in made.tensors) >= _MOST:
        raise Unreadable("its config describes more parameters than any computer holds")
    return made


class Counted(Known):
    """A model that was built, and run at a few sizes. Between and beyond them its work grows as a power of the size."""

    def __init__(self, config: Config, use: Use, answer: dict[str, Any]) -> None:
        super().__init__(config, answer["kind"], spreads=True)
        self.sizes: dict[str, int] = answer["sizes"]
        self.runs: list[dict[str, int]] = answer["runs"]
        self.first = self.at(use)
        for name, kind, numel in answer["tensors"]:
            dtype = DTYPES.get(kind, DTYPES["float32"])
            lies = self.dtype if dtype.name == "float32" and "dtype" in config else dtype
            self.tensors.append(Tensor(name, lies, numel, numel * lies.block_bytes))
        self.dials = self._dials()

    def _dials(self) -> tuple[Dial, ...]:
        if not self.runs:
            return ()
        batch = Dial("batch", "image" if self.kind == "diffusion" else "sequence")
        if self.kind == "diffusion":
            side = Dial("width", "pixel of a square's side")
            return (side, Dial("frames", "frame"), batch) if self.sizes.get("frames", 1) > 1 else (side, batch)
        text = self.config.part("text_config") or self.config
        key = next((k for k in ("max_position_embeddings", "n_positions", "max_target_positions") if k in text), "")
        return (Dial("length", "position", text.where + key if key else "", self.sizes.get("most")), batch)

    @property
    def works(self) -> bool:
        """Whether it was run, and not only built."""
        return bool(self.runs)

    def at(self, use: Use) -> Use:
        filled = {name: self.sizes[name] for name in ("length", "width", "height", "frames") if name in self.sizes}
        return replace(use, **{name: getattr(use, name) or value for name, value in filled.items()})  # type: ignore[arg-type]

    def cached(self, use: Use) -> int:
        if not self.runs or use.train:
            return 0
        half, whole = self.runs[3]["cached"], self.runs[0]["cached"]
        slope = 2 * (whole - half) / (self.first.length or 1)
        length = (use.length or 1) - (self.first.length or 1)
        return max(0, round((whole + slope * length) * use.batch / self.first.batch))

    def busy(self, use: Use, mode: Mode) -> tuple[int, int]:
        if not self.runs:
            return 0, 0
        at = {(4, False): 0, (4, True): 1, (2, False): 2}[mode.width, mode.casts]
        run = self.runs[at]
        base, half, twice = (_busy(self.runs[each], mode) for each in (0, 3, 4))
        busy = _busy(run, mode)
        busy += self._wide_caches(use, mode)
        grown = _grown(busy, base, half, self._size(use) / max(1, self._size(self.first)))
        more = (twice - base) * (use.batch / self.first.batch - 1) * (grown / max(1, base))
        return max(0, round(grown + more)) + run["gradients"], run["gradients"]

    def _wide_caches(self, use: Use, mode: Mode) -> int:
        """Keys and values of one layer, read in float32 where they are kept in two bytes."""
        if use.train or mode.caches == mode.width:
            return 0
        text = self.config.part("text_config") or self.config
        layers = text.whole("num_hidden_layers", "decoder_layers", "num_layers", default=1)
        return self.cached(self.first) * mode.width // layers

    def _size(self, use: Use) -> int:
        if self.kind == "diffusion":
            # A dial of the width is that of a square.
            side = use.width or 1
            high = use.height or 1 if use.width == self.first.width else side
            return side * high * (use.frames or 1)
        return use.length or 1

    def trained(self, use: Use) -> int:
        return self.runs[0]["trained"] if self.runs else super().trained(use)


def _busy(run: dict[str, int], mode: Mode) -> int:
    """What comes and goes beside the caches: an encoder does so before there are any."""
    return max(run["busy"], run.get("early", 0) - run["cached"] * mode.caches) - run["gradients"]


def _grown(busy: int, base: int, half: int, ratio: float) -> float:
    """`busy`, seen at one size, at `ratio` times that: on the line, or the parabola, that `base` and `half` tell."""
    if base <= 0 or half <= 0:
        return busy * ratio
    share = base / half
    if share <= 2:
        slope = 2 * (base - half)
        return busy * max(0.0, (base + slope * (ratio - 1)) / base)
    # Half of the size takes a * 1/2 + b * 1/4 of what a + b take.
    square = min(float(base), max(0.0, 2 * (base - 2 * half)))
    line = base - square
    return busy * (line * ratio + square * ratio * ratio) / base
