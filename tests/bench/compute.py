"""What `--compute float16` gives: `make bench-compute`.

    python -m tests.bench.compute models        # errors on models with outliers; needs transformers and diffusers
    python -m tests.bench.compute gradients     # of LoRA, by the size of the loss; needs peft
    python -m tests.bench.compute products      # thousands of products, convolutions and attentions: --count 20000
    python -m tests.bench.compute roofline      # bytes, launches and predicted times; needs nothing
    python -m tests.bench.compute hosts --comfyui PATH --fish-speech PATH      # the same of their own model classes
    python -m tests.bench.compute cuda          # times and finiteness on the CUDA device that is there

On a CPU float16 products are emulated: exact products of float16 numbers, sums in float32.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from precision_fix import runtime
from tests.bench import compute_models as models

BF16 = torch.bfloat16
COLUMNS = ("native bfloat16", "float32", ".half()", "autocast float16", "this", "this, float16 out")


@contextlib.contextmanager
def everything(wide: bool = True) -> Iterator[None]:
    """Every product in float16, however small."""
    from precision_fix.runtime.compute import multiply, state

    state.USE.least, multiply.Emulated.wide = 0, wide
    try:
        yield
    finally:
        state.USE.least, multiply.Emulated.wide = state.LEAST, True


def ours(model: Any, case: models.Case, *, wide: bool = True) -> torch.Tensor:
    """As a program has it that asks for bfloat16, under the runtime."""
    with runtime.enabled(compute="float16"), everything(wide):
        mine = copy.deepcopy(model).to(BF16)
        return models.result(mine, case, torch.float32)


def autocast(model: Any, case: models.Case) -> torch.Tensor:
    with torch.autocast("cpu", torch.float16):
        return models.result(model, case, torch.float32)


def error(found: torch.Tensor, reference: torch.Tensor) -> str:
    """Root mean square of the error over that of the reference."""
    if not found.isfinite().all():
        return "NaN" if found.isnan().any() else "inf"
    return f"{float((found - reference).norm() / reference.norm()):.1e}"


def largest(model: Any, case: models.Case) -> float:
    """The largest number that a module with outliers gives."""
    seen = [0.0]
    hooks = [
        part.register_forward_hook(lambda _, __, out: seen.append(float(out.abs().max())))
        for name, part in model.named_modules()
        if case.places and name.endswith(case.places)
    ]
    models.result(model, case, torch.float32)
    for hook in hooks:
        hook.remove()
    return max(seen)


def table(cases: Sequence[models.Case], names: list[str]) -> int:
    """The errors; 1 where this is above half of native bfloat16's."""
    print(f"{'rms error against float64':27}{'outliers':>9}" + "".join(f"{name:>18}" for name in COLUMNS))
    over = 0
    for case in cases:
        if names and not any(case.name.lower().startswith(name.lower()) for name in names):
            continue
        for size in case.sizes:
            try:
                over += _row(case, size)
            except ImportError as why:
                print(f"{case.name:27}not run: {why}")
                break
    return int(over > 0)


def _row(case: models.Case, size: float) -> bool:
    model = models.prepared(case, size)
    exact = copy.deepcopy(model).double()
    if hasattr(exact, "set_experts_implementation"):  # its grouped products are none of float64
        exact.set_experts_implementation("eager")
    reference = models.result(exact, case, torch.float64)
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "native bfloat16": lambda: models.result(copy.deepcopy(model).to(BF16), case, BF16),
        "float32": lambda: models.result(model, case, torch.float32),
        ".half()": lambda: models.result(copy.deepcopy(model).half(), case, torch.float16),
        "autocast float16": lambda: autocast(model, case),
        "this": lambda: ours(model, case),
        "this, float16 out": lambda: ours(model, case, wide=False),
    }
    found = {}
    for name in COLUMNS:
        try:
            found[name] = error(ways[name](), reference)
        except (RuntimeError, NotImplementedError) as why:
            found[name] = type(why).__name__
            print(f"  {case.name}, {name}: {str(why).splitlines()[0]}", file=sys.stderr)
    shown = f"{largest(model, case):.1e}" if size > 1 else "none"
    print(f"{case.name:27}{shown:>9}" + "".join(f"{found[name]:>18}" for name in COLUMNS), flush=True)
    return not float(found["this"]) <= float(found["native bfloat16"]) / 2


def gradients() -> int:
    """LoRA through frozen weights: errors of all adapters' gradients."""
    import peft  # type: ignore[import-not-found,unused-ignore]

    case = models.CASES[0]
    tokens = case.inputs()["input_ids"]

    def of(base: Any, dtype: torch.dtype, loss: float) -> torch.Tensor:
        torch.manual_seed(2)
        model = peft.get_peft_model(base, peft.LoraConfig(r=8, target_modules="all-linear", init_lora_weights=False))
        trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
        torch.manual_seed(3)
        for each in trained.values():
            each.data = (
                (torch.randn(each.shape) * 50).round().clamp(-255, 255).div(1024).to(each.dtype)
            )  # bfloat16 holds it
        made = model(input_ids=tokens, labels=tokens).loss * loss
        made.backward()
        return torch.cat([each.grad.double().flatten() for each in trained.values()]) / loss

    print(
        f"{'LLaMA 4x256, LoRA r=8':27}{'loss':>9}"
        + "".join(f"{name:>18}" for name in ("native bfloat16", "float32", ".half()", "this"))
    )
    over = 0
    for size in (1.0, 1e4, 1e6):
        model = models.prepared(case, size)
        reference = of(copy.deepcopy(model).double(), torch.float64, 1.0)
        for loss in (1.0, 1e-6, 65536.0):
            found = [of(copy.deepcopy(model).to(each), each, loss) for each in (BF16, torch.float32, torch.float16)]
            with runtime.enabled(compute="float16"), everything():
                found.append(of(copy.deepcopy(model).to(BF16), torch.float32, loss))
            errors = [error(each, reference) for each in found]
            print(f"outliers times {size:<12g}{loss:>9g}" + "".join(f"{each:>18}" for each in errors), flush=True)
            over += not float(errors[-1]) <= float(errors[0]) / 2
    return int(over > 0)


def main() -> int:
    """The exit code is 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("models", "gradients", "products", "roofline", "hosts", "cuda"))
    parser.add_argument("names", nargs="*", help="of models: how their names begin")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--comfyui", type=Path, help="of hosts: a checkout of ComfyUI")
    parser.add_argument("--fish-speech", type=Path, help="of hosts: a checkout of fish-speech")
    given = parser.parse_args()
    if given.what == "models":
        return table(models.CASES, given.names)
    if given.what == "hosts":
        from tests.bench.compute_hosts import cases

        if given.comfyui is None and given.fish_speech is None:
            parser.error("hosts wants --comfyui PATH, --fish-speech PATH, or both")
        return table(cases(given.comfyui, given.fish_speech), given.names)
    if given.what == "gradients":
        return gradients()
    if given.what == "products":
        from tests.bench.compute_products import run as products

        return products(given.count)
    if given.what == "roofline":
        from tests.bench.compute_roofline import run as roofline

        return roofline()
    from precision_fix.runtime.compute.measure import main as cuda

    return cuda()


if __name__ == "__main__":
    sys.exit(main())
