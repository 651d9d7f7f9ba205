"""Programs in which another library computes than torch: their words are theirs, also where no import says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.finding import Action
from precision_fix.model.vocabulary.arrays import computes
from tests.project.programs import patched, said

JAX = {
    "app/train.py": "import jax\nimport optax\n\ndef train(config):\n    return optax.adam(**config.optimizer)\n",
    "app/models/vit.py": "from flax import linen as nn\n",
    "app/data.py": "import tensorflow as tf\n",
    "app/configs/small.py": "def get():\n    return dict(optimizer=dict(mu_dtype='bfloat16'), bf16=True)\n",
    "app/configs/small.yaml": "weight_dtype: bfloat16\nbf16: true\n",
    "run.sh": "python -m app.train app/configs/small.yaml --weight_dtype bfloat16 --bf16 True\n",
}
CONVERTER = {"app/convert/export.py": "import torch\n\ndef cast(w):\n    return w.to(torch.bfloat16)\n"}


def test_nothing_of_it_changes(tmp_path: Path) -> None:
    after, found = patched(tmp_path, JAX)
    assert after == JAX
    assert not said(found, Action.MANUAL)
    reasons = [each.reason.partition(" computes here")[0] for each in found.findings]
    assert reasons == ["another library's word: jax"] * 6


def test_a_converter_beside_it_is_torchs(tmp_path: Path) -> None:
    after, _ = patched(tmp_path, JAX | CONVERTER)
    changed = CONVERTER["app/convert/export.py"].replace("torch.bfloat16", "torch.float32")
    assert after == JAX | {"app/convert/export.py": changed}


def test_most_around_it_is_torchs(tmp_path: Path) -> None:
    """A loader of data that reads with TensorFlow makes no word TensorFlow's."""
    program = {
        "train.py": "import torch\nfrom model import M\n",
        "model.py": "from torch import nn\n",
        "data/records.py": "import tensorflow as tf\n",
        "config.py": "dtype = 'bfloat16'\n",
        "config.yaml": "weight_dtype: bfloat16\n",
    }
    after, _ = patched(tmp_path, program)
    assert after["config.py"] == "dtype = 'float32'\n"
    assert after["config.yaml"] == "weight_dtype: float32\n"


@pytest.mark.parametrize(
    ("packages", "what"),
    [
        ("jax numpy", "jax"),
        ("jax transformers", "jax"),
        ("jax torch", "torch"),
        ("flax optax", "jax"),
        ("tensorflow transformers", "torch"),
        ("tensorflow", "tensorflow"),
        ("numpy", None),
        ("transformers", None),
        ("transformers accelerate", "torch"),
    ],
)
def test_what_a_file_computes_with(packages: str, what: str | None) -> None:
    assert computes(frozenset(packages.split())) == what


HAS = "import transformers\nCONFIG = transformers.GemmaConfig(torch_dtype='bfloat16')\n"


@pytest.mark.parametrize("of_jax", [3, 2, 0])
def test_what_is_imported_is_of_who_imports_it(tmp_path: Path, of_jax: int) -> None:
    """Its configs are transformers', which says nothing; beside it lies as much of torch's."""
    program = {"app/convert/configs.py": HAS, "app/convert/shapes.py": "import torch\n"}
    names = [f"app/read{number}.py" for number in range(4)]
    for number, name in enumerate(names):
        program[name] = f"import {'jax' if number < of_jax else 'torch'}\nfrom app.convert.configs import CONFIG\n"
    after, _ = patched(tmp_path, program)
    assert ("float32" in after["app/convert/configs.py"]) is (of_jax < 3)
