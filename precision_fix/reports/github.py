"""A run as annotations of GitHub Actions: `::warning file=...::message`, one a line.

GitHub shows ten errors, ten warnings and ten notices of a step. Files that failed are errors, what the files still hold
are warnings, comments that keep nothing are notices; the last notice says what was left out. The places of a file that
one rule found for one reason share an annotation, at the first of them.
"""

from __future__ import annotations

import os

from precision_fix.model.finding import Action, Finding
from precision_fix.model.problem import count, shown
from precision_fix.reports.address import Addresses, visible
from precision_fix.reports.run import Run, explained, in_short, lines_named

MOST = 10
_KEEPS_NOTHING = "this `# precision-fix: keep` keeps nothing: remove it"
_Places = list[Finding]


def render(run: Run) -> str:
    addresses = Addresses(run)

    def name(path: str) -> str:
        # Names that are no UTF-8 cannot be told in a workflow command.
        return os.fsencode(addresses.name(path)).decode("utf-8", "replace")

    manual, changes = list(in_short(run.manual).values()), list(in_short(run.changes if run.dry else ()).values())
    some_manual, some_changes = _shares(manual, changes)
    errors = [_command("error", p.message, name(p.path)) for p in run.problems]
    warnings = [_warning(places, name(places[0].path)) for places in (*some_manual, *some_changes)]
    notices = [_command("notice", _KEEPS_NOTHING, name(file.path), line) for file, line in run.unused_keeps]
    # The tenth notice says what was left out.
    left = {
        "failed": count(len(errors[MOST:]), "file"),
        "need a hand": _left_out(manual, some_manual),
        "would change": _left_out(changes, some_changes),
        "keep nothing": count(len(notices[MOST - 1 :]), "comment"),
    }
    lines = [*errors[:MOST], *warnings, *notices[: MOST - 1]]
    said = ", ".join(f"{number} ({what})" for what, number in left.items() if not number.startswith("0 "))
    if said:
        lines.append(_command("notice", f"GitHub shows ten annotations of a kind. Left out: {said}"))
    return "".join(f"{line}\n" for line in lines)


def _left_out(all_places: list[_Places], shown: list[_Places]) -> str:
    return count(sum(map(len, all_places)) - sum(map(len, shown)), "place")


def _shares(manual: list[_Places], changes: list[_Places]) -> tuple[list[_Places], list[_Places]]:
    """Half of the warnings for each, and what one leaves to the other; of each file first its first."""
    first = _spread(manual)[: max(MOST // 2, MOST - len(changes))]
    return first, _spread(changes)[: MOST - len(first)]


def _spread(groups: list[_Places]) -> list[_Places]:
    seen: dict[str, int] = {}
    turns = []
    for i, places in enumerate(groups):
        turn = seen[places[0].path] = seen.get(places[0].path, 0) + 1
        turns.append((turn, i))
    return [groups[i] for _, i in sorted(turns)]


def _warning(places: _Places, name: str) -> str:
    first, others = places[0], places[1:]
    what = "would change" if first.action is Action.REWRITE else "needs a hand"
    text = f"{first.cell}: {explained(first)}" if first.cell else explained(first)
    if others:
        text += f" (also {'' if first.cell else 'in '}{lines_named(others)})"
    return _command("warning", text, name, first.line, first.column, title=f"{first.code}: {what}")


def _command(
    kind: str, text: str, name: str = "", line: int = 0, column: int = 0, *, title: str = "precision-fix"
) -> str:
    given = {"file": name, "line": line, "col": column, "title": title}
    properties = ",".join(f"{key}={_property(str(value))}" for key, value in given.items() if value)
    # Azure Pipelines looks for its own commands anywhere in a line.
    return shown(f"::{kind} {properties}::{_data(visible(text))}")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
