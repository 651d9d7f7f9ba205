"""What IPython adds to Python, and Python with as many characters in its place.

`%magic`, `!command` and `help?` count at the beginning of a statement or behind its first `=`, and nowhere else: a `%`
on the second line of an expression is a modulo. These are the rules of IPython/core/inputtransformer2.py. What stands
in their place has the same length and as many lines, so that a place in one text is a place in the other.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto


class Kind(Enum):
    """What a part of a cell is, that is not Python of the notebook."""

    SHELL = auto()
    """Commands of a shell: `!python train.py`, the body of `%%bash`."""
    RUN = auto()
    """The words of `%run`: a script and its options."""
    VARIABLE = auto()
    """The words of `%env`: NAME=VALUE or NAME VALUE."""
    FILE = auto()
    """The content of a file: the body of `%%writefile`, or of a cell in another language or process."""
    UNKNOWN = auto()
    """The body of a cell magic that is not known."""


@dataclass(frozen=True, slots=True)
class Part:
    """Characters of a cell from `start` up to `end`; `name` is that of the file or of the magic."""

    kind: Kind
    start: int
    end: int
    name: str = ""


@dataclass(slots=True)
class Code:
    """A cell as it is understood: its Python, of the length of the cell, and what else there is."""

    python: str
    parts: list[Part] = field(default_factory=list)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SPECIAL = re.compile(r"^[ \t]*[%!?,;/]|=[ \t]*[%!]|\?[ \t]*$", re.MULTILINE)
# A comment above it is one more than IPython allows; Colab's forms begin with one.
_CELL_MAGIC = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*(%%(?!\S*\?)([^\s]*)[ \t]*([^\r\n]*))(?:\r?\n|\Z)")
_LINE_MAGIC = re.compile(r"%{1,2}(\S*)[ \t]*")
# Their body is Python of the notebook.
_WITH_PYTHON = _words(
    "time timeit capture prun memit mprun lprun snakeviz scalene heat wandb debug ipytest manim px pyinstrument"
    " notify skip mlflow"
)
_WITH_SHELL = _words("bash sh zsh shell system sx !")
# Their body is as good as a file of this name.
_AS_FILE = {"python": "cell.py", "python3": "cell.py", "pypy": "cell.py", "cu": "cell.cu", "cuda": "cell.cu"}
_OTHER = _words(
    "html HTML svg SVG latex markdown md javascript js css perl ruby R r julia octave matlab sql bigquery cython cmd"
    " powershell mermaid text fortran cpp c c++ rust"
)
# Their argument is a statement, behind options.
_OF_STATEMENTS = _words("time timeit prun memit lprun mprun debug")
_SCRIPT = re.compile(r"(?:--(?:out|err|proc)[ =]\S+ +|--\S+ +)*(?:\S*/)?(?:env +)?([\w.]+)")


def understand(text: str) -> Code:
    """Tell Python from the rest of a cell."""
    if _SPECIAL.search(text) is None:
        return Code(text)
    parts: list[Part] = []
    out: list[str] = []
    position = 0
    # `%%capture` above `%%time`: each is about what comes below it.
    while (found := _CELL_MAGIC.match(text, position)) is not None:
        name, start, end = found[2], found.start(1), found.end(1)
        if name not in _WITH_PYTHON:
            parts += _body(name, found[3], found.end(), len(text))
            out.append(_blank(text[position:]))
            return Code("".join(out), parts)
        out += [text[position:start], _magic(text, start, end, parts), text[end : found.end()]]
        position = found.end()
    for start, end, python in _special(text, position, parts):
        out += [text[position:start], python]
        position = end
    return Code("".join([*out, text[position:]]), parts)


def _body(name: str, line: str, start: int, end: int) -> Iterator[Part]:
    """What the body of a cell magic is."""
    if name == "script":
        program = _SCRIPT.match(line)
        name = program[1] if program else ""
        if name not in _WITH_SHELL and name not in _AS_FILE:
            return
    if name in _WITH_SHELL:
        yield Part(Kind.SHELL, start, end)
    elif name in ("writefile", "file"):
        yield Part(Kind.FILE, start, end, line.strip().rpartition(" ")[2].strip("\"'"))
    elif name in _AS_FILE:
        yield Part(Kind.FILE, start, end, _AS_FILE[name])
    elif name not in _OTHER:
        yield Part(Kind.UNKNOWN, start, end, f"%%{name}")


def _special(text: str, position: int, parts: list[Part]) -> Iterator[tuple[int, int, str]]:
    """The extents of what is not Python, from a position on, and what stands in its place."""
    while position < len(text):
        begin = _INDENT.match(text, position).end()  # type: ignore[union-attr]
        if text[begin : begin + 1] in _ESCAPES:
            end = _end_of_continued_line(text, begin)
            yield begin, end, _escaped(text, begin, end, parts)
        else:
            end, special = _end_of_statement(text, begin)
            if special is not None:
                # `obj?` is special from its beginning, `x = !ls` behind the `=`.
                end = max(end, _end_of_continued_line(text, special))
                yield special, end, _escaped(text, special, end, parts)
        position = end + 2 if text.startswith("\r\n", end) else end + 1


def _escaped(text: str, start: int, end: int, parts: list[Part]) -> str:
    """What stands in the place of `%magic` and `!command`."""
    if text.startswith("%", start) and not text.endswith("?", start, end):
        return _magic(text, start, end, parts)
    if text.startswith("!", start):
        parts.append(Part(Kind.SHELL, start + (2 if text.startswith("!!", start) else 1), end))
    return "0" + _blank(text[start + 1 : end])


def _magic(text: str, start: int, end: int, parts: list[Part]) -> str:
    found = _LINE_MAGIC.match(text, start, end)
    assert found is not None
    name, arguments = found[1], found.end()
    if name == "run":
        parts.append(Part(Kind.RUN, arguments, end))
    elif name in ("env", "set_env"):
        parts.append(Part(Kind.VARIABLE, arguments, end))
    elif name in _WITH_SHELL:
        parts.append(Part(Kind.SHELL, arguments, end))
    elif name in _OF_STATEMENTS and arguments < end:
        statement = _statement(text[arguments:end])
        if statement is not None:
            begin = arguments + statement
            # Another statement on the same line: what comes before it has no meaning to Python.
            return "0" + _blank(text[start + 1 : begin - 1]) + ";" + text[begin:end]
        parts.append(Part(Kind.UNKNOWN, arguments, end, f"%{name}"))
    return "0" + _blank(text[start + 1 : end])


def _statement(arguments: str) -> int | None:
    """Where the statement begins behind the options of `%timeit -n 10 -o f(x)`; None where there is none."""
    is_value = False
    for word in _WORD.finditer(arguments):
        if word[0].startswith("-"):
            is_value = True
        elif _is_simple(arguments[word.start() :]):
            return word.start()
        elif not is_value:
            return None
        else:
            is_value = False
    return None


def _is_simple(code: str) -> bool:
    """Whether a text is one or more simple statements."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return bool(body) and not any(hasattr(statement, "body") for statement in body)


