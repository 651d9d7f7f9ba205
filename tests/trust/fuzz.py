"""Mutated files of every kind: nothing is raised, what is not edited stays to the byte, and undo brings all back.

`python -m tests.trust.fuzz --count 10000` takes the fixtures, and the real projects below --trees if there are some; it
needs nothing but the package itself, so it runs on any Python that has its dependencies.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from pathlib import Path

from precision_fix.engine.patch import write
from precision_fix.engine.scan import FileScan, scan, scan_bytes
from precision_fix.engine.undo import undo
from precision_fix.model.finding import Action
from precision_fix.model.target import FLOAT32
from precision_fix.sources import format_of
from precision_fix.sources.text import decode

REPOSITORY = Path(__file__).resolve().parents[2]
SUFFIXES = (".py", ".ipynb", ".yaml", ".json", ".toml", ".sh", ".ini", ".cu")
_LARGEST = 8_000
_MOST_OF_A_KIND = 250
_BATCH = 500
_NEAR = 40

_CODE = [
    "import torch\n",
    "x = y.to(torch.bfloat16)\n",
    "%pip install x\n",
    "with torch.autocast('cuda', torch.bfloat16):\n",
    "    pass",
]
SEEDS: dict[str, list[str]] = {
    ".ipynb": [
        json.dumps({"cells": [{"cell_type": "code", "source": _CODE, "outputs": []}], "nbformat": 4}, indent=1),
        json.dumps(
            {
                "cells": [
                    {"cell_type": "code", "source": "".join(_CODE)},
                    {"cell_type": "code", "source": ["!python a.py --bf16 True"]},
                ]
            }
        ),
    ],
    ".yaml": [
        "trainer:\n  precision: bf16-true  # why\nbf16: true\nlist: [a, 'bf16']\n",
        "mixed_precision: bf16\ndtype: &x bfloat16\n",
    ],
    ".json": [
        '{"bf16": {"enabled": true}, "torch_dtype": "bfloat16"}\n',
        '{\n  // a comment\n  "mixed_precision": "bf16"\n}\n',
    ],
    ".toml": ['[train]\ndtype = "bf16" # bf16\nbf16 = true\n', 'a = """\nbf16\n"""\n[b]\nmixed_precision = "bf16"\n'],
    ".sh": [
        "#!/bin/sh\nDTYPE=bf16\npython train.py --mixed_precision $DTYPE \\\n  --bf16 True\n",
        "accelerate launch --mixed_precision=bf16 a.py <<EOF\nbf16\nEOF\n",
    ],
    ".ini": ["[train]\nbf16 = yes\ndtype = bf16 ; why\n"],
    ".cu": ["__global__ void f(__nv_bfloat16 *x) {\n  // bf16\n}\n"],
}
PYTHON = [
    """import torch


def f(x):
    # why
    return x.to(torch.bfloat16)


class A:
    def g(self):
        return 1

    def h(self, x):
        return x.bfloat16()
""",
    """import torch as th
D = {'bf16': th.bfloat16, 'x': th.half}
with th.autocast(
    'cuda',
    dtype=th.bfloat16,  # why
):
    y = D[k]
if th.cuda.is_bf16_supported():
    pass
""",
    """import torch
s = '''{"bf16": {"enabled": true}}'''
os.system('python a.py --bf16 True')
t = Arguments(bf16=True, half='bf16')
""",
]
_ODD = [
    "\r",
    "\r\n",
    "\n",
    "\x0c",
    "\x0b",
    "\x1c",
    "\x85",
    "\u2028",
    "\ufeff",
    "\t",
    " ",
    "é",
    "日",
    "🙂",
    "\\",
    "\\\n",
    "#",
    "'",
    '"',
    '"""',
    "'''",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ":",
    ",",
    ";",
    "$",
    "${",
    "`",
    "|",
    "&",
    "*",
    "<<",
    "%",
    "!",
    "\x00",
    "f'{x}'",
    "bf16",
    "bfloat16",
    "torch.bfloat16",
    ".bfloat16()",
    "True",
    "lambda: ",
    "# precision-fix: keep",
    "async ",
    "match x:\n case 1: pass\n",
]
Mutation = Callable[[random.Random, str, str], str]


def _end(rng: random.Random, text: str, other: str) -> str:
    ends = rng.choice([["\r"], ["\r\n"], ["\n", "\r"], ["\r", "\r\n", "\n"]])
    return "".join(line + rng.choice(ends) for line in re.split("\r\n|\r|\n", text))


