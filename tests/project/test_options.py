"""How a program declares an option, and what becomes of a command line that gives it."""

# A declaration and what becomes of a line read best side by side.
# ruff: noqa: E501
from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.finding import Action
from tests.project.programs import patched, said
from tests.tools import findings, rewritten

PARSER = "import argparse\np = argparse.ArgumentParser()\n"
CLICK = "import click\n"
DATA = "from dataclasses import dataclass, field\n@dataclass\nclass A:\n    "

# How the option is declared, the command line, and what becomes of it; `?` where a person is asked.
SWITCHES = [
    (PARSER + 'p.add_argument("--bf16", action="store_true")', "--bf16 --x", "--x"),
    (PARSER + "p.add_argument('--use-bf16', action='store_true')", "--use-bf16 --x", "--x"),
    (PARSER + 'p.add_argument("--use_bf16", action="store_true")', "--use-bf16 --x", "--x"),
    (PARSER + 'p.add_argument("--bf16", action="store_true", default=True)', "--bf16", "?"),
    (PARSER + 'p.add_argument("--bf16", action="count")', "--bf16", "?"),
    (PARSER + 'p.add_argument("--bf16", action=argparse.BooleanOptionalAction)', "--bf16", "--no-bf16"),
    (PARSER + 'p.add_argument("--bf16", type=bool)', "--bf16 yes --x", "--x"),
    (PARSER + 'p.add_argument("--bf16", type=str2bool)', "--bf16", "--bf16 False"),
    (PARSER + 'p.add_argument("--bf16", type=strtobool)', "--bf16 yes", "--bf16 no"),
    (PARSER + 'p.add_argument("--bf16", nargs="?", const=True)', "--bf16", "--bf16 False"),
    (PARSER + 'p.add_argument("--bf16", type=lambda x: x.lower() == "true")', "--bf16", "--bf16 False"),
    (PARSER + 'p.add_argument("--bf16", type=lambda x: x.lower() == "on")', "--bf16", "?"),
    (PARSER + 'p.add_argument("--bf16")', "--bf16", "?"),
    (PARSER + 'p.add_argument("--bf16", action="store_true")\np.add_argument("--fp32", action="store_true")', "--bf16", "--fp32"),
    (PARSER + 'p.add_argument("--bf16", action="store_true")\np.add_argument("--float32", action="store_true")', "--bf16", "--float32"),
    (PARSER + 'p.add_argument("--bf16", action="store_true")\np.add_argument("--fp16", action="store_true")', "--bf16 --x", "--x"),
    (PARSER + 'p.add_argument("--bf16", action="store_true")\np.add_argument("--bf16-no", action="store_true")', "--bf16 --x", "--x"),
    (CLICK + '@click.option("--bf16/--no-bf16")\ndef main(bf16): pass', "--bf16", "--no-bf16"),
    (CLICK + '@click.option("--bf16/--full")\ndef main(bf16): pass', "--bf16", ""),
    (CLICK + '@click.option("--bf16", is_flag=True)\ndef main(bf16): pass', "--bf16 --x", "--x"),
    (CLICK + '@click.option("--bf16", is_flag=True, default=True)\ndef main(bf16): pass', "--bf16", "?"),
    ("import typer\ndef main(bf16: bool = typer.Option(False)): pass", "--bf16", "--no-bf16"),
    ("import typer\ndef main(use_bf16: bool = typer.Option(False)): pass", "--use-bf16", "--no-use-bf16"),
    ("import typer\ndef main(bf16: Annotated[bool, typer.Option()] = False): pass", "--bf16", "--no-bf16"),
    (DATA + "bf16: bool = False\nfrom transformers import HfArgumentParser", "--bf16", "--bf16 False"),
    (DATA + "bf16: bool = True\nfrom transformers import HfArgumentParser", "--bf16", "--bf16 False"),
    (DATA + "bf16: bool = False\nfrom trl import TrlParser", "--bf16", "--bf16 False"),
    (DATA + "bf16: bool = False\nfrom a import H4ArgumentParser", "--bf16", "--bf16 False"),
    (DATA + "bf16: bool = False\nfrom a import ArgumentParserPlus", "--bf16", "--bf16 False"),
    (DATA + "bf16: bool = False", "--bf16", "?"),
    ("from transformers import HfArgumentParser", "--bf16", "--bf16 False"),
    ("from transformers import HfArgumentParser", "--bf16_full_eval", "--bf16_full_eval False"),
    ("from transformers import HfArgumentParser", "--use_bf16", "?"),
    ("x = 1", "--bf16", "?"),
]  # fmt: skip

