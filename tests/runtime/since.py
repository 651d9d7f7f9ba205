"""What an older torch cannot do: a stated limit of the versions (docs/versions.md), and no failure."""

from __future__ import annotations

import pytest
import torch
from torch.torch_version import TorchVersion


def since(version: str, why: str) -> pytest.MarkDecorator:
    """Skip a test below a release of torch."""
    return pytest.mark.skipif(TorchVersion(torch.__version__) < version, reason=f"before torch {version}: {why}")


#: For tests of weights in two bytes.
stored = since("2.6", "weights in two bytes are refused")
