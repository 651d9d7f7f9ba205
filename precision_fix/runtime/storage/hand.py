"""`store_in_bfloat16(model)`: one model, with or without the runtime, and the handle that undoes it."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn

from precision_fix.errors import PrecisionFixError
from precision_fix.runtime.oldest import why_not
from precision_fix.runtime.patching import Patches
from precision_fix.runtime.storage import forwards, outside, reports
from precision_fix.runtime.storage.leaves import storable
from precision_fix.runtime.storage.optimizers import HELD, Terms, set_grad_dtype
from precision_fix.runtime.storage.storing import storing
from precision_fix.runtime.storage.weight import let_go

_numbers = itertools.count()


class Stored:
    """A model that is stored in bfloat16. `stored` and `wide` count its parameters; `left` names those, as in
    `named_parameters`, that stay float32 because something else than a known layer computes with them.
    """

    def __init__(self, model: nn.Module, trainable: bool) -> None:
        self.model = model
        self.left: tuple[str, ...] = ()
        self.stored = self.wide = 0
        self._before: list[tuple[nn.Module, str, torch.dtype]] = []
        self._were: dict[int, torch.dtype] = {}
        self._marked: list[nn.Module] = []
        self._patches = Patches()
        self._open = True
        self._number = next(_numbers)
        self._store(trainable)

    def _store(self, trainable: bool) -> None:
        outside.note_all(self.model, everywhere=False)
        with storing(), torch.no_grad():
            for module in self.model.modules():
                names = storable(module)
                for name, parameter in module._parameters.items():
                    self._put(module, name, parameter, torch.bfloat16 if name in names else torch.float32)
            left = {id(p) for m in self.model.modules() for n, p in m._parameters.items() if n not in storable(m)}
            for module in self.model.modules():
                for name, buffer in module._buffers.items():
                    if buffer is not None and buffer.dtype is torch.bfloat16:
                        module._buffers[name] = buffer.float()
                        self._before.append((module, name, torch.bfloat16))
                if forwards.MARK not in module.__dict__:
                    module.__dict__[forwards.MARK] = trainable
                    self._marked.append(module)
                forwards.settle_one(module, self._patches)
        for parameter in self.model.parameters():
            if parameter.dtype is torch.bfloat16:
                HELD[parameter] = Terms(trainable, self._were.pop(id(parameter), torch.bfloat16), self._number)
        dtypes = [parameter.dtype for parameter in self.model.parameters()]
        self.stored, self.wide = dtypes.count(torch.bfloat16), dtypes.count(torch.float32)
        self.left = tuple(name for name, p in self.model.named_parameters() if id(p) in left)

    def _put(self, module: nn.Module, name: str, parameter: Any, dtype: torch.dtype) -> None:
        """In place, so that tied parameters stay tied and an optimizer's stay its own."""
        if parameter is None or parameter.dtype not in _TWO:
            return
        if parameter.dtype is not dtype:
            self._were.setdefault(id(parameter), parameter.dtype)
            parameter.data = parameter.data.to(dtype)
        if id(parameter) in self._were:  # of each that holds it: another may take the place of either
            self._before.append((module, name, self._were[id(parameter)]))

    def restore(self) -> None:
        """The model as it was: its classes run their own `forward` (as soon as no other model is stored), its
        parameters and buffers have their dtypes again, those of copies of it too, and it may be trained. Numbers that
        storing rounded stay rounded; nothing kept the float32 ones. Twice is once.
        """
        if not self._open:
            return
        self._open = False
        self._patches.restore()
        held = [(parameter, terms) for parameter, terms in HELD.items() if terms.handle == self._number]
        let_go([*self.model.parameters(), *(parameter for parameter, _ in held)])
        with storing(), torch.no_grad():
            for module in self._marked:
                module.__dict__.pop(forwards.MARK, None)
            for parameter, terms in held:
                _cast(parameter, terms.before)
            for module, name, dtype in reversed(self._before):  # what was put there since, and what is float32
                if (buffer := module._buffers.get(name)) is not None:
                    module._buffers[name] = buffer.to(dtype)
                else:
                    _cast(module._parameters.get(name), dtype)
        for parameter, terms in held:
            del HELD[parameter]
            if terms.trainable:
                set_grad_dtype(parameter, parameter.dtype)
        forwards.release()


_TWO = (torch.float32, torch.bfloat16)


def _cast(parameter: Any, dtype: torch.dtype) -> None:
    if parameter is not None and parameter.dtype is not dtype and parameter.dtype in _TWO:
        parameter.data = parameter.data.to(dtype)


def store_in_bfloat16(model: nn.Module, *, trainable: bool = False) -> Stored:
    """Store the weights of a model in bfloat16, on whatever device they are, and compute with them in float32.

    The weights of Linear, Conv, Embedding, norm, attention and recurrent layers and of their subclasses become
    bfloat16 (2 bytes a number; float32 numbers are rounded to the nearest) and are cast up while they are used.
    Every other parameter, and every buffer, becomes float32. The outputs are, bit for bit, those of the stored
    model upcast as a whole. Inputs in bfloat16 are cast up. An optimizer refuses the stored weights unless
    `trainable`: updates that are smaller than bfloat16's steps round to nothing; LoRA's adapters are float32 and
    train as ever.

    Nothing of it is in a pickle: a model that was stored, and is loaded or sent to a spawned process, is to be stored
    there anew. Where training is asked for, an optimizer's states are float32, and so are gradients where torch has
    `Tensor.grad_dtype`; what changes weights without an optimizer (`p.data -= lr * p.grad`) is not seen, and rounds.

    What the program itself casts to bfloat16 between the layers, and autocast regions, are the business of
    `import precision_fix.auto`.

    Returns the handle whose `restore()` undoes it. Raises PrecisionFixError before torch 2.6, for a model with
    parameters in float16 or float64 (say first which of float32 and bfloat16 they are to be), and one that is stored
    already.
    """
    if not isinstance(model, nn.Module):
        raise PrecisionFixError(f"store_in_bfloat16 takes a torch.nn.Module, not {type(model).__name__}")
    if why := why_not(torch, "weights in bfloat16"):
        raise PrecisionFixError(why)
    if any(parameter in HELD for parameter in model.parameters()):
        raise PrecisionFixError("this model, or a part of it, is stored in bfloat16 already")
    for name, parameter in model.named_parameters():
        if parameter.dtype.is_floating_point and parameter.dtype in (torch.float16, torch.float64):
            raise PrecisionFixError(f"{name} is {parameter.dtype}: cast the model with .float() or .bfloat16() first")
    for module in model.modules():
        module.__dict__.pop(forwards.MARK, None)  # out of a file, or another process
    forwards.acquire()
    try:
        reports.patch_classes(model, forwards.USE.patches)
        return Stored(model, trainable)
    except BaseException:
        forwards.release()
        raise
