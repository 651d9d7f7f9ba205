"""What the bytes of a Python file say before anything of it is parsed: its imports, its classes, its functions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from sys import intern
from typing import NamedTuple

from precision_fix.model.entry_points import is_started

_ATTENDS = b"flash_attention_2"
_MAIN = b"__main__"
_NODES = b"NODE_CLASS_MAPPINGS"
_LOADERS = (b"import_module(", b"__import__(", b"spec_from_file_location(", b"uvicorn.run(")
# What stands before the word `import` where it begins a statement, or ends `from module`.
_BEFORE = re.compile(rb"(?:^|[:;\n])[ \t]*(?:from[ \t\\\n]+([^\s#;:]+)[ \t\\\n]*)?$")
_LISTED = re.compile(rb"[ \t]*\(((?:[^)#]|#[^\n]*)*)\)")
_PLAIN = re.compile(rb"(?:[^\n\\;#]|\\\n)*")
_COMMENT = re.compile(rb"#[^\n]*")
_FUNCTION = re.compile(rb"def ([A-Za-z_]\w*)\(")
_CLASS = re.compile(rb"[ \t]*class[ \t]+(\w+)[ \t]*(\()?")
_INDEX = re.compile(rb"\[[^\[\]]*\]")
_BASE = re.compile(rb"\s*([\w.]+)\s*(?:,|$)")
_KEYWORD = re.compile(rb"\s*[\w.]+\s*=")
_LONGEST_BASES = 4_000
_LONGEST_MODULE = 400


class Import(NamedTuple):
    """One name that is imported: what the file calls it, the dotted name that it stands for, and all that it brings.

    `import a.b` binds `a`, which stands for `a`, and brings `a.b`. `margin` says that it stands in no block.
    """

    local: str
    target: str
    brings: str
    margin: bool


class Facts(NamedTuple):
    """`stars` are the modules of which all is imported, `classes` have their bases as they are written.

    `attends` says that flash attention is named, `is_started` that it begins something when it is started as a program,
    `is_node_pack` that it offers nodes to ComfyUI, `loads` that it imports by names that it works out.
    """

    imports: tuple[Import, ...]
    stars: tuple[str, ...]
    classes: tuple[tuple[str, tuple[str, ...]], ...]
    functions: frozenset[str]
    attends: bool
    is_started: bool
    is_node_pack: bool
    loads: bool

    def imports_of(self, local: str) -> list[Import]:
        return [each for each in self.imports if each.local == local]


NOTHING = Facts((), (), (), frozenset(), attends=False, is_started=False, is_node_pack=False, loads=False)


def facts_of(data: bytes) -> Facts:
    """What a file says. Text within strings counts as if it was none: there may be too much, hardly too little."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    imports: list[Import] = []
    stars: list[str] = []
    for each in _imports(data):
        if each.local == "*":
            stars.append(each.target)
        else:
            imports.append(each)
    functions = frozenset(map(_text, set(_FUNCTION.findall(data))))
    return Facts(
        tuple(imports),
        tuple(stars),
        tuple(_classes(data)),
        functions,
        attends=_ATTENDS in data,
        is_started=_MAIN in data and is_started(data),
        is_node_pack=_NODES in data,
        loads=any(each in data for each in _LOADERS),
    )


def _text(name: bytes) -> str:
    return intern(name.decode(errors="replace"))


def _places(data: bytes, word: bytes) -> Iterator[tuple[int, int]]:
    """Where a word stands, each with the start of its line: to find it is far cheaper than a pattern for lines."""
    at = data.find(word)
    while at >= 0:
        yield data.rfind(b"\n", 0, at) + 1, at
        at = data.find(word, at + len(word))


def _imports(data: bytes) -> Iterator[Import]:
    for start, at in _places(data, b"import"):
        if data[at + 6 : at + 7] not in (b" ", b"\t", b"(", b"\\", b"*"):
            continue
        while data.endswith(b"\\\n", 0, start):
            start = data.rfind(b"\n", 0, start - 1) + 1
        line = data[max(start, at - _LONGEST_MODULE) : at]
        before = _BEFORE.search(line)
        if before is None:
            continue
        margin = len(line) == at - start and before.start() == 0 and line[:1] not in (b" ", b"\t")
        listed = _LISTED.match(data, at + 6)
        names = listed[1] if listed else _PLAIN.match(data, at + 6)[0].replace(b"\\\n", b" ")  # type: ignore[index]
        for words in map(bytes.split, _COMMENT.sub(b"", names).split(b",")):
            if words:
                yield _import(before[1], words, margin)


def _import(module: bytes | None, words: list[bytes], margin: bool) -> Import:
    name, alias = _text(words[0]), _text(words[2]) if len(words) > 2 else ""
    if module is None:
        first = intern(name.partition(".")[0])
        return Import(alias or first, name if alias else first, name, margin)
    base = _text(module)
    if name == "*":
        return Import("*", base, base, margin)
    full = intern(base + name if base.endswith(".") else f"{base}.{name}")
    # `from .compat import torch` brings torch, whatever the way.
    return Import(alias or name, "torch" if name == "torch" else full, full, margin)


def _classes(data: bytes) -> Iterator[tuple[str, tuple[str, ...]]]:
    for start, at in _places(data, b"class "):
        found = _CLASS.match(data, start)
        if found is not None and found.start(1) > at:
            bases = _bases(data, found.end()) if found[2] else ()
            yield _text(found[1]), tuple(bases)


def _bases(data: bytes, start: int) -> Iterator[str]:
    """The bases of a class from behind its bracket; of one that is computed nothing is known."""
    depth, end = 1, start
    for end in range(start, min(len(data), start + _LONGEST_BASES)):
        depth += {40: 1, 91: 1, 41: -1, 93: -1}.get(data[end], 0)
        if depth == 0:
            break
    text = _COMMENT.sub(b"", data[start:end])
    while (without := _INDEX.sub(b"", text)) != text:
        text = without
    position = 0
    while position < len(text):
        base = _BASE.match(text, position)
        if base is None or _KEYWORD.match(text, position):
            comma = text.find(b",", position)
            position = comma + 1 if comma >= 0 else len(text)
            continue
        yield _text(base[1])
        position = base.end()
