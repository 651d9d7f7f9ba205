"""What a project's modules become while it runs: the edited texts of one scan, each with its lines where they were.

This runs in a process of its own, which `runtime.edits` starts and asks.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from precision_fix.engine.asked_guards import may_be_met, met
from precision_fix.engine.half_guards import opened
from precision_fix.engine.scan import FileScan, Scan, scan, scan_text
from precision_fix.engine.settings import Project, Settings
from precision_fix.model.finding import Action
from precision_fix.model.target import TARGETS, Target
from precision_fix.sources.python import parse
from precision_fix.sources.text import decode

#: Begins the line of the answer; `runtime.edits.helper` looks for it.
ANSWER = "precision-fix-edits:"

#: A file that catches that flash-attn is missing and calls it all the same, and one that asked transformers for it; the
#: same words as `runtime.edits.projects` knows.
CALLS, ASKS = "calls", "asks"


@dataclass(frozen=True, slots=True)
class Edited:
    """A file that changes: its path, the digest of its bytes (SHA-256), and the text that is run in their place, ""
    where it stays. On the `real` lines it rounds to bfloat16 on purpose, or reads its bits: the runtime lets it.
    """

    path: str
    before: str
    after: str
    real: list[int]
    #: Of flash-attn: CALLS, ASKS.
    marks: list[str] = field(default_factory=list)


def answer(asked: Mapping[str, Any]) -> None:
    """Say on stdout, in one line, what becomes of the files below `asked["top"]`, or of `asked["text"]`."""
    if "text" in asked:
        text = edited_text(asked["text"], TARGETS[asked["to"]], stores=asked["stores"])
        found: dict[str, Any] = {"text": text}
    else:
        found = {"edited": rows(asked["top"], asked["to"], stores=asked["stores"])}
    sys.stdout.write(f"{ANSWER}{json.dumps(found)}\n")


def rows(top: str, to: str, *, stores: bool, stays: Callable[[str], None] = lambda path: None) -> list[list[Any]]:
    """What becomes of the files below a folder, in plain values: the fields of `Edited`, in their order. `stays` is
    told of files that are none of these, as soon as that is known.
    """
    files = edited(Path(top), TARGETS[to], stores=stores, stays=stays)
    return [[each.path, each.before, each.after, each.real, each.marks] for each in files]


def edited(
    top: Path, target: Target, *, stores: bool = False, stays: Callable[[str], None] = lambda path: None
) -> Iterator[Edited]:
    """The files below a folder that change, by the rules, the groups and the settings of a patch of all of it.

    With `stores` only guards do, which let both dtypes pass: what the program wants in bfloat16 must be seen.
    """
    _can_edit()

    def judged(path: str, file: FileScan | None) -> None:
        # What a group leaves becomes less, and never more.
        if file is None or not (_changes(file) or may_be_met(file.before)):
            stays(path)

    for file in _scanned(top, _in_memory(target, stores=stores), judged).files:
        if file.problem is not None:
            continue
        before = decode(file.before, coding=True).text
        after = _after(file, before)
        real = _statements(
            before, [line for each in file.findings if each.code == _ROUNDS for line in (each.line, *each.made_on)]
        )
        needs = [each.action for each in file.findings if each.code == _NEEDS]
        after = met(opened(after, target.dtype) if needs else after, target.dtype)
        marks = [CALLS] if Action.MANUAL in needs else []
        if any(each.code == _ASKS and each.action is Action.REWRITE for each in file.findings):
            marks.append(ASKS)
        if after != before or real or marks:
            digest = hashlib.sha256(file.before).hexdigest()
            yield Edited(file.path, digest, after if after != before else "", real, marks)


def _changes(file: FileScan) -> bool:
    return file.changes or any(each.code in (_ROUNDS, _NEEDS, _ASKS) for each in file.findings)


def _scanned(top: Path, target: Target, judged: Callable[[str, FileScan | None], None]) -> Scan:
    # What git ignores is told on disk, with the command that reads it: nodes of ComfyUI that came as an archive. Here a
    # module is only asked for if the program imports it.
    return scan(
        [top],
        target,
        with_text=True,
        project=Project(Settings()),
        suffixes=(".py",),
        prefixes=(),
        starts=False,
        recalls=True,
        ignored=True,
        judged=judged,
    )


def edited_text(text: str, target: Target, *, stores: bool = False) -> str:
    """The same of a text that is no file."""
    _can_edit()
    data = text.encode("utf-8", "surrogatepass")
    changed = scan_text("-", data, _in_memory(target, stores=stores), Project(Settings())).changed
    return _after(changed[0], text) if changed else text


def _can_edit() -> None:
    """Raises ModuleNotFoundError where every file would fail alike, as after `pip install --no-deps`.

    The program is told so, and nothing of it is kept for the next start.
    """
    if find_spec("libcst") is None:
        raise ModuleNotFoundError("edits need libcst, which is not installed here: pip install libcst")


def _in_memory(target: Target, *, stores: bool) -> Target:
    """The target while the runtime casts.

    Words of configs and command lines stay as they are, and so bfloat16 is asked for by dtypes that no edit reaches: a
    tensor made of such a word is float32, the dtype itself is not. Guards let both pass.
    """
    return replace(target, lets_both=True, guards_alone=stores)


def _after(file: FileScan, before: str) -> str:
    return leveled(before, decode(file.after, coding=True).text) if file.after else before


#: The rule of what rounds to bfloat16 on purpose, or is read as bits.
_ROUNDS = "PF005"
#: The rule of who imports flash-attn, reported where there is no way without it, and that of who asks transformers.
_NEEDS = "PF912"
_ASKS = "PF205"


def _statements(text: str, lines: list[int]) -> list[int]:
    """All lines of the innermost statements that these lines stand in: a call may begin on another."""
    found: set[int] = set()
    spans = [(each.lineno, each.end_lineno or each.lineno) for each in _all_statements(text)] if lines else []
    for line in lines:
        around = [(last - first, first, last) for first, last in spans if first <= line <= last]
        if around:
            _, first, last = min(around)
            found.update(range(first, last + 1))
    return sorted(found)


def _all_statements(text: str) -> Iterator[ast.stmt]:
    return (node for node in ast.walk(parse(text)) if isinstance(node, ast.stmt))


def leveled(before: str, after: str) -> str:
    """`after` with as many lines as `before`: what an edit put on a line of its own goes to the end of another.

    Where that would make another program of it, which no edit is known to bring about, it is left as it is.
    """
    old, new = before.split("\n"), after.split("\n")
    if len(old) == len(new):
        return after
    for forwards in (False, True):
        text = "\n".join(_lines(old, new, forwards=forwards))
        if text.count("\n") == before.count("\n") and _same(text, after):
            return text
    return after


def _lines(old: list[str], new: list[str], *, forwards: bool) -> list[str]:
    out: list[str] = []
    carried: list[str] = []
    for _, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        kept, extra = new[j1 : j1 + i2 - i1], new[j1 + i2 - i1 : j2]
        if carried and kept:
            kept[0], carried = _joined([*carried, kept[0]]), []
        out += kept
        if forwards or not out:
            carried += extra
        else:
            out[-1] = _joined([out[-1], *extra])
    return out


def _joined(lines: list[str]) -> str:
    return " ".join([lines[0].rstrip(), *(line.strip() for line in lines[1:])])


def _same(one: str, other: str) -> bool:
    """Whether two texts are one program."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.dump(ast.parse(one)) == ast.dump(ast.parse(other))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
