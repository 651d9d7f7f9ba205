"""What the runtime tries once it is in place, under a torch whose internals were renamed."""

from __future__ import annotations

import pytest
import torch

from precision_fix import runtime
from tests.launcher import Python

QUIETLY = {"PRECISION_FIX_QUIET": "1"}

#: Changes of torch's internals, and what does not hold then.
RENAMED = {
    "a checkpoint is rebuilt by another function": (
        """
        torch._utils._make = torch._utils._rebuild_tensor
        def rebuild(storage, offset, size, stride, requires_grad, hooks, metadata=None):
            return torch._utils._make(storage, offset, size, stride)
        torch._utils._rebuild_tensor_v2 = rebuild
        rebuild.__module__ = "torch._utils"
        rebuild.__name__ = rebuild.__qualname__ = "_rebuild_tensor_v2"
        """,
        ["torch.load of bfloat16", "copies of bfloat16"],
    ),
    "a region sets its dtype otherwise": (
        """
        from torch._C import set_autocast_cpu_dtype, set_autocast_cpu_enabled
        class autocast:
            def __init__(self, device, dtype): self.dtype = dtype
            def __enter__(self): set_autocast_cpu_enabled(True); set_autocast_cpu_dtype(self.dtype)
            def __exit__(self, *_): set_autocast_cpu_enabled(False)
        torch.autocast = autocast
        """,
        ["autocast regions in bfloat16"],
    ),
    "the functions of a device are found by another table": (
        "known = frozenset({torch.empty})\ntorch.utils._device._device_constructors = lambda: known",
        ["torch.device() around what makes tensors"],
    ),
    "checkpoints of activations note regions elsewhere": (
        "del torch.utils.checkpoint._get_autocast_kwargs",
        ["checkpoints of activations in a region"],
    ),
    "nothing": ("", []),
}

PROGRAM = """
import torch
import torch.utils.checkpoint, torch.utils._device, warnings
warnings.simplefilter("ignore")
{change}
import precision_fix.auto
from precision_fix import runtime
print(*runtime.status().failed, sep="\\n")
"""


def _lines(text: str) -> str:
    return "\n".join(line[8:] if line.startswith("        ") else line for line in text.splitlines())


@pytest.mark.parametrize(("change", "failed"), RENAMED.values(), ids=RENAMED)
def test_what_a_renamed_internal_leaves_in_bfloat16_is_said_in_one_line(
    change: str, failed: list[str], python: Python
) -> None:
    done = python(PROGRAM.format(change=_lines(change)), PRECISION_FIX="force", **QUIETLY)
    assert done.returncode == 0, done.stderr
    named = done.stdout.strip().splitlines()
    assert named == failed
    assert done.stderr.count("\n") == (1 if failed else 0), done.stderr
    if failed:
        assert f"with torch {torch.__version__} this does NOT hold: {'; '.join(failed)} (" in done.stderr


GRAPHS = """
import torch
{change}
import precision_fix.auto
from precision_fix import runtime
run = torch.compile(lambda x: x + 1, backend="eager")
torch.compile(lambda x: x + 2, backend="eager")
print(run(torch.ones(1)).item(), *runtime.status().failed)
from torch._dynamo.utils import counters
print(counters["stats"].get("unique_graphs"))
"""

#: What makes a node of a graph is called by another name.
ELSEWHERE = """
import torch._dynamo.output_graph as module
make = module.SubgraphTracer.create_proxy
module.OutputGraph.create_proxy = lambda self, *args, **kwargs: make(self.current_tracer, *args, **kwargs)
"""


@pytest.mark.parametrize("renamed", [True, False])
def test_torch_compile_is_tried_when_it_is_first_asked_for(renamed: bool, python: Python) -> None:
    change = ELSEWHERE if renamed else ""
    done = python(GRAPHS.format(change=change), PRECISION_FIX="force", **QUIETLY)
    if renamed:
        assert done.stderr.count("casts under torch.compile") == 1, done.stderr
    else:
        assert (done.stdout, done.stderr) == ("2.0\n \n1\n".replace(" \n", ""), ""), done.stderr


def test_all_of_it_holds_here_and_leaves_no_trace() -> None:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    try:
        before = torch.get_rng_state()
        forward = torch.nn.LayerNorm.forward
        for storage in ("float32", "bfloat16"):
            with runtime.enabled(storage=storage) as status:
                assert status.failed == ()
                assert storage == "bfloat16" or torch.nn.LayerNorm.forward is forward
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.get_default_dtype() is torch.float64
        assert not torch.is_autocast_enabled()
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_line_of_the_status_names_it() -> None:
    told = runtime.Status(True, "because", "float32", "float32", None, 1, (), (), 0, ("torch.load of bfloat16",))
    assert "does NOT hold: torch.load of bfloat16" in told.line
    assert "does not hold: torch.load of bfloat16" in told._repr_html_()
