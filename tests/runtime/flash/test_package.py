"""Where a program finds the stand-in for flash-attn, and where it gets the answer that it would get without it."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from precision_fix import runtime
from precision_fix.errors import PrecisionFixError
from precision_fix.runtime.flash import asked
from precision_fix.runtime.flash.functions import flash_attn_func

pytestmark = pytest.mark.skipif(importlib.util.find_spec("flash_attn") is not None, reason="flash-attn is installed")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that programs are imported from, under the runtime."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PRECISION_FIX_SAID_FLASH_ATTN", "")
    before = set(sys.modules)
    with runtime.enabled():
        yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(("flash_attn", "xformers", "program")):
            del sys.modules[name]


def _import(folder: Path, text: str, **others: str) -> ModuleType:
    for name, content in {**others, "program": text}.items():
        (folder / f"{name}.py").write_text(content)
    importlib.invalidate_caches()
    sys.modules.pop("program", None)
    return importlib.import_module("program")


UNASKED = """
import torch
from flash_attn import flash_attn_func, flash_attn_varlen_func, flash_attn_with_kvcache
from flash_attn.flash_attn_interface import flash_attn_qkvpacked_func
from flash_attn.bert_padding import index_first_axis, pad_input, unpad_input
from flash_attn.layers.rotary import RotaryEmbedding, apply_rotary_emb
from flash_attn.ops.rms_norm import RMSNorm
from flash_attn.ops.triton.layer_norm import RMSNorm as Other, rms_norm_fn
from flash_attn.ops.triton.rotary import apply_rotary
from flash_attn.ops.activations import swiglu
from flash_attn.losses.cross_entropy import CrossEntropyLoss
from flash_attn.modules.mha import flash_attn_kvpacked_func
from flash_attn.utils.distributed import all_gather
import xformers.ops
from xformers.ops.fmha.attn_bias import BlockDiagonalMask
from xformers.ops import fmha, memory_efficient_attention
assert fmha.attn_bias.BlockDiagonalMask is BlockDiagonalMask and xformers.__version__
x = torch.ones(1, 2, 2, 8, dtype=torch.bfloat16)
output = flash_attn_func(x, x, x, causal=True)
"""


def test_who_imports_it_unasked_runs(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program: Any = _import(folder, UNASKED)
    assert program.flash_attn_func is flash_attn_func
    assert program.output.dtype == torch.float32 and torch.equal(program.output, torch.ones(1, 2, 2, 8))
    assert sys.modules["flash_attn"].__version__ >= "2.1.0"
    assert capfd.readouterr().err.count("flash_attn is not installed") == 1


def test_a_package_has_what_it_imports_itself(folder: Path) -> None:
    text = "import flash_attn, xformers.ops\nfound = flash_attn.flash_attn_interface.flash_attn_func\n"
    program: Any = _import(folder, text + "masks = xformers.ops.fmha.attn_bias\n")
    assert program.found is flash_attn_func and program.masks.BlockDiagonalMask


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import flash_attn\n    has = True\nexcept ImportError:\n    has = False",
        "has = True\ntry:\n    from flash_attn.bert_padding import *\nexcept ModuleNotFoundError:\n    has = False",
        "try:\n    from flash_attn import flash_attn_func\n    has = True\nexcept:\n    has = False",
        "try:\n    import flash_attn\n    has = True\nexcept (OSError, Exception):\n    has = False",
        "import contextlib\nhas = False\nwith contextlib.suppress(ImportError):\n    import flash_attn\n    has = True",
        "import importlib.util\nhas = importlib.util.find_spec('flash_attn') is not None",
        "import importlib as i\nhas = False\ntry:\n    has = i.import_module('flash_attn')\nexcept ImportError: pass",
        "try:\n    import program_attention\n    has = True\nexcept ImportError:\n    has = False",
        "def has():\n    try:\n        import flash_attn\n    except ImportError:\n        return False\nhas = has()",
    ],
)
def test_who_has_another_way_goes_it(folder: Path, text: str) -> None:
    assert _import(folder, text, program_attention="import flash_attn\n").has is False
    assert "flash_attn" not in sys.modules


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import flash_attn\nexcept ImportError as error:\n    raise RuntimeError('install it') from error",
        "import sys\ntry:\n    import flash_attn\nexcept ImportError:\n    sys.exit('install it')",
        "try:\n    import program_attention\nexcept Exception:\n    pass",
        "try:\n    pass\nexcept ImportError:\n    pass\nelse:\n    import flash_attn",
        "try:\n    import flash_attn\nfinally:\n    pass",
        "try:\n    import flash_attn\nexcept KeyError:\n    pass",
    ],
)
def test_who_only_says_so_differently_or_catches_anything_has_none(folder: Path, text: str) -> None:
    _import(folder, text, program_attention="import flash_attn\n")
    assert "flash_attn" in sys.modules


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("try:\n    import flash_attn\nexcept ImportError:\n    flash_attn = None", True),
        ("import importlib.util\nif importlib.util.find_spec('flash_attn'):\n    import flash_attn", True),
        ("try:\n    import program_attention\nexcept ImportError:\n    pass", False),
    ],
)
def test_who_catches_it_and_is_known_to_call_it_all_the_same_has_none(folder: Path, text: str, there: bool) -> None:
    # That of the last is caught by another file, of which nothing is known.
    known = "program.py" if there else "program_attention.py"
    asked.note(str(folder / known), calls=True, asks=False)
    _import(folder, text, program_attention="try:\n    import flash_attn\nexcept OSError:\n    pass\n")
    assert ("flash_attn" in sys.modules) is there


def test_asking_is_answered_as_before_while_it_stands_in(folder: Path) -> None:
    _import(folder, "import flash_attn")
    assert importlib.util.find_spec("flash_attn") is None
    assert importlib.util.find_spec("json") is not None
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("flash_attn")


@pytest.mark.parametrize("line", ["from flash_attn import no_such_function", "import flash_attn.models.gpt"])
def test_what_it_does_not_have_is_said(folder: Path, line: str) -> None:
    with pytest.raises(ImportError, match=r"flash_attn"):
        _import(folder, line)


INSTALLED = {
    "__init__": "from .flash_attn_interface import flash_attn_func, flash_attn_varlen_func\n__version__ = '2.7.4'\n",
    "flash_attn_interface": "def flash_attn_func(*args, **kwargs):\n    raise RuntimeError('only supports Ampere')\n"
    "def flash_attn_varlen_func(*args, **kwargs):\n    raise RuntimeError('only supports Ampere')\n",
    "bert_padding": "theirs = True\n",
}


def test_where_it_is_installed_its_functions_are_replaced(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "flash_attn").mkdir()
    for name, text in INSTALLED.items():
        (folder / "flash_attn" / f"{name}.py").write_text(text)
    importlib.invalidate_caches()
    text = (
        "import importlib.util, torch\ntry:\n    import flash_attn, flash_attn.bert_padding as padding\n"
        "except ImportError:\n    flash_attn = None\nhas = importlib.util.find_spec('flash_attn') is not None\n"
        "x = torch.ones(1, 2, 2, 8)\noutput = flash_attn.flash_attn_func(x, x, x)\n"
    )
    program: Any = _import(folder, text)
    assert program.has and program.padding.theirs and program.flash_attn.__version__ == "2.7.4"
    assert torch.equal(program.output, torch.ones(1, 2, 2, 8))
    assert not hasattr(sys.modules["flash_attn.flash_attn_interface"], "flash_attn_with_kvcache")
    assert "compute capability 8.0" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("first", "there"), [("import flash_attn", True), ("try:\n    import flash_attn\nexcept ImportError: pass", False)]
)
def test_before_torch(tmp_path: Path, first: str, there: bool) -> None:
    """Sorted imports have it there."""
    program = tmp_path / "main.py"
    program.write_text(f"{first}\nimport sys\nprint('flash_attn' in sys.modules)\n")
    command = [sys.executable, "-m", "precision_fix", "run", "--gpu", "t4", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(there)]


def test_nothing_is_left_of_it_afterwards(folder: Path) -> None:
    _import(folder, UNASKED)
    runtime.uninstall()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("flash_attn")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("flash_attn.bert_padding")


@pytest.mark.parametrize(("word", "text", "there"), [("always", "except ImportError", True), ("off", "finally", False)])
def test_it_can_be_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, word: str, text: str, there: bool, request: pytest.FixtureRequest
) -> None:
    """`always` for who has thought of another way and then does not go it: an assertion that it is there."""
    monkeypatch.setenv("PRECISION_FIX_FLASH_ATTN", word)
    folder = request.getfixturevalue("folder")
    try:
        _import(folder, f"try:\n    import flash_attn\n{text}:\n    pass\n")
    except ModuleNotFoundError:
        assert not there
    assert ("flash_attn" in sys.modules) is there


def test_a_wrong_word_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRECISION_FIX_FLASH_ATTN", "yes")
    with pytest.raises(PrecisionFixError, match="PRECISION_FIX_FLASH_ATTN='yes' is none of auto, always, off"):
        runtime.install(mode="force")
