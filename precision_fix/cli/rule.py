"""`precision-fix rule [CODE]`: what a rule does and why, with its before and after."""

from __future__ import annotations

import textwrap
from typing import Annotated

import typer

from precision_fix.cli.app import HELP, app
from precision_fix.cli.options import complete_code


@app.command("rule", context_settings=HELP)
def rule(
    code: Annotated[
        str | None,
        typer.Argument(help="A code such as PF101; without one, all are listed.", autocompletion=complete_code),
    ] = None,
) -> None:
    """Explain a rule, or list them all."""
    from precision_fix.rules import rule as by_code
    from precision_fix.rules import rules
    from precision_fix.rules.examples import example

    if code is None:
        for each in sorted(rules(), key=lambda each: each.code):
            print(f"{each.code}  {each.title}")
        return
    found = by_code(code)
    print(f"{found.code}: {found.title}\n\n{textwrap.fill(found.why, 88)}")
    shown = example(found.code)
    print(f"\nBefore:\n\n{textwrap.indent(shown.before.strip(), '    ')}")
    same = shown.before == shown.after
    print("\nIt stays as it is." if same else f"\nAfter:\n\n{textwrap.indent(shown.after.strip(), '    ')}")