WORDS = [
    (PARSER + 'p.add_argument("--dtype", choices=["bf16", "fp32"])', "--dtype bf16", "--dtype fp32"),
    (PARSER + 'p.add_argument("--dtype", choices=("bf16", "full"))', "--dtype bf16", "--dtype full"),
    (PARSER + 'p.add_argument("--dtype", choices={"bf16", "no"})', "--dtype=bf16", "--dtype=no"),
    (PARSER + 'p.add_argument("--dtype", choices=["bf16", "fp16"])', "--dtype bf16", "?"),
    (PARSER + 'p.add_argument("--dtype", type=Choice(["bf16", "float"]))', "--dtype bf16", "--dtype float"),
    (CLICK + '@click.option("--dtype", type=click.Choice(["bf16", "none"]))\ndef main(dtype): pass', "--dtype bf16", "--dtype none"),
    (PARSER + 'p.add_argument("--dtype")', "--dtype bf16", "?"),
    (PARSER + 'p.add_argument("--dtype")\nx = {"bf16": 1, "f32": 2}[p.parse_args().dtype]', "--dtype bf16", "--dtype f32"),
    (PARSER + 'p.add_argument("--dtype")\nx = {"bf16": 1, "f32": 2}.get(p.parse_args().dtype)', "--dtype bf16", "--dtype f32"),
    (PARSER + 'p.add_argument("--dtype")\nT = dict(bf16=1, fp32=2)\nx = T[p.parse_args().dtype]', "--dtype bf16", "--dtype fp32"),
    (PARSER + 'p.add_argument("--dtype")\nargs = p.parse_args()\nif args.dtype == "bf16": a()\nelif args.dtype == "32": b()', "--dtype bf16", "--dtype 32"),
    (PARSER + 'p.add_argument("--dtype")\nargs = p.parse_args()\nassert args.dtype in ["bf16", "fp32"]', "--dtype bf16", "--dtype fp32"),
    (PARSER + 'p.add_argument("--dtype")\nargs = p.parse_args()\nW = ("bf16", "fp32")\nassert args.dtype in W', "--dtype bf16", "--dtype fp32"),
    (PARSER + 'p.add_argument("--dtype")\nargs = p.parse_args()\nassert args.dtype in ["a", "b"]', "--dtype bf16", "?"),
    (PARSER + 'p.add_argument("-d", "--dtype", choices=["no", "bf16"])', "-d bf16", "-d no"),
    (PARSER + 'p.add_argument("--dtype")\nargs = p.parse_args()\nfrom words import W\nassert args.dtype in W', "--dtype bf16", "--dtype full"),
    (PARSER + 'p.add_argument("--dtype")\nargs = p.parse_args()\nfrom words import T\nx = T[args.dtype]', "--dtype bf16", "--dtype f32"),
    (PARSER + 'p.add_argument("--dtype")\nargs = p.parse_args()\nfrom words import TWICE\nx = TWICE[args.dtype]', "--dtype bf16", "?"),
    (PARSER + 'p.add_argument("--attn-implementation", choices=["flash_attention_2", "x"])', "--attn-implementation flash_attention_2", "?"),
    (PARSER + 'p.add_argument("--attn-implementation", choices=["flash_attention_2", "sdpa"])', "--attn-implementation flash_attention_2", "--attn-implementation sdpa"),
    (PARSER + 'p.add_argument("--use-flash-attn", action="store_true")', "--use-flash-attn --x", "--x"),
    (PARSER + 'p.add_argument("--use-flash-attn", action="store_true", default=True)', "--use-flash-attn", "?"),
    (PARSER + 'p.add_argument("--use-flash-attn", type=str2bool)', "--use-flash-attn", "--use-flash-attn False"),
    (DATA + 'dtype: Literal["bf16", "fp32"] = "bf16"', "--dtype bf16", "--dtype fp32"),
    (DATA + 'dtype: str = field(default="bf16", metadata={"choices": ["bf16", "fp32"]})', "--dtype bf16", "--dtype fp32"),
    (DATA + 'dtype: str = field(default="bf16", metadata={"help": ["bf16", "fp32"]})', "--dtype bf16", "?"),
    (DATA + 'dtype: str = "bf16"', "--dtype bf16", "?"),
]  # fmt: skip


def becomes(folder: Path, program: str, options: str) -> str:
    """The options behind a run of the program, or `?`."""
    (folder / "t.py").write_text(program + "\n")
    (folder / "words.py").write_text(
        'W = ["bf16", "full"]\nT = {"bf16": 1, "f32": 2}\nTWICE = {"bf16": 1}\nTWICE = T\n'
    )
    line = f"python t.py {options}\n"
    path = str(folder / "a.sh")
    after = rewritten(line, path=path)
    if after == line:
        assert [each.action.value for each in findings(line, path=path)] == ["manual"]
        return "?"
    return after.removeprefix("python t.py").strip()


@pytest.mark.parametrize(("program", "options", "wanted"), SWITCHES)
def test_a_switch(program: str, options: str, wanted: str, tmp_path: Path) -> None:
    assert becomes(tmp_path, program, options) == wanted


@pytest.mark.parametrize(("program", "options", "wanted"), WORDS)
def test_a_word(program: str, options: str, wanted: str, tmp_path: Path) -> None:
    assert becomes(tmp_path, program, options) == wanted


