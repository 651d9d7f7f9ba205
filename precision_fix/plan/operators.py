"""The layers that models are made of, as eager programs run them, on a ledger.

What lives how long follows transformers 5.23, diffusers 0.42 and fish-speech: a caller's names hold their tensors while
the callee runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from precision_fix.plan.ledger import Held, Ledger
from precision_fix.plan.use import Use

#: Of bitsandbytes' 8 bit states: a byte, and four for each block of 256.
EIGHT_BIT = 1 + 4 / 256


@dataclass(frozen=True, slots=True)
class Mode:
    """How a program may run: bytes of a number of a weight, of what is computed with, and of a cache."""

    label: str
    weights: int
    width: int
    caches: int

    @property
    def casts(self) -> bool:
        """Whether weights are cast for each call."""
        return self.weights != self.width


@dataclass(slots=True)
class Operators:
    """Operators of a mode and a use. `wide` are the bytes of a norm's own arithmetic, always float32.

    `also` are layers that an adapter comes to besides the projections. `within`: an adapter is part of its layer, as
    loralib's, whose weight is cast for both; what it gets goes through a dropout.
    """

    ledger: Ledger
    use: Use
    mode: Mode
    also: frozenset[str] = frozenset()
    within: bool = False

    @classmethod
    def of(cls, use: Use, mode: Mode, also: Iterable[str] = (), *, within: bool = False) -> Operators:
        return cls(Ledger(mode.width, mode.casts, bool(use.train)), use, mode, frozenset(also), within)

    @property
    def full(self) -> bool:
        return self.use.train == "full"

    def hold(self, numel: int, width: int | None = None) -> Held:
        return self.ledger.hold(numel, width)

    def embedding(self, numel: int, weight: int, name: str = "words") -> Held:
        """Rows of a table of `weight` numbers."""
        return self.ledger.op([], numel, weight=(name, weight) if self.full else None)

    def output(self, x: Held, rows: int, inside: int, words: int, *, shared: bool) -> Held:
        """Words from what a model computed; `shared` by the table that they came from, whose gradients are added up."""
        weight = inside * words
        trained = (("words" if shared else "output"), weight) if self.full else None
        return self.ledger.op([x], rows * words, saves=[x] if self.full else (), weight=trained, wide=weight)

    def linear(self, x: Held, rows: int, inside: int, outside: int, name: str = "") -> Held:
        """`x` times a weight; with an adapter where the use wants one at the projection of this name."""
        numel, weight = rows * outside, inside * outside
        op = self.ledger.op
        if self.full:
            return op([x], numel, saves=[x], weight=(f"{name}{self.ledger._made}", weight), wide=weight)
        base = op([x], numel, wide=weight)
        if self.use.train != "lora" or not self.adapts(name):
            return base
        rank = self.use.rank
        copy = self.hold(weight) if self.within and self.ledger.cast else None
        # The mask of a dropout: on CUDA a byte a number, of which the plan can lose a little.
        given = op([x], x.numel, saves=[self.hold(x.numel)]) if self.within else x
        low = op([given], rows * rank, saves=[given], weight=(f"a{base.key}", inside * rank))
        high = op([low], numel, saves=[low], weight=(f"b{base.key}", rank * outside))
        scaled = op([high], numel)
        del low, high, given
        out = op([base, scaled], numel)
        del copy
        return out

    def adapts(self, name: str) -> bool:
        every = self.use.targets or ("q", "k", "v", "o", "gate", "up", "down")
        return bool(name) and (name in every or name in self.also)

    def rms_norm(self, x: Held, numel: int, dim: int) -> Held:
        """As transformers writes it: in float32, then times the weight."""
        op = self.ledger.op
        wide = x if self.mode.width == 4 else op([x], numel, width=4)
        squares = op([wide], numel, saves=[wide], width=4)
        del squares
        normed = op([wide], numel, saves=[wide], width=4)
        del wide
        if self.mode.width != 4:
            normed = op([normed], numel)
        if self.full:
            return op([normed], numel, saves=[normed], weight=(f"n{normed.key}", dim))
        return op([normed], numel)

    def layer_norm(self, x: Held, numel: int, dim: int) -> Held:
        """One fused operator."""
        return self.ledger.op([x], numel, saves=[x], weight=(f"n{x.key}", dim) if self.full else None)

    def rotary(self, x: Held, numel: int) -> Held:
        """x * cos + rotate_half(x) * sin."""
        op = self.ledger.op
        first = op([x], numel)
        half = op([x], numel // 2)
        turned = op([x, half], numel)
        del half
        second = op([turned], numel)
        del turned
        return op([first, second], numel)

    def attention(self, q: Held, k: Held, v: Held, numel: int) -> Held:
        """By a kernel that keeps no scores, and the copy in the order of rows that follows it."""
        out = self.ledger.op([q, k, v], numel, saves=[q, k, v], keeps_out=True)
        return self.ledger.op([out], numel)

    def eager_attention(self, q: Held, k: Held, v: Held, numel: int, scores: int, *, shared: bool) -> tuple[Held, Held]:
        """With scores that are capped by a tanh, which no kernel does: they are made, step by step, and handed back.

        `shared`: several heads have the same keys and values, which are copied for each of them.
        """
        op = self.ledger.op
        if shared:
            k, v = op([k], numel), op([v], numel)
        made = op([q, k], scores, saves=[q, k])
        scaled = op([made], scores)
        del made
        divided = op([scaled], scores)
        del scaled
        bent = op([divided], scores, keeps_out=True)
        del divided
        capped = op([bent], scores)
        del bent
        masked = op([capped], scores)
        del capped
        shares = op([masked], scores, keeps_out=True, width=4)
        del masked
        if self.mode.width != 4:
            shares = op([shares], scores)
        out = op([shares, v], numel, saves=[shares, v])
        return op([out], numel), shares

    def unary(self, x: Held, *, keeps_out: bool = False) -> Held:
        """An activation function."""
        return self.ledger.op([x], x.numel, saves=() if keeps_out else (x,), keeps_out=keeps_out)

    def times(self, x: Held, y: Held) -> Held:
        return self.ledger.op([x, y], x.numel, saves=[x, y])

    def plus(self, x: Held, y: Held) -> Held:
        return self.ledger.op([x, y], x.numel)

    def gated(self, x: Held, rows: int, dim: int, inner: int) -> Held:
        """down(act(gate(x)) * up(x))."""
        act = self.unary(self.linear(x, rows, dim, inner, "gate"))
        up = self.linear(x, rows, dim, inner, "up")
        both = self.times(act, up)
        del act, up
        return self.linear(both, rows, inner, dim, "down")

    def plain(self, x: Held, rows: int, dim: int, inner: int) -> Held:
        """down(act(up(x)))."""
        return self.linear(self.unary(self.linear(x, rows, dim, inner, "up")), rows, inner, dim, "down")

    def layer(self, x: Held, run: Callable[[Held], Held]) -> Held:
        """One of the layers that gradient checkpointing, where it is on, runs again."""
        if self.use.train and self.use.checkpointing:
            return self.ledger.checkpointed(x, run)
        return run(x)

    def cross_entropy(self, logits: Held) -> Held:
        """The loss of a row of words, in float32."""
        wide = logits if self.mode.width == 4 else self.ledger.op([logits], logits.numel, width=4)
        chosen = self.ledger.op([wide], wide.numel, keeps_out=True, width=4)
        del wide
        return self.ledger.op([chosen], 1)
