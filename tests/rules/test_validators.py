"""A word stays where no other is let pass: by a field's validator, an option's type, who reads a map out of sight."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.finding import Action
from tests.project.programs import patched, said
from tests.tools import check_reported, rewritten

CHECKS = 'if {} not in ("bfloat16", "float16"):\n            raise ValueError({})\n        return {}'
REFUSED = {
    "pydantic": (
        "from pydantic import BaseModel, field_validator\nclass Config(BaseModel):\n"
        '    model_dtype: str = "bfloat16"\n    @field_validator("model_dtype")\n    @classmethod\n'
        f"    def check(cls, v):\n        {CHECKS.format('v', 'v', 'v')}\n"
    ),
    "pydantic 1": (
        "from pydantic import BaseModel, validator\nclass Config(BaseModel):\n"
        '    model_dtype: str = "bfloat16"\n    @validator("name", "model_dtype", pre=True)\n'
        f"    def check(cls, value):\n        {CHECKS.format('value', 'value', 'value')}\n"
    ),
    "attrs": (
        'import attrs\n@attrs.define\nclass Config:\n    model_dtype: str = attrs.field(default="bfloat16")\n'
        "    @model_dtype.validator\n    def check(self, attribute, value):\n"
        '        assert value in ("bfloat16", "float16"), attribute\n'
    ),
    "a dataclass": (
        'from dataclasses import dataclass\n@dataclass\nclass Config:\n    model_dtype: str = "bfloat16"\n'
        f"    def __post_init__(self):\n        {CHECKS.format(*['self.model_dtype'] * 3)}\n"
    ),
    "the type of an option": (
        'import argparse\ndef kind(word):\n    if word not in ("bfloat16", "float16"):\n'
        "        raise argparse.ArgumentTypeError(word)\n    return word\nparser = argparse.ArgumentParser()\n"
        'parser.add_argument("--model-dtype", default="bfloat16", type=kind)\n'
    ),
}
CONFIG = (
    "class Model:\n    reduce_dtype: str\n    vision: object\nclass Config:\n    model: Model\n    def check(self):\n"
    '        if self.model.vision is not None and self.model.reduce_dtype != "bfloat16":\n'
    "            raise ValueError\n"
)
SIMPLE = CONFIG.replace("self.model.vision is not None and ", "")


@pytest.mark.parametrize("way", REFUSED)
def test_a_word_that_is_checked(way: str) -> None:
    check_reported(REFUSED[way], code="PF903")


@pytest.mark.parametrize("way", REFUSED)
def test_a_check_that_lets_the_new_word_pass(way: str) -> None:
    program = REFUSED[way].replace('"float16")', '"float32")')
    assert rewritten(program) == program.replace('"bfloat16"', '"float32"', 1) or "float32" in rewritten(program)


@pytest.mark.parametrize(
    ("config", "given"),
    [
        (CONFIG, '{"model": {"reduce_dtype": "bfloat16", "vision": {}}}'),
        (CONFIG, '{"model": dict(reduce_dtype="bfloat16", vision=1)}'),
        (SIMPLE, '{"model": {"reduce_dtype": "bfloat16"}}'),
        (SIMPLE, '[{"reduce_dtype": "bfloat16"}]'),
    ],
)
def test_a_map_that_goes_into_a_config_which_another_file_checks(tmp_path: Path, config: str, given: str) -> None:
    program = {"config.py": config, "run.py": f"from config import Config\nConfig.model_validate({given})\n"}
    after, found = patched(tmp_path, program)
    assert after == program
    assert said(found, Action.MANUAL) == ["run.py:2"]


@pytest.mark.parametrize(
    ("config", "given"),
    [
        (CONFIG, '{"model": {"reduce_dtype": "bfloat16"}}'),
        (SIMPLE.replace('!= "bfloat16"', 'not in ("bfloat16", "float32")'), '{"model": {"reduce_dtype": "bfloat16"}}'),
        (SIMPLE, '{"model": {"compute_dtype": "bfloat16"}}'),
    ],
)
def test_a_map_that_nothing_checks(tmp_path: Path, config: str, given: str) -> None:
    program = {"config.py": config, "run.py": f"from config import Config\nConfig.model_validate({given})\n"}
    after, _ = patched(tmp_path, program)
    assert after["run.py"] == program["run.py"].replace("bfloat16", "float32")


def test_an_attribute_is_followed_to_its_own_readers(tmp_path: Path) -> None:
    given = (
        'def go(args, save):\n    args.reduce_dtype = "bfloat16" if args.full else "float32"\n'
        "    save([args.reduce_dtype, {'all': [args.reduce_dtype]}][0])\n"
    )
    after, _ = patched(tmp_path, {"config.py": SIMPLE, "run.py": given})
    assert after["run.py"] == given.replace("bfloat16", "float32")
