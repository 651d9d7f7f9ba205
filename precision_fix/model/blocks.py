"""The blocks of a text: those that matter are parsed, one by one as they are asked for.

`ast.parse` over every file that mentions bfloat16 is most of the price of a large tree. A text is cut into its
definitions at the margin, and classes into their methods. What stands between them is parsed at once, a definition
when something of interest stands in it; the rest is as many empty lines, so that line and column numbers stay. The cut
is made by indentation alone, so it can go wrong where a string or a bracket reaches over lines at the margin; then a
block does not parse, and the text is read as a whole.
"""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from precision_fix.model import newlines

# A line at the margin begins a block, unless it closes a bracket or is a comment. From one line feed to the next these
# are found many times faster than from one beginning of a line to the next.
_FIRST = re.compile(r"[^\s)\]}#]")
_TOP = re.compile(r"\n[^\s)\]}#]")
_METHOD = re.compile(r"\n    [^\s)\]}#]")
_DEFINES = ("def ", "class ", "async ", "@")
_METHOD_DEFINES = ("def ", "async ", "@")
_METHOD_INDENT = 4
_BODY = " " * _METHOD_INDENT + "pass"
_BINDS = (
    re.compile(r"def(?:[ \t]|\\\n)+(\w+)"),
    re.compile(r"class(?:[ \t]|\\\n)+(\w+)"),
    re.compile(r"global(?:[ \t]|\\\n)+((?:[^\n\\;#]|\\\n)*)"),
)
_NAME = re.compile(r"\w+")
_MODULE = re.compile(r"[\w.]+")
_ASSIGNS = re.compile(r"[\s\\)]*(?::|=(?!=))")
_FURTHER = re.compile(r"\.(\w+)")
# What may begin a comment or a string on a line.
_PLAIN = frozenset("#'\"\\")


class NotApart(Exception):
    """A block does not parse by itself: the text is to be read as a whole."""


def occurrences(text: str, words: Iterable[str]) -> Iterator[int]:
    """Where one of the words stands, in no particular order. `str.find` is many times faster than an alternation."""
    for word in words:
        position = text.find(word)
        while position >= 0:
            yield position
            position = text.find(word, position + len(word))


def reads(text: str, name: str) -> Iterator[int]:
    """Where a name stands as a whole word; `.name` asks for an attribute."""
    for position in occurrences(text, (name,)):
        before, after = text[position - 1 : position], text[position + len(name) : position + len(name) + 1]
        if not _is_word(after) and (name.startswith(".") or not _is_word(before)):
            yield position


def bound_at(text: str) -> dict[str, list[int]]:
    """By their names, where functions and classes are defined, and where `global` gives a function's name to the file.

    What else binds a name of the file stands at its margin, and what is there is parsed in any case.
    """
    found: dict[str, list[int]] = {}
    for pattern in _BINDS:
        for each in pattern.finditer(text):
            for name in _NAME.findall(each[1]):
                found.setdefault(name, []).append(each.start())
    return found


def binds_at(text: str, name: str) -> Iterator[int]:
    """Where one name is defined, as `bound_at` says it of all; of a text in which no `global` stands."""
    for position in reads(text, name):
        end = position
        while end and text[end - 1] in " \t\\\n":
            end -= 1
        if text.endswith(("def", "class"), 0, end):
            yield position


def assigned_at(text: str, attribute: str) -> Iterator[int]:
    """Where `.name = value` may stand, or `.name: type`."""
    for position in reads(text, attribute):
        if _ASSIGNS.match(text, position + len(attribute)):
            yield position


def asked_at(text: str, attribute: str, names: Collection[str]) -> Iterator[int]:
    """Where `.name` stands, but for where it is plain that something else is asked of it than one of `names`."""
    for position in reads(text, attribute):
        further = _FURTHER.match(text, position + len(attribute))
        if further is None or further[1] in names:
            yield position


def looked_up_at(text: str, attribute: str) -> Iterator[int]:
    """Where the name stands in quotes, if a file looks up anything by its name."""
    return occurrences(text, (f'"{attribute}"', f"'{attribute}'") if "getattr(" in text else ())


def imports_at(text: str) -> Iterator[tuple[int, str]]:
    """Where imports stand that are not at the margin, each with one of the modules that it names."""
    for position in occurrences(text, ("import ",)):
        line = text[newlines.start_of(text, position, 0) : text.find("\n", position)]
        if line.startswith((" ", "\t")) and line.lstrip().startswith(("import ", "from ")):
            for name in _MODULE.findall(line):
                yield position, name


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def long_strings(text: str) -> list[int]:
    """Where strings in triple double quotes begin and end, by turns; nothing where that is not plain to see.

    Examples in docstrings are most of what a library says of bfloat16. Quotes are counted, not parsed: where one that
    begins may stand in a comment or another string, or some are of the other kind, the count could be off, and all is
    looked at.
    """
    marks: list[int] = []
    position = text.find('"""')
    while position >= 0:
        if len(marks) % 2:
            is_plain = text[position - 1] != "\\"
        else:
            behind = marks[-1] + 3 if marks else 0
            before = text[newlines.start_of(text, position, behind) : position]
            is_plain = _PLAIN.isdisjoint(before)
        if not is_plain:
            return []
        marks.append(position)
        position = text.find('"""', position + 3)
    return marks if len(marks) % 2 == 0 and "'''" not in text else []


@dataclass(slots=True, eq=False)
class Block:
    """A piece of the text. `methods` are those of a class, with their `starts`.

    `plain` pieces are no definitions and are always parsed.
    """

    start: int
    end: int
    plain: bool
    taken: bool = False
    methods: list[Block] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    node: ast.ClassDef | None = None


