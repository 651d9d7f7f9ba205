"""The before and after of each rule: `fixtures/rules/`, which the wheel packs as `precision_fix/examples/`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Example:
    """A file that a rule speaks of, as it is and as it becomes; the same where the rule changes nothing."""

    name: str
    before: str
    after: str


def example(code: str) -> Example:
    """The fixture of a rule: `before.py`, `before.yaml` or the like, and `after` if it changes something.

    Raises FileNotFoundError, which says where the fixture of a rule without one belongs.
    """
    packed = _PACKAGE / "examples"
    folder = (packed if packed.is_dir() else _PACKAGE.parent / "fixtures" / "rules") / code
    first = next(folder.glob("before.*"), None)
    if first is None:
        raise FileNotFoundError(f"{code} has no fixture: put a before.py, before.yaml or the like into {folder}")
    before, after = first.read_text(encoding="utf-8"), folder / first.name.replace("before", "after")
    return Example(first.name, before, after.read_text(encoding="utf-8") if after.exists() else before)
