"""Notebooks for tests, in the layouts in which programs write them."""

from __future__ import annotations

import json
from typing import Any

import nbformat

Source = str | list[str]
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "version": "3.11.7"},
}


def code(source: Source, **more: Any) -> dict[str, Any]:
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source, **more}


def markdown(source: Source) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def lines(source: str) -> list[str]:
    return source.splitlines(keepends=True)


def document(*cells: str | dict[str, Any], listed: bool = True, metadata: Any = None) -> dict[str, Any]:
    """A notebook of nbformat 4.5; a string is a code cell."""
    made = [code(lines(cell) if listed else cell) if isinstance(cell, str) else cell for cell in cells]
    made = [{"id": f"cell-{number}", **cell} for number, cell in enumerate(made)]
    return {"cells": made, "metadata": METADATA if metadata is None else metadata, "nbformat": 4, "nbformat_minor": 5}


def notebook(*cells: str | dict[str, Any], listed: bool = True, metadata: Any = None, **layout: Any) -> str:
    """The same as the text of a file, in Jupyter's layout unless another is asked for."""
    layout = {"indent": 1, "ensure_ascii": False, **layout}
    return json.dumps(document(*cells, listed=listed, metadata=metadata), **layout) + "\n"


def sources(text: str) -> list[str]:
    """The text of every cell."""
    return ["".join(cell["source"]) for cell in json.loads(text)["cells"]]


def check_valid(text: str) -> None:
    nbformat.validate(nbformat.reads(text, as_version=nbformat.NO_CONVERT))  # type: ignore[no-untyped-call]
