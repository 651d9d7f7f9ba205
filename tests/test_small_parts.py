"""What the model says of paths, lines and edits, each by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.errors import PrecisionFixError
from precision_fix.model import named
from precision_fix.model.edit import Splice, spliced
from precision_fix.model.finding import BY_COMMENT, Action, Finding
from precision_fix.model.marks import Marks
from precision_fix.model.problem import Problem, as_json, as_line, count, no_command, reason, shown
from precision_fix.model.setting import Document, Form, Setting
from precision_fix.model.target import FLOAT16, FLOAT32


def test_lines_that_tell_no_build_server_anything() -> None:
    assert shown("a\nb\tc\x7f\u202ed\ud800ü") == "a\\nb\\tc\\x7f\\u202ed\\ud800ü"
    assert shown("##[group]x ##vso[a] #a ##x #[y]") == "\\x23#[group]x \\x23#vso[a] #a ##x #[y]"
    assert (
        no_command("  ::error::x") == "  \\x3a:error::x" and no_command("a ::b") == "a ::b" and no_command(":a") == ":a"
    )
    assert as_line("::a\n") == "\\x3a:a\\n" and as_json("##[a]") == "#\\u0023[a]"
    assert count(1, "place") == "1 place" and count(0, "place") == "0 places" and count(1234, "x") == "1,234 xs"
    assert str(Problem("a\nb", "gone")) == "a\\nb: gone"
    assert reason(OSError(2, "No such Thing")) == "no such Thing" and reason(PermissionError()) == "permissionError"


def test_paths_that_a_person_names(tmp_path: Path) -> None:
    there, gone = str(tmp_path), str(tmp_path / "gone")
    assert list(named.missing([there, gone])) == [(gone, "no such file or directory")]
    assert [why for _, why in named.missing(["a\0b"])] == ["no path can hold a null byte"]
    named.check([there])
    with pytest.raises(PrecisionFixError, match=r"gone: no such file or directory; ' ': no such.*; nothing was done"):
        named.check([gone, there, " "])
    assert named.told([("a\n", "x"), ("", "y")]) == "a\\n: x; '': y"


def test_splices() -> None:
    assert spliced("abcdef", [Splice(4, 5, "X"), Splice(0, 1, ""), Splice(2, 2, "-")]) == "b-cdXf"
    assert spliced("abc", [Splice(0, 1, "x"), Splice(1, 2, "y")]) == "xyc"
    with pytest.raises(ValueError, match="two edits overlap at character 1"):
        spliced("abc", [Splice(0, 2, ""), Splice(1, 3, "")])


def test_what_is_reached_in_a_graph() -> None:
    edges = {1: [2, 3], 2: [4], 3: [1], 4: [], 5: [1, 6], 6: [6]}
    own = {1: 0, 2: 1, 3: 2, 4: 4, 5: 0, 6: 8}
    for order in ([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], [4, 3, 5]):
        marks: Marks[int] = Marks(lambda node: (edges[node], own[node]))
        found = {node: marks.marks(node) for node in order}
        assert found == {node: {1: 7, 2: 5, 3: 7, 4: 4, 5: 15, 6: 8}[node] for node in order}


def test_words_of_a_target() -> None:
    words = {
        "bfloat16": "float32",
        "torch.bfloat16": "torch.float32",
        "bf16": "fp32",
        "bf16-mixed": "32-true",
        "x": None,
    }
    assert {word: FLOAT32.word(word) for word in words} == words
    assert [FLOAT16.word(word) for word in ("bfloat16", "bf16", "bf16-true")] == ["float16", "fp16", "16-true"]
    likes = {
        "BF16": "FP32",
        "BFLOAT16": "FLOAT32",
        "bf16": "fp32",
        "Bf16": None,
        "BFloat16": None,
        "x": None,
        "X": None,
    }
    assert {word: FLOAT32.word_like(word) for word in likes} == likes
    assert FLOAT32.pick(("a", "b")) == "a" and FLOAT16.pick(("a", "b")) == "b"
    assert FLOAT32.offered == (
        "no",
        "float32",
        "torch.float32",
        "fp32",
        "f32",
        "32-true",
        "32",
        "full",
        "float",
        "FP32",
        "none",
    )
    assert FLOAT16.offered == ("float16", "torch.float16", "fp16", "16-true", "half")


def test_kept_by_a_comment() -> None:
    kept = Finding("a", 1, 1, "PF101", Action.KEEP, reason=BY_COMMENT)
    assert kept.by_comment and not Finding("a", 1, 1, "PF101", Action.KEEP, reason="x").by_comment
    assert not Finding("a", 1, 1, "PF101", Action.MANUAL, reason=BY_COMMENT).by_comment


@pytest.mark.parametrize(("keys", "name"), [(("a", "b", 0), "b"), (("a", 1, 2), "a"), (("-a-b",), "-a-b"), ((0,), "")])
def test_the_name_of_a_setting_is_its_last_key_that_is_one(keys: tuple[str | int, ...], name: str) -> None:
    assert Setting(Form.KEY, keys, "bf16", Document("a.yaml"), FLOAT32).shown == name