def _odd(rng: random.Random, text: str, other: str) -> str:
    place = rng.randrange(len(text) + 1)
    return text[:place] + rng.choice(_ODD) + text[place:]


def _odd_at_an_end(rng: random.Random, text: str, other: str) -> str:
    places = [found.start() for found in re.finditer("\r|\n", text)] or [0]
    place = rng.choice(places)
    return text[:place] + rng.choice(["\x0c", " ", "\t", "  # é\u2028", "\r", "\n\x0c", ";"]) + text[place:]


def _lines(rng: random.Random, text: str, other: str) -> str:
    lines = text.split("\n")
    first = rng.randrange(len(lines))
    last = min(first + rng.randrange(1, 8), len(lines))
    part = lines[first:last]
    match rng.randrange(4):
        case 0:
            return "\n".join([*lines[:last], *part, *lines[last:]])
        case 1:
            return "\n".join([*lines[:first], *lines[last:]])
        case 2:
            place = rng.randrange(len(lines) + 1)
            return "\n".join([*lines[:place], *part, *lines[place:]])
        case _:
            return "\n".join([*lines[:first], *(f"    {line}" for line in part), *lines[last:]])


def _within(rng: random.Random, text: str, other: str) -> str:
    head = rng.choice(
        ["def f_1(x):\n", "class A_1:\n", "if x:\n", "async def g_1():\n", "class B_1(A):\n    def h(self):\n    "]
    )
    return head + "".join(f"    {line}\n" for line in text.split("\n"))


def _mixed(rng: random.Random, text: str, other: str) -> str:
    mine, theirs = text.split("\n"), other.split("\n")
    place = rng.randrange(len(mine) + 1)
    first = rng.randrange(len(theirs))
    return "\n".join([*mine[:place], *theirs[first : first + rng.randrange(1, 20)], *mine[place:]])


def _cut(rng: random.Random, text: str, other: str) -> str:
    return text[: rng.randrange(len(text) + 1)] if rng.random() < 0.5 else text[rng.randrange(len(text) + 1) :]


def _many(rng: random.Random, text: str, other: str) -> str:
    return "\n".join([text] * rng.randrange(2, 5))


MUTATIONS: list[Mutation] = [
    _end,
    _end,
    _odd,
    _odd,
    _odd_at_an_end,
    _odd_at_an_end,
    _lines,
    _lines,
    _within,
    _mixed,
    _cut,
    _many,
]


def seeds(trees: Path | None) -> dict[str, list[str]]:
    """Texts by suffix: what is here, the fixtures, and files of real projects that speak of bfloat16."""
    found = {suffix: [*SEEDS.get(suffix, [])] for suffix in SUFFIXES}
    found[".py"] += PYTHON
    for top in [REPOSITORY / "fixtures", *([trees] if trees and trees.is_dir() else [])]:
        for path in sorted(top.rglob("*")):
            suffix = ".yaml" if path.suffix == ".yml" else path.suffix
            if suffix in found and len(found[suffix]) < _MOST_OF_A_KIND and path.is_file():
                data = path.read_bytes()
                if len(data) <= _LARGEST and (b"bf16" in data or b"bfloat16" in data):
                    found[suffix].append(data.decode("utf-8", "replace"))
    return found


def files(count: int, seed: int, texts: dict[str, list[str]]) -> Iterator[tuple[str, bytes]]:
    """Names and contents. Half of them are Python."""
    rng = random.Random(seed)
    for number in range(count):
        suffix = ".py" if number % 2 else rng.choice(SUFFIXES)
        text = rng.choice(texts[suffix])
        for _ in range(rng.randrange(1, 4)):
            text = rng.choice(MUTATIONS)(rng, text, rng.choice(texts[suffix]))
        data = text.encode("utf-8", "surrogatepass")
        if rng.random() < 0.02 and data:
            place = rng.randrange(len(data))
            data = data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :]
        yield f"f{number}{suffix}", data


def check(name: str, data: bytes) -> FileScan | None:
    """What is found in a file. AssertionError, or whatever was raised, where a promise does not hold."""
    format_ = format_of(name)
    assert format_ is not None
    if not format_.may_hold_a_site(data):
        return None
    found = scan_bytes(name, data, FLOAT32, True, format_)
    if found is None or found.problem is not None:
        assert found is None or "\n" not in str(found.problem)
        return found
    if found.changes:
        _check_change(found, data)
        again = scan_bytes(name, found.after, FLOAT32, True, format_)
        assert again is None or (again.problem is None and not again.changes), "a second run finds something"
    else:
        assert found.after in (b"", data), "no change is told of"
    return found


