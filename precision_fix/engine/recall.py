"""What the last run over a tree found: what has not changed since, with all that it rests on, is not judged again.

It is kept in the user's own cache folder (`precision_fix.caches`), by the content of files and the state of this
package. Nothing of it is taken from a tree, and what is read there can make no object but those of a scan.
"""

# For each file of a project.
# ruff: noqa: PTH100, PTH109, PTH112, PTH117, PTH118, PTH120
from __future__ import annotations

import contextlib
import io
import os
import pickle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from precision_fix import caches, door
from precision_fix.model.selection import Selection
from precision_fix.model.trace import FACTS, HOLDS

if TYPE_CHECKING:
    from precision_fix.engine.one import FileScan, Item
    from precision_fix.model.finding import Finding
    from precision_fix.project.facts import Facts

_MOST_BYTES = 256 << 20
_MOST_OF_A_FILE = 64 << 20
# All that a pickle of ours is made of.
_CLASSES = {
    "precision_fix.engine.recall": {"_Run", "_Answer", "_Known"},
    "precision_fix.engine.one": {"FileScan"},
    "precision_fix.model.finding": {"Finding", "Action", "Part"},
    "precision_fix.model.moves": {"Move", "Place"},
    "precision_fix.model.problem": {"Problem"},
    "precision_fix.project.facts": {"Facts", "Import"},
}


@dataclass(slots=True)
class _Answer:
    """What was found in a file, under which rules, and what that rests on. `scan` is None where it was nothing."""

    rules: str
    rests: tuple[str, ...]
    scan: FileScan | None
    has_text: bool


@dataclass(slots=True)
class _Run:
    """The files as they were, by absolute path and digest; `python` are those of the projects around them."""

    files: dict[str, str] = field(default_factory=dict)
    python: tuple[str, ...] = ()
    others: dict[str, str] = field(default_factory=dict)
    answers: dict[str, _Answer] = field(default_factory=dict)
    brought: dict[str, tuple[str, tuple[Finding, ...]]] = field(default_factory=dict)


@dataclass(slots=True)
class _Known:
    """The facts of Python files, each with the digest of what it held."""

    facts: dict[str, tuple[str, Facts]] = field(default_factory=dict)


