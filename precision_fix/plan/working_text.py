"""A model at work as lines: a row for each way to run it, with a bar of the GPU's memory."""

from __future__ import annotations

from typing import Protocol

from precision_fix.plan import working_words as words
from precision_fix.plan.fit import Verdict
from precision_fix.plan.working import Row, Share, Working
from precision_fix.plan.wrapping import Line, wrapped

_STYLES = {Verdict.FITS: "green", Verdict.TIGHT: "yellow", Verdict.NO: "red", None: ""}
# What a line holds beside the inside of its bar.
_BESIDE = 73
_SHORT = {"activations": "activ.", "grad+states": "gr.+st."}


class Marks(Protocol):
    """What bars are drawn of: `signs` for weights, for caches or gradients and states, for activations, for what is
    left, and at the end of what is too much; `columns` that a line has, None in a pipe."""

    signs: str


def work(working: Working, bars: Marks, width: int | None) -> list[Line]:
    """The table, what decides, and why several GPUs do not help."""
    columns = words.columns(working)
    result = wrapped("dim", f"  {words.title(working)}", width, "  ")
    head = "".join(f"{_SHORT.get(name, name):>10}" for name, _ in columns)
    result.append(("dim", f"  {'in GiB':16}{head}{'total':>8}"))
    room = max(6, (width or 100) - _BESIDE)
    advised = working.best
    for row in working.rows:
        result.append(_row(row, columns, bars.signs, room, is_best=row is advised))
    if any(row.over for row in working.rows):
        count = max(len(row.over) for row in working.rows)
        result.append(("dim", f"  over {count} GPUs, by layers:"))
        result += [_over(row, bars.signs, room) for row in working.rows if row.over]
    for said in words.settings(working):
        result += wrapped("", f"  {said}", width, "    ")
    return result


def _row(row: Row, columns: object, signs: str, room: int, *, is_best: bool) -> Line:
    mark = ">" if is_best else " "
    if row.refused:
        return "dim", f"{mark} {row.mode.label:16}  none: {row.refused}"
    assert isinstance(columns, tuple)
    numbers = "".join(f"{words.gib(row.of(*names)):>10}" for _, names in columns)
    line = f"{mark} {row.mode.label:16}{numbers}{words.gib(row.total):>8}"
    if not row.shares:
        return "", line
    verdict = row.shares[0].verdict
    return _STYLES[verdict], f"{line}  {verdict.value:12} {_bar(row.shares[0], signs, room)}"


def _over(row: Row, signs: str, room: int) -> Line:
    verdict = min((share.verdict for share in row.over), key=(Verdict.NO, Verdict.TIGHT, Verdict.FITS).index)
    numbers = " + ".join(words.gib(share.total) for share in row.over)
    each = max(6, room // len(row.over) - 3)
    bars = " ".join(_bar(share, signs, each) for share in row.over)
    return _STYLES[verdict], f"  {row.mode.label:16}  {numbers:>36}  {verdict.value:12} {bars}"


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
