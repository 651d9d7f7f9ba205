"""Patterns, keys and requirements of a clone that would be tried for ever: each takes its time, or is a line."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from precision_fix.engine.scan import scan
from precision_fix.engine.settings import Project
from precision_fix.errors import PrecisionFixError
from precision_fix.model.target import FLOAT32
from precision_fix.sources import ignore, toml
from precision_fix.sources.analysis import Unparsable
from precision_fix.sources.glob import compiled
from precision_fix.sources.project import libraries_near
from tests.tools import analyse, plant

SITE = b"import torch\nx = y.to(torch.bfloat16)\n"
LONG = "a" * 240
STARS = "*a" * 60 + "*b"


def seconds(do: Callable[[], object]) -> float:
    begin = time.process_time()
    do()
    return time.process_time() - begin


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (STARS, LONG),
        ("*?" * 60 + "b", LONG),
        ("*[ab]" * 60 + "c", LONG),
        ("**/a/" * 30 + "b", "a/" * 400 + "c"),
        ("**/*a*/" * 30 + "b", "aaa/" * 400 + "c"),
        ("*a*b/" * 20 + "c", "aabb/" * 20 + "d"),
    ],
)
def test_a_pattern_with_many_stars(pattern: str, name: str) -> None:
    assert seconds(lambda: compiled(pattern).match(name)) < 1
    assert compiled(pattern).match(name) is None


@pytest.mark.parametrize("file", [".gitignore", "precision-fix.toml", "per-file"])
def test_a_run_in_a_tree_with_such_a_pattern(tmp_path: Path, file: str) -> None:
    text = {
        ".gitignore": STARS,
        "precision-fix.toml": f'extend-exclude = ["{STARS}"]',
        "per-file": f'per-file-ignores = {{ "{STARS}" = ["PF1"] }}',
    }[file]
    name = file.replace("per-file", "precision-fix.toml")
    plant(tmp_path, {f"{LONG}/{LONG}.py": SITE, name: text.encode()})
    found = scan([tmp_path], FLOAT32, with_text=False, project=Project())
    assert len(found.changed) == 1 and not found.problems


def test_as_many_patterns_as_a_file_has_room_for(tmp_path: Path) -> None:
    plant(tmp_path, {".gitignore": b"".join(b"*x%d?\n" % number for number in range(1001)), "a.py": SITE})
    found = scan([tmp_path], FLOAT32, with_text=False, project=Project())
    assert [str(problem).partition(": ")[2] for problem in found.problems] == [
        "cannot be read, so its patterns do not count: holds more than 1,000 lines with wildcards"
    ]
    assert len(found.changed) == 1


def test_one_name_in_very_many_lines() -> None:
    """The last line of a name decides, and is found at once."""
    patterns = ignore.Patterns(["a/", "a", "a/"] * 50_000 + ["!a"])
    assert seconds(lambda: [patterns.ignored("a", "a", False) for _ in range(20_000)]) < 1
    assert patterns.ignored("a", "a", True) is False
    assert ignore.Patterns(["a", "!a/"]).ignored("a", "a", False) is True


@pytest.mark.parametrize("key", ["extend-exclude", "select", "per-file-ignores"])
def test_settings_with_more_entries_than_are_tried_for_a_file(tmp_path: Path, key: str) -> None:
    entries = ", ".join(f'"PF1{number}"' + (' = ["PF1"]' if key.startswith("per") else "") for number in range(1001))
    brackets = "{}" if key.startswith("per") else "[]"
    plant(tmp_path, {"precision-fix.toml": f"{key} = {brackets[0]}{entries}{brackets[1]}".encode(), "a.py": SITE})
    with pytest.raises(PrecisionFixError, match=f":1: {key} has 1,001 entries, and at most 1,000 are heeded"):
        scan([tmp_path], FLOAT32, with_text=False, project=Project())


@pytest.mark.parametrize("text", ["a." * 50_000 + "b = 1", "x = {" + "a . 'b c' . " * 20_000 + "b = 1}"])
def test_a_key_of_very_many_parts(tmp_path: Path, text: str) -> None:
    for name in ("pyproject.toml", "precision-fix.toml"):
        plant(tmp_path, {name: f"[tool.precision-fix]\n{text}".encode(), "a.py": SITE})
        with pytest.raises(PrecisionFixError, match="toml:2: broken TOML: a key of more than 30 parts"):
            scan([tmp_path], FLOAT32, with_text=False, project=Project())
        (tmp_path / name).unlink()
    with pytest.raises(Unparsable, match="line 2: a key of more than 30 parts"):
        analyse("a.toml", f"bf16 = true\n{text}\n")


@pytest.mark.parametrize(
    "text",
    [
        'x = "' + "a." * 100 + '"',
        "x = '" + "a." * 100 + "'",
        'x = """\n' + "a.b\n" * 100 + '"""',
        "x = '''" + "a." * 100 + "'''",
        "x = 1 # " + "a." * 100,
        "x = [" + "1.5, " * 100 + "]",
        ".".join(["a"] * 20) + " = 1",
        'x = "\\"' + "a." * 100 + '"',
    ],
)
def test_dots_that_are_of_no_key(text: str) -> None:
    assert toml.loads(text)


@pytest.mark.parametrize("text", ["x = " + "1" * 5000, "x = " + "[" * 50_000, "x"])
def test_what_the_parser_says_of_toml_is_one_kind_of_error(text: str) -> None:
    with pytest.raises(toml.Broken):
        toml.loads(text)


@pytest.mark.parametrize("text", ["\n", " ", "- ", " \n", "a.", '"'])
def test_requirements_of_blanks(tmp_path: Path, text: str) -> None:
    (tmp_path / "requirements.txt").write_text(text * (1 << 17) + "\n   - trl\n")
    assert seconds(lambda: libraries_near(str(tmp_path / "a.yaml"))) < 1
    assert libraries_near(str(tmp_path / "a.yaml")) == {"trl"}


def test_an_expression_that_git_matches_nothing_with() -> None:
    for pattern in ("[a", "a\\", "[b-a]"):
        with pytest.raises(ValueError):
            compiled(pattern)
    assert isinstance(compiled("[[]"), re.Pattern)
