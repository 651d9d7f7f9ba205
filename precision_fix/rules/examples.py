"""The before and after of each rule: `fixtures/rules/`, which the wheel packs as `precision_fix/examples/`."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def example(code: str) -> tuple[str, str]:
    """The texts of a rule's fixture; for a rule that changes nothing both are the same."""
    packed = _PACKAGE / "examples"
    folder = (packed if packed.is_dir() else _PACKAGE.parent / "fixtures" / "rules") / code
    before = (folder / "before.py").read_text(encoding="utf-8")
    after = folder / "after.py"
    return before, after.read_text(encoding="utf-8") if after.exists() else before
