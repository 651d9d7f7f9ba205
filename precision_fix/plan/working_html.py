"""A model at work on the page: a table of the ways to run it, with bars, and what decides."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from precision_fix.plan import working_phrases as phrases
from precision_fix.plan.contents import shown
from precision_fix.plan.fit import Verdict
from precision_fix.plan.phrases import size
from precision_fix.plan.working import Row, Share, Working

if TYPE_CHECKING:
    from precision_fix.plan.planning import Plan

_CLASSES = {Verdict.FITS: "fits", Verdict.TIGHT: "tight", Verdict.NO: "no"}
_COLOURS = (("weights", ("weights",)), ("d2", ("caches", "gradients", "states")), ("copy", ("activations",)))
_LONGEST = 400


def _said(text: str) -> str:
    return escape(shown(text, _LONGEST))


def to_do(working: Working, plan: Plan) -> Iterator[str]:
    """The box with what to do."""
    said, command = phrases.conclusion(working, plan.commands)
    best = working.best
    kind = _CLASSES[best.verdict] if best is not None and best.verdict else "no"
    code = f"<p><code>{_said(command)}</code></p>" if command else ""
    yield f'<div class="do {kind}"><p><b>{_said(said)}</b></p>{code}</div>'


def at_work(working: Working) -> Iterator[str]:
    """The table and its legend."""
    columns = phrases.columns(working)
    yield f"<p>{_said(phrases.title(working))}.</p>"
    names = "".join(f'<th scope="col">{name}</th>' for name in ("", *(name for name, _ in columns), "total", "verdict"))
    yield f'<table class="work">\n<thead><tr>{names}</tr></thead>\n<tbody>'
    for row in working.rows:
        marked = ' class="best"' if row is working.best else ""
        told = f'{row.mode.label}<br><span class="faint">{_said(phrases.meaning(row.mode))}</span>'
        yield f'<tr{marked}><th scope="row">{told}</th>{_cells(row, columns)}</tr>'
    yield "</tbody>\n</table>"
    mine = "gradients and states" if working.use.train else "caches"
    marks = (("weights", "weights"), ("d2", mine), ("copy", "activations"), ("room", "left"), ("limit", "the end"))
    items = "".join(f'<li><span class="swatch {colour}"></span>{what}</li>' for colour, what in marks)
    yield f'<ul class="legend">{items}</ul>'
    lines = phrases.settings(working)
    count = max((len(row.over) for row in working.rows), default=0)
    lines += [_over(row) for row in working.rows if row.over] if count else []
    if lines:
        yield '<ul class="lines">' + "".join(f"<li>{_said(line)}</li>" for line in lines) + "</ul>"


def _over(row: Row) -> str:
    each = " + ".join(size(share.total) for share in row.over)
    fits = all(share.left >= 0 for share in row.over)
    return f"{row.mode.label} over {len(row.over)} GPUs, by layers: {each}, {'fits' if fits else 'does not fit'}"


def _cells(row: Row, columns: tuple[tuple[str, tuple[str, ...]], ...]) -> str:
    if row.refused:
        return f'<td colspan="{len(columns) + 2}">none: {_said(row.refused)}</td>'
    sums = [*((name, row.of(*names)) for name, names in columns), ("total", row.total)]
    # On a phone the head goes, and each number has its name.
    cells = "".join(f'<td data-of="{name}">{size(number)}</td>' for name, number in sums)
    if not row.shares:
        return cells + "<td></td>"
    share = row.shares[0]
    return f'{cells}<td><b class="{_CLASSES[share.verdict]}">{share.verdict.value}</b>{_bar(share)}</td>'


def _bar(share: Share) -> str:
    whole = max(share.room, share.total, 1)
    spans = label = ""
    for colour, names in _COLOURS:
        part = sum(each.nbytes for each in share.parts if each.name in names)
        spans += f'<span class="{colour}" style="width:{100 * part / whole:.2f}%"></span>'
        label += f"{size(part)} of {' and '.join(n for n in names if any(p.name == n for p in share.parts))}, " * bool(
            part
        )
    label += f"in {size(share.room)}"
    if share.left >= 0:
        return f'<div class="bar" role="img" aria-label="{label}">{spans}</div>'
    limit = f'<i class="limit" style="left:{100 * share.room / whole:.2f}%"></i>'
    return f'<div class="bar over" role="img" aria-label="{label}">{spans}{limit}</div>'
