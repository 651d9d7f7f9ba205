"""PF920: the config of a model's weights."""

from __future__ import annotations

import pytest

from tests.tools import check_reported, codes


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("config.json", '{"model_type": "llama", "torch_dtype": "bfloat16"}'),
        ("unet/config.json", '{"_class_name": "UNet", "_diffusers_version": "0.30", "dtype": "bfloat16"}'),
        (
            "configs/1.5b.json",
            '{"model_type": "a", "a": {"model_type": "b", "use_cache": 1, "initializer_range": 1}, "dtype": "bf16"}',
        ),
        ("m/cfg.json", '{"architectures": ["A"], "text_config": {"dtype": "bfloat16"}}'),
    ],
)
def test_what_lies_beside_weights_says_what_they_are(path: str, text: str) -> None:
    check_reported(text, code="PF920", path=path)


def test_a_recipe_is_none() -> None:
    assert "PF920" not in codes("model_name_or_path: a/b\noutput_dir: out\ntorch_dtype: bfloat16\n", path="a.yaml")
    shapes = '{"model_type": "a", "b": {"use_cache": 1, "initializer_range": 1}, "dtype": "bf16"}'
    assert "PF920" not in codes(shapes, path="configs/1.5b.json")
