"""A small table of HTML, for objects that draw themselves in a notebook.

It brings no style: the notebook has one, light or dark.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]], notes: Iterable[str] = ()) -> str:
    """Rows below a head, and a paragraph for each note; every text is escaped."""
    body = "".join(_row("td", row) for row in rows)
    drawn = f"<table><thead>{_row('th', head)}</thead><tbody>{body}</tbody></table>" if body else ""
    return f"<div>{drawn}{''.join(f'<p>{_plain(note)}</p>' for note in notes)}</div>"


def _row(tag: str, cells: Iterable[object]) -> str:
    return f"<tr>{''.join(f'<{tag}>{_plain(cell)}</{tag}>' for cell in cells)}</tr>"


def _plain(value: object) -> str:
    # A lone surrogate has no UTF-8, in which the front end is sent this.
    return html.escape(str(value).encode("utf-8", "replace").decode())