class Recall:
    """The last run of one kind: over these paths, from this folder, for this dtype."""

    def __init__(self, kind: Sequence[str]) -> None:
        folder = caches.folder_of("scans")
        name = caches.digest("\0".join([*kind, os.getcwd(), *sorted(caches.of_package())]).encode(*_BYTES))
        self._at = os.path.join(folder, name[:32]) if folder is not None else ""
        self._last: _Run = _read(self._at, _Run) or _Run()
        self._now = _Run()
        self._facts_stay: bool | None = None
        self._facts: dict[str, Facts] | None = None
        self._others: dict[str, str] = {}
        self._holds: dict[str, bool] = {}
        self._is_new = False

    # The state of the files.

    def see(self, files: Mapping[str, str], python: Sequence[str]) -> None:
        """The digests of all files that are scanned, by absolute path; and the Python files of the projects around."""
        self._now.python = tuple(python)
        self._now.files = {**files, **{path: _digest_of(path) for path in python if path not in files}}
        self._is_new = self._now.files != self._last.files

    def known_facts(self) -> dict[str, Facts]:
        """What is known of the Python files that are as they were."""
        if self._facts is None:
            kept = self._known().facts.items()
            self._facts = {path: facts for path, (old, facts) in kept if old == self._now.files.get(path)}
        return self._facts

    def _known(self) -> _Known:
        return _read(f"{self._at}.facts", _Known) or _Known()

    # What was found.

    def of(self, item: Item, *, with_text: bool) -> tuple[FileScan | None] | None:
        """What was found in a file, in a tuple; None where that is to be found anew."""
        path = item[0]
        answer = self._last.answers.get(path)
        if answer is None or answer.rules != _rules(item) or not self._is_known(path):
            return None
        if not all(map(self._stays, answer.rests)):
            return None
        scan = replace(answer.scan) if answer.scan is not None else None
        if scan is not None and with_text:
            if scan.changes and not answer.has_text:
                return None
            try:
                scan.before = door.read(path, _MOST_OF_A_FILE, follow=True)
            except OSError:
                return None
        self._now.answers[path] = answer
        return (scan,)

    def take(self, item: Item, scan: FileScan | None, rests: Iterable[str], *, has_text: bool) -> None:
        """Keep what was found. Of a file outside of any project nobody knows what that rests on."""
        self._is_new = True
        if not item[3] or (scan is not None and scan.problem is not None):
            return
        kept = replace(scan, before=b"") if scan is not None else None
        self._now.answers[item[0]] = _Answer(_rules(item), tuple(sorted(rests)), kept, has_text)

    def brought(self, item: Item) -> tuple[Finding, ...] | None:
        """What a file brings that does not speak of bfloat16; None where that is to be found anew."""
        path = item[0]
        rules, findings = self._last.brought.get(path, ("", ()))
        if rules != _rules(item) or not self._is_known(path):
            return None
        self._now.brought[path] = rules, findings
        return findings

    def take_brought(self, item: Item, findings: tuple[Finding, ...]) -> None:
        """Keep what it brings, which rests on the file alone."""
        self._is_new = True
        self._now.brought[item[0]] = _rules(item), findings

    def keep(self, facts: Mapping[str, Facts]) -> None:
        """Write down this run for the next one."""
        if not self._at or not self._is_new:
            return
        now = self._now
        for ground in {each for answer in now.answers.values() for each in answer.rests}:
            if ground not in now.files and not ground.startswith((FACTS, HOLDS)):
                now.others[ground] = _digest_of(ground)
        with contextlib.suppress(OSError):
            caches.put(self._at, pickle.dumps(now, pickle.HIGHEST_PROTOCOL))
            if facts:
                known = _Known({path: (now.files.get(path, ""), each) for path, each in facts.items()})
                caches.put(f"{self._at}.facts", pickle.dumps(known, pickle.HIGHEST_PROTOCOL))
            caches.forget_old(os.path.dirname(self._at))

    # Whether it still holds.

    def _is_known(self, path: str) -> bool:
        """Whether a file was read, and is what it was: of what could not be read nobody knows."""
        real = os.path.abspath(path)
        return bool(self._now.files.get(real)) and self._is_as_it_was(real)

    def _is_as_it_was(self, path: str) -> bool:
        now = self._now.files.get(path)
        return now is not None and now == self._last.files.get(path)

    def _stays(self, ground: str) -> bool:
        if ground == FACTS:
            return self._all_facts_stay()
        if ground.startswith(HOLDS):
            return self._no_more_hold(ground.removeprefix(HOLDS))
        path = os.path.abspath(ground)
        if path in self._now.files:
            return self._is_as_it_was(path)
        if ground not in self._others:
            self._others[ground] = _digest_of(ground)
        return self._others[ground] == self._last.others.get(ground)

    def _changed(self) -> list[str]:
        return [path for path in self._now.python if not self._is_as_it_was(path)]

    def _all_facts_stay(self) -> bool:
        if self._facts_stay is None:
            self._facts_stay = self._now.python == self._last.python and self._same_facts()
        return self._facts_stay

    def _same_facts(self) -> bool:
        changed = self._changed()
        if not changed:
            return True
        from precision_fix.project.imports import look_at

        before = self._known().facts
        return all(path in before and look_at(path) == before[path][1] for path in changed)

    def _no_more_hold(self, name: str) -> bool:
        """Whether no file has come to hold a name; those that did, and were looked at, are told apart by content."""
        if name not in self._holds:
            self._holds[name] = self._now.python == self._last.python and not any(
                _holds(path, name) for path in self._changed()
            )
        return self._holds[name]


_BYTES = ("utf-8", "surrogateescape")


def _rules(item: Item) -> str:
    """Which rules count in a file, in words."""
    _, explicit, choice, _ = item
    return f"{explicit} {_in_words(choice.of(item[0]))}"


def _in_words(selection: Selection | None) -> str:
    if selection is None:
        return "-"
    codes = "all" if selection.codes is None else " ".join(sorted(selection.codes))
    return f"{codes}, not {' '.join(sorted(selection.ignored))}, or {_in_words(selection.without)}"


def _digest_of(path: str) -> str:
    """Of a file its content, of a folder the names in it; "" where there is nothing that can be read."""
    try:
        if os.path.isdir(path):
            return caches.digest("\0".join(sorted(os.listdir(path))).encode(*_BYTES))
        return caches.digest(door.start(path, _MOST_OF_A_FILE))
    except OSError:
        return ""


def _holds(path: str, name: str) -> bool:
    from precision_fix.project.readings import asks_for

    try:
        return asks_for(door.start(path, _MOST_OF_A_FILE), name)
    except OSError:
        return True


class _Loader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in _CLASSES.get(module, ()):
            raise pickle.UnpicklingError(f"{module}.{name} is none of ours")
        return super().find_class(module, name)


def _read(path: str, kind: type[Any]) -> Any:
    """What was kept in a file; None where there is nothing, or nothing sound."""
    if not os.path.isabs(path):
        return None
    try:
        found = _Loader(io.BytesIO(door.read(path, _MOST_BYTES))).load()
        os.utime(path)
    except Exception:
        return None  # a file that was cut off can raise anything
    return found if isinstance(found, kind) else None
