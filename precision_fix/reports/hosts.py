"""What the host of a changed file computes in on this GPU: nodes run in ComfyUI, model files in a server of models.

Such a host chooses float16 below compute capability 8.0 by itself, and hands that to modules which are float32 now.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from precision_fix import door
from precision_fix.model.problem import shown
from precision_fix.project.facts import NOTHING, Facts
from precision_fix.project.imports import look_at
from precision_fix.reports.paste import pasted
from precision_fix.sources.start_line import is_there

if TYPE_CHECKING:
    from precision_fix.reports.run import Run

_MOST_FOLDERS_UP = 12
_MOST_OF_A_PROGRAM = 1 << 20


@dataclass(frozen=True, slots=True)
class Host:
    """A program that others' files run in: what it calls them, what tells them, and what it computes in on a GPU of
    that name and compute capability.
    """

    name: str
    noun: str
    takes: Callable[[Facts], bool]
    dtype: Callable[[str, tuple[int, int]], str]


def _is_node(facts: Facts) -> bool:
    """`NODE_CLASS_MAPPINGS`, or the function that ComfyUI's second interface asks for. Source: ComfyUI, nodes.py
    (load_custom_node).
    """
    return facts.is_node_pack or "comfy_entrypoint" in facts.functions


def _imports(*packages: str) -> Callable[[Facts], bool]:
    def takes(facts: Facts) -> bool:
        brought = [*(each.brings for each in facts.imports), *facts.stars]
        return any(f"{each}.".startswith(f"{package}.") for each in brought for package in packages)

    return takes


# Source: ComfyUI, comfy/model_management.py (should_use_fp16): below 7.0 float32 where it can choose, and on some cards
# of 7.5 whose float16 is broken.
_BROKEN_HALF = ("1660", "1650", "1630", "T500", "T550", "T600", "MX550", "MX450", "CMP 30HX", "T2000", "T1000", "T1200")


def _of_comfyui(gpu: str, capability: tuple[int, int]) -> str:
    return "float32" if capability < (7, 0) or any(each in gpu for each in _BROKEN_HALF) else "float16"


def _of_vllm(_: str, capability: tuple[int, int]) -> str:
    """Source: vllm/platforms/cuda.py (supported_dtypes)."""
    return "float16" if capability >= (6, 0) else "float32"


def _half(_: str, __: tuple[int, int]) -> str:
    """Source: sglang/srt/model_executor/model_runner.py, "Use float16 due to lack of bfloat16 support"."""
    return "float16"


HOSTS = (
    Host("ComfyUI", "nodes for ComfyUI", _is_node, _of_comfyui),
    Host("vLLM", "a model for vLLM", _imports("vllm.model_executor", "vllm.ModelRegistry"), _of_vllm),
    Host("SGLang", "a model for SGLang", _imports("sglang.srt"), _half),
)


@dataclass(frozen=True, slots=True)
class Meeting:
    """What is said of a host and of the `files` that run in it. `so` is how to start it for them, "" where it may be
    started as ever; by a command, if there is one.
    """

    files: tuple[str, ...]
    said: str
    so: str = ""
    command: str = ""

    @property
    def line(self) -> str:
        """All of it but the command, which gets a line of its own: one that is wrapped cannot be copied."""
        start = f" {self.so}{':' if self.command else '.'}" if self.so else ""
        return f"{self.said}.{start}"


def meetings(run: Run) -> list[Meeting]:
    """What is to be said of each host of what changes."""
    gpu = run.decision.gpu if run.decision is not None else None
    own = run.scan.target.dtype
    found = []
    for host, files in _hosted({each.path for each in run.changes if each.path.endswith(".py")}):
        dtype = host.dtype(gpu.name, gpu.capability) if gpu is not None else "float16"
        first, more = shown(_as_named(files[0], run)), f" and {len(files) - 1} more" if len(files) > 1 else ""
        verb, here = "holds" if not more else "hold", "this GPU" if gpu is not None else "most GPUs below 8.0"
        said = f"{first}{more} {verb} {host.noun}, which computes in {dtype} on {here}"
        if dtype == own:
            found.append(Meeting(tuple(files), f"{said} as well"))
            continue
        said = f"{said}: what it hands to modules in {own} is cast by the runtime alone"
        main = _main_of_comfyui(files, run) if host.name == "ComfyUI" else None
        if main is not None and _starts_the_runtime(main, run):
            found.append(Meeting(tuple(files), f"{said}, which {pasted(main)} imports"))
        elif host.name == "ComfyUI":
            command = f"precision-fix run {pasted(main) if main is not None else 'main.py'}"
            found.append(Meeting(tuple(files), said, "Start ComfyUI so", command))
        else:
            found.append(Meeting(tuple(files), said, f"Start {host.name} by precision-fix run, in the place of python"))
    return found


def _hosted(changed: Iterable[str]) -> Iterator[tuple[Host, list[str]]]:
    """Each host with what of the changed files runs in it: a pack by its folder, a file that stands alone by itself."""
    known: dict[str, Facts] = {}
    packages: dict[str, bool] = {}
    found: dict[str, dict[str, None]] = {host.name: {} for host in HOSTS}

    def facts(path: str) -> Facts:
        if path not in known:
            known[path] = look_at(path) or NOTHING
        return known[path]

    for path in sorted(changed):
        pack = next((each for each in _folders(path, packages) if _is_node(facts(os.path.join(each, _INIT)))), None)  # noqa: PTH118
        if pack is not None:
            found["ComfyUI"][pack] = None
            continue
        host = next((host for host in HOSTS if host.takes(facts(path))), None)
        if host is not None:
            found[host.name][path] = None
    yield from ((host, [*found[host.name]]) for host in HOSTS if found[host.name])


_INIT = "__init__.py"


def _folders(path: str, packages: dict[str, bool]) -> list[str]:
    """The folders around a file that are packages, the outermost first: the top of a pack registers its nodes."""
    above: list[str] = []
    folder = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120
    while os.path.basename(folder) not in ("custom_nodes", "") and len(above) < _MOST_FOLDERS_UP:  # noqa: PTH119
        if folder not in packages:
            packages[folder] = os.path.isfile(os.path.join(folder, _INIT))  # noqa: PTH113, PTH118
        above.insert(0, folder)
        folder = os.path.dirname(folder)  # noqa: PTH120
    return [each for each in above if packages[each]]


def _main_of_comfyui(files: list[str], run: Run) -> Path | None:
    """The program of the ComfyUI that these files lie in, if they lie in one."""
    tops = (top for path in files for top in Path(path).absolute().parents)
    main = next((top / "main.py" for top in tops if (top / "custom_nodes").is_dir()), None)
    return Path(_as_named(str(main), run)) if main is not None and main.is_file() else None


def _as_named(path: str, run: Run) -> str:
    """A path from the current folder, if it lies below that and the paths of the run are named so."""
    if all(Path(each).is_absolute() for each in run.paths) or Path.cwd() not in Path(path).parents:
        return path
    return str(Path(path).relative_to(Path.cwd()))


def _starts_the_runtime(program: Path, run: Run) -> bool:
    """Whether a program imports the runtime: by this run, or since an earlier one."""
    now = {os.path.realpath(path) for launch in run.scan.starts for path in launch.started}
    if os.path.realpath(program) in now:
        return True
    try:
        return is_there(door.read(str(program), _MOST_OF_A_PROGRAM, follow=True).decode("utf-8", "replace"))
    except OSError:
        return False
