"""A dtype whose bits are read stays, with each word that leads to it; where it has other uses, a person is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.finding import Action
from tests.project.programs import patched, said
from tests.tools import check_kept, check_reported, findings, rewritten

TABLE = '{"bf16": torch.bfloat16, "fp32": torch.float32}'
# How a word leads to a dtype.
WORDS = {
    "an option": (
        'parser = argparse.ArgumentParser()\nparser.add_argument("--dtype", default="bf16")\n'
        f"kind = {TABLE}[parser.parse_args().dtype]"
    ),
    "an option with choices": (
        'parser = argparse.ArgumentParser()\nparser.add_argument("--dtype", default="bf16", choices=["bf16", "fp32"])\n'
        f"kind = {TABLE}[parser.parse_args().dtype]"
    ),
    "a variable": 'dtype = "bf16"\nKINDS = ' + TABLE + "\nkind = KINDS.get(dtype)",
    "the environment": 'dtype = os.getenv("DTYPE", "bf16")\nkind = ' + TABLE + "[dtype]",
    "a test": (
        'dtype = "bf16"\nif dtype == "fp32":\n    kind = torch.float32\n'
        'elif dtype == "bf16":\n    kind = torch.bfloat16'
    ),
    "an arm": 'dtype = os.getenv("DTYPE", "bf16")\nkind = torch.bfloat16 if dtype == "bf16" else torch.float32',
}
WRITES = "x = torch.zeros(4).to(kind)\nprint(x.view(torch.int16))"
BOTH = f"{WRITES}\nmodel = torch.nn.Linear(4, 4).to(kind)\nprint(model)"
# Attributes of one method that another reads.
READERS = [
    "return self.buf.view(torch.int16)",
    "me = self\n        return me.buf.view(torch.int16)",
    'return getattr(self, "buf").view(torch.int16)',
    "raw = self.buf\n        return raw.contiguous().view(dtype=torch.int16)",
    "return self.own.view(torch.uint16)",
]
HOLDER = """\
import torch
class Base:
    def __init__(self, n, kind=torch.bfloat16):
        {made}
    @property
    def own(self):
        return self.buf
"""
MAKERS = [
    "self.buf = torch.zeros(n, dtype=kind)",
    'self.register_buffer("buf", torch.zeros(n, dtype=kind))',
    "buf = torch.zeros(n).to(kind)\n        self.buf = buf",
]


@pytest.mark.parametrize("way", WORDS)
def test_a_word_stays_with_the_dtype_that_it_leads_to(way: str) -> None:
    check_kept(f"import argparse\nimport os\nimport torch\n{WORDS[way]}\n{WRITES}\n", code="PF005")


@pytest.mark.parametrize("way", WORDS)
def test_a_dtype_with_other_uses_is_told_with_its_word(way: str) -> None:
    program = f"import argparse\nimport os\nimport torch\n{WORDS[way]}\n{BOTH}\n"
    check_reported(program, code="PF005")


def test_a_word_that_leads_to_bits_and_to_a_precision() -> None:
    """One table that it is looked up in is for bits and the other for what computes: neither verdict is the word's."""
    tables = f"kind = {TABLE}[dtype]\n{WRITES}\nother = {TABLE}[dtype]\nprint(torch.zeros(4, dtype=other) * 2)\n"
    found = findings(f'import torch\ndtype = "bf16"\n{tables}')
    assert [(each.code, each.action) for each in found if each.line == 2] == [("PF005", Action.MANUAL)]


@pytest.mark.parametrize(
    "uses",
    [
        "kind = torch.bfloat16\n{bits}\ny = torch.zeros(4, dtype=kind)",
        "def bits(x, kind):\n    return x.to(kind).view(torch.int16)\nkind = torch.bfloat16\nbits(x, kind)\nx.to(kind)",
        "def kind():\n    return torch.bfloat16\nx.to(kind()).view(torch.uint16)\ny = x.to(kind()) * 2",
        (
            "class Net:\n    kind = torch.bfloat16\n    def run(self, x):\n        return x.to(self.kind)\n"
            "    def write(self, x):\n        return x.to(self.kind).view(torch.int16)"
        ),
    ],
)
def test_a_variable_that_is_used_for_bits_and_for_more(uses: str) -> None:
    check_reported(
        "import torch\nx = torch.zeros(4)\n" + uses.format(bits="x.to(kind).view(torch.int16)"), code="PF005"
    )


@pytest.mark.parametrize(
    "view",
    [
        "if x.dtype == torch.bfloat16:\n    print(x.view(torch.int16))",
        "print(x.view(torch.int16) if x.dtype is torch.bfloat16 else x)",
        "print(x.to(torch.int8).view(torch.int16))",
    ],
)
def test_bits_that_are_not_those_of_what_it_makes(view: str) -> None:
    program = (
        f"import torch\nkind = torch.bfloat16\nx = torch.zeros(4).to(kind)\n{view}\ny = torch.zeros(4, dtype=kind)\n"
    )
    assert "kind = torch.float32" in rewritten(program)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("made", MAKERS)
def test_an_attribute_whose_bits_a_subclass_of_another_file_reads(tmp_path: Path, made: str, reader: str) -> None:
    program = {
        "base.py": HOLDER.format(made=made),
        "net.py": f"import torch\nfrom base import Base\nclass Net(Base):\n    def bits(self):\n        {reader}\n",
    }
    after, found = patched(tmp_path, program)
    assert after == program
    assert said(found, Action.KEEP) == ["base.py:3"]


def test_a_launch_line_and_a_config_say_the_word(tmp_path: Path) -> None:
    program = {
        "write.py": f"import argparse\nimport torch\n{WORDS['an option']}\n{WRITES}\n",
        "write.sh": "python write.py --dtype bf16\n",
    }
    after, found = patched(tmp_path, program)
    assert after == program
    assert said(found, Action.MANUAL) == []


def test_a_name_that_is_looked_up_in_a_thing_of_unknown_origin_is_another_one(tmp_path: Path) -> None:
    reader = "import torch\nfrom base import Base\ndef go(b: Base, args):\n    print(b.buf)\n    return {}\n"
    program = {
        "base.py": HOLDER.format(made=MAKERS[0]).replace("return self.buf", "return self.buf * 2"),
        "net.py": reader.format('getattr(args, "buf").view(torch.int16)'),
    }
    assert "torch.float32" in patched(tmp_path, program)[0]["base.py"]
