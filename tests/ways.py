"""Where a value goes in a small program: what `tests.test_ways` and its like check.

Each line that the value ends in says in a comment how it ends, and no other line does; a `?` says that the callee's
last name alone told. `HERE` is the dtype that is followed, `WORD` a word for it, `TENSOR` a dtype whose tensor is
followed as well. The first file is a.py, and a line `== b.py` begins another.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path
from textwrap import dedent

from precision_fix.model.flow import follow, follow_results
from precision_fix.model.held import End
from precision_fix.model.target import FLOAT32
from precision_fix.project.index import Project

HEAD = "import torch, pytest, flash_attn, copy"
STANDS_FOR = {"HERE": "torch.bfloat16", "WORD": "'bf16'", "TENSOR": "torch.bfloat16"}


def files_of(text: str) -> dict[str, list[str]]:
    """The lines of each file."""
    found: dict[str, list[str]] = {}
    name = "a.py"
    for line in dedent(text).strip().splitlines():
        if line.startswith("== "):
            name = line[3:]
        else:
            found.setdefault(name, []).append(line)
    return found


def ends_of(folder: Path, files: dict[str, list[str]], mark: str) -> list[End]:
    for name, lines in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([HEAD, *lines]).replace(mark, STANDS_FOR[mark]) + "\n")
    name = next(name for name, lines in files.items() if mark in "".join(lines))
    line, text = next(at for at in enumerate(files[name], 2) if mark in at[1])
    whole = (folder / name).read_text()
    place = len("\n".join(whole.split("\n")[: line - 1])) + 1 + text.index(mark)
    project = Project(folder, FLOAT32)
    module = project.own(str(folder / name), whole, [place])
    at = [
        each
        for each in module.names.parents
        if isinstance(each, ast.Attribute | ast.Constant) and (each.lineno, each.col_offset) == (line, text.index(mark))
    ]
    return follow_results(module, at[0], is_tensor=False) if mark == "TENSOR" else follow(module, at[0])


def found_and_said(folder: Path, text: str, mark: str) -> list[tuple[str, set[str], set[str]]]:
    """Of each line its code, how the value ends in it, and how it should."""
    files = files_of(text)
    found: dict[tuple[str, int], set[str]] = {}
    for end in ends_of(folder, files, mark):
        place = os.path.relpath(end.module.path, folder), getattr(end.node, "lineno", 0)
        found.setdefault(place, set()).add(end.fate.name.lower() + "?" * end.guessed)
    rows = []
    for name, lines in files.items():
        for number, line in enumerate(lines, 2):
            code, _, fates = line.partition("  # ")
            rows.append((f"{name}: {code}", found.pop((name, number), set()), set(fates.split())))
    return [*rows, *((f"{place}", fates, set()) for place, fates in found.items())]


def check(folder: Path, text: str, mark: str = "HERE") -> None:
    """Every line has the ends that it says, and no others."""
    rows = found_and_said(folder, text, mark)
    assert [(code, found) for code, found, _ in rows] == [(code, meant) for code, _, meant in rows]