CHOICES = PARSER + 'p.add_argument("--dtype", choices=["bf16", "fp32"])\n'


@pytest.mark.parametrize(
    ("file", "program"),
    [
        ("t.py", "t.py"), ("t.py", "./t.py"), ("t.py", "$HERE/t.py"), ("a/t.py", "a/t.py"), ("a/t.py", "-m a.t"),
        ("a/t/__main__.py", "-m a.t"), ("src/a/t.py", "-m a.t"), ("src/a/t/__main__.py", "-m a.t"),
    ],
)  # fmt: skip
def test_where_a_program_is_found(file: str, program: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(CHOICES)
    (tmp_path / "pyproject.toml").touch()
    for name in ("a.sh", "scripts/a.sh"):
        assert rewritten(f"python {program} --dtype bf16\n", path=str(tmp_path / name)).endswith("--dtype fp32\n"), name


@pytest.mark.parametrize(
    "files",
    [
        {"t.py": "from options import p", "options.py": CHOICES},
        {"t.py": "import pkg.options", "pkg/options.py": CHOICES},
        {"t.py": "from pkg import *", "pkg/__init__.py": "from .options import p", "pkg/options.py": CHOICES},
        {"t.py": "import sub.b", "sub/b.py": "import options", "options.py": CHOICES},
        {"t.py": "import sub.b", "sub/b.py": "from .options import p", "sub/options.py": CHOICES},
    ],
)
def test_an_option_of_what_a_program_imports(files: dict[str, str], tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "other.py").write_text(PARSER + 'p.add_argument("--dtype", choices=["bf16", "none"])\n')
    path = str(tmp_path / "a.sh")
    assert rewritten("python t.py --dtype bf16\n", path=path) == "python t.py --dtype fp32\n"
    assert rewritten("python other.py --dtype bf16\n", path=path) == "python other.py --dtype none\n"
    assert rewritten("python nowhere.py --dtype bf16\n", path=path) == "python nowhere.py --dtype bf16\n"


NESTED = {
    "config.py": """
        from dataclasses import dataclass, field
        from typing import Optional
        @dataclass
        class Shards:
            dtype: Optional[str] = None
        @dataclass
        class Actor:
            shards: Shards = field(default_factory=Shards)
        @dataclass
        class Judge:
            dtype: str = "fp32"
        @dataclass
        class All:
            actor: "Actor" = field(default_factory=Actor)
            judge: Optional[Judge] = None
        """,
    "kinds.py": """
        import torch
        SHORT = ["bf16", "bfloat16"]
        FULL = ["fp32", "float32"]
        def kind_of(word):
            if word in FULL:
                return torch.float32
            elif word in SHORT:
                return torch.bfloat16
            raise ValueError(word)
        """,
    "train.py": """
        from omegaconf import OmegaConf
        from config import All, Shards
        from kinds import kind_of
        def build(shards: Shards):
            return kind_of(shards.dtype)
        if __name__ == "__main__":
            settings = OmegaConf.merge(OmegaConf.structured(All()), OmegaConf.from_cli())
            build(settings.actor.shards)
        """,
}


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ("actor.shards.dtype=bf16", "actor.shards.dtype=fp32"),
        ("actor.shards.dtype=bfloat16", "actor.shards.dtype=float32"),
    ],
)
def test_a_path_of_dataclasses_leads_to_the_field_that_is_read(tmp_path: Path, given: str, becomes: str) -> None:
    after, found = patched(tmp_path, NESTED | {"run.sh": f"python train.py \\\n    {given} \\\n    steps=3\n"})
    assert after["run.sh"] == f"python train.py \\\n    {becomes} \\\n    steps=3\n"
    assert "return torch.float32\n    raise" in after["kinds.py"]
    assert not said(found, Action.MANUAL)


@pytest.mark.parametrize(
    "given", ["critic.dtype=bf16", "shards.actor.dtype=bf16", "dtype.shards=bf16", "judge.shards.dtype=bf16"]
)
def test_another_path_leads_nowhere(tmp_path: Path, given: str) -> None:
    """A field of that name in some dataclass is not what this path sets."""
    after, _ = patched(tmp_path, NESTED | {"run.sh": f"python train.py {given}\n"})
    assert after["run.sh"] == f"python train.py {given}\n"


def test_a_list_with_a_name_leads_to_what_its_branch_takes(tmp_path: Path) -> None:
    program = {
        "train.py": """
            import argparse
            import torch
            SHORT = ("bf16", "bfloat16")
            parser = argparse.ArgumentParser()
            parser.add_argument("--weights")
            args = parser.parse_args()
            kind = torch.bfloat16 if args.weights in SHORT else None
            """,
        "run.sh": "python train.py --weights bf16\n",
    }
    after, found = patched(tmp_path, program)
    assert after["run.sh"] == program["run.sh"]
    assert "torch.float32 if args.weights in SHORT" in after["train.py"]
    assert not said(found, Action.MANUAL)
