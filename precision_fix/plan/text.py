"""The plan as lines for a terminal or a pipe, with bars."""

from __future__ import annotations

from precision_fix.plan import phrases, working_phrases
from precision_fix.plan.commands import broken
from precision_fix.plan.contents import shown
from precision_fix.plan.fit import Card, Verdict
from precision_fix.plan.planning import DEVICE_MAP, Option, Plan, Sheet
from precision_fix.plan.working import Working
from precision_fix.plan.working_text import has_bars, work
from precision_fix.plan.wrapping import Line
from precision_fix.plan.wrapping import wrapped as _wrapped

_STYLES = {Verdict.FITS: "green", Verdict.TIGHT: "yellow", Verdict.NO: "red", None: ""}
_MOST_DTYPES = 6
_MOST_LEFT_OUT = 8
_LONGEST = 200
# What a row holds beside its bar.
_BESIDE = 67
_LABEL = 18
# The cells of a bar that still says something.
_LEAST = 4


class Bars:
    """Bars of a card's memory: weights, the cast copy, what is left; and a mark where it does not fit."""

    def __init__(self, *, unicode: bool, width: int) -> None:
        self.width = width
        self._full, self._copy, self._rest, self._over = "█▒░▶" if unicode else "#+.>"
        #: Of a model at work.
        self.signs = "█▓▒░▶" if unicode else "#=+.>"

    def bar(self, cards: tuple[Card, ...]) -> str:
        return " ".join(self._one(card, self._cells(len(cards))) for card in cards)

    def fit(self, count: int) -> bool:
        """Whether there is room for so many bars beside the numbers."""
        return self._cells(count) >= _LEAST

    def _cells(self, count: int) -> int:
        """The inside of each of so many bars, which have brackets, and a blank between them."""
        return (self.width - 3 * count + 1) // max(1, count)

    def legend(self, working: Working | None = None) -> str:
        if working is not None:
            mine = "gradients and states" if working.use.train else "caches"
            names = ("weights", mine, "activations", "left", "at the end: does not fit")
            return ", ".join(f"{sign} {name}" for sign, name in zip(self.signs, names, strict=True))
        marks = (f"{self._full} weights", f"{self._copy} the cast copy of a layer", f"{self._rest} for activations")
        # In front of a row `>` marks the one to take.
        return ", ".join((*marks, f"{self._over} at the end: does not fit"))

    def _one(self, card: Card, width: int) -> str:
        if card.left < 0:
            # How far beyond the numbers say.
            share = card.load.weights / card.load.needed
            full = min(width - 1, round((width - 1) * share))
            return f"[{self._full * full}{self._copy * (width - 1 - full)}{self._over}]"
        full = _cells(card.load.weights, card.usable, width)
        copy = min(width - full, _cells(card.load.copy, card.usable, width))
        return f"[{self._full * full}{self._copy * copy}{self._rest * (width - full - copy)}]"


def _cells(amount: int, whole: int, width: int) -> int:
    """A part of a bar; what is there at all is seen."""
    return max(1, round(width * amount / whole)) if amount and whole else 0


def lines(plan: Plan, *, unicode: bool, width: int | None = None) -> list[Line]:
    """The whole report. `width` is that of the terminal, in columns: bars take what the numbers leave of it, and
    sentences are wrapped. None is a pipe, for which a sentence is a line."""
    bars = Bars(unicode=unicode, width=min(40, (width or 105) - _BESIDE))
    result = [line for told in phrases.gpus(plan) for line in _wrapped("bold", told, width)]
    for sheet in (*plan.sheets, *((plan.total,) if plan.total else ())):
        result += [("", ""), *_sheet(sheet, bars, width)]
    if plan.sheets:
        result += [("", ""), *_what_to_do(plan, bars, width)]
    if plan.left_out:
        result += [("", ""), ("bold", "Left out:")]
        result += [("dim", f"  {problem}") for problem in plan.left_out[:_MOST_LEFT_OUT]]
        if len(plan.left_out) > _MOST_LEFT_OUT:
            result.append(("dim", f"  and {len(plan.left_out) - _MOST_LEFT_OUT} more"))
    if plan.problems:
        result += [("", ""), ("bold red", "Not read:"), *(("", f"  {problem}") for problem in plan.problems)]
    return result[1:] if result and result[0] == ("", "") else result


