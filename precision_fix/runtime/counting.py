"""A model of transformers or diffusers, built and run on tensors that only have a shape, and what it takes.

This is the other process of `precision_fix.plan.counting`. Nothing is downloaded, and no code but the libraries' own is
run: a config that names classes of its repository is not known here.
"""

from __future__ import annotations

import json
import sys
from typing import Any

#: Begins the line of the answer.
ANSWER = "precision-fix-counted:"


def main() -> None:
    """Answer what stands on stdin."""
    asked = json.load(sys.stdin)
    # Neither is needed, and either may be built for another torch than the one here.
    for name in ("torchvision", "torchaudio"):
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        answer = _answer(asked)
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"[:300]}
    print(f"\n{ANSWER}{json.dumps(answer)}", flush=True)


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from precision_fix.runtime.subjects import subject

    torch.set_num_threads(1)
    found = subject(asked["config"])
    if found is None:
        return {"error": "not known"}
    runs = []
    tensors: list[tuple[str, str, int]] = []
    models: dict[int, Any] = {}
    with FakeTensorMode(allow_non_fake_inputs=True):
        for run in asked["runs"]:
            model = models.get(run["bytes"])
            if model is None:
                model = found.build(torch.bfloat16 if run["bytes"] == 2 else torch.float32)
                tensors = tensors or _tensors(model)
                if not found.runs:
                    break
                model = models[run["bytes"]] = found.prepare(model, run)
            sizes = {name: value for name, value in run.items() if value is not None}
            runs.append(found.measure(model, _halved({**found.sizes, **sizes})))
    return {"tensors": tensors, "runs": runs, "kind": found.kind, "sizes": found.sizes}


def _halved(run: dict[str, Any]) -> dict[str, Any]:
    """The run at half its size, where it asks for that."""
    if not run.get("half"):
        return run
    sides: dict[str, Any] = {name: max(1, run[name] // 2) for name in ("length", "height") if name in run}
    return {**run, **sides}


def _tensors(model: Any) -> list[tuple[str, str, int]]:
    """Each parameter once, however many names it has."""
    return [(name, str(each.dtype).removeprefix("torch."), each.numel()) for name, each in model.named_parameters()]


if __name__ == "__main__":
    main()
