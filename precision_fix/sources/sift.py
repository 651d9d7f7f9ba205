"""Which notebooks are worth parsing, told from their bytes.

Most of a notebook are pictures in base64, in which any four letters stand by chance; and each word that is looked for
costs as much as reading the file from memory. A word in two strings of a list, or one with letters written as escapes,
is not found; no program writes notebooks so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PICTURE = re.compile(rb'"image/(?:png|jpe?g|gif|webp)"\s*:\s*"')
_SIXTEEN = re.compile(rb"16")
_BEFORE = re.compile(rb"(?i:bf(?:loat)?_?)\Z")


def without_pictures(data: bytes) -> bytes:
    """The bytes without the strings that hold a picture. A quote that ends a key stands in no string."""
    out, position = [], 0
    key = data.find(b'"image/')
    while key >= 0:
        picture = _PICTURE.match(data, key)
        if picture is not None:
            out.append(data[position : picture.end()])
            position = max(data.find(b'"', picture.end()), picture.end())
        key = data.find(b'"image/', max(position, key + 1))
    return b"".join([*out, data[position:]])


def speaks_of_bfloat16(data: bytes) -> bool:
    """Whether bfloat16 or bf16 stands anywhere, in capitals or not: quicker than to look for each spelling."""
    return any(_BEFORE.search(data, max(found.start() - 8, 0), found.start()) for found in _SIXTEEN.finditer(data))


def fewest(words: Iterable[bytes]) -> tuple[bytes, ...]:
    """What to look for besides bfloat16, in as few words as find the same and little more.

    Within JSON a quote is escaped; and three letters stand in many an id by chance.
    """
    weaker = (b"flash" if b"flash" in word else word.lstrip(b"\"'").replace(b'"', rb"\"") for word in words)
    return tuple(sorted({word for word in weaker if len(word) > 3 and not speaks_of_bfloat16(word)}))
