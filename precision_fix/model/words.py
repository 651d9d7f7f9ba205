"""The words and names in which a setting speaks of bfloat16, whoever reads it."""

from __future__ import annotations

import re

from precision_fix.model.setting import Setting
from precision_fix.model.target import Target

#: A word that says bfloat16 and nothing else.
WORD = re.compile(r"(?:torch\.|amp[_-])?b(?:f|float)_?16(?:[_-](?:mixed|true))?", re.IGNORECASE)
_FILLED_IN = re.compile(r"\$\{[^{}]*\}|\{\{[^{}]*\}\}|\$\w+")
_WITHIN = re.compile(rf"(?<![A-Za-z0-9])(?:{WORD.pattern})(?![A-Za-z0-9])", re.IGNORECASE)


def _all(words: str) -> frozenset[str]:
    return frozenset(words.split())


_PRECISION = re.compile(r"dtype|precision|data_type|torch_type|compute_type|weight_type|amp_type")
_NAMES = frozenset({"bf16", "bfloat16"})
# What the name of a switch for bfloat16 may say besides. Another word makes it a name for something else: store_bf16.
_SWITCH = _all(
    "use enable enabled is do with to in full pure half mixed precision amp autocast eval evaluation train training"
    " inference infer model compute params param weights grad grads gradient gradients reduce allreduce accumulate"
    " optimizer states unet vae clip text encoder transformer cuda torch"
)
_MIXED = frozenset({"mixed_precision", "amp", "autocast"})
# In a name, or in one of a section above it: the value tells how something is stored, called or found.
_STORED = _all(
    "save saved saving store stored storage file checkpoint ckpt checkpointer export source src orig original expected"
)
_CALLED = _all("name names title label id tag text help description url key str wire format suffix")


def says(value: object) -> bool:
    """Whether a value is a word for bfloat16, and nothing more."""
    return isinstance(value, str) and WORD.fullmatch(value) is not None


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
    parts = frozenset(name.split("_"))
    return bool(parts & _NAMES) and parts <= _NAMES | _SWITCH


def names_bfloat16(name: str) -> bool:
    return not _NAMES.isdisjoint(name.split("_"))


def is_precision(name: str) -> bool:
    """Whether a setting of this name takes a dtype or a precision."""
    return _PRECISION.search(name) is not None


def takes_dtype(setting: Setting) -> bool:
    """Whether the name is one of a precision, or the value is what Hydra puts there: `dtype: {_target_: ...}`."""
    if setting.name == "target" or (setting.name == "path" and "get_object" in str(setting.beside("target"))):
        return is_precision(setting.above)
    return is_precision(setting.name)


def turns_on(setting: Setting) -> bool:
    """Whether the names say that a setting that is true turns bfloat16 on; `enabled` may stand under such a name."""
    if says(setting.beside(f"{setting.name}_dtype")):
        return setting.name in _MIXED
    if setting.name not in ("enabled", "enable", "use"):
        return is_switch(setting.name)
    return is_switch(setting.above) or (setting.above == "torch_autocast" and says(setting.beside("dtype")))


def switch_beside(setting: Setting) -> str | None:
    """The switch that decides whether a dtype counts at all: `mixed_precision` beside `mixed_precision_dtype`."""
    switch = setting.name.removesuffix("_dtype")
    return switch if switch in _MIXED and isinstance(setting.beside(switch), bool) else None


def describes(setting: Setting) -> bool:
    """Whether the names say that the value tells of something stored, or is no more than a name."""
    parts = setting.name.split("_")
    above = (part for name in setting.names[:-1] for part in name.split("_"))
    return not (_STORED | _CALLED).isdisjoint(parts) or not _STORED.isdisjoint(above)


def other_word(word: str, target: Target) -> str | None:
    """The target's word in the style of a word for bfloat16, capitals too; None where it has none."""
    new = target.word(word.lower())
    if new is None or word.islower():
        return new
    return new.upper() if word.isupper() else None
