"""A scan as a table in a notebook, by rule, with the places folded below it."""

from __future__ import annotations

from precision_fix.engine.patch import Written
from precision_fix.engine.scan import Scan
from precision_fix.model.finding import Action, Finding
from precision_fix.model.problem import count
from precision_fix.reports.pieces import prose, said, table
from precision_fix.reports.run import Run
from precision_fix.rules import rule

_MOST = 200


def drawn(scan: Scan, written: Written | None = None) -> str:
    """HTML for a cell's output. It brings no style: the notebook has one."""
    run = Run(scan, dry=written is None, written=written)
    rows = ((f"{code} {prose(rule(code).title)}", run.of_rule(code)) for code in run.codes)
    change = "Would change" if run.dry else "Changed"
    counted = table("Rule", change, rows) if run.codes else ""
    problems = "".join(f"<li>{said(str(problem))}</li>" for problem in run.problems)
    failed = f"<p>Not done:</p><ul>{problems}</ul>" if problems else ""
    return f"<div><p>{run.headline}</p>{counted}{failed}{_places(run)}</div>"


def _places(run: Run) -> str:
    told = [*run.manual, *run.changes]
    if not told:
        return ""
    rows = "".join(_row(finding, run) for finding in told[:_MOST])
    more = f"<p>And {count(len(told) - _MOST, 'place')} more.</p>" if len(told) > _MOST else ""
    return (
        f"<details><summary>{count(len(told), 'place')}</summary><table><tbody>{rows}</tbody></table>{more}</details>"
    )


def _row(finding: Finding, run: Run) -> str:
    what = "needs a hand" if finding.action is Action.MANUAL else "would change" if run.dry else "changed"
    where = f"{finding.path}:{finding.line}" + (f" ({finding.cell})" if finding.cell else "")
    cells = (f"<code>{said(where)}</code>", finding.code, f"<code>{said(finding.token)}</code>", prose(finding.reason))
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}<td>{what}</td></tr>"