_WORD = re.compile(r"\S+")
_INDENT = re.compile(r"[ \t\f]*")
_ESCAPES = frozenset("%!?,;/")
_LINE_END = re.compile(r"\r\n|\r|\n|\Z")
_TOKEN = re.compile(
    r"""(?P<string>\"""|\'''|"|')|(?P<comment>\#[^\r\n]*)|(?P<open>[(\[{])|(?P<close>[)\]}])"""
    r"""|(?P<joined>\\(?:\r\n|\r|\n))|(?P<end>\r\n|\r|\n)|(?P<assign>(?<![=!<>:+\-*/%&|^@])=(?!=)[ \t]*)""",
    re.VERBOSE,
)
_STRING_ENDS = {
    quote: re.compile(rf"\\(?:\r\n|.)|{quote}" + ("" if len(quote) == 3 else r"|(?=[\r\n])"), re.DOTALL)
    for quote in ('"""', "'''", '"', "'")
}


def _end_of_continued_line(text: str, start: int) -> int:
    """Where the line ends that begins at `start`, with the lines that a backslash adds to it."""
    while True:
        end = _LINE_END.search(text, start)
        assert end is not None
        if not text.endswith("\\", start, end.start()) or end.start() == len(text):
            return end.start()
        start = end.end()


def _end_of_statement(text: str, position: int) -> tuple[int, int | None]:
    """Where a statement of Python ends, and where in it something special begins: `obj?`, or `!ls` behind its `=`."""
    begin, depth, assigned, comment = position, 0, False, False
    while (found := _TOKEN.search(text, position)) is not None:
        position = found.end()
        match found.lastgroup:
            case "string":
                end = _end_of_string(text, position, found[0])
                if end is None:
                    return len(text), None
                position = end
            case "open":
                depth += 1
            case "close":
                depth = max(depth - 1, 0)
            case "comment":
                comment = True
            case "end" if depth == 0:
                return found.start(), _help(text, begin, found.start(), comment)
            case "end":
                comment = False
            case "assign" if depth == 0 and not assigned:
                assigned = True
                if _ASSIGNED.match(text, position):
                    return position, position
    return len(text), _help(text, begin, len(text), comment or depth > 0)


def _help(text: str, begin: int, end: int, apart: bool) -> int | None:
    return begin if not apart and _HELP.search(text, begin, end) else None


_HELP = re.compile(r"[\w*\]]\?\??\Z")
_ASSIGNED = re.compile(r"!|%[^\W\d]")


def _end_of_string(text: str, position: int, quote: str) -> int | None:
    ends = (found.end() for found in _STRING_ENDS[quote].finditer(text, position) if not found[0].startswith("\\"))
    return next(ends, None)


def _blank(text: str) -> str:
    return _INK.sub(" ", text)


_INK = re.compile(r"[^\r\n]")
