"""Which parameters may be stored in bfloat16, by the class of the module that owns them.

A parameter may be stored where everything that computes with it is a `forward` that `forwards` can run on
widened weights: the layers of torch.nn, their subclasses, and modules without children whose parameters are
called weight and bias (transformers' and diffusers' norms, transformers' Conv1D, routers) or are stacks of weights
(`stacked`), unless their parent reads them (`outside`). Every other parameter is somebody's own, is used where
nobody can see, and stays float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from precision_fix.runtime.storage import outside, stacked
from precision_fix.runtime.storage.weight import PARAMETERS, is_narrow

_PLAIN = ("weight", "bias")
_ATTENTION = (
    *("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"),
    *("in_proj_bias", "bias_k", "bias_v"),
)
_CELL = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _classes(names: str, owner: Any = nn) -> list[type[nn.Module]]:
    """The classes of these names that this version of torch has."""
    return [kind for kind in (getattr(owner, name, None) for name in names.split()) if kind is not None]


_WITH_PLAIN_NAMES = [
    *_classes("Linear Bilinear Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d"),
    *_classes("Embedding EmbeddingBag LayerNorm GroupNorm RMSNorm SyncBatchNorm PReLU"),
    *_classes("_BatchNorm", nn.modules.batchnorm),
    *_classes("_InstanceNorm", nn.modules.instancenorm),
]

#: The class that defines `forward` -> the names of the parameters that it computes with. None: as many as
#: `_flat_weights_names` says.
KNOWN: dict[type[nn.Module], tuple[str, ...] | None] = {
    **dict.fromkeys(_WITH_PLAIN_NAMES, _PLAIN),
    **dict.fromkeys(_classes("RNN LSTM GRU")),
    **dict.fromkeys(_classes("RNNCell LSTMCell GRUCell"), _CELL),
    nn.MultiheadAttention: _ATTENTION,
}

#: Modules that read the parameters of their children: these are widened with them.
READS_ITS_CHILDREN: tuple[type[nn.Module], ...] = (nn.MultiheadAttention, nn.TransformerEncoderLayer)

_KNOWN = tuple(KNOWN)

#: On a module that holds parameters for a captured graph, which names the dtype of each. Plain, so that it is copied.
GRAPHED = "_parameters_of_a_graph"

#: Where a replica of nn.DataParallel has its parameters, besides as plain attributes (torch.nn.parallel.replicate).
FORMER = "_former_parameters"

#: What accelerate and diffusers set on a module beside a `forward` that calls the one of its class.
_HOOKED = {"_old_forward", "_diffusers_hook"}


def defines_forward(kind: type[nn.Module]) -> type[nn.Module]:
    """The class, `kind` or one it inherits from, whose `forward` an instance runs."""
    return next(base for base in kind.__mro__ if "forward" in vars(base))


def storable(module: nn.Module) -> tuple[str, ...]:
    """The names of this module's own parameters that may be stored; the others compute as they are."""
    held = [name for name, parameter in module._parameters.items() if parameter is not None]
    if not held or any(type(module._parameters[name]) not in PARAMETERS for name in held):
        return ()  # a quantized layer's own kind of parameter, a lazy one
    if GRAPHED in module.__dict__:
        return tuple(held)
    if outside.is_read(module):
        return ()
    if "forward" in vars(module) and not vars(module).keys() & _HOOKED:  # somebody's own, on the instance
        return ()
    names = _names(module)
    if set(held) <= set(names):
        return names
    # A parameter under another name is the input of a computation that gives the weight (nn.utils.weight_norm), but
    # where the weight is one itself: then it is added to it (loralib's adapters).
    if isinstance(module, _KNOWN) and names is _PLAIN and "weight" in held:
        return names
    return stacked.names(module) if _is_own(module) else ()


def _names(module: nn.Module) -> tuple[str, ...]:
    kind = type(module)
    if isinstance(module, _KNOWN):
        known = next(base for base in kind.__mro__ if base in KNOWN)
        names = KNOWN[known]
        # nn.utils.parametrize adds a child, which has the parameters.
        inner = {"out_proj"} if known is nn.MultiheadAttention else set()
        alone = not any(name not in inner and _has_parameters(part) for name, part in module._modules.items())
        # max_norm writes into the table while it reads it.
        if not alone or getattr(module, "max_norm", None) is not None:
            return ()
        return tuple(module._flat_weights_names) if names is None else names  # type: ignore[arg-type]
    return _PLAIN if _is_own(module) and not module._modules else ()


def _has_parameters(module: nn.Module | None) -> bool:
    return module is not None and any(True for _ in module.parameters())


def _is_own(module: nn.Module) -> bool:
    """Whether the program, or a library, wrote its `forward`."""
    mine = defines_forward(type(module)).__module__.split(".", maxsplit=1)[0] != "torch"
    return mine and not isinstance(module, (*_KNOWN, torch.jit.ScriptModule))


def is_stored(module: nn.Module) -> bool:
    """Whether any parameter of its own is bfloat16."""
    if FORMER in module.__dict__:
        return any(value.dtype is torch.bfloat16 for value in module.__dict__[FORMER].values())
    return any(p is not None and is_narrow(p) for p in module._parameters.values())
