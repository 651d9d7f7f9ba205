"""The options of commands with their help, what is made of those for settings, and the words that a shell completes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    pass

_PANEL = "Settings (also in precision-fix.toml and pyproject.toml)"


def complete_gpu(incomplete: str) -> list[str]:
    """The GPUs that people rent or are lent; any other name is taken as well."""
    names = ("t4", "p100", "v100", "rtx2080ti", "gtx1080ti", "sm_60", "sm_70", "sm_75", "a100", "l4", "h100")
    return [name for name in names if name.startswith(incomplete.lower())]


def complete_to(incomplete: str) -> list[str]:
    from precision_fix.model.target import TARGETS

    return [name for name in TARGETS if name.startswith(incomplete)]


def complete_format(incomplete: str) -> list[str]:
    from precision_fix.reports.outputs import FORMATS

    return [name for name in FORMATS if name.startswith(incomplete)]


def complete_code(incomplete: str) -> Iterator[tuple[str, str]]:
    from precision_fix.rules import rules

    found = ((rule.code, rule.title) for rule in rules() if rule.code.startswith(incomplete.upper()))
    return iter(sorted(found))


def complete_codes(incomplete: str) -> Iterator[tuple[str, str]]:
    """The last of several codes, with those before it."""
    before, comma, last = incomplete.rpartition(",")
    return ((before + comma + code, title) for code, title in complete_code(last))


Gpu: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--gpu",
        help="The GPU to patch for: t4, p100, sm_75, 7.5 (default: the one that is here, the lowest of several).",
        metavar="NAME",
        autocompletion=complete_gpu,
        rich_help_panel=_PANEL,
    ),
]
To: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--to",
        help="What bfloat16 becomes: float32 (the default) or float16.",
        metavar="DTYPE",
        autocompletion=complete_to,
        rich_help_panel=_PANEL,
    ),
]
Select: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--select",
        help="The rules that count, by code or prefix: PF1,PF201 (default: all). The longest prefix decides.",
        metavar="CODES",
        autocompletion=complete_codes,
        rich_help_panel=_PANEL,
    ),
]
Ignore: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        help="The rules that do not count.",
        metavar="CODES",
        autocompletion=complete_codes,
        rich_help_panel=_PANEL,
    ),
]
ExtendExclude: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--extend-exclude",
        help="Leave these out as well; patterns as in .gitignore.",
        metavar="PATTERNS",
        rich_help_panel=_PANEL,
    ),
]
ForceExclude: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--force-exclude",
        help="Leave out what is excluded, or of no kind that is looked for, though it is named.",
        rich_help_panel=_PANEL,
    ),
]
Config: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="The one file of settings (default: for each file the closest).",
        metavar="FILE",
        rich_help_panel=_PANEL,
    ),
]
Isolated: TypeAlias = Annotated[
    bool, typer.Option("--isolated", help="Heed no file of settings.", rich_help_panel=_PANEL)
]
NoCache: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--no-cache", help="Judge all files anew, and keep nothing for the next run (kept in ~/.cache/precision-fix)."
    ),
]
StdinFilename: TypeAlias = Annotated[
    Path | None,
    typer.Option("--stdin-filename", help="What the text on stdin is called, with PATHS `-`.", metavar="FILE"),
]
Diff: TypeAlias = Annotated[bool, typer.Option("--diff", help="Write nothing; print a diff that git apply takes.")]
Check: TypeAlias = Annotated[
    bool, typer.Option("--check", help="Write nothing; print path:line:column: CODE of what would change, for CI.")
]
Verbose: TypeAlias = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="List each place that was left alone as well; with --check show each line."),
]
OutputFormat: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        help="text (the default), json, sarif, github, gitlab, junit, markdown or html; may be repeated.",
        metavar="FORMAT",
        autocompletion=complete_format,
    ),
]
OutputFile: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        help="Where the report of the format before it goes; alone, its suffix tells the format "
        "(.txt, .json, .sarif, .gitlab.json, .xml for junit, .md, .html). Without a file a report goes to stdout.",
        metavar="FILE",
    ),
]
Statistics: TypeAlias = Annotated[
    bool, typer.Option("--statistics", help="Count the places by rule, instead of the text report.")
]
ExitZero: TypeAlias = Annotated[
    bool,
    typer.Option("--exit-zero", help="End with 0 though a dry run found something; files that failed still give 1."),
]