class Blocks:
    """The blocks of one text, and which of them have been parsed."""

    def __init__(self, text: str) -> None:
        self.text = text
        # What is blanked keeps its line feeds, and the patterns begin a line behind one.
        apart = not newlines.has_lone_returns(text)
        starts = [found.start() + 1 for found in _TOP.finditer(text)] if apart else []
        if apart and _FIRST.match(text):
            starts.insert(0, 0)
        self._strings = long_strings(text)
        starts = [*self._apart(starts)]
        self._quotes = [*occurrences(text, ('"""', "'''"))]
        self._quotes.sort()
        self._blocks = [*_joined(text, starts, len(text), _DEFINES, 0)]
        self._classes: dict[int, Block] = {}
        self._starts = [block.start for block in self._blocks]
        self._head = starts[0] if starts else len(text)

    def take(self, positions: Iterable[int]) -> str:
        """The text with every definition blanked that none of the positions falls into; the others count as taken."""
        places = sorted(positions)
        out = [self.text[: self._head]]
        for block in self._blocks:
            if block.plain or _holds(places, block):
                out.append(self._taken(block, places))
            else:
                out.append(self._blank(block))
        return "".join(out)

    def missing(self, positions: Iterable[int]) -> list[tuple[Block, Block | None]]:
        """The blocks at these positions that have not been taken, each with the class that it is a method of."""
        found: dict[int, tuple[Block, Block | None]] = {}
        for position in positions:
            index = bisect_right(self._starts, position) - 1
            block = self._blocks[index] if index >= 0 else None
            if block is None:
                continue
            if not block.taken:
                found[block.start] = block, None
            elif block.methods:
                at = bisect_right(block.starts, position) - 1
                if at >= 0 and not block.methods[at].taken and not block.methods[at].plain:
                    found[block.methods[at].start] = block.methods[at], block
        return [found[start] for start in sorted(found)]

    def parse(self, block: Block, around: Block | None, positions: Iterable[int]) -> list[ast.stmt]:
        """The statements of a block, at the lines where they stand. Raises NotApart."""
        lines = self.text.count("\n", 0, block.start)
        if around is None:
            return parsed("\n" * lines + self._taken(block, sorted(positions))).body
        block.taken = True
        body = self.text[block.start : block.end]
        holder = parsed("\n" * (lines - 1) + "class _:\n" + body).body[0]
        assert isinstance(holder, ast.ClassDef)
        return holder.body

    def class_node(self, node: ast.ClassDef) -> None:
        """Remember the node of a class, whose methods may follow one by one."""
        # `ast` counts the line of the keyword; decorators stand above it.
        first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        if first in self._classes:
            self._classes[first].node = node

    def _taken(self, block: Block, places: list[int]) -> str:
        block.taken = True
        text = self.text
        if block.plain or not _class_at(text, block):
            return text[block.start : block.end]
        starts = [*self._apart(found.start() + 1 for found in _METHOD.finditer(text, block.start, block.end))]
        if not starts:
            return text[block.start : block.end]
        block.methods = [*_joined(text, starts, block.end, _METHOD_DEFINES, _METHOD_INDENT)]
        block.starts = [method.start for method in block.methods]
        self._classes[text.count("\n", 0, block.start) + 1] = block
        out = [text[block.start : starts[0]]]
        first = next((method for method in block.methods if not method.plain), None)
        for method in block.methods:
            if method.plain or _holds(places, method):
                method.taken = True
                out.append(text[method.start : method.end])
            else:
                blank = self._blank(method)
                # A class has to have a body; what stands before its first method may be its bases, or a decorator's.
                out.append(_BODY + blank if method is first and not method.taken else blank)
        return "".join(out)

    def _apart(self, starts: Iterable[int]) -> Iterator[int]:
        """Those that do not stand in a long string, nor where it ends."""
        return (start for start in starts if not bisect_left(self._strings, start) % 2)

    def _blank(self, block: Block) -> str:
        """As many empty lines, unless an odd number of triple quotes says that it begins or ends within a string."""
        text = self.text
        quotes = self._quotes[bisect_left(self._quotes, block.start) : bisect_left(self._quotes, block.end)]
        doubles = sum(text[place] == '"' for place in quotes)
        if doubles % 2 or (len(quotes) - doubles) % 2:
            block.taken = True
            return text[block.start : block.end]
        return "\n" * text.count("\n", block.start, block.end)


def _joined(text: str, starts: list[int], end: int, defines: tuple[str, ...], indent: int) -> Iterator[Block]:
    """The pieces between the starts; a decorator belongs to the definition that it stands above."""
    first: int | None = None
    for start, stop in pairwise([*starts, end]):
        is_decorator = text.startswith("@", start + indent)
        if first is None and is_decorator:
            first = start
        if not is_decorator:
            yield Block(start if first is None else first, stop, not text.startswith(defines, start + indent))
            first = None
    if first is not None:
        yield Block(first, end, True)


def _class_at(text: str, block: Block) -> bool:
    return text.startswith("class ", block.start) or text.find("\nclass ", block.start, block.end) >= 0


def _holds(places: list[int], block: Block) -> bool:
    index = bisect_left(places, block.start)
    return index < len(places) and places[index] < block.end


def parsed(text: str) -> ast.Module:
    """`ast.parse` for a part of a text. Raises NotApart."""
    try:
        with warnings.catch_warnings():
            # An invalid escape in somebody's string is not ours to report.
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise NotApart from None
