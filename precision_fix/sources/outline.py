"""The part of a file that matters: the rest is blanked out, so that parsing costs what the sites are worth.

`ast.parse` over every file that mentions bfloat16 is most of the price of a large tree. A top-level function or class,
or a method of a class, in which nothing of interest stands is replaced by as many empty lines: what remains has the
same line and column numbers. The cut is made by indentation alone, so it can go wrong where a string or a bracket
reaches over lines at the margin; then the remainder does not parse, and the caller takes the whole text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator

from precision_fix.model import newlines

# A line at the margin begins a block, unless it closes a bracket or is a comment.
_TOP = re.compile(r"^[^\s)\]}#]", re.MULTILINE)
_METHOD = re.compile(r"^    [^\s)\]}#]", re.MULTILINE)
_DEFINES = ("def ", "class ", "async ", "@")
_WORD = re.compile(r"\w+")
# So many names are looked for one by one: `str.find` is much faster than going from word to word.
_FEW = 32
_METHOD_DEFINES = tuple("    " + word for word in ("def ", "async ", "@"))


def occurrences(text: str, words: Iterable[str]) -> Iterator[int]:
    """Where one of the words stands, in no particular order. `str.find` is many times faster than an alternation."""
    for word in words:
        position = text.find(word)
        while position >= 0:
            yield position
            position = text.find(word, position + len(word))


def whole(text: str, names: Collection[str]) -> Iterator[int]:
    """Where names stand in a text, whole; or attributes, which begin in a dot."""
    if len(names) > _FEW:
        yield from _many(text, names)
        return
    for name in names:
        for position in occurrences(text, (name,)):
            begins = name[0] == "." or not _WORD.match(text[position - 1 : position])
            if begins and not _WORD.match(text, position + len(name)):
                yield position


def _many(text: str, names: Iterable[str]) -> Iterator[int]:
    """The same by going through the text once for all names."""
    by_first: dict[str, list[tuple[str, int]]] = {}
    for name in names:
        first = _WORD.search(name)
        if first is not None:
            by_first.setdefault(first[0], []).append((name, first.start()))
    for word in _WORD.finditer(text):
        for name, before in by_first.get(word[0], ()):
            start = word.start() - before
            if text.startswith(name, start) and not _WORD.match(text, start + len(name)):
                yield start


def long_strings(text: str) -> list[int]:
    """Where strings in triple double quotes begin and end, by turns; nothing where that is not plain to see.

    Examples in docstrings are most of what a library says of bfloat16. Quotes are counted, not parsed: where some
    stand in a comment or another string, or are of the other kind, the count could be off, and all is looked at.
    """
    marks: list[int] = []
    position = text.find('"""')
    while position >= 0:
        before = text[newlines.start_of(text, position) : position]
        if "#" in before or "'" in before or '"' in before or "\\" in before:
            return []
        marks.append(position)
        position = text.find('"""', position + 3)
    return marks if len(marks) % 2 == 0 and "'''" not in text else []


def outline(text: str, hits: Iterable[int]) -> str:
    """The text with every definition blanked that none of the positions `hits` falls into."""
    # What is blanked keeps its line feeds, and the patterns begin a line behind one.
    if newlines.has_lone_returns(text):
        return text
    places = sorted(hits)
    starts = [found.start() for found in _TOP.finditer(text)]
    if not places or not starts:
        return text
    out = [text[: starts[0]]]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        if not text.startswith(_DEFINES, start):
            out.append(text[start:end])
        elif not _holds(places, start, end):
            out.append(_blank(text[start:end]))
        elif text.startswith("class ", start):
            out.append(_class(text, start, end, places))
        else:
            out.append(text[start:end])
    return "".join(out)


def _class(text: str, start: int, end: int, places: list[int]) -> str:
    starts = [found.start() for found in _METHOD.finditer(text, start, end)]
    if not starts:
        return text[start:end]
    out = [text[start : starts[0]]]
    for first, last in zip(starts, [*starts[1:], end], strict=True):
        plain = _holds(places, first, last) or not text.startswith(_METHOD_DEFINES, first)
        out.append(text[first:last] if plain else _blank(text[first:last]))
    return "".join(out)


def _holds(places: list[int], start: int, end: int) -> bool:
    index = bisect_left(places, start)
    return index < len(places) and places[index] < end


def _blank(block: str) -> str:
    """As many empty lines, unless an odd number of triple quotes says that the block begins or ends within a string."""
    if block.count('"""') % 2 or block.count("'''") % 2:
        return block
    return "\n" * block.count("\n")
