"""The programs of a project, as launch lines start them: their files, what those import, which options they declare."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from precision_fix import door
from precision_fix.model.declared import declarations, declared, spellings
from precision_fix.model.module import Module
from precision_fix.model.setting import Declaration, Declared, Takes, plain
from precision_fix.model.trace import Trace
from precision_fix.project.facts import NOTHING
from precision_fix.project.imports import MOST_BYTES, Imports
from precision_fix.project.names import Names

# What is written as the name of an option, a field or a parameter, and where there may be one at all.
_OPTION = re.compile(rb"[\"']--?([A-Za-z][\w-]*)")
_FIELD = re.compile(rb"[(,\n][ \t]*([A-Za-z_]\w*)[ \t]*:")
_WORD = re.compile(r"[A-Za-z_]\w*")
_DECLARES = (b"add_argument", b"dataclass", b"option(", b"Option(", b"option (", b"Option (")
# These read a dataclass field that is a bool as `--bf16`, `--bf16 True` or `--bf16 False`
# (transformers: hf_argparser.py, _parse_dataclass_field; trl: scripts/utils.py, TrlParser).
_HF_PARSERS = (b"HfArgumentParser", b"TrlParser", b"H4ArgumentParser", b"ArgumentParserPlus")
_SHORT = ("fp32", "float32", "fp16", "float16")


@dataclass(frozen=True, slots=True)
class _File:
    """What the bytes of a file tell: its imports, the names that may be those of options, a parser of transformers.

    `open` are imports that lead nowhere from its own folder, and may from that of the program.
    """

    imports: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    by_transformers: bool = False


class Programs:
    """Answers `model.around.Programs`. `load` gives the module of a file of the project."""

    def __init__(self, top: str, imports: Imports, load: Callable[[str], Module | None], trace: Trace) -> None:
        self._top = top
        self._files = imports.files
        self._names = Names(top, imports.files)
        self._load = load
        self._trace = trace
        # Most of what a file imports is not the project's.
        self._parts = {part for path in imports.files for part in path.removesuffix(".py").split(os.sep)}  # noqa: PTH206
        self._read: dict[str, Any] = {}
        self._reached: dict[str, Any] = {}
        self._options: dict[tuple[str, str], Any] = {}

    def file(self, path: str, script: str, module: bool) -> str:
        # `$DIR/train.py`: the variable holds a folder that is tried anyway.
        steps = script.split(".") if module else script.replace("\\", "/").split("/")
        parts = [each for each in steps if each not in ("", ".", "..") and "$" not in each]
        if not parts or "%" in script:
            return ""
        name = os.path.join(*parts)  # noqa: PTH118
        ends = [name]
        if module:
            main = os.path.join(name, "__main__.py")  # noqa: PTH118
            ends = [f"{name}.py", main, os.path.join("src", f"{name}.py"), os.path.join("src", main)]  # noqa: PTH118
        candidates = (os.path.join(folder, end) for folder in self._up_from(path) for end in ends)  # noqa: PTH118
        return next((each for each in candidates if each in self._files), "")

    def _up_from(self, path: str) -> Iterator[str]:
        folder = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120
        while folder.startswith(self._top):
            yield folder
            folder, before = os.path.dirname(folder), folder  # noqa: PTH120
            if folder == before:
                return

    def reached(self, program: str) -> Collection[str]:
        """A file that is imported under a name made while the program runs is not among them."""
        return self._trace.remember(self._reached, program, lambda: self._find_reached(program))

    def _find_reached(self, program: str) -> Collection[str]:
        found: dict[str, None] = {program: None}
        pending = [program]
        for path in pending:  # which grows
            facts = self._facts(path)
            from_here = (there[0] for each in facts.open if (there := self._names.locate(program, each)))
            for each in (*facts.imports, *from_here):
                if each not in found:
                    found[each] = None
                    pending.append(each)
        return found.keys()

    def option(self, program: str, name: str) -> Declared:
        return self._trace.remember(self._options, (program, name), lambda: self._find_option(program, name))

    def _find_option(self, program: str, name: str) -> Declared:
        option = plain(name)
        by_transformers = any(self._facts(path).by_transformers for path in self.reached(program))
        first = self.declaration(program, name)
        if first is None:
            is_trainers = by_transformers and option in ("bf16", "bf16_full_eval")
            return Declared(Takes.TRUTH if is_trainers else Takes.UNKNOWN)
        found = declared(*first, by_transformers=by_transformers)
        return replace(found, others=self._others(program, option)) if found.takes is Takes.NOTHING else found

    def declaration(self, program: str, name: str) -> tuple[Module, Declaration] | None:
        return next(self._declarations(program, plain(name)), None) or next(self._nested(program, name), None)

    def _declarations(self, program: str, option: str) -> Iterator[tuple[Module, Declaration]]:
        """The calls and parameters that declare an option, closest first, and then the fields."""
        fields: list[tuple[Module, Declaration]] = []
        for path in self.reached(program):
            module = self._load(path) if option in self._facts(path).names else None
            if module is None:
                continue
            for node in declarations(module, option):
                if isinstance(node, ast.AnnAssign):
                    fields.append((module, node))
                else:
                    yield module, node
        yield from fields

    def _nested(self, program: str, name: str) -> Iterator[tuple[Module, Declaration]]:
        """The field that `worker.actor.dtype=bf16` sets: one of the dataclass that a field `actor` is declared with."""
        *above, last = name.split(".")
        classes = self._classes(program, above)
        for module, node in self._declarations(program, plain(last)) if classes else ():
            if _class_of(module, node) in classes:
                yield module, node

    def _classes(self, program: str, path: list[str]) -> set[str]:
        """The classes that the field at the end of a path is declared with: that of the class before it, if known."""
        within = self._classes(program, path[:-1]) if len(path) > 1 else set()
        holders = self._declarations(program, plain(path[-1])) if path else ()
        told = [
            ast.unparse(node.annotation)
            for module, node in holders
            if isinstance(node, ast.AnnAssign) and (not within or _class_of(module, node) in within)
        ]
        return {each for annotation in told for each in _WORD.findall(annotation)}

    def _others(self, program: str, option: str) -> tuple[str, ...]:
        """What a program offers in the place of a switch, `--fp32-vae` for `--bf16-vae`."""
        found = []
        for name in dict.fromkeys(re.sub("bf16|bfloat16", short, option) for short in _SHORT):
            for _, node in self._declarations(program, name) if name != option else ():
                spelt = spellings(node) if isinstance(node, ast.Call) else []
                found += [each.lstrip("-") for each in spelt if plain(each) == name][:1]
        return tuple(dict.fromkeys(found))

    def _facts(self, path: str) -> _File:
        return self._trace.remember(self._read, path, lambda: self._look_at(path))

    def _look_at(self, path: str) -> _File:
        try:
            data = door.start(path, MOST_BYTES)
        except OSError:
            data = b""
        names = _named(data) if any(word in data for word in _DECLARES) else frozenset()
        known = self._files.get(path, NOTHING)
        brought = (*known.stars, *(each.brings for each in known.imports))
        ours = [each for each in brought if each.lstrip(".").partition(".")[0] in self._parts]
        located = [(each, self._names.locate(path, each)) for each in ours]
        imports = tuple(dict.fromkeys(there[0] for _, there in located if there is not None))
        elsewhere = tuple(each for each, there in located if there is None and not each.startswith("."))
        return _File(imports, elsewhere, names, any(name in data for name in _HF_PARSERS))


def _class_of(module: Module, node: ast.AST) -> str:
    """The class that a field is one of."""
    around = module.enclosing_class(node) if isinstance(node, ast.AnnAssign) else None
    return around.name if around is not None else ""


def _named(data: bytes) -> frozenset[str]:
    # Two patterns that begin with one character each are several times as fast as both in one.
    found = {*_OPTION.findall(data), *_FIELD.findall(data)}
    return frozenset(plain(each.decode()) for each in found)
