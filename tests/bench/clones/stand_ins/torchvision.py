"""The real torchvision, where its CUDA-linked _C.so does not load.

It registers fakes for two operators even then, and fails if they are not there: they are declared, without a kernel.
"""

import importlib
import sys
from pathlib import Path

import torch

LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
for name in ("nms", "qnms"):
    LIBRARY.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
sys.path.remove(str(Path(__file__).parent))
del sys.modules[__name__]
importlib.import_module(__name__)
sys.path.insert(0, str(Path(__file__).parent))
