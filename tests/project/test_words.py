"""A word of a config or a launch line goes by the Python that it leads to: both change, or neither, and it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.engine.scan import scan
from precision_fix.engine.settings import Project, Settings
from precision_fix.model.finding import Action
from precision_fix.model.target import FLOAT32
from tests.project.programs import patched, said

PARSER = "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--compute_kind')\n"
WORDS = {
    "c.yaml": "model:\n  compute_kind: bf16\n",
    "c.json": '{"model": {"compute_kind": "bf16"}}\n',
    "c.toml": '[model]\ncompute_kind = "bf16"\n',
    "run.sh": "python main.py --compute_kind bf16\n",
    "Makefile": "run:\n\tpython main.py --compute_kind bf16\n",
}
ARM = "import torch\ndef go(x, config):\n    if config.compute_kind == 'bf16':\n        x = x.to(torch.bfloat16)\n"
TAKES_HALF = "import torch\ndef run(x):\n    assert x.dtype in (torch.float16, torch.bfloat16)\n    return x\n"


def program(arm: str, word: str, **more: str) -> dict[str, str]:
    main = PARSER + "from work import go\ngo(1, parser.parse_args())\n"
    return {"main.py": main, "work.py": arm, word: WORDS[word], **more}


@pytest.mark.parametrize("word", WORDS)
def test_the_word_stays_where_its_arm_is_rewritten(tmp_path: Path, word: str) -> None:
    after, found = patched(tmp_path, program(ARM, word))
    assert after[word] == WORDS[word]
    assert "torch.float32" in after["work.py"]
    assert said(found, Action.MANUAL) == []


@pytest.mark.parametrize("word", WORDS)
def test_a_person_is_asked_where_the_arm_stays(tmp_path: Path, word: str) -> None:
    arm = "from layer import run\n" + ARM + "    return run(x)\n"
    after, found = patched(tmp_path, program(arm, word) | {"layer.py": TAKES_HALF})
    assert after[word] == WORDS[word]
    assert after["work.py"] == arm
    line = 2 if word in ("c.yaml", "c.toml", "Makefile") else 1
    why = next(each.reason for each in found.findings if each.path.endswith(word))
    assert said(found, Action.MANUAL) == sorted([f"{word}:{line}", "work.py:5"])
    assert "work.py:5" in why


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("held", [False, True])
def test_another_word_is_given_where_its_readers_know_one(tmp_path: Path, word: str, held: bool) -> None:
    """But not while the dtype that the word stands for now has to stay."""
    table = "{'bf16': torch.bfloat16, 'fp32': torch.float32}"
    arm = (
        f"import torch\nfrom layer import run\ndef go(x, config):\n    return run(x.to({table}[config.compute_kind]))\n"
    )
    after, _ = patched(
        tmp_path, program(arm, word) | {"layer.py": TAKES_HALF if held else "def run(x):\n    return x\n"}
    )
    assert after[word] == (WORDS[word] if held else WORDS[word].replace("bf16", "fp32"))


@pytest.mark.parametrize("word", ["c.yaml", "run.sh"])
def test_a_map_that_knows_no_other_word(tmp_path: Path, word: str) -> None:
    arm = "import torch\ndef go(x, config):\n    return x.to({'bf16': torch.bfloat16}[config.compute_kind])\n"
    after, found = patched(tmp_path, program(arm, word))
    assert after[word] == WORDS[word]
    assert "torch.float32" in after["work.py"]
    assert said(found, Action.MANUAL) == []


@pytest.mark.parametrize("word", WORDS)
def test_an_arm_moves_together_with_a_word_that_must_stay(tmp_path: Path, word: str) -> None:
    """The program lets no other word pass, and a library is given it too: float32 here would meet bfloat16 there."""
    arm = "import torch, engine\ndef go(x, config):\n    assert config.compute_kind in ('bf16', 'fp16')\n"
    arm += "    engine.start(config.compute_kind)\n" + ARM.partition("\n")[2].partition("\n")[2]
    after, found = patched(tmp_path, program(arm, word))
    assert after["work.py"] == arm
    assert after[word] == WORDS[word]
    why = {Path(each.path).name: each.reason for each in found.findings if each.action is Action.MANUAL}
    assert word in why["work.py"]
    assert "work.py:3" in why[word]


@pytest.mark.parametrize("file", [".env", "run.sh"])
@pytest.mark.parametrize(
    "reads", ['os.getenv("KIND_DTYPE")', 'os.environ["KIND_DTYPE"]', 'environ.get("KIND_DTYPE", "")']
)
@pytest.mark.parametrize("held", [False, True])
def test_a_variable_of_the_environment(tmp_path: Path, file: str, reads: str, held: bool) -> None:
    text = f"{'export ' if file == 'run.sh' else ''}KIND_DTYPE=bf16\n"
    arm = ARM.replace("config.compute_kind", reads) + "    return run(x)\n"
    work = "import os\nfrom os import environ\nfrom layer import run\n" + arm
    layer = TAKES_HALF if held else "def run(x):\n    return x\n"
    after, found = patched(tmp_path, {file: text, "work.py": work, "layer.py": layer})
    assert after[file] == text
    assert said(found, Action.MANUAL) == ([f"{file}:1", "work.py:7"] if held else [])


def test_a_guard_that_only_some_lines_come_to_holds_no_arm(tmp_path: Path) -> None:
    arm = "import torch, engine\ndef go(x, config):\n    if config.fp8:\n"
    arm += "        assert config.compute_kind in ('bf16', 'fp16')\n    engine.start(config.compute_kind)\n"
    arm += ARM.partition("\n")[2].partition("\n")[2]
    after, found = patched(tmp_path, program(arm, "run.sh"))
    assert after["work.py"] == arm.replace("bfloat16", "float32")
    assert said(found, Action.MANUAL) == ["run.sh:1"]


SWITCH = {"c.yaml": "use_bf16: true\n", "run.sh": "python main.py --use_bf16\n"}
OPTION = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--use_bf16', action='store_true')\n"


@pytest.mark.parametrize("file", SWITCH)
@pytest.mark.parametrize(
    ("arm", "stays"),
    [
        ("d = torch.bfloat16 if args.use_bf16 else torch.float16", True),
        ("d = torch.float16 if not args.use_bf16 else torch.bfloat16", True),
        ("assert args.use_bf16\nx = torch.ones(1)\nif args.use_bf16:\n    x = x.bfloat16()", True),
        ("d = torch.bfloat16 if args.use_bf16 else torch.float32", False),
        ("d = torch.bfloat16 if args.use_bf16 else torch.float16 if args.fp16 else torch.float32", False),
        ("d = torch.bfloat16 if args.use_bf16 else torch.float32 if args.fp32 else torch.float16", True),
        ("if args.grouped:\n    assert args.use_bf16\nif args.use_bf16:\n    x = x.bfloat16()", False),
        ("if args.use_bf16:\n    d = torch.bfloat16\nelif args.fp16:\n    d = torch.float16", False),
    ],
)
def test_a_switch(tmp_path: Path, file: str, arm: str, stays: bool) -> None:
    main = f"import torch\n{OPTION}args = p.parse_args()\n{arm}\n"
    after, found = patched(tmp_path, {"main.py": main, file: SWITCH[file]})
    assert (after[file] == SWITCH[file]) is stays
    assert "bfloat16" not in after["main.py"]
    assert said(found, Action.MANUAL) == []


def test_a_switch_that_another_one_on_the_line_asks_for(tmp_path: Path) -> None:
    main = f"import torch\n{OPTION}p.add_argument('--grouped', action='store_true')\nargs = p.parse_args()\n"
    main += "if args.grouped:\n    assert args.use_bf16\nif args.use_bf16:\n    x = x.bfloat16()\n"
    lines = {"a.sh": "python main.py --use_bf16\n", "b.sh": "python main.py --grouped --use_bf16\n"}
    after, _ = patched(tmp_path, {"main.py": main, **lines})
    assert after["a.sh"] == "python main.py\n"
    assert after["b.sh"] == lines["b.sh"]


def test_a_switch_that_a_library_may_read_too(tmp_path: Path) -> None:
    """The trainer would compute in float16 besides: the arm stays with the switch, and both are told."""
    main = "import torch\nfrom transformers import HfArgumentParser, TrainingArguments\n"
    main += "args = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses()[0]\n"
    main += "d = torch.bfloat16 if args.bf16 else torch.float16\n"
    after, found = patched(tmp_path, {"main.py": main, "c.yaml": "bf16: true\nlearning_rate: 1.0\n"})
    assert after["main.py"] == main
    assert after["c.yaml"].startswith("bf16: true")
    assert said(found, Action.MANUAL) == ["c.yaml:1", "main.py:4"]


def test_an_arm_whose_rule_does_not_count(tmp_path: Path) -> None:
    for name, text in program(ARM, "c.yaml").items():
        (tmp_path / name).write_text(text)
    found = scan([tmp_path], FLOAT32, with_text=True, project=Project(Settings(ignore=("PF101",)), isolated=True))
    assert [each.action for each in found.findings if each.path.endswith("c.yaml")] == [Action.MANUAL]


def test_an_option_behind_a_hundred_files(tmp_path: Path) -> None:
    """Whoever is imported by the program may declare it; how far away that is does not matter."""
    files = {f"m{number}.py": f"import m{number + 1}\n" for number in range(120)}
    files["m120.py"] = "def add(p):\n    p.add_argument('--kind', choices=['bf16', 'fp32'])\n"
    files |= {"main.py": "import m0\n", "run.sh": "python main.py --kind bf16\n"}
    after, _ = patched(tmp_path, files)
    assert after["run.sh"] == "python main.py --kind fp32\n"


def test_the_readers_of_another_program(tmp_path: Path) -> None:
    """Two programs have an option of one name; what the one makes of it says nothing of the other."""
    table = "{'bf16': torch.bfloat16, 'fp32': torch.float32}"
    files = {
        "a.py": f"import torch\n{PARSER}d = {table}[parser.parse_args().compute_kind]\n",
        "b.py": f"import torch\n{PARSER}assert parser.parse_args().compute_kind == 'bf16'\nd = torch.bfloat16\n",
        "run.sh": "python a.py --compute_kind bf16\npython b.py --compute_kind bf16\n",
    }
    after, _ = patched(tmp_path, files)
    assert after["run.sh"] == "python a.py --compute_kind fp32\npython b.py --compute_kind bf16\n"


FLASH = "import torch\ndef attend(config, q):\n    {test}\n    return torch.matmul(q, q)\n"


@pytest.mark.parametrize(
    ("file", "line", "off"),
    [
        ("a.yaml", "model:\n  flash_attention: true\n", "model:\n  flash_attention: false\n"),
        ("a.sh", "python run.py --flash_attention true\n", "python run.py --flash_attention false\n"),
    ],
)
def test_flash_attention_is_off_in_configs_as_in_launch_lines(tmp_path: Path, file: str, line: str, off: str) -> None:
    goes_on = FLASH.format(test="if config.flash_attention:\n        return flash(q)")
    after, found = patched(tmp_path, {"run.py": goes_on, file: line})
    assert after[file] == off
    assert said(found, Action.MANUAL) == []


@pytest.mark.parametrize(
    "test", ["assert config.flash_attention", "if not config.flash_attention:\n        raise ValueError(q)"]
)
@pytest.mark.parametrize("file", ["a.yaml", "a.sh"])
def test_flash_attention_stays_where_the_program_stops_without_it(tmp_path: Path, test: str, file: str) -> None:
    line = "flash_attention: true\n" if file == "a.yaml" else "python run.py --flash_attention true\n"
    after, found = patched(tmp_path, {"run.py": FLASH.format(test=test), file: line})
    assert after[file] == line
    assert said(found, Action.MANUAL) == [f"{file}:1"]


READS = {
    "config['trainer']['precision']": True,
    "config.trainer.precision": True,
    "config.get('trainer').get('precision')": True,
    "trainer['precision']": True,
    "config['other']['precision']": False,
}


@pytest.mark.parametrize("read", READS)
def test_a_common_name_is_read_where_the_key_above_it_is_named(tmp_path: Path, read: str) -> None:
    """A guard that takes no other word is one of this setting there, and may be of another elsewhere."""
    program = {
        "c.yaml": "trainer:\n  precision: bf16\n",
        "work.py": f"import torch\ndef go(x, config):\n    trainer = config['trainer']\n    precision = {read}\n"
        "    if precision not in ('bf16', '16'):\n        raise ValueError(precision)\n"
        "    return x.to(torch.bfloat16 if precision == 'bf16' else torch.float16)\n",
    }
    after, _ = patched(tmp_path, program)
    assert ("bf16" in after["c.yaml"]) is READS[read]


@pytest.mark.parametrize("opened", ["c.yaml", "configs/c.yaml", "abc.yaml"])
def test_a_common_name_is_read_where_its_file_is_opened(tmp_path: Path, opened: str) -> None:
    program = {
        "c.yaml": "precision: bf16\n",
        "work.py": f"import torch, yaml\nconfig = yaml.safe_load(open('{opened}'))\n"
        "if config['precision'] != 'bf16':\n    raise ValueError(config)\n",
    }
    after, _ = patched(tmp_path, program)
    assert ("bf16" in after["c.yaml"]) is (opened != "abc.yaml")
