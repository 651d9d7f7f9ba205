"""Bytes of a source file to text and back, without losing one.

Line endings are left as they are, the byte order mark is remembered, and the encoding is the one that
Python would take: UTF-8, or what a coding line (PEP 263) says. A text that does not come back as the same
bytes is refused here, before anybody edits it: some codecs read several spellings of one text and write
one of them.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

_CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_COMMENT_OR_BLANK = re.compile(rb"^[ \t\f]*(?:#|$)")
_END_OF_LINE = re.compile(rb"\r\n|\r|\n")
_WIDE_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16, whose mark is how it begins
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
# For these, what was decoded is known to encode to the same bytes.
_FAITHFUL = frozenset(("utf-8", "iso-8859-1", "ascii"))


class Undecodable(ValueError):
    """The bytes are no source text. The message is one line without the path."""


@dataclass(frozen=True, slots=True)
class SourceText:
    """A decoded source file; `encode` gives another text as bytes, in the same encoding and with the mark."""

    text: str
    encoding: str
    bom: bool

    def encode(self, new_text: str) -> bytes:
        """Raises Undecodable when the encoding has no bytes for a character of the new text."""
        try:
            data = new_text.encode(self.encoding)
        except UnicodeEncodeError as error:
            character = ascii(error.object[error.start])
            raise Undecodable(f"{self.encoding}, the encoding of this file, has no {character}") from None
        return codecs.BOM_UTF8 + data if self.bom else data


def decode(data: bytes, *, coding: bool = True) -> SourceText:
    """The text of a source file; `coding` says that a coding line counts, as it does in Python alone.

    Raises Undecodable for NUL bytes, UTF-16 and UTF-32, bytes that the encoding does not have, a coding
    line that names no text encoding or contradicts the byte order mark, and an encoding that would not
    give the bytes back.
    """
    for mark, name in _WIDE_MARKS:
        if data.startswith(mark):
            reader = "Python does not read" if coding else "is not read"
            raise Undecodable(f"is {name}, which {reader}: save it as UTF-8")
    nul = data.find(0)
    if nul >= 0:
        raise Undecodable(f"holds a NUL byte at offset {nul}: is it a binary file?")
    bom = data.startswith(codecs.BOM_UTF8)
    body = data[3:] if bom else data
    cookie = _cookie(body) if coding else None
    encoding = "utf-8" if cookie is None else _known(cookie)
    if bom and encoding != "utf-8":
        raise Undecodable(f"begins with the byte order mark of UTF-8, but its coding line says {cookie}")
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        offset = len(data) - len(body) + error.start
        line = len(_END_OF_LINE.findall(data, 0, offset)) + 1
        said = "is not UTF-8" if cookie is None else f"is not the {cookie} that its coding line says"
        hint = ", and no coding line says what it is" if coding and cookie is None else ""
        # A codec may count in its own way, and point behind the end.
        byte = f"byte 0x{data[offset]:02x} at " if offset < len(data) else ""
        raise Undecodable(f"{said}: {byte}offset {offset} (line {line}){hint}") from None
    except (
        ValueError,
        LookupError,
    ) as error:  # codecs that are no text encodings, or fail in ways of their own
        raise Undecodable(f"cannot be read as the {cookie} that its coding line says: {_one_line(error)}") from None
    if encoding not in _FAITHFUL:
        _check_faithful(body, text, encoding, cookie)
    return SourceText(text, encoding, bom)


def _cookie(body: bytes) -> str | None:
    """What the coding line says. It is the first line, or the second below a comment or a blank one."""
    start = 0
    for _ in range(2):
        end = _END_OF_LINE.search(body, start)
        line = body[start : end.start() if end else len(body)]
        match = _CODING.match(line)
        if match:
            return match[1].decode("ascii", "backslashreplace")
        if end is None or not _COMMENT_OR_BLANK.match(line):
            return None
        start = end.end()
    return None


def _known(cookie: str) -> str:
    """The encoding by the name under which Python's tokenizer knows it."""
    name = cookie[:12].lower().replace("_", "-")
    if name == "utf-8" or name.startswith("utf-8-"):
        return "utf-8"
    if re.match(r"(latin-1|iso-8859-1|iso-latin-1)(-|$)", name):
        return "iso-8859-1"
    try:
        found = codecs.lookup(cookie).name
    except (LookupError, ValueError):
        raise Undecodable(f"its coding line names an unknown encoding: {cookie}") from None
    return found


def _check_faithful(body: bytes, text: str, encoding: str, cookie: str | None) -> None:
    try:
        same = text.encode(encoding) == body
    except (ValueError, LookupError):
        same = False
    if not same:
        raise Undecodable(f"its text does not come back as the same bytes in {cookie}: save it as UTF-8")
    if cookie is not None and cookie not in text:  # UTF-16, EBCDIC: not what Python reads behind such a line
        raise Undecodable(f"its coding line says {cookie}, in which that very line reads as something else")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
