"""torch.einsum of an input and a stored weight, as a stack of matrix products."""

from __future__ import annotations

from typing import NamedTuple


class Plan(NamedTuple):
    """The letters of either operand: in both and the result, in one and the result, and those that are summed over."""

    batch: str
    rows: str
    columns: str
    summed: str
    x: str
    weight: str
    out: str


def plan(equation: str) -> Plan | None:
    """How `equation`, of an input and then a weight, is a stack of products; None where it is not."""
    left, arrow, out = equation.replace(" ", "").partition("->")
    operands = left.split(",")
    if len(operands) != 2 or not left.replace(",", "").isalpha() or (out and not out.isalpha()):
        return None
    x, weight = operands
    if not arrow:
        out = "".join(sorted(letter for letter in {*x, *weight} if left.count(letter) == 1))
    if any(len({*letters}) != len(letters) for letters in (x, weight, out)) or not {*out} <= {*x, *weight}:
        return None
    both = [letter for letter in x if letter in weight]
    batch = "".join(letter for letter in both if letter in out)
    summed = "".join(letter for letter in both if letter not in out)
    rows = "".join(letter for letter in x if letter not in weight)
    columns = "".join(letter for letter in weight if letter not in x)
    if not summed or not columns or not {*rows, *columns} <= {*out}:
        return None
    return Plan(batch, rows, columns, summed, x, weight, out)
