"""PF202: a library's own word (note 7)."""

from __future__ import annotations

import pytest

from tests.tools import check_reported, check_rewritten


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('Accelerator(mixed_precision="bf16")', 'Accelerator(mixed_precision="no")'),
        ("Accelerator(mixed_precision='bf16' if amp else 'no')", "Accelerator(mixed_precision='no' if amp else 'no')"),
        ('os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16"', 'os.environ["ACCELERATE_MIXED_PRECISION"] = "no"'),
        ('Trainer(precision="bf16-mixed")', 'Trainer(precision="32-true")'),
        ('Fabric(precision="bf16-true")', 'Fabric(precision="32-true")'),
        ('Trainer(precision="bf16")', 'Trainer(precision="32-true")'),
        ('settings = {"precision": "bf16-mixed"}', 'settings = {"precision": "32-true"}'),
        ('kwargs = dict(mixed_precision="bf16")', 'kwargs = dict(mixed_precision="no")'),
    ],
)
def test_a_word(before: str, after: str) -> None:
    check_rewritten(before + "\n", after + "\n", code="PF202")


def test_to_float16() -> None:
    check_rewritten('Accelerator(mixed_precision="bf16")\n', 'Accelerator(mixed_precision="fp16")\n', to="float16")
    check_rewritten('Trainer(precision="bf16-mixed")\n', 'Trainer(precision="16-mixed")\n', to="float16")


LIGHTNING = "import functools\nfrom pytorch_lightning import Trainer\n"


@pytest.mark.parametrize(
    "text",
    [
        "level = 'bf16'\nTrainer(precision=level)\n",
        "more = {}\nmore['precision'] = 'bf16'\nTrainer(**base, **more)\n",
        "more = {'devices': 1, 'precision': 'bf16'}\nTrainer(**more)\n",
        "more = dict(precision='bf16')\nTrainer(**more)\n",
        "def make(level='bf16', **more):\n    more['precision'] = level\n    return Trainer(**more)\n",
        "def make(precision):\n    return Trainer(precision=precision)\nmake(precision='bf16')\nmake('bf16')\n",
        "make = functools.partial(Trainer, precision='bf16')\n",
        """\
parser = ArgumentParser()
parser.add_argument('--amp-type', default='bf16')
args = parser.parse_args()
Trainer(precision=args.amp_type)
""",
        """\
class A:
    def __init__(self):
        self.precision = 'bf16'
    def go(self):
        return Trainer(precision=self.precision)
""",
    ],
)
def test_the_library_takes_it_under_another_name_or_from_a_map(text: str) -> None:
    check_rewritten(LIGHTNING + text, LIGHTNING + text.replace("bf16", "32-true"))


def test_what_the_program_allows_and_the_library_takes_as_well() -> None:
    before = "def make(level='bf16'):\n    assert level in ['bf16', '16', '32']\n    return Trainer(precision=level)\n"
    check_rewritten(LIGHTNING + before, LIGHTNING + before.replace("level='bf16'", "level='32'"))


def test_two_that_call_float32_differently() -> None:
    check_reported(LIGHTNING + "level = 'bf16'\nTrainer(precision=level)\nload(level)\n", code="PF202")


VLLM = "from vllm import LLM\nfrom dataclasses import dataclass, field\n"


@pytest.mark.parametrize(
    "text",
    [
        'LLM(model, lora_dtype="bfloat16")\n',
        "lora_dtype = 'bfloat16'\nLLM(model, lora_dtype=lora_dtype)\n",
        "@dataclass\nclass A:\n    lora_dtype: str = field(default='bfloat16')\nLLM(lora_dtype=A().lora_dtype)\n",
    ],
)
def test_a_library_without_a_word_for_float32(text: str) -> None:
    check_reported(VLLM + text, code="PF202")


def test_a_word_of_that_name_for_others() -> None:
    check_rewritten('load(lora_dtype="bfloat16")\n', 'load(lora_dtype="float32")\n')
