"""Every word and switch of every library is found in a config, on a launch line and in Python."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from precision_fix.engine.scan import scan
from precision_fix.model.finding import Action, Finding
from precision_fix.model.target import TARGETS
from precision_fix.model.vocabulary import needles, spellings, truth
from precision_fix.model.vocabulary.libraries import LIBRARIES, Library, Switch, Words
from tests.tools import REPOSITORY, environment, findings, rewritten


def words() -> Iterator[tuple[Library, str, str, tuple[str, str]]]:
    """Each library with each of its names, each word that it knows under it, and what that becomes."""
    for library in LIBRARIES:
        for row in library.settings:
            for name in row.names if isinstance(row, Words) else ():
                for word, becomes in row.words.items() if isinstance(row, Words) else ():
                    yield library, name.replace("*", "weight_dtype"), word, becomes


def switches() -> Iterator[tuple[Library, str]]:
    for library in LIBRARIES:
        for row in library.settings:
            for name in row.names if isinstance(row, Switch) else ():
                yield library, name


def shown(each: object) -> str:
    return each.name if isinstance(each, Library) else str(each)


every_word = pytest.mark.parametrize(("library", "name", "word", "becomes"), list(words()), ids=shown)
every_switch = pytest.mark.parametrize(("library", "name"), list(switches()), ids=shown)


def config(library: Library, name: str, value: object) -> tuple[str, str]:
    """A file of JSON in which the library's own keys stand beside a setting: its text and its name."""
    below: object = value
    for part in reversed(name.split(".")):
        below = {part: below}
    assert isinstance(below, dict)
    files = [each.replace("*", "a") for each in library.files if each.endswith(".json")]
    return json.dumps({**dict.fromkeys(sorted(library.beside), "x"), **below}, indent=1), [*files, "a.json"][0]


def command(library: Library, option: str) -> str:
    """A launch line that shows the library, by its command where it has one, or by its own options."""
    starts = [each for each in library.targets if not each.endswith(".")]
    head = f"{starts[0]} go" if starts else "python go.py"
    return f"{head} {' '.join(f'--{each} x' for each in sorted(library.beside))} {option}\n"


def at(found: list[Finding], token: str) -> Finding:
    """What is said of the place that shows this token."""
    mine = [each for each in found if token in each.token]
    assert len(mine) == 1, found
    return mine[0]


@every_word
def test_a_word_in_a_config(library: Library, name: str, word: str, becomes: tuple[str, str]) -> None:
    text, file = config(library, name, word)
    found = at(findings(text, path=file), word)
    if library.beside or library.files:
        assert found.action is Action.REWRITE, found
        assert rewritten(text, path=file) == text.replace(f'"{word}"', f'"{becomes[0]}"')


@every_word
def test_a_word_on_a_launch_line(library: Library, name: str, word: str, becomes: tuple[str, str]) -> None:
    found = at(findings(command(library, f"--{name} {word}"), path="a.sh"), f"--{name}")
    if library.targets or library.beside:
        assert found.action is Action.REWRITE or "stored" in found.reason, found


@every_word
def test_a_word_in_python(library: Library, name: str, word: str, becomes: tuple[str, str]) -> None:
    module = sorted(library.packages)[0].replace("-", "_") if library.packages else "somebody"
    text = f"import {module}\n{module}.Runner({name.rpartition('.')[2]}={word!r})\n"
    found = at(findings(text), word)
    if library.packages and "cache" not in name:
        assert found.action is Action.REWRITE, found


@every_switch
def test_a_switch_in_a_config(library: Library, name: str) -> None:
    text, file = config(library, name, True)
    assert at(findings(text, path=file), name.rpartition(".")[2]).action is Action.REWRITE


@every_switch
def test_a_switch_on_a_launch_line(library: Library, name: str) -> None:
    if "." not in name:
        assert at(findings(command(library, f"--{name} True"), path="a.sh"), name).action is Action.REWRITE
        assert at(findings(command(library, f"--{name.replace('_', '-')}"), path="a.sh"), "--").code == "PF602"


@every_switch
def test_a_switch_in_python(library: Library, name: str) -> None:
    if "." not in name:
        assert at(findings(f"Arguments(out, {name}=True)\n"), name).action is Action.REWRITE


