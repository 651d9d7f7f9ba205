"""The plan as a page that needs nothing else, and as a part of a notebook: no script, no address of another host.

Names from files are escaped; a policy in the page lets it load nothing. Every rule of the style begins with the
plan's own class, so that a notebook keeps its looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from precision_fix.plan import phrases
from precision_fix.plan.contents import Count, Model, Problem, shown
from precision_fix.plan.fit import Card, Verdict
from precision_fix.plan.planning import DEVICE_MAP, Option, Plan, Sheet
from precision_fix.plan.speed import FLOAT16
from precision_fix.plan.working_html import at_work, to_do

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_AROUND = ":root { color-scheme: light dark; } body { margin: 0; background: light-dark(#fff, #14181d); }"
_CLASSES = {Verdict.FITS: "fits", Verdict.TIGHT: "tight", Verdict.NO: "no"}
_COLOURS = 6
_MOST_LINES = 100
_LONGEST = 400


def page(plan: Plan) -> str:
    """A whole document."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>What fits</title>\n'
        f"<style>{_AROUND}</style>\n"
        f"</head>\n<body>\n<main>\n{fragment(plan)}</main>\n</body>\n</html>\n"
    )


def fragment(plan: Plan) -> str:
    """The plan as one element, with its style."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    return (
        f'<div class="pf-plan">\n<style>\n{style}</style>\n'
        + "".join(f"{part}\n" for part in _parts(plan))
        + "</div>\n"
    )


def _said(text: str) -> str:
    return escape(shown(text, _LONGEST))


def _parts(plan: Plan) -> Iterator[str]:
    yield "<h1>What fits</h1>"
    for line in phrases.gpus(plan):
        yield f"<p>{_said(line)}.</p>"
    yield from _conclusion(plan)
    if plan.cards.gpus and any(sheet.working is None for sheet in plan.sheets):
        yield from _legend()
        yield from (f'<p class="faint">{_said(told)}.</p>' for told in phrases.float16(plan))
    yield from _listed("Not read", plan.problems)
    for sheet in (*((plan.total,) if plan.total else ()), *plan.sheets):
        yield from _sheet(sheet)
    if plan.sheets:
        yield from _commands(plan)
    remarks = [_said(line) for line in phrases.remarks(plan)]
    if remarks:
        yield "<h2>Notes</h2>"
        yield _lines(remarks)
    yield from _listed("Left out", plan.left_out)


def _conclusion(plan: Plan) -> Iterator[str]:
    sheet = plan.conclusion
    if sheet is None or not plan.cards.gpus:
        return
    if sheet.working is not None:
        yield from to_do(sheet.working, plan)
        return
    best = sheet.best
    if best is None or best.verdict is None:
        yield f'<div class="do no"><p>{_said(phrases.advice(plan, sheet))}</p></div>'
        return
    yield f'<div class="do {_CLASSES[best.verdict]}"><p>Best here: <b>{_said(phrases.best(best))}</b></p>'
    yield f"<p><code>{_said(best.command)}</code></p>"
    if len(best.cards) > 1:
        yield f"<p>{_said(DEVICE_MAP)}</p>"
    if best.storage == "float16":
        yield f"<p>{_said(FLOAT16)}.</p>"
    yield "</div>"


def _sheet(sheet: Sheet) -> Iterator[str]:
    model = sheet.model
    yield f"<section>\n<h2>{_said(sheet.title)}</h2>"
    what = f"{phrases.number(sheet.numel)} parameters, {phrases.size(sheet.nbytes)}"
    if model is not None:
        what += f" ({model.format}, {phrases.plural(len(model.tensors), 'tensor')})"
    yield f"<p>{_said(what)}</p>"
    if model is not None and model.counts:
        yield from _dtypes(model.counts, model.nbytes)
    if sheet.working is not None:
        yield from at_work(sheet.working)
    else:
        yield from _table(sheet.single, sheet.best)
    if sheet.spread and sheet.working is None:
        unfolded = "" if sheet.settled else " open"
        yield f"<details{unfolded}>\n<summary>Over {len(sheet.spread[0].cards)} GPUs, by layers</summary>"
        yield from _table(sheet.spread, sheet.best)
        yield "</details>"
    if model is not None:
        yield from _details(model)
    yield "</section>"


def _table(options: tuple[Option, ...], best: Option | None) -> Iterator[str]:
    names = ("Held in", "Weights", "Left", "Verdict") if options[0].cards else ("Held in", "Weights")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    yield f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>"
    for option in options:
        marked = ' class="best"' if option is best else ""
        cells = f'<th scope="row">{_said(option.label)}</th><td>{phrases.size(option.load.weights)}</td>'
        if option.verdict is not None:
            bars = "".join(_bar(card) for card in option.cards)
            verdict = f'<b class="{_CLASSES[option.verdict]}">{option.verdict.value}</b>'
            cells += f"<td>{phrases.left(option)}</td><td>{verdict}{bars}</td>"
        yield f"<tr{marked}>{cells}</tr>"
    yield "</tbody>\n</table>"


def _bar(card: Card) -> str:
    load = card.load
    whole = max(card.usable, load.needed, 1)
    weights, copy, room = (phrases.size(each) for each in (load.weights, load.copy, card.usable))
    label = f"{weights} of weights and {copy} of a cast copy in {room}"
    parts = (("weights", load.weights), ("copy", load.copy))
    spans = "".join(f'<span class="{name}" style="width:{100 * part / whole:.2f}%"></span>' for name, part in parts)
    if card.left >= 0:
        return f'<div class="bar" role="img" aria-label="{label}">{spans}</div>'
    limit = f'<i class="limit" style="left:{100 * card.usable / whole:.2f}%"></i>'
    return f'<div class="bar over" role="img" aria-label="{label}">{spans}{limit}</div>'


def _dtypes(counts: list[Count], nbytes: int) -> Iterator[str]:
    shares = [
        (count, 100 * count.nbytes / (nbytes or 1), f"d{min(at, _COLOURS - 1)}") for at, count in enumerate(counts)
    ]
    spans = "".join(f'<span class="{colour}" style="width:{share:.2f}%"></span>' for _, share, colour in shares)
    yield f'<div class="bar" aria-hidden="true">{spans}</div>\n<ul class="legend">'
    for count, _, colour in shares:
        told = f"{_said(count.dtype.name)} {phrases.number(count.numel)}, {phrases.size(count.nbytes)}"
        yield f'<li><span class="swatch {colour}"></span>{told}</li>'
    yield "</ul>"


def _details(model: Model) -> Iterator[str]:
    largest = model.largest
    yield f"<details>\n<summary>{phrases.plural(len(model.files), 'file')}, largest tensor</summary>"
    if largest is not None:
        told = f"{phrases.number(largest.numel)} in {_said(largest.dtype.name)}, {phrases.size(largest.nbytes)}"
        yield f"<p>Largest: <code>{_said(largest.name)}</code>, {told}</p>"
    yield _lines(_said(file) for file in model.files)
    yield "</details>"


def _commands(plan: Plan) -> Iterator[str]:
    yield "<h2>How to get each</h2>"
    yield '<table class="commands">\n<tbody>'
    for label, command in phrases.commands(plan):
        yield f'<tr><th scope="row">{_said(label)}</th><td><code>{_said(command)}</code></td></tr>'
    if any(sheet.spread for sheet in plan.sheets):
        many = f"on {len(plan.cards.gpus)} GPUs"
        yield f'<tr><th scope="row">{many}</th><td>the same, {_said(DEVICE_MAP)}</td></tr>'
    yield "</tbody>\n</table>"


def _legend() -> Iterator[str]:
    yield '<ul class="legend">'
    marks = ("weights", "the cast copy of a layer", "for activations", "the end of the GPU's memory")
    for colour, what in zip(("weights", "copy", "room", "limit"), marks, strict=True):
        yield f'<li><span class="swatch {colour}"></span>{what}</li>'
    yield f'</ul>\n<p class="faint">{_said(phrases.RULE)}</p>'


def _listed(title: str, problems: tuple[Problem, ...]) -> Iterator[str]:
    if problems:
        yield f"<h2>{title}</h2>"
        yield _lines(f"<code>{_said(problem.path)}</code>: {_said(problem.message)}" for problem in problems)


def _lines(items: Iterable[str]) -> str:
    every = list(items)
    some = "\n".join(f"<li>{item}</li>" for item in every[:_MOST_LINES])
    more = f"\n<li>and {len(every) - _MOST_LINES} more</li>" if len(every) > _MOST_LINES else ""
    return f'<ul class="lines">\n{some}{more}\n</ul>'
