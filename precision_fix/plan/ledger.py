"""What an eager program holds at its worst: its operators by size alone, without torch.

A model's forward pass is written down once more, as numbers of elements. A `Held` goes with its last name, as a tensor
does; what autograd keeps for the backward pass goes when that has used it. So the peak comes out of the order in
which things are made and dropped. Kernels' workspaces and the allocator's rounding are not in it: an estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field


class Held:
    """Memory of `nbytes` bytes, for as long as somebody has it. `tracked`: a gradient will come for it."""

    __slots__ = ("key", "ledger", "nbytes", "numel", "tracked")

    def __init__(self, ledger: Ledger, key: int, numel: int, nbytes: int, tracked: bool) -> None:
        self.ledger, self.key, self.numel, self.nbytes, self.tracked = ledger, key, numel, nbytes, tracked

    def __del__(self) -> None:
        self.ledger.now -= self.nbytes


@dataclass(slots=True)
class _Step:
    """An operator: keys of its result and inputs, what it saved, the weight that it trains, the numbers of a cast."""

    out: int
    inputs: list[tuple[int, int]]
    saved: list[Held]
    weight: tuple[str, int] | None = None
    wide: int = 0
    again: Callable[[Held], Held] | None = None


@dataclass(slots=True)
class Ledger:
    """`width`: bytes of a number that is computed with; `cast`: whether a stored weight is cast for each call.

    `training` keeps what the backward pass needs. `gradients` are the bytes of weights' gradients, which are part of
    `now`; `gradients_at_peak` those that were there when `peak` was.
    """

    width: int
    cast: bool = False
    training: bool = False
    now: int = 0
    peak: int = 0
    gradients: int = 0
    gradients_at_peak: int = 0
    _steps: list[_Step] = field(default_factory=list)
    _made: int = 0
    _trained: dict[str, Held] = field(default_factory=dict)

    def hold(self, numel: int, width: int | None = None, *, tracked: bool = False) -> Held:
        """New memory for so many numbers."""
        self._made += 1
        held = Held(self, self._made, numel, numel * (width or self.width), tracked and self.training)
        self.now += held.nbytes
        if self.now > self.peak:
            self.peak, self.gradients_at_peak = self.now, self.gradients
        return held

    def op(
        self,
        inputs: Iterable[Held],
        numel: int,
        *,
        saves: Sequence[Held] = (),
        keeps_out: bool = False,
        weight: tuple[str, int] | None = None,
        wide: int = 0,
        width: int | None = None,
    ) -> Held:
        """The result of an operator, of `numel` numbers.

        `saves` is what its backward pass needs, `keeps_out` its own result too; `weight` is a weight that it trains, by
        name and numbers; `wide` the numbers of a stored one, which is cast for the call.
        """
        each = list(inputs)
        tracked = self.training and (weight is not None or any(one.tracked for one in each))
        copy = self.hold(wide) if self.cast and wide else None
        out = self.hold(numel, width, tracked=tracked)
        del copy
        if tracked:
            inner = [(one.key, one.nbytes) for one in each if one.tracked]
            saved = [*saves, *([out] if keeps_out else [])]
            self._steps.append(_Step(out.key, inner, saved, weight, wide if self.cast else 0))
        return out

    def checkpointed(self, start: Held, run: Callable[[Held], Held]) -> Held:
        """`run(start)`, of which only `start` is kept; it runs again when its gradient comes."""
        training, self.training = self.training, False
        out = run(start)
        self.training = training
        if training:
            out.tracked = True
            self._steps.append(_Step(out.key, [(start.key, start.nbytes)], [start], again=run))
        return out

    def backward(self, loss: Held) -> None:
        """From the last operator to the first: gradients come, and what was saved goes."""
        self._back({loss.key: self.hold(loss.numel)}, 0)

    def _back(self, grads: dict[int, Held], floor: int) -> None:
        while len(self._steps) > floor:
            step = self._steps.pop()
            if step.out not in grads:
                continue
            if step.again is not None:
                self._again(step, grads)
                continue
            copy = self.hold(step.wide) if step.wide and step.inputs else None
            for key, nbytes in step.inputs:
                fresh = self.hold(nbytes, 1)
                # What is there already takes the sum.
                grads.setdefault(key, fresh)
                del fresh
            del copy
            if step.weight is not None:
                self._train(*step.weight)
            step.saved.clear()
            del grads[step.out]

    def _again(self, step: _Step, grads: dict[int, Held]) -> None:
        floor = len(self._steps)
        (start,) = step.saved
        tracked, start.tracked = start.tracked, True
        assert step.again is not None
        out = step.again(start)
        inner = {out.key: grads.pop(step.out)}
        del out
        self._back(inner, floor)
        start.tracked = tracked
        if tracked and start.key in inner:
            grads.setdefault(start.key, inner.pop(start.key))

    def _train(self, name: str, numel: int) -> None:
        if name in self._trained:
            # The gradient of a shared weight: the second part, and the sum of both.
            both = [self.hold(numel), self.hold(numel)]
            both.clear()
            return
        self.gradients += numel * self.width
        self._trained[name] = self.hold(numel)
