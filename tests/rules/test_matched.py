"""A guard that holds one thing against another and names neither: both sides change, or neither does."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.finding import Action
from tests.project.programs import patched, said
from tests.tools import findings, rewritten

CONFIG = (
    "import torch\nfrom dataclasses import dataclass\n@dataclass\nclass Config:\n"
    "    dtype: torch.dtype = torch.bfloat16\n    word: str = 'bfloat16'\n"
)
BY_NAME = [
    'assert str(config.dtype) == f"torch.{config.word}"',
    'assert f"torch.{config.word}" == str(config.dtype), config',
    'assert str(config.dtype).split(".")[-1] == config.word',
    "assert str(config.dtype).endswith(config.word)",
    'if str(config.dtype) != "torch." + config.word:\n        raise ValueError(config)',
    "if not config.word in str(config.dtype):\n        raise ValueError(config)",
    "assert getattr(torch, config.word) == config.dtype",
    "if config.dtype is not getattr(torch, config.word):\n        raise ValueError(config)",
]
AGREES = [
    "assert x.dtype == config.dtype",
    "assert config.dtype == x.dtype, config",
    "if x.dtype != config.dtype:\n        raise ValueError(x)",
    "if not x.dtype is config.dtype:\n        raise ValueError(x)",
    "assert all(each.dtype == config.dtype for each in [x])",
]


@pytest.mark.parametrize("guard", BY_NAME)
def test_a_dtype_and_its_word_stay_both(guard: str) -> None:
    program = f"{CONFIG}def check(config: Config):\n    {guard}\n    return torch.zeros(2, dtype=config.dtype)\n"
    before, after = (
        [line for line in text.splitlines() if " dtype:" in line or "word:" in line]
        for text in (program, rewritten(program))
    )
    assert after == before
    told = {each.token for each in findings(program) if each.action is Action.MANUAL}
    assert "torch.bfloat16" in told


GUARDS_OF_MADE = [
    'assert str(x.dtype) == f"torch.{SETTING}"',
    'assert str(x.dtype) == "torch." + SETTING',
    'assert "torch.{}".format(SETTING) == str(x.dtype)',
    'assert str(x.dtype) == "torch.%s" % SETTING',
    'if str(x.dtype) != f"torch.{SETTING}":\n        raise ValueError(x)',
    "assert x.dtype == getattr(torch, SETTING)",
    'assert str(x.dtype).split(".")[-1] == SETTING',
    "assert str(x.dtype).endswith(SETTING)",
    "assert SETTING in str(x.dtype)",
]
# Where the word stands, and how the program has it.
SETTINGS = {
    "c.yaml": ("dtype: bfloat16\n", "config = yaml.safe_load(open(PATH))", "config['dtype']"),
    "c.json": ('{"run": {"dtype": "bfloat16"}}\n', "config = json.load(open(PATH))", "config['run']['dtype']"),
    "run.sh": ("python run.py --dtype bfloat16\n", "parser.add_argument('--dtype')", "parser.parse_args().dtype"),
    "run.py": ("", "parser.add_argument('--dtype', default='bfloat16')", "parser.parse_args().dtype"),
    "config.py": (
        "from dataclasses import dataclass\n@dataclass\nclass Config:\n    dtype: str = 'bfloat16'\n",
        "from config import Config\nconfig = Config()",
        "config.dtype",
    ),
}


@pytest.mark.parametrize("guard", GUARDS_OF_MADE)
@pytest.mark.parametrize("file", SETTINGS)
def test_what_is_made_and_the_word_that_it_is_held_against_stay_both(tmp_path: Path, guard: str, file: str) -> None:
    text, has, setting = SETTINGS[file]
    run = (
        f"import torch, yaml, json, argparse\nparser = argparse.ArgumentParser()\n{has}\ndef run():\n"
        f"    x = torch.zeros(4).to(torch.bfloat16)\n    {guard.replace('SETTING', setting)}\n    return x\n"
    )
    program = {file: text, "run.py": run}
    after, found = patched(tmp_path, program)
    assert after == program
    assert len({Path(each).stem for each in said(found, Action.MANUAL)}) == (1 if file.startswith("run") else 2)
    assert len(said(found, Action.MANUAL)) == 2


@pytest.mark.parametrize(
    "test",
    [
        "assert str(config.dtype) == str(x.dtype)",
        'assert str(config.dtype) in ("torch.bfloat16", "torch.float32")',
        'if str(config.dtype) == f"torch.{config.word}":\n        print(x)',
        'print(f"{config.word}: {config.dtype}")',
    ],
)
def test_what_is_no_such_guard_holds_nothing(test: str) -> None:
    program = f"{CONFIG}def check(config: Config, x):\n    {test}\n    return torch.zeros(2, dtype=config.dtype)\n"
    assert " dtype: torch.dtype = torch.float32" in rewritten(program)


@pytest.mark.parametrize("guard", AGREES)
@pytest.mark.parametrize("made", ["torch.zeros(4, dtype=torch.bfloat16)", "torch.zeros(4).bfloat16()"])
def test_a_setting_moves_with_what_is_asserted_to_be_of_it(guard: str, made: str) -> None:
    after = rewritten(f"{CONFIG}def run(config: Config):\n    x = {made}\n    {guard}\n    return x\n")
    assert " dtype: torch.dtype = torch.float32" in after
    assert "x = torch.zeros(4, dtype=torch.float32)" in after or "torch.zeros(4).float()" in after


@pytest.mark.parametrize("guard", AGREES)
def test_it_stays_where_nothing_of_that_is_seen_to_move(guard: str) -> None:
    program = f"{CONFIG}def run(x, config: Config):\n    {guard}\n    y = x.to(torch.bfloat16)\n    return y\n"
    after = rewritten(program)
    assert after == program.replace("x.to(torch.bfloat16)", "x.to(torch.float32)")
    assert [each for each in findings(program) if each.action is Action.MANUAL] == []


def test_what_is_asserted_stays_with_a_setting_that_is_compared_as_well() -> None:
    program = (
        f"{CONFIG}def run(config: Config):\n    x = torch.zeros(4, dtype=torch.bfloat16)\n"
        "    assert x.dtype == config.dtype\n    return x * 2 if config.dtype == torch.bfloat16 else x\n"
    )
    assert rewritten(program) == program
    assert ["line 5, which stays" in each.reason for each in findings(program) if each.action is Action.MANUAL] == [
        True
    ]


def test_across_files(tmp_path: Path) -> None:
    program = {
        "config.py": CONFIG,
        "run.py": "import torch\nfrom config import Config\nfrom guard import check\n"
        "def run(config: Config):\n    check(torch.zeros(4, dtype=torch.bfloat16), config)\n",
        "guard.py": "from config import Config\ndef check(x, config: Config):\n    assert x.dtype == config.dtype\n",
    }
    after, found = patched(tmp_path, program)
    assert " dtype: torch.dtype = torch.float32" in after["config.py"]
    assert "torch.float32" in after["run.py"]
    assert said(found, Action.MANUAL) == []


def test_what_is_kept_where_others_may_read_it_moves_by_itself() -> None:
    program = (
        "import torch\nclass Layer:\n    def __init__(self, dtype):\n        self.dtype = dtype\n"
        "layer = Layer(dtype=torch.bfloat16)\ndef run(x, y):\n    assert x.dtype == y.dtype\n"
    )
    assert "dtype=torch.float32" in rewritten(program)
