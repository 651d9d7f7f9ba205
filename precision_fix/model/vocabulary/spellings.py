"""The words for bfloat16 and the names of its switches, out of the table: what the bytes of files are searched for.

Every run needs these, and patterns cost more to build than a small file to read: they are in `precision`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from precision_fix.model.vocabulary.libraries import LIBRARIES, Switch, Words

#: What every library that reads torch's names knows, with the words for float32 and float16 in the same style.
GENERAL = {
    "bfloat16": ("float32", "float16"),
    "torch.bfloat16": ("torch.float32", "torch.float16"),
    "bf16": ("fp32", "fp16"),
}
#: The names in which bfloat16 is spoken of.
NAMES = frozenset({"bf16", "bfloat16"})
#: torch's name for the dtype as every pattern here takes it, in any case: `bf16`, `bfloat_16`.
CORE = r"b(?:f|float)_?16"
#: The tag of file formats; no reader of a precision writes it so.
TAG = "BF16"
BFLOAT16 = re.compile(CORE, re.IGNORECASE)


def _rows() -> Iterator[tuple[str, str, tuple[str, str]]]:
    """Each name of the table with each of its words, and what that becomes."""
    for library in LIBRARIES:
        for row in library.settings:
            for name in row.names if isinstance(row, Words) else ():
                for word, becomes in row.words.items() if isinstance(row, Words) else ():
                    yield name.rpartition(".")[2], word, becomes


def _styles() -> dict[str, tuple[str, str]]:
    found = dict(GENERAL)
    for _, word, becomes in _rows():
        if speaks(word):
            found.setdefault(word, becomes)
    return found


def _under() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for name, word, _ in _rows():
        if not speaks(word):
            found[name] = found.get(name, frozenset()) | {word}
    return found


def speaks(text: str) -> bool:
    """Whether bfloat16 is named anywhere in a word or a name: `bf16-flash`, `use_bf16`."""
    return BFLOAT16.search(text) is not None


#: Words by which bfloat16 is known whatever setting they stand in, and what each becomes in its own style.
STYLES = _styles()
#: A word of a library that does not name bfloat16 counts under its own names alone.
UNDER = _under()
#: The switches of the libraries by their whole names; what says less than that (`enabled`) says nothing alone.
SWITCHES = frozenset(
    name
    for library in LIBRARIES
    for row in library.settings
    if isinstance(row, Switch)
    for name in row.names
    if "." not in name
)
#: Switches that have their like for other precisions: `bf16_vae`, `fp32_vae`.
ALIKE = frozenset(
    name for each in LIBRARIES for row in each.settings if isinstance(row, Switch) and row.alike for name in row.names
)
#: Names of settings that do not name bfloat16, and turn it on all the same.
QUIET_SWITCHES = tuple(sorted(name for name in SWITCHES if not speaks(name)))
#: Words that do not name bfloat16.
QUIET_WORDS = tuple(sorted(frozenset().union(*UNDER.values())))
