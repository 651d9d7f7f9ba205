"""The real torchaudio without its CUDA-linked extension: its fall-backs in Python are used."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

EXTENSION: Any = ModuleType("torchaudio._extension")
EXTENSION._IS_TORCHAUDIO_EXT_AVAILABLE = False
EXTENSION.fail_if_no_align = lambda function: function
sys.modules[EXTENSION.__name__] = EXTENSION
sys.path.remove(str(Path(__file__).parent))
del sys.modules[__name__]
importlib.import_module(__name__)
sys.path.insert(0, str(Path(__file__).parent))
