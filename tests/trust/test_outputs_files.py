"""Where a report is written: not through what a clone has put under its name, and never waiting."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from precision_fix import door
from tests.tools import command, environment

CAST = "import torch\nx = y.to(torch.bfloat16)\n"
ENV = environment(CUDA_VISIBLE_DEVICES="")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / "a.py").write_text(CAST)
    (tmp_path / "bashrc").write_text("mine")
    return clone


@pytest.mark.parametrize("kind", ["link", "hard link", "link to nothing"])
@pytest.mark.parametrize("words", [("--gpu", "t4", ".", "--output-file"), ("plan", "--gpu", "t4", ".", "--html")])
def test_a_report_does_not_go_through_a_link_of_the_clone(clone: Path, kind: str, words: tuple[str, ...]) -> None:
    target = clone.parent / ("bashrc" if kind != "link to nothing" else "profile")
    if kind == "hard link":
        os.link(target, clone / "report.html")
    else:
        (clone / "report.html").symlink_to(target)
    done = command(*words, "report.html", cwd=clone, env=ENV)
    assert done.returncode == 2
    assert b"report.html: " in done.stderr and b" link" in done.stderr and b"Traceback" not in done.stderr
    assert (clone.parent / "bashrc").read_text() == "mine" and not (clone.parent / "profile").exists()
    # Said before anything is done.
    assert (clone / "a.py").read_text() == CAST


def test_a_pipe_of_the_clone_is_not_waited_for(clone: Path) -> None:
    os.mkfifo(clone / "report.html")
    done = command("--gpu", "t4", "--check", ".", "--output-file", "report.html", cwd=clone, env=ENV)
    assert done.returncode == 2
    assert b"the html report could not be written to report.html: " in done.stderr


def test_a_pipe_that_is_read_gets_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    door.put(pipe, b"x" * 1000)
    assert os.read(reader, 2000) == b"x" * 1000
    os.close(reader)


def test_what_the_system_has_for_streams_is_taken(clone: Path) -> None:
    done = command(
        "--gpu", "t4", "--check", ".", "--output-format", "json", "--output-file", "/dev/stdout", cwd=clone, env=ENV
    )
    assert done.returncode == 1 and done.stdout.startswith(b"{\n")
    door.put(os.devnull, b"x")


def test_a_file_is_replaced_and_appended_to(tmp_path: Path) -> None:
    door.put(tmp_path / "a", b"longer")
    door.put(tmp_path / "a", b"short")
    door.put(tmp_path / "a", b"er", append=True)
    assert (tmp_path / "a").read_bytes() == b"shorter"


def test_a_dry_run_with_both_words_shows_the_diff(clone: Path) -> None:
    done = command("--gpu", "t4", "--check", "--diff", ".", cwd=clone, env=ENV)
    assert done.stdout == command("--gpu", "t4", "--diff", ".", cwd=clone, env=ENV).stdout
    assert b"+x = y.to(torch.float32)\n" in done.stdout
