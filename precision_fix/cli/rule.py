"""`precision-fix rule [CODE]`: what a rule does and why, with its before and after; or what all said of a line."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from precision_fix.cli.app import HELP, app, say
from precision_fix.cli.options import To, complete_code
from precision_fix.cli.terminal import emit
from precision_fix.errors import PrecisionFixError
from precision_fix.home import has_address, rule_page
from precision_fix.wrapping import columns

_WIDTH = 80


@app.command("rule", epilog="Exit codes: 0; 2 no such rule, place or file.", context_settings=HELP)
def rule(
    code: Annotated[
        str | None,
        typer.Argument(
            help="A code such as PF101, or how codes begin; without one, all are listed.",
            metavar="[CODE]",
            autocompletion=complete_code,
        ),
    ] = None,
    why: Annotated[
        str | None,
        typer.Option(
            "--why",
            help="Explain a place: which rules were asked, what each said, what the value reaches.",
            metavar="FILE:LINE[:COLUMN]",
        ),
    ] = None,
    to: To = None,
) -> None:
    """Explain a rule, or list them all; or explain what is said of a line of a file."""
    if why is not None:
        if code is not None:
            raise PrecisionFixError("rule CODE and --why: choose one of them")
        _explain(why, to)
        return
    from precision_fix.rules import below, codes, rules
    from precision_fix.rules import rule as by_code
    from precision_fix.rules.examples import example

    if code is None:
        for each in sorted(rules(), key=lambda each: each.code):
            print(f"{each.code}  {each.title}")
        return
    if code.upper() not in codes() and (several := below(code)):
        for mine in several:
            print(f"{mine}  {by_code(mine).title}")
        say(f"{code} stands for these; one of them is explained by: precision-fix rule {several[0]}")
        return
    found = by_code(code)
    print(f"{found.code}: {found.title}\n\n{textwrap.fill(found.why, _width())}")
    shown = example(found.code)
    print(f"\nBefore:\n\n{textwrap.indent(shown.before.strip(), '    ')}")
    same = shown.before == shown.after
    print("\nIt stays as it is." if same else f"\nAfter:\n\n{textwrap.indent(shown.after.strip(), '    ')}")
    if has_address():
        print(f"\nIts page: {rule_page(found.code)}")


def _width() -> int:
    return min(columns(sys.stdout) or _WIDTH, _WIDTH)


def _explain(where: str, to: str | None) -> None:
    from precision_fix.engine.decide import target_named
    from precision_fix.engine.settings import Project, Settings
    from precision_fix.engine.why import explain, line_named
    from precision_fix.reports.why import lines

    line = line_named(where)
    project = Project(Settings(to=to))
    target = target_named(project.for_run(Path(line.path)).to or "float32")
    emit(sys.stdout, [("", each) for each in lines(explain(line, target, project), _width())])
