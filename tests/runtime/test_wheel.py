"""The first line, where the torch that runs has no kernels for the card."""

from __future__ import annotations

import pytest
import torch

from precision_fix.runtime import gate
from tests.launcher import Python

CU128 = "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120"
CU126 = "sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90"

#: A torch that is built for these cards. Where it is built for the CPU alone it has no such function.
BUILT_FOR = """
import torch
torch._C._cuda_getArchFlags = lambda: {architectures!r}
torch.cuda.get_arch_list = lambda: []
torch.__version__ = "2.10.0+cu128"
import precision_fix.auto
from precision_fix import runtime
print(runtime.status().reason)
"""


@pytest.mark.parametrize(
    ("architectures", "gpu", "said"),
    [(CU128, "p100", True), (CU128, "v100", True), (CU128, "t4", False), (CU126, "p100", False), ("", "p100", False)],
)
def test_a_card_without_kernels_is_told_of_in_the_first_line(
    architectures: str, gpu: str, said: bool, python: Python
) -> None:
    done = python(BUILT_FOR.format(architectures=architectures), PRECISION_FIX_GPU=gpu)
    assert done.stderr.count("\n") == 1, done.stderr
    assert ("has no kernels for this GPU" in done.stderr) is said
    assert ("pip install --force-reinstall torch==2.10.0 --index-url" in done.stderr) is said
    assert done.stderr == f"precision-fix: {done.stdout}"


@pytest.mark.skipif(torch.version.cuda is None, reason="torch is built for the CPU alone")
def test_this_very_torch_is_asked(python: Python) -> None:
    done = python("import precision_fix.auto, torch\n", PRECISION_FIX_GPU="p100")
    has = "sm_60" in str(torch._C._cuda_getArchFlags())
    assert ("has no kernels for this GPU" in done.stderr) is not has


@pytest.mark.parametrize(
    ("gpu", "capability"), [("Tesla P100 6.0", (6, 0)), ("12.1 12.1", (12, 1)), ("GPU", None), (None, None)]
)
def test_the_capability_of_a_gpu_by_its_name(gpu: str | None, capability: tuple[int, int] | None) -> None:
    assert gate.capability_of(gpu) == capability
