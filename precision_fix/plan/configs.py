"""From configs to models at work: which checkpoint belongs to which config, and what is known of each."""

# A path is shown as the user wrote it, and pathlib would tidy it up.
# ruff: noqa: PTH120
from __future__ import annotations

import os
from dataclasses import dataclass

from precision_fix.plan import config as configs
from precision_fix.plan.contents import Model, Problem, Unreadable
from precision_fix.plan.counting import counted
from precision_fix.plan.find import Found
from precision_fix.plan.known import Known, known
from precision_fix.plan.use import Use

_MOST = 64
#: How far the parameters of a config and a checkpoint may be apart, in a hundred, to be the same model.
_APART = 25


@dataclass(frozen=True, slots=True)
class Described:
    """A model with a config. `source` and `weights` say where the numbers of its work and of its weights come from."""

    model: Model
    known: Known
    source: str
    weights: str
    file: str


def described(found: Found, models: list[Model], use: Use, *, build: bool) -> list[Described]:
    """The models that a config was found for, in the order of `models`; those without a checkpoint are appended to it.

    With `build`, libraries that know an architecture are asked for it, in another process. What cannot be read is in
    `found`.
    """
    result: list[Described] = []
    taken: set[int] = set()
    for path in found.configs[:_MOST]:
        named = path in found.named
        try:
            one = _one(path, models, taken, use, named=named, build=build)
        except Unreadable as error:
            # Much that is called config.json describes no model; what is broken in one that does is said.
            if named or error.args:
                found.problems.append(Problem(path, str(error)))
            continue
        if one is not None:
            result.append(one)
        elif named:
            found.problems.append(Problem(path, "describes no model that is known here: name its checkpoint"))
    if len(found.configs) > _MOST:
        found.left_out.append(Problem(found.configs[_MOST], f"and what follows: more than {_MOST} configs"))
    return result


def _one(path: str, models: list[Model], taken: set[int], use: Use, *, named: bool, build: bool) -> Described | None:
    config = configs.read(path, named=named)
    by_hand = known(config)
    by_library = counted(config, use) if build else None
    # What was built but could not be run is at work as it is by hand.
    about = by_library if by_library is not None and (by_library.works or by_hand is None) else by_hand
    if about is None:
        return None
    source = "counted" if about is by_library else "arithmetic"
    numel = sum(tensor.numel for tensor in about.tensors)
    model = _checkpoint(path, numel, models, taken)
    if model is not None:
        return Described(model, about, source, "header", path)
    model = Model(path, (path,), "config", tuple(about.tensors), notes=about.notes)
    models.append(model)
    taken.add(id(model))
    return Described(model, about, source, source, path)


def _checkpoint(path: str, numel: int, models: list[Model], taken: set[int]) -> Model | None:
    """The checkpoint beside a config that has about as many parameters."""
    folder = os.path.dirname(path)
    beside = [m for m in models if id(m) not in taken and os.path.dirname(m.files[0]) == folder]
    near = min(beside, key=lambda model: abs(model.numel - numel), default=None)
    if near is None or abs(near.numel - numel) * 100 > numel * _APART:
        return None
    taken.add(id(near))
    return near
