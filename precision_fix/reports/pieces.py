"""Parts of an HTML page: words, tables of counts, and lines of code, each line one element."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape

from precision_fix.model.finding import Finding
from precision_fix.reports.address import visible
from precision_fix.reports.hunks import Line, clipped
from precision_fix.reports.marks import Marks
from precision_fix.reports.run import Counts

# What stands around a place that needs a hand.
_AROUND = 2
_MARKS = {" ": ("", ""), "-": ("removed", "del"), "+": ("added", "ins"), ">": ("meant", "mark")}


def said(text: str) -> str:
    """Words from a file or a name, escaped."""
    return escape(visible(text))


def prose(text: str) -> str:
    """The words of a rule, in which backticks mark code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", said(text))


def table(first: str, change: str, rows: Iterable[tuple[str, Counts]]) -> str:
    """Counts by rule or by file; the first cells are HTML already. Columns that count nothing are left out."""
    rows = list(rows)
    columns = [i for i in range(3) if any(counts[i] for _, counts in rows)]
    names = (change, "Needs a hand", "Left on purpose")
    head = "".join(f'<th scope="col">{name}</th>' for name in (first, *(names[i] for i in columns)))
    body = "\n".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{_number(counts[i])}</td>" for i in columns)}</tr>'
        for name, counts in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _number(number: int) -> str:
    return f"{number:,}" if number else ""


def source(lines: Iterable[Line]) -> str:
    """Lines of a diff. Their numbers and signs are no part of the text, so that it can be copied; and a line is one
    element, since a page has many thousands of them."""
    return f"<pre>{''.join(_line(clipped(line)) for line in lines)}</pre>"


def around(finding: Finding, marks: Marks) -> str:
    """The line of a place, with some around it, and the place marked; "" where the text is not at hand."""
    return source(_around(finding, marks)) if marks.line(finding.path, finding.line) else ""


def _around(finding: Finding, marks: Marks) -> Iterator[Line]:
    for number in range(max(1, finding.line - _AROUND), finding.line + _AROUND + 1):
        text = marks.line(finding.path, number)
        if not text:
            return
        start = finding.column - 1
        here = number == finding.line and finding.token and text.startswith(finding.token, start)
        spans = ((start, start + len(finding.token)),) if here else ()
        yield Line(">" if number == finding.line else " ", number, text.rstrip("\r\n"), spans)


def _line(line: Line) -> str:
    name, tag = _MARKS[line.mark]
    text, position = "", 0
    for start, end in line.spans:
        text += f"{said(line.text[position:start])}<{tag}>{said(line.text[start:end])}</{tag}>"
        position = end
    text += said(line.text[position:])
    given = f' class="{name}"' if name else ""
    sign = "" if line.mark == ">" else line.mark
    return f'<span{given} data-n="{line.number} {sign or " "}">{text}\n</span>'
