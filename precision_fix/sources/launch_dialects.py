"""How Makefiles, Dockerfiles, batch files and PowerShell hold the command lines that are read as shell.

Each is cut into lines, continued ones joined; what is no command or assignment is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from precision_fix.sources.analysis import Unparsable
from precision_fix.sources.shell import POSIX, POWERSHELL, WINDOWS, Command, Dialect, Word, commands

_MAKE = re.compile(r"(?:^|[/\\])(?:GNUm|[mM])akefile$|\.mk$")
_DOCKER = re.compile(r"(?:^|[/\\])(?:Dockerfile|Containerfile)(?:\.[^/\\]*)?$|\.[dD]ockerfile$")


def read(path: str, text: str) -> tuple[Dialect, list[Command]]:
    """The commands of a file, by its name. Raises Unparsable."""
    if _MAKE.search(path):
        return POSIX, list(_makefile(text))
    if _DOCKER.search(path):
        return POSIX, list(_dockerfile(text))
    if path.lower().endswith((".bat", ".cmd")):
        return WINDOWS, list(_batch(text))
    if path.lower().endswith(".ps1"):
        return POWERSHELL, list(_powershell(text))
    return POSIX, commands(text)


def _logical(text: str, escape: str) -> Iterator[tuple[int, int]]:
    """Where each line with those that continue it begins and ends, without the line break."""
    start = position = 0
    while position <= len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        stop = end - 1 if text[end - 1 : end] == "\r" else end
        position = end + 1
        if stop > start and text[stop - 1] == escape and end < len(text):
            continue
        yield start, stop
        start = position


def _joined(text: str, start: int, end: int, escape: str) -> tuple[str, list[int]]:
    """The characters of a continued line, and the offset of each."""
    at = list(range(start, end))
    for match in re.finditer(re.escape(escape) + r"\r?\n", text[start:end]):
        for index in range(match.start(), match.end()):
            at[index] = -1
    kept = [offset for offset in at if offset >= 0]
    return "".join(text[offset] for offset in kept), kept


def _in_shell(text: str, at: Sequence[int], dialect: Dialect = POSIX) -> list[Command]:
    try:
        return commands(text, at, dialect)
    except Unparsable:
        # A line of these files may hold what is no shell; the others are read all the same.
        return []


def _assignment(name: str, value: Word) -> Command:
    """`NAME=value` as the shell has it, for a file that writes it in another way."""
    at = [*[value.start] * (len(name) + 1), *value.at]
    return Command([Word(f"{name}={value.text}", at, value.start, value.end, value.quoted)])


# make

_MAKE_ASSIGNS = re.compile(
    r"(?:[\w.%/ $()-]+:[ \t]*)?(?:(export|override|private)[ \t]+)?([A-Za-z_]\w*)[ \t]*(?:\?|:{1,3}|\+|!)?=[ \t]*"
)


def _makefile(text: str) -> Iterator[Command]:
    for start, end in _logical(text, "\\"):
        if text[start : start + 1] == "\t":
            first = start + len(text[start:end]) - len(text[start:end].lstrip("\t @+-"))
            yield from _in_shell(text[first:end], range(first, end))
            continue
        line, at = _joined(text, start, end, "\\")
        match = _MAKE_ASSIGNS.match(line)
        if match is None:
            continue
        value = re.split(r"(?:^|\s)#", line[match.end() :], maxsplit=1)[0].rstrip()
        word = Word(value, at[match.end() : match.end() + len(value)], *_extent(at, match.end(), len(value), end))
        each = _assignment(match[2], word)
        if match[1] == "export":
            each.words.insert(0, Word("export", (), start, start))
        yield each


def _extent(at: Sequence[int], first: int, length: int, end: int) -> tuple[int, int]:
    return (at[first], at[first + length - 1] + 1) if length else (end, end)


# Docker

_INSTRUCTION = re.compile(r"[ \t]*(?:ONBUILD[ \t]+)?([A-Za-z]+)[ \t]+")
_ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"')


def _dockerfile(text: str) -> Iterator[Command]:
    escape = "`" if re.match(r"(?:#[^\n]*\n)*#[ \t]*escape[ \t]*=[ \t]*`", text) else "\\"
    behind = 0
    for start, end in _logical(_without_comments(text), escape):
        match = _INSTRUCTION.match(text, start, end)
        if match is None or start < behind:
            continue
        name, first = match[1].upper(), match.end()
        if name == "HEALTHCHECK" and " CMD " in text[first:end]:
            first = text.index(" CMD ", first) + 5
            name = "CMD"
        if name in ("RUN", "CMD", "ENTRYPOINT", "SHELL"):
            if text.startswith("[", first):
                yield Command([_item(text, each) for each in _ITEM.finditer(text, first, end)], listed=True)
                continue
            behind = _here_document(text, first, end)
            stop = max(end, behind)
            yield from _in_shell(_without_comments(text[first:stop]), range(first, stop))
        elif name in ("ENV", "ARG"):
            yield from _environment(text, name, start, first, end)


def _without_comments(text: str) -> str:
    """The text with its comment lines blanked: between continued lines they do not count."""
    return re.sub(
        r"(?m)^([ \t]*)#[^\n]*\n",
        lambda match: " " * (len(match[0]) - 2) + "\\\n" if len(match[0]) > 1 else match[0],
        text,
    )


def _item(text: str, match: re.Match[str]) -> Word:
    at = () if "\\" in match[1] else range(match.start(1), match.end(1))
    return Word(match[1], at, match.start(), match.end(), True)


def _here_document(text: str, first: int, end: int) -> int:
    found = re.search(r"<<-?[\"']?(\w+)[\"']?", text[first:end])
    last = re.compile(rf"(?m)^\t*{found[1]}[ \t\r]*$").search(text, end) if found else None
    return last.end() if last else 0


def _environment(text: str, name: str, start: int, first: int, end: int) -> Iterator[Command]:
    """`ENV NAME=value ...`, and `ENV NAME value` as it was written before."""
    old = re.compile(r"([A-Za-z_]\w*)[ \t]+(?=[^=\s])").match(text, first, end)
    if old is None or name == "ARG":
        yield from _in_shell(text[start:end], range(start, end))
        return
    value = text[old.end() : end].rstrip()
    word = Word(value, range(old.end(), old.end() + len(value)), old.end(), old.end() + len(value))
    each = _assignment(old[1], word)
    each.words.insert(0, Word(name, (), start, start))
    yield each


# Windows

_SET = re.compile(r"(?i)[ \t@(]*set[ \t]+(?:/[a-z][ \t]+)?(\"?)([A-Za-z_]\w*)=")
_REMARK = re.compile(r"(?i)[ \t@(]*(?:rem\b|::)")


def _batch(text: str) -> Iterator[Command]:
    for start, end in _logical(text, "^"):
        if _REMARK.match(text, start, end):
            continue
        match = _SET.match(text, start, end)
        if match is None:
            yield from _in_shell(
                text[start:end].replace("@", " ", 1) if text[start:end].lstrip()[:1] == "@" else text[start:end],
                range(start, end),
                WINDOWS,
            )
            continue
        last = text.rfind('"', match.end(), end) if match[1] else end
        last = end if last < 0 else last
        line, at = _joined(text, match.end(), last, "^")
        value = line.rstrip(" \t)" if "(" in match[0] else " \t")
        word = Word(value, at[: len(value)], *_extent(at, 0, len(value), last))
        each = _assignment(match[2], word)
        each.words.insert(0, Word("set", (), start, start))
        yield each


_POWERSHELL_SETS = re.compile(r"[ \t]*\$(env:|script:|global:)?([A-Za-z_]\w*)[ \t]*\+?=[ \t]*")
_STRING = re.compile(r"\"([^\"`$]*)\"|'([^']*)'")


def _powershell(text: str) -> Iterator[Command]:
    blanked = re.sub(r"<#.*?#>", lambda match: re.sub(r"[^\n]", " ", match[0]), text, flags=re.DOTALL)
    for start, end in _logical(blanked, "`"):
        match = _POWERSHELL_SETS.match(blanked, start, end)
        if match is None:
            yield from _in_shell(blanked[start:end], range(start, end), POWERSHELL)
            continue
        if blanked.startswith("@(", match.end()):
            closing = blanked.find(")", match.end())
            items = [_quoted(each) for each in _STRING.finditer(blanked, match.end(), max(end, closing))]
            yield Command(items, listed=True, array=match[2])
            continue
        string = _STRING.match(blanked, match.end(), end)
        if string is not None and not blanked[string.end() : end].strip(" ;"):
            each = _assignment(match[2], _quoted(string))
            if match[1] == "env:":
                each.words.insert(0, Word("export", (), start, start))
            yield each


def _quoted(match: re.Match[str]) -> Word:
    group = 1 if match[1] is not None else 2
    return Word(match[group], range(match.start(group), match.end(group)), match.start(), match.end(), True)
