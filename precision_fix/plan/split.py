"""How a model is spread over several GPUs: by layers, in their order, as a `device_map` does it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from precision_fix.plan.contents import Model, Tensor
from precision_fix.plan.fit import Card, Load, load

_NUMBER = re.compile(r"\d+")


def layers(models: Iterable[Model]) -> list[list[Tensor]]:
    """The tensors of each layer, the layers in the order of their names with numbers as numbers.

    A layer ends with the first number in its name (`model.layers.12`), as what libraries never split does
    (`_no_split_modules`); a tensor without a number is one of its own.
    """
    result: list[list[Tensor]] = []
    for model in models:
        tensors = sorted(model.tensors, key=lambda tensor: _order(tensor.name))
        result.extend(list(group) for _, group in groupby(tensors, key=lambda tensor: _layer(tensor.name)))
    return result


def _order(name: str) -> list[tuple[int, str]]:
    # Long numbers stay text: they are none of a layer.
    return [
        (int(part), "") if part.isascii() and part.isdigit() and len(part) < 10 else (-1, part)
        for part in name.split(".")
    ]


def _layer(name: str) -> str:
    parts = name.split(".")
    for at, part in enumerate(parts):
        if _NUMBER.fullmatch(part):
            return ".".join(parts[: at + 1])
    return name


def spread(parts: Sequence[Sequence[Tensor]], usable: Sequence[int], storage: str, compute: str) -> tuple[Card, ...]:
    """The cards with the layers in turn, so that the fullest is as little full as can be, by share of its room.

    `usable` are the bytes of each card. Where it fits on none, the last carries what is over.
    """
    loads = [load(part, storage, compute) for part in parts]
    low, high = 0.0, 2.0 * max(1.0, sum(each.weights for each in loads) / max(1, min(usable)))
    for _ in range(40):
        middle = (low + high) / 2
        if _filled(loads, [room * middle for room in usable])[1]:
            high = middle
        else:
            low = middle
    filled, _ = _filled(loads, [room * high for room in usable])
    return tuple(Card(room, each) for room, each in zip(usable, filled, strict=True))


def _filled(loads: Sequence[Load], rooms: Sequence[float]) -> tuple[list[Load], bool]:
    """The loads in turn into rooms of these bytes; did they all go in?"""
    filled: list[Load] = []
    at = 0
    for number, room in enumerate(rooms):
        weights = copy = computed = 0
        last = number == len(rooms) - 1
        while at < len(loads) and (last or weights + loads[at].weights + max(copy, loads[at].copy) <= room):
            weights += loads[at].weights
            computed += loads[at].computed
            copy = max(copy, loads[at].copy)
            at += 1
        filled.append(Load(weights, copy, computed))
    return filled, filled[-1].needed <= rooms[-1]
