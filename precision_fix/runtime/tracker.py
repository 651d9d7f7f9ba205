"""The bytes of all tensors at once, and the most there were: of real ones, and of ones that only have a shape."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Looks at a weight, which compute nothing, and rows of a table, which are cast after they are taken.
_VIEWS = frozenset(
    ("embedding", "t", "transpose", "view", "detach", "permute", "expand", "_unsafe_view", "alias", "unsqueeze")
)


class Tracker(TorchDispatchMode):  # type: ignore[no-untyped-call,unused-ignore]
    """Counts each storage once, from the operator that makes it to the death of its last tensor.

    What a kernel takes for itself is not seen. `now` and `peak` are bytes; `reset` begins a new peak. `known` was there
    before; with `casts`, an operator that is given a matrix of it has a copy of so many bytes a number while it runs.
    """

    def __init__(self, known: Any = (), casts: int = 0) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        self.now = self.peak = 0
        self._live: dict[int, Any] = {}
        self._casts = casts
        for tensor in known:
            self.add(tensor)
        self._weights = {each.untyped_storage()._cdata: each.numel() for each in known if casts and each.dim() > 1}

    def reset(self) -> int:
        """What there is now, from which the next peak counts."""
        self.peak = self.now
        return self.now

    def add(self, tensor: torch.Tensor) -> None:
        """Count a tensor that was there before."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._live:
            return
        size = storage.nbytes()
        self._live[key] = weakref.finalize(storage, self._gone, key, size)
        self.now += size
        self.peak = max(self.peak, self.now)

    def _gone(self, key: int, size: int) -> None:
        self._live.pop(key, None)
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        copy = 0
        if self._weights and func.namespace == "aten" and func.overloadpacket.__name__ not in _VIEWS:
            given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
            copy = self._casts * sum(self._weights.get(each.untyped_storage()._cdata, 0) for each in given)
        self.now += copy
        self.peak = max(self.peak, self.now)
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.add(leaf)
        self.now -= copy
        return result