def _check_change(found: FileScan, data: bytes) -> None:
    """Nothing but lines near a place that was told of has become another, and no line has ended otherwise."""
    python = found.path.endswith(".py")
    before, after = (_with_ends(decode(each, coding=python).text) for each in (data, found.after))
    assert data[:3] == found.after[:3] or not data.startswith(b"\xef\xbb\xbf")
    places = [finding.line for finding in found.findings if finding.action is Action.REWRITE]
    assert places
    matcher = SequenceMatcher(None, before, after, autojunk=False) if len(before) != len(after) else None
    codes = matcher.get_opcodes() if matcher else _pairs(before, after)
    for tag, first, last, new_first, new_last in codes:
        if tag != "equal":
            near = all(
                min(abs(line + 1 - place) for place in places) <= _NEAR for line in range(first, max(last, first + 1))
            )
            assert near, f"line {first + 1} changed, far from what was told"
            old, new = (
                [_END.findall(line) for line in lines] for lines in (before[first:last], after[new_first:new_last])
            )
            # A line may have gone as a whole: an option that stood alone.
            ends = tag == "delete" or (len(new) >= len(old) and {*map(tuple, old)} <= {*map(tuple, new)})
            assert ends, f"line {first + 1} ends otherwise"


_END = re.compile("\r\n|\r|\n")


def _with_ends(text: str) -> list[str]:
    return re.findall("[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)


def _pairs(before: list[str], after: list[str]) -> list[tuple[str, int, int, int, int]]:
    pairs = enumerate(zip(before, after, strict=True))
    return [("replace", i, i + 1, i, i + 1) for i, (old, new) in pairs if old != new]


def check_tree(batch: dict[str, bytes], expected: dict[str, bytes]) -> None:
    """The same files as a tree: patched as each by itself, then nothing more, then undone to the byte."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for file, data in batch.items():
            (root / file).write_bytes(data)
        found = scan([root], FLOAT32, with_text=True)
        assert not [each for each in found.problems if "internal error" in str(each)], found.problems
        write(found)
        now = {file: (root / file).read_bytes() for file in batch}
        other = [file for file in batch if now[file] != expected[file]]
        # What another file of the project says may decide.
        assert len(other) <= len(batch) // 10, other
        assert not scan([root], FLOAT32, with_text=True).changed, "a second run finds something"
        if any(now[file] != batch[file] for file in batch):
            undo(root)
        assert {file: (root / file).read_bytes() for file in batch} == batch


def fuzz(
    count: int, seed: int, texts: dict[str, list[str]], keep: Path | None = None
) -> tuple[Counter[str], list[str]]:
    """How many of each kind were read, changed and refused, and what went wrong."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    batch: dict[str, bytes] = {}
    expected: dict[str, bytes] = {}
    for name, data in files(count, seed, texts):
        counts["files"] += 1
        expected[name] = batch[name] = data
        try:
            found = check(name, data)
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__}: {error}")
            if keep is not None:
                (keep / name).write_bytes(data)
                (keep / f"{name}.why").write_text(traceback.format_exc(), errors="backslashreplace")
            del batch[name]
            continue
        if found is not None:
            counts["changed" if found.changes else "refused" if found.problem else "told of"] += 1
            if found.changes:
                expected[name] = found.after
        if len(batch) == _BATCH or counts["files"] == count:
            try:
                check_tree(batch, expected)
                counts["trees"] += 1
            except Exception as error:
                wrong.append(f"a tree of files up to {name}: {type(error).__name__}: {str(error)[:300]}")
            batch.clear()
    return counts, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trees", type=Path, default=REPOSITORY / ".trees")
    parser.add_argument("--keep", type=Path, help="put the files that went wrong there")
    given = parser.parse_args()
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    texts = seeds(given.trees)
    counts, wrong = fuzz(given.count, given.seed, texts, given.keep)
    print(f"Python {sys.version.split()[0]}, {sum(map(len, texts.values()))} texts to begin with, seed {given.seed}:")
    print(", ".join(f"{number:,} {what}" for what, number in counts.items()), f"in {time.monotonic() - begun:.0f} s")
    print("\n".join(wrong[:40]) or "nothing went wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
