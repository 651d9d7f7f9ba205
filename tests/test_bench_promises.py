"""`make promises` says what is not the same in two trees, and does not take a umask for a broken promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.promises import as_git, differs, state


def _tree(folder: Path, *, text: str = "a", mode: int = 0o664, link: str = "a.py", more: bool = False) -> Path:
    folder.mkdir()
    (folder / "a.py").write_text(text)
    (folder / "a.py").chmod(mode)
    (folder / "link").symlink_to(link)
    if more:
        (folder / "more.py").touch()
    return folder


@pytest.mark.parametrize(
    ("other", "by_git", "by_undo"),
    [
        ({}, "", ""),
        ({"mode": 0o644}, "", "other modes in 1: 'a.py'"),
        ({"mode": 0o775}, "other modes in 1: 'a.py'", "other modes in 1: 'a.py'"),
        ({"text": "b"}, "other bytes in 1: 'a.py'", "other bytes in 1: 'a.py'"),
        ({"link": "b.py"}, "other bytes in 1: 'link'", "other bytes in 1: 'link'"),
        ({"more": True, "text": "b"}, *["other files in 1: 'more.py'; other bytes in 1: 'a.py'"] * 2),
    ],
)
def test_what_differs_is_named(tmp_path: Path, other: dict[str, object], by_git: str, by_undo: str) -> None:
    one, two = state(_tree(tmp_path / "one")), state(_tree(tmp_path / "two", **other))  # type: ignore[arg-type]
    assert differs(as_git(one), as_git(two)) == by_git
    assert differs(one, two) == by_undo