INVENTED = """
from precision_fix.model.vocabulary import libraries
from precision_fix.model.vocabulary.libraries import Library, Switch, Words

libraries.LIBRARIES += (
    Library(
        "Zapper",
        "zapper: docs",
        (
            Words(("zap",), {"bf16-zapped": ("plain", "half"), "brainy": ("plain", "half")}, own=frozenset({"brainy"})),
            Switch(("think_short",)),
        ),
        packages=frozenset({"zapper"}),
        beside=frozenset({"zap", "zaps_per_day"}),
        targets=("zapper",),
    ),
)

from tests.tools import rewritten

BOTH = (("bf16-zapped", "plain"), ("brainy", "plain"))
for word, new in BOTH:
    for path, text in (
        ("a.yaml", "zaps_per_day: 1\\nzap: {}\\n"),
        ("a.json", '{{"zaps_per_day": 1, "zap": "{}"}}'),
        ("a.toml", "zaps_per_day = 1\\nzap = '{}'\\n"),
        ("a.sh", "zapper train --zap {}\\n"),
        ("a.py", "import zapper\\nzapper.train(zap='{}')\\n"),
        ("b.py", "os.system('zapper train --zap {}')\\n"),
        ("a.ipynb", '{{"cells": [{{"cell_type": "code", "source": "zapper.train(zap=\\'{}\\')"}}]}}'),
    ):
        print(path, word, rewritten(text.format(word), path=path) == text.format(new))
for path, text, new in (
    ("a.yaml", "think_short: true\\n", "think_short: false\\n"),
    ("a.sh", "zapper train --think-short true\\n", "zapper train --think-short false\\n"),
    ("a.py", "zapper.train(think_short=True)\\n", "zapper.train(think_short=False)\\n"),
):
    print(path, "switch", rewritten(text, path=path) == new)
print("a.py", "elsewhere", rewritten("mood = 'brainy'\\n") == "mood = 'brainy'\\n")
"""


def test_a_row_is_all_that_a_new_library_takes() -> None:
    """Words that do not name bfloat16 as well: in configs, launch lines, Python, notebooks."""
    command = [sys.executable, "-c", INVENTED]
    ran = subprocess.run(command, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=True)
    said = ran.stdout
    assert said.count("True") == 18
    assert "False" not in said


@pytest.mark.parametrize("word", [*spellings.STYLES, *spellings.QUIET_WORDS])
def test_a_word_is_found_by_its_bytes(word: str) -> None:
    for kind in (needles.BFLOAT16, needles.CONFIGS, needles.LAUNCH):
        assert needles.missed([word], kind) == ()
    assert needles.missed([word], needles.MARKS) == ()


def test_true_and_false_are_told_apart() -> None:
    assert truth.off_like("True") == "False" and truth.off_like("YES") == "NO" and truth.off_like("x") is None
    assert {truth.off_like(word) for word in truth.TRUE} <= truth.TRUTH - truth.TRUE


def test_tf32_begins_where_bfloat16_does(tmp_path: Path) -> None:
    """transformers raises below 8.0 where it is asked for; a backend's own switch for it is heeded by no such GPU."""
    (tmp_path / "train.py").write_text(
        "from transformers import TrainingArguments\nargs = TrainingArguments('o', bf16=True, tf32=True)\n"
        "import torch\ntorch.backends.cuda.matmul.allow_tf32 = True\n"
    )
    (tmp_path / "train.sh").write_text("torchrun train.py --output_dir o --tf32 True\n")
    (tmp_path / "sft.yaml").write_text("model_name_or_path: a/b\ntf32: true\n")
    (tmp_path / "args.json").write_text('{"output_dir": "o", "tf32": true}\n')
    (tmp_path / "args.toml").write_text('output_dir = "o"\ntf32 = true\n')
    found = scan([tmp_path], TARGETS["float32"], with_text=True)
    after = {Path(file.path).name: file.after.decode() for file in found.changed}
    assert "bf16=False, tf32=False" in after["train.py"] and "allow_tf32 = True" in after["train.py"]
    assert after["train.sh"].endswith("--tf32 False\n") and after["sft.yaml"].endswith("tf32: false\n")
    assert '"tf32": false' in after["args.json"] and after["args.toml"].endswith("tf32 = false\n")
    assert {each.reason for each in found.findings if "tf32" in each.token} >= {"tf32 turns TF32 on"}
