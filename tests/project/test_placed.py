"""A value that one file puts on an object, or among settings, and that another reads there."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.finding import Action
from tests.project.programs import patched, said
from tests.tools import check_rewritten, findings

SHARED = """\
import argparse
args = argparse.ArgumentParser().parse_args()
settings = {"name": "x"}
"""
OF_ARGS = "import torch, shared\nkind = torch.bfloat16 if shared.args.bf16 else torch.float16\n"
OF_SETTINGS = "import torch\nfrom shared import settings as s\nkind = torch.bfloat16 if s['bf16'] else torch.float16\n"


@pytest.mark.parametrize(
    "sets",
    [
        "import shared\nshared.args.bf16 = True\n",
        "from shared import args\nargs.bf16 = True\n",
        "from shared import args as a\nsetattr(a, 'bf16', True)\n",
        "import shared\nvars(shared.args)['bf16'] = True\n",
        "import shared\nvars(shared.args).update({'bf16': True})\n",
        "import shared\nshared.args.__dict__.update(bf16=True)\n",
        "import shared\nfor k, v in {'bf16': True}.items():\n    setattr(shared.args, k, v)\n",
        "import shared\nd = {'bf16': True}\nfor k in d:\n    setattr(shared.args, k, d[k])\n",
        "import shared\nd = {'bf16': True}\nfor k in names:\n    v = d[k]\n    setattr(shared.args, k, v)\n",
        "import shared\nd = {'bf16': True}\nvars(shared.args).update({k: v for k, v in d.items() if k in d})\n",
        "import shared\ndef f(d):\n    for k, v in d.items():\n        setattr(shared.args, k, v)\nf({'bf16': True})\n",
    ],
)
def test_an_attribute_without_which_float16_is_chosen_elsewhere(tmp_path: Path, sets: str) -> None:
    """Turned off, the flag would choose float16 where its own arm has become float32."""
    after, _ = patched(tmp_path, {"shared.py": SHARED, "a.py": sets, "b.py": OF_ARGS})
    assert after["a.py"] == sets
    assert after["b.py"] == OF_ARGS.replace("bfloat16", "float32")


@pytest.mark.parametrize(
    "sets",
    [
        "import shared\nshared.settings['bf16'] = True\n",
        "from shared import settings\nsettings.update({'bf16': True})\n",
        "from shared import settings\nsettings.update(bf16=True)\n",
    ],
)
def test_an_item_without_which_float16_is_chosen_elsewhere(tmp_path: Path, sets: str) -> None:
    after, _ = patched(tmp_path, {"shared.py": SHARED, "a.py": sets, "b.py": OF_SETTINGS})
    assert after["a.py"] == sets


def test_an_assertion_of_what_is_put_there_moves_with_it(tmp_path: Path) -> None:
    program = {
        "shared.py": SHARED,
        "a.py": "import torch, shared\nshared.args.kind = torch.bfloat16\nshared.settings['kind'] = torch.bfloat16\n",
        "b.py": "import torch\nfrom shared import args\nassert args.kind == torch.bfloat16\n",
        "c.py": "import torch, shared\nassert shared.settings['kind'] is torch.bfloat16\n",
    }
    after, _ = patched(tmp_path, program)
    assert not any("bfloat16" in text for text in after.values())


def test_the_methods_of_its_class_read_it_and_those_of_another_do_not() -> None:
    before = """\
        import torch
        class Mine:
            bf16 = False
            def kind(self):
                return torch.bfloat16 if self.bf16 else torch.float16
        class Other:
            bf16 = False
            def kind(self):
                return torch.bfloat16 if self.bf16 else torch.float16
        mine = Mine()
        other = Trainer()
        mine.bf16 = True
        other.bf16 = True
        """
    after = before.replace("torch.bfloat16", "torch.float32").replace("other.bf16 = True", "other.bf16 = False")
    check_rewritten(before, after)


@pytest.mark.parametrize(
    "made",
    [
        "import types\nc = types.SimpleNamespace(bf16=True)",
        "from argparse import Namespace\nc = Namespace(**{'bf16': True})",
        "from dataclasses import replace\nc = replace(base, bf16=True)",
        "import argparse\np = argparse.ArgumentParser()\np.set_defaults(bf16=True)\nc = p.parse_args()",
        "import argparse\np = argparse.ArgumentParser()\np.set_defaults(bf16=True)\nc, _ = p.parse_known_args()",
        "from easydict import EasyDict\nc = EasyDict({'bf16': True})",
        "from omegaconf import OmegaConf\no = OmegaConf.create(dict(bf16=True))\nc = o",
    ],
)
def test_what_is_made_of_settings_has_them_as_attributes(made: str) -> None:
    before = f"import torch\n{made}\nkind = torch.bfloat16 if c.bf16 else torch.float16\n"
    check_rewritten(before, before.replace("torch.bfloat16", "torch.float32"))


@pytest.mark.parametrize(
    "made", ["EasyDict({'half_dtype': 'bf16'})", "SimpleNamespace(half_dtype='bf16')", "Box(half_dtype='bf16')"]
)
def test_a_word_that_is_looked_up_from_there_stays(made: str) -> None:
    before = (
        f"import torch\nfrom types import SimpleNamespace\nc = {made}\nk = {{'bf16': torch.bfloat16}}[c.half_dtype]\n"
    )
    check_rewritten(before, before.replace("torch.bfloat16", "torch.float32"))


@pytest.mark.parametrize(
    ("put", "call"),
    [
        ("def fill(c):\n    c.bf16 = True", "fill(mine)"),
        ("def fill(c):\n    setattr(c, 'bf16', True)", "fill(c=mine)"),
        ("def fill(c, **kw):\n    for k, v in kw.items():\n        setattr(c, k, v)", "fill(mine, bf16=True)"),
        ("def fill(c, **kw):\n    vars(c).update(kw)", "fill(mine, bf16=True)"),
        ("def inner(x):\n    x.bf16 = True\ndef fill(y):\n    inner(y)", "fill(mine)"),
    ],
)
def test_what_a_function_puts_on_its_argument_is_read_where_that_comes_from(put: str, call: str) -> None:
    main = f"def main(mine):\n    {call}\n    return torch.bfloat16 if mine.bf16 else torch.float16\n"
    before = f"import torch\n{put}\n{main}"
    check_rewritten(before, before.replace("torch.bfloat16", "torch.float32"))


def test_a_library_that_is_told_it_too_leaves_it_to_a_person() -> None:
    made = "from transformers import TrainingArguments\nargs = TrainingArguments(out, bf16=True)\n"
    found = findings(f"import torch\n{made}kind = torch.bfloat16 if args.bf16 else torch.float16\n")
    assert {each.code: each.action for each in found} == {"PF203": Action.MANUAL, "PF101": Action.REWRITE}


def test_a_library_that_is_told_it_too_in_another_file(tmp_path: Path) -> None:
    made = "from transformers import TrainingArguments\nimport b\nb.load(TrainingArguments(out, bf16=True))\n"
    reads = "import torch\ndef load(args):\n    return torch.bfloat16 if args.bf16 else torch.float16\n"
    after, found = patched(tmp_path, {"a.py": made, "b.py": reads})
    assert after["a.py"] == made
    assert "a.py:3" in said(found, Action.MANUAL)
