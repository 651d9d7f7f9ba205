"""PF014: a word where another library computes; among whose files, in `tests.project.test_arrays`."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_rewritten


@pytest.mark.parametrize(
    "library", ["mlx.core as mx", "jax", "jax.numpy as jnp", "flax.linen as nn", "tensorflow as tf"]
)
def test_a_word_of_another_library(library: str) -> None:
    check_kept(f'import {library}\nmodel = load(path, dtype="bfloat16")\n', code="PF014")
    check_rewritten(
        f'import torch\nimport {library}\nmodel = load(path, dtype="bfloat16")\n',
        f'import torch\nimport {library}\nmodel = load(path, dtype="float32")\n',
    )


def test_a_log_beside_a_trainer() -> None:
    """TensorFlow beside what brings torch is there for its log, or to read data."""
    before = "import tensorflow as tf\nfrom transformers import TrainingArguments\nTrainingArguments(bf16=True)\n"
    check_rewritten(before, before.replace("True", "False"))
