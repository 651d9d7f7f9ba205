"""Programs of several files: what becomes of each, and what is said."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from precision_fix.engine.scan import Scan, scan
from precision_fix.model.finding import Action
from precision_fix.model.target import FLOAT32


def patched(folder: Path, program: dict[str, str]) -> tuple[dict[str, str], Scan]:
    """The files after a patch, and what was said of them."""
    for name, text in program.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    (folder / "pyproject.toml").touch()
    found = scan([folder], FLOAT32, with_text=True)
    assert found.problems == []
    changed = {file.path: file.after.decode() for file in found.changed}
    return {name: changed.get(str(folder / name), dedent(text)) for name, text in program.items()}, found


def said(found: Scan, action: Action) -> list[str]:
    """The places of which a thing is said, as `file:line`."""
    return [f"{Path(each.path).name}:{each.line}" for each in found.findings if each.action is action]