def _sheet(sheet: Sheet, bars: Bars, width: int | None) -> list[Line]:
    model = sheet.model
    what = f"{phrases.number(sheet.numel)} parameters, {phrases.size(sheet.nbytes)}"
    result: list[Line] = [("bold", f"{shown(sheet.title, _LONGEST)}: {what}")]
    if model is not None:
        files = f", {phrases.plural(len(model.files), 'file')}" if len(model.files) > 1 else ""
        counts = model.counts[:_MOST_DTYPES]
        parts = ", ".join(f"{count.dtype.name} {phrases.number(count.numel)}" for count in counts)
        more = f", {len(model.counts) - _MOST_DTYPES} other dtypes" if len(model.counts) > _MOST_DTYPES else ""
        tensors = phrases.plural(len(model.tensors), "tensor")
        result.append(("dim", f"  {model.format}, {tensors}{files}: {parts or 'nothing'}{more}"))
    if sheet.working is not None:
        return [*result, *work(sheet.working, bars, width)]
    best = sheet.best
    result += [_row(option, bars, is_best=option is best) for option in sheet.single]
    if sheet.spread and not sheet.settled:
        result.append(("dim", f"  over {len(sheet.spread[0].cards)} GPUs, by layers:"))
        result += [_row(option, bars, is_best=option is best) for option in sheet.spread]
    return result


def _row(option: Option, bars: Bars, *, is_best: bool) -> Line:
    mark = ">" if is_best else " "
    numbers = f"{mark} {option.label:16} {phrases.size(option.load.weights):>10}"
    if option.verdict is None:
        return "", numbers
    style, verdict = _STYLES[option.verdict], option.verdict
    if not bars.fit(len(option.cards)):
        # What is too much does not fit.
        said = phrases.left(option) if verdict is Verdict.NO else f"{verdict.value}, {phrases.left(option)}"
        return style, f"{numbers}  {said}"
    return style, f"{numbers}  {verdict.value:12} {phrases.left(option):>18}  {bars.bar(option.cards)}"


def _what_to_do(plan: Plan, bars: Bars, width: int | None) -> list[Line]:
    result: list[Line] = []
    sheet = plan.conclusion
    assert sheet is not None
    if sheet.working is not None:
        result += _at_work(plan, sheet.working, bars, width)
    else:
        result += _to_hold(plan, sheet, bars, width)
    remarks = [
        line for told in phrases.remarks(plan) for line in _wrapped("yellow", f"Note: {shown(told, 400)}", width)
    ]
    return [*result, ("", ""), *remarks] if remarks else result


def _to_hold(plan: Plan, sheet: Sheet, bars: Bars, width: int | None) -> list[Line]:
    result: list[Line] = []
    if plan.cards.gpus:
        legend = _wrapped("dim", bars.legend(), width) if bars.fit(1) else []
        result += [*legend, *_wrapped("dim", phrases.RULE, width)]
        result += [line for told in phrases.float16(plan) for line in _wrapped("yellow", told, width)]
        result.append(("", ""))
    result += _commands(plan, width)
    if sheet.spread:
        result += _wrapped("", f"  {f'on {len(plan.cards.gpus)} GPUs':16} the same, {DEVICE_MAP}", width, " " * 19)
    if sheet.best is not None:
        result += [("", ""), *_advised(sheet.best, width)]
    elif plan.cards.gpus:
        result += [("", ""), *_wrapped("bold red", phrases.advice(plan, sheet), width)]
    return result


def _at_work(plan: Plan, working: Working, bars: Bars, width: int | None) -> list[Line]:
    result: list[Line] = []
    if plan.cards.gpus and has_bars(width):
        result += [*_wrapped("dim", bars.legend(working), width), ("", "")]
    result += _commands(plan, width)
    if any(row.over for row in working.rows):
        result += _wrapped("", f"  {f'on {len(plan.cards.gpus)} GPUs':16} the same, {DEVICE_MAP}", width, " " * 19)
    elif said := working_phrases.one_card(working, len(plan.cards.gpus)):
        result += _wrapped("", said, width)
    said, command = working_phrases.conclusion(working, plan.commands)
    if said:
        result += [("", ""), *_wrapped("bold", said, width)]
        result += [("bold green", f"  {line}") for line in broken(command, width and width - 2) if command]
    return result


def _commands(plan: Plan, width: int | None) -> list[Line]:
    """A command beside its label, or where it is too long below it, so that it can be copied."""
    result: list[Line] = [("bold", "How to get each:")]
    for label, command in phrases.commands(plan):
        if width is None or len(command) + _LABEL + 1 <= width:
            result.append(("", f"  {label:16} {command}"))
        else:
            result += [("", f"  {label}"), *(("", f"    {line}") for line in broken(command, width - 4))]
    return result


def _advised(best: Option, width: int | None) -> list[Line]:
    result = [*_wrapped("bold", f"Best here: {phrases.best(best)}", width)]
    result += [("bold green", f"  {line}") for line in broken(best.command, width and width - 2)]
    if len(best.cards) > 1:
        result += _wrapped("", f"  {DEVICE_MAP}", width, "  ")
    return result
