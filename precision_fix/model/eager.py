"""Models that have no attention of torch's own: asked for "sdpa", they raise."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from precision_fix.model.around import Around


def eager_alone(around: Around) -> str | None:
    """Why the word is "eager" here: a model of the project has that and no "sdpa", and each of its models has it."""
    tables = [*_tables(around)]
    if not all("eager" in offered for offered, _ in tables):
        return None
    where = next((where for offered, where in tables if "sdpa" not in offered), None)
    return f"flash attention needs compute capability 8.0; the model in {where} has eager, not sdpa" if where else None


def _tables(around: Around) -> Iterator[tuple[frozenset[str], str]]:
    """The tables of attention classes, as transformers has them in its models: another map may be of anything."""
    for module, table in around.tables():
        if all(isinstance(each, ast.Name) for each in table.values):
            keys = (key.value for key in table.keys if isinstance(key, ast.Constant))
            yield frozenset(key for key in keys if isinstance(key, str)), f"{around.shown(module.real)}:{table.lineno}"
