"""The order in which options stand in the command line, where it has a meaning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from precision_fix.cli.help import Command

_ORDER = "precision_fix.order"
_KINDS = {"output_format": "format", "output_file": "file"}


class Ordered(Command):
    """A command that remembers in which order its options were given; their values come as one list an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args:
            _, _, order = self.make_parser(ctx).parse_args(args=list(args))
            ctx.meta[_ORDER] = [parameter.name for parameter in order]
        return super().parse_args(ctx, args)


def words(context: typer.Context) -> Iterator[tuple[str, str]]:
    """The values of `--output-format` and `--output-file` in the order in which they were given."""
    values = {name: iter(context.params[name] or ()) for name in _KINDS}
    for name in context.meta.get(_ORDER, ()):
        if name in _KINDS:
            yield _KINDS[name], next(values[name])
