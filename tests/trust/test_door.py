"""The one door for the files that a project brings along: what lies there may be anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from precision_fix import door


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    assert door.read(tmp_path / "a", 3_000_000) == b"x" * 3_000_000
    assert door.start(tmp_path / "a", 10) == b"x" * 10
    (tmp_path / "empty").touch()
    assert door.read(tmp_path / "empty", 0) == b""


def test_one_byte_too_many_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 11)
    with pytest.raises(door.NotPlain) as caught:
        door.read(tmp_path / "a", 10)
    assert caught.value.strerror == "is larger than 10 bytes"
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(door.NotPlain, match="is larger than 2 MiB"):
        door.read(tmp_path / "sparse", 2 << 20)


@pytest.mark.parametrize("target", ["/dev/zero", "plain", "nowhere", "."])
def test_a_link_is_not_followed_unless_somebody_named_it(tmp_path: Path, target: str) -> None:
    (tmp_path / "plain").write_bytes(b"x")
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(door.NotPlain) as caught:
        door.read(tmp_path / "link", 10)
    assert caught.value.strerror == "is a link"
    if target == "plain":
        assert door.read(tmp_path / "link", 10, follow=True) == b"x"
    else:
        with pytest.raises(OSError):
            door.read(tmp_path / "link", 10, follow=True)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for follow in (False, True):
        with pytest.raises(door.NotPlain) as caught:
            door.read(tmp_path / "pipe", 10, follow=follow)
        assert caught.value.strerror == "is no regular file"


def test_what_becomes_a_pipe_or_a_link_meanwhile_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plain").write_bytes(b"x")
    status = (tmp_path / "plain").stat()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("plain")
    monkeypatch.setattr(os, "stat", lambda path, **_: status)
    for name in ("pipe", "link"):
        with pytest.raises(door.NotPlain):
            door.read(tmp_path / name, 10)


def test_what_is_not_there_and_directories_raise_as_ever(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        door.read(tmp_path / "a", 1)
    with pytest.raises(IsADirectoryError):
        door.read(tmp_path, 1)


def test_a_file_that_grows_while_it_is_read_has_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")
    plain = os.read

    def grows(descriptor: int, size: int) -> bytes:
        with path.open("ab") as file:
            file.write(b"y" * 100)
        return plain(descriptor, size)

    monkeypatch.setattr(os, "read", grows)
    with pytest.raises(door.NotPlain):
        door.read(path, 50)
