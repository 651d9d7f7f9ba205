"""The words for bfloat16, the names of settings that take one, and the names of switches, whoever reads them.

What a library alone says stands in its row (`libraries`), and counts here as well: the patterns are made of both
(`spellings`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from precision_fix.model.vocabulary.spellings import BFLOAT16, CORE, NAMES, STYLES, SWITCHES, TAG, UNDER


def _all(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _shape(word: str) -> str:
    """The pattern of a word: its bfloat16 in any spelling, and dashes for underscores."""
    parts = (re.sub(r"\\?[_-]", "[_-]", re.escape(part)) for part in BFLOAT16.split(word))
    return CORE.join(parts)


def _pattern(words: Iterable[str]) -> str:
    return "|".join(dict.fromkeys(map(_shape, words)))


#: A word that says bfloat16 and nothing else.
WORD = re.compile(_pattern(STYLES), re.IGNORECASE)
_FILLED_IN = re.compile(r"\$\{[^{}]*\}|\{\{[^{}]*\}\}|\$\w+")
_WITHIN = re.compile(rf"(?<![A-Za-z0-9])(?:{WORD.pattern})(?![A-Za-z0-9])", re.IGNORECASE)

_PRECISION = re.compile(r"dtype|precision|data_type|torch_type|compute_type|weight_type|amp_type")
_PARTS = re.compile(r"[a-z0-9]+")
# What the name of a switch for bfloat16 may say besides. Another word makes it a name for something else: store_bf16,
# is_bf16.
_SWITCH = _all(
    "use enable enabled do with to in full pure half mixed precision amp autocast eval evaluate train training"
    " inference infer model compute params param weights grad grads gradient gradients reduce allreduce accumulate"
    " optimizer states unet vae clip text encoder transformer cuda torch"
)
#: Names that stand for mixed precision, as a switch or with a word.
MIXED = frozenset({"mixed_precision", "amp", "autocast"})
#: Devices beside CUDA's and the CPU, as torch calls them.
OTHER_DEVICES = _all("xpu mps hpu npu xla ipu mtia musa mlu tpu")
# Anywhere in a name, or in one of a section above it: the value tells how something is stored.
_STORED = _all(
    "save saved saving store stored storage file checkpoint ckpt checkpointer export source src orig original expected"
    " from"
)
# At the end of a name: the value is no more than a name, or is offered.
_CALLED = _all("name names title label id tag text help description url key wire format suffix choices options")


def says(value: object, name: str = "") -> bool:
    """Whether a value is a word for bfloat16, and nothing more; `name`, in plain spelling, is what it is given to."""
    if not isinstance(value, str):
        return False
    return WORD.fullmatch(value) is not None or (bool(UNDER) and value in UNDER.get(name, ()))


def spelt(value: str, name: str = "") -> bool:
    """Whether a string of a program is such a word. There it is compared as it is written, capitals too."""
    return value in STYLES or value == TAG or (bool(UNDER) and value in UNDER.get(name, ()))


def is_filled_in(value: object) -> bool:
    """Whether all of a value comes from elsewhere: `${dtype}`, `{{ dtype }}`, `$DTYPE`."""
    return isinstance(value, str) and _FILLED_IN.fullmatch(value.strip()) is not None


def is_default(value: object) -> bool:
    """Whether it comes from elsewhere, and bfloat16 stands in what fills it in: `${oc.env:DTYPE,bfloat16}`."""
    return is_filled_in(value) and _WITHIN.search(str(value)) is not None


def is_optimizer(name: str, value: object) -> bool:
    """Whether an optimizer is chosen that wants weights in bfloat16: `optimizer: adamw_bf16`."""
    is_word = isinstance(value, str) and value.isascii() and value.replace("-", "_").isidentifier()
    return name in ("optimizer", "optimizer_type", "optim") and is_word and names_bfloat16(str(value).replace("-", "_"))


def is_switch(name: str) -> bool:
    """Whether a setting of this name, set to true, turns bfloat16 on: `bf16`, `use_bfloat16`, `bf16_full_eval`."""
    if name in SWITCHES:
        return True
    parts = frozenset(_PARTS.findall(name.lower())) if " " not in name else frozenset()
    return bool(parts & NAMES) and parts <= NAMES | _SWITCH


def turned_on(name: str) -> str:
    """What a switch of this name turns on, as people call it: TF32 begins at compute capability 8.0 as well."""
    return "TF32" if "tf32" in name.lower() else "bfloat16"


def names_bfloat16(name: str) -> bool:
    """Whether a name has bfloat16 for one of its parts, or is that of a switch for it."""
    return not NAMES.isdisjoint(name.split("_")) or name in SWITCHES


def is_precision(name: str) -> bool:
    """Whether a setting of this name takes a dtype or a precision; that of another device is none of ours."""
    return _PRECISION.search(name) is not None and OTHER_DEVICES.isdisjoint(name.split("_"))


def is_mixed(name: str) -> bool:
    """Whether one part of a name stands for mixed precision: `train_amp`."""
    return name in MIXED or not MIXED.isdisjoint(name.split("_"))


def describes(name: str, above: Iterable[str] = ()) -> bool:
    """Whether the names say that the value tells of something stored, or is no more than a name."""
    parts = name.split("_")
    within = (part for each in above for part in each.split("_"))
    return parts[-1] in _CALLED or not _STORED.isdisjoint(parts) or not _STORED.isdisjoint(within)
