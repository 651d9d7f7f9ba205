"""What the readers in other files do with a value decides over the place where it is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.finding import Action
from tests.project.programs import patched, said

CONSTANT = "import torch\nDTYPE = torch.bfloat16\n"


@pytest.mark.parametrize(
    "reader",
    [
        "from layout import DTYPE\ndef f(raw):\n    return raw.view(DTYPE)\n",
        "import layout\ndef f(raw):\n    return torch.frombuffer(raw, dtype=layout.DTYPE)\n",
        "from layout import *\ndef f(raw):\n    return raw.view(DTYPE)\n",
        "def f(raw):\n    from layout import DTYPE as kind\n    return raw.view(kind)\n",
    ],
)
def test_bytes_keep_their_constant(tmp_path: Path, reader: str) -> None:
    program = {"layout.py": CONSTANT, "reader.py": f"import torch\n{reader}"}
    after, _ = patched(tmp_path, program)
    assert after["layout.py"] == CONSTANT


def test_a_constant_that_casts_changes(tmp_path: Path) -> None:
    reader = "from layout import DTYPE\ndef f(x):\n    return x.to(DTYPE)\n"
    after, _ = patched(tmp_path, {"layout.py": CONSTANT, "reader.py": reader})
    assert after["layout.py"] == CONSTANT.replace("bfloat16", "float32")


def test_a_map_that_decodes_bytes(tmp_path: Path) -> None:
    program = {
        "kinds.py": 'import torch\nBY_NAME = {"half": torch.bfloat16, "full": torch.float32}\n',
        "reader.py": (
            "import torch\nfrom kinds import BY_NAME\npick = BY_NAME.get\n"
            "def read(raw, name):\n    return torch.frombuffer(raw, dtype=pick(name))\n"
        ),
    }
    after, _ = patched(tmp_path, program)
    assert after == program


LOOP = "import torch\ndef epoch(kind):\n    return torch.bfloat16 if kind == 'bf16' else torch.float16\n"


@pytest.mark.parametrize(
    "program",
    [
        (
            "def main(argv):\n    p = argparse.ArgumentParser()\n    p.add_argument('--kind', default='bf16')\n"
            "    return epoch(p.parse_args(argv).kind)\n"
        ),
        (
            "def options(p):\n    p.add_argument('--kind', default='bf16')\ndef main():\n"
            "    p = argparse.ArgumentParser()\n    options(p)\n    a = p.parse_args()\n    return epoch(a.kind)\n"
        ),
        (
            "@dataclasses.dataclass\nclass Plan:\n    kind: str\ndef plan():\n    return Plan(kind='bf16')\n"
            "def main():\n    return epoch(plan().kind)\n"
        ),
        "def main(kind='bf16'):\n    return epoch(kind=kind)\n",
    ],
)
def test_a_word_that_is_compared_in_another_file_stays(tmp_path: Path, program: str) -> None:
    program = f"import argparse, dataclasses\nfrom loop import epoch\n{program}"
    after, _ = patched(tmp_path, {"train.py": program, "loop.py": LOOP})
    assert after["train.py"] == program
    assert "torch.float32 if" in after["loop.py"]


def test_a_word_that_all_readers_have_another_for(tmp_path: Path) -> None:
    program = {
        "cell.py": (
            "import torch\nfrom dataclasses import dataclass\n"
            'KINDS = {"bf16": torch.bfloat16, "fp32": torch.float32}\n'
            'NATIVE = {"bf16": "__nv_bfloat16", "fp32": "float"}\n'
            '@dataclass\nclass Config:\n    dtype: str = "bf16"\n'
            "def f(config):\n    return KINDS[config.dtype], NATIVE[config.dtype]\n"
        )
    }
    after, _ = patched(tmp_path, program)
    assert 'dtype: str = "fp32"' in after["cell.py"]


def test_a_word_that_is_compared_and_handed_on_is_told(tmp_path: Path) -> None:
    program = {
        "train.py": (
            "import argparse\nimport lightning as pl\np = argparse.ArgumentParser()\n"
            "p.add_argument('--kind', default='bf16')\nargs = p.parse_args()\nlow = args.kind == 'bf16'\n"
            "trainer = pl.Trainer(**vars(args))\n"
        )
    }
    after, found = patched(tmp_path, program)
    assert after == program
    assert said(found, Action.MANUAL) == ["train.py:4"]


def test_a_config_whose_word_is_asserted(tmp_path: Path) -> None:
    program = {
        "config.yaml": "training:\n  model_dtype: bf16\n",
        "run.py": 'import torch\ndef f(settings):\n    assert settings["model_dtype"] == "bf16"\n',
    }
    after, found = patched(tmp_path, program)
    assert after == program
    assert said(found, Action.MANUAL) == ["config.yaml:2"]


def test_a_probe_in_a_function_that_a_caller_asserts_on(tmp_path: Path) -> None:
    program = {
        "checks.py": "import torch\ndef has_it():\n    return torch.cuda.is_bf16_supported()\n",
        "main.py": "from checks import has_it\ndef start():\n    assert has_it()\n",
    }
    after, found = patched(tmp_path, program)
    assert after == program
    assert said(found, Action.MANUAL) == ["checks.py:3"]


OPTION = (
    "import argparse\nimport torch\ndef main():\n    p = argparse.ArgumentParser()\n"
    "    p.add_argument('--bf16', action='store_true')\n    args = p.parse_args()\n"
)


@pytest.mark.parametrize(
    "reads",
    [
        "    kind = torch.float16\n    if args.bf16:\n        kind = torch.bfloat16\n    return kind\n",
        "    if args.bf16:\n        return torch.bfloat16\n    return torch.float16\n",
        "    if not args.bf16:\n        return torch.float16\n    return torch.bfloat16\n",
        "    return torch.bfloat16 if args.bf16 else torch.float32 if args.full else torch.float16\n",
    ],
)
def test_a_switch_without_which_float16_is_chosen_stays_on(tmp_path: Path, reads: str) -> None:
    started = "python train.py --bf16\n"
    after, _ = patched(tmp_path, {"train.py": OPTION + reads, "run.sh": started})
    assert after["run.sh"] == started
    assert after["train.py"] == (OPTION + reads).replace("bfloat16", "float32")


def test_a_switch_beside_one_for_float16_is_taken_out(tmp_path: Path) -> None:
    reads = (
        "    if args.bf16:\n        return torch.bfloat16\n    return torch.float16 if args.fp16 else torch.float32\n"
    )
    after, _ = patched(tmp_path, {"train.py": OPTION + reads, "run.sh": "python train.py --bf16 --x\n"})
    assert after["run.sh"] == "python train.py --x\n"
