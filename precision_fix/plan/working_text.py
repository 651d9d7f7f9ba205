"""A model at work as lines: a row for each way to run it, with a bar of the GPU's memory."""

from __future__ import annotations

from typing import Protocol

from precision_fix.plan import working_phrases as phrases
from precision_fix.plan.fit import Verdict
from precision_fix.plan.working import Row, Share, Working
from precision_fix.plan.wrapping import Line, wrapped

_STYLES = {Verdict.FITS: "green", Verdict.TIGHT: "yellow", Verdict.NO: "red", None: ""}
# The columns of a number, of the sum, and of the sums of several GPUs; and what a line holds beside the inside of its
# bar, which has at least so many cells.
_NUMBER, _TOTAL, _OVER = 8, 7, 14
_BESIDE, _LEAST = 66, 6
# What a narrow terminal has room for.
_BRIEF = {Verdict.FITS: "fits", Verdict.TIGHT: "tight", Verdict.NO: "too much"}
_SHORT = {"activations": "activ.", "grad+states": "gr.+st."}


class Marks(Protocol):
    """What bars are drawn of: `signs` for weights, for caches or gradients and states, for activations, for what is
    left, and at the end of what is too much; `columns` that a line has, None in a pipe."""

    signs: str


def has_bars(width: int | None) -> bool:
    """Whether a line has room for a bar beside its numbers."""
    return width is None or width >= _BESIDE + _LEAST


def work(working: Working, bars: Marks, width: int | None) -> list[Line]:
    """The table, what decides, and why several GPUs do not help."""
    columns = phrases.columns(working)
    result = wrapped("dim", f"  {phrases.title(working)}", width, "  ")
    head = "".join(f"{_SHORT.get(name, name):>{_NUMBER}}" for name, _ in columns)
    result.append(("dim", f"  {'in GiB':16}{head}{'total':>{_TOTAL}}"))
    room = (width or 100) - _BESIDE if has_bars(width) else 0
    advised = working.best
    for row in working.rows:
        result += _row(row, columns, bars.signs, room, width, is_best=row is advised)
    if any(row.over for row in working.rows):
        count = max(len(row.over) for row in working.rows)
        result.append(("dim", f"  over {count} GPUs, by layers:"))
        for row in working.rows:
            if row.over:
                result += _over(row, bars.signs, room, width)
    for said in phrases.settings(working):
        result += wrapped("", f"  {said}", width, "    ")
    return result


def _row(row: Row, columns: phrases.Columns, signs: str, room: int, width: int | None, *, is_best: bool) -> list[Line]:
    mark = ">" if is_best else " "
    if row.refused:
        return wrapped("dim", f"{mark} {row.mode.label:16}  none: {row.refused}", width, " " * 20)
    numbers = "".join(f"{phrases.gib(row.of(*names)):>{_NUMBER}}" for _, names in columns)
    line = f"{mark} {row.mode.label:16}{numbers}{phrases.gib(row.total):>{_TOTAL}}"
    if not row.shares:
        return [("", line)]
    verdict = row.shares[0].verdict
    bar = f" {_bar(row.shares[0], signs, room)}" if room else ""
    return [(_STYLES[verdict], f"{line}  {verdict.value if room else _BRIEF[verdict]:12}{bar}".rstrip())]


def _over(row: Row, signs: str, room: int, width: int | None) -> list[Line]:
    """The GPUs of a row that is spread; the bars below the numbers where they are many."""
    verdict = min((share.verdict for share in row.over), key=(Verdict.NO, Verdict.TIGHT, Verdict.FITS).index)
    numbers = " + ".join(phrases.gib(share.total) for share in row.over)
    line = f"  {row.mode.label:16}  {numbers:>{_OVER}}  {verdict.value:12}"
    left = (width or 100) - len(line) - 1
    each = left // len(row.over) - 3
    if not room or each < _LEAST:
        return wrapped(_STYLES[verdict], line.rstrip(), width, " " * 20)
    return [(_STYLES[verdict], f"{line} {' '.join(_bar(share, signs, each) for share in row.over)}")]


def _bar(share: Share, signs: str, width: int) -> str:
    """Weights, then caches or gradients and states, then activations; what is there at all is seen."""
    weights, mine, busy, rest, over = tuple(signs)
    whole = max(share.room, share.total, 1)
    cells = width - (share.left < 0)
    text = ""
    for sign, names in ((weights, ("weights",)), (mine, ("caches", "gradients", "states")), (busy, ("activations",))):
        part = sum(each.nbytes for each in share.parts if each.name in names)
        count = max(1, round(cells * part / whole)) if part else 0
        text += sign * min(count, cells - len(text))
    return f"[{text}{rest * (cells - len(text))}{over if share.left < 0 else ''}]"
