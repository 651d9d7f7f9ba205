"""Programs that Python holds in strings: what is written into a `.py` file, given to `python -c` or to `exec`.

Each is judged as a program of its own, and edited in its place where the string says it as it is. Where it is put
together as it runs, or nothing shows what becomes of it, a person is told.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from precision_fix.model.edit import Splice
from precision_fix.model.finding import Action, Finding, Part, manual
from precision_fix.model.linked import place_of
from precision_fix.model.module import Module
from precision_fix.model.moves import Move, Place
from precision_fix.model.rule import Lines
from precision_fix.model.selection import Selection
from precision_fix.model.syntax import called
from precision_fix.model.vocabulary.needles import BFLOAT16
from precision_fix.sources.analysis import Analysis, Left, Stretch, Unparsable
from precision_fix.sources.asking import about_line
from precision_fix.sources.comments import Keeps
from precision_fix.sources.config_strings import file_of, raw_of
from precision_fix.sources.launch_strings import F_STRING, is_shown
from precision_fix.sources.positions import Positions

#: What a program that torch is in says somewhere.
IMPORTS = re.compile(r"(?m)(?:^|[;:])[ \t]*(?:import|from)[ \t]+[\w.]*\w")
_PYTHON = re.compile(r"(?:.*[/\\])?python[\d.]*(?:\.exe)?")
_RUNS = frozenset({"exec", "compile", "eval"})
# What leaves a text as it is but for the space around its lines, or puts something into it.
_SAME_TEXT = frozenset({"dedent", "cleandoc", "strip", "lstrip", "rstrip", "encode", "format", "replace"})
_MOST_NAMES = 3
_PUT_IN = re.compile(r"\{\{|\}\}|\{[^{}\n]*\}")
_ESCAPED = "in a string of a form that is not edited: change it there by hand"
_UNKNOWN = "in a program that a string holds, and who runs that is not seen: change it there by hand"


def programs(module: Module, selection: Selection) -> list[Program]:
    """The programs in the strings of a module that are run, or of which nothing shows that they are but printed."""
    found = [*_programs(module, selection)]
    return [each for each in found if each.is_run or not is_shown(module, each.node)]


def embedded(module: Module, found: Sequence[Program], into: Analysis, keeps: Keeps, left: Left) -> None:
    """Add what is said of the programs in the strings of a module; `left` are places in them that stay after all."""
    for program in found:
        into.findings += _judged(program, into, keeps, left)
    if found:
        into.findings.sort(key=lambda each: (each.line, each.column))


def _programs(module: Module, selection: Selection) -> Iterator[Program]:
    seen: set[ast.AST] = set()
    for string in module.names.strings:
        above = module.parent(string)
        node = above if isinstance(above, ast.JoinedStr) else string
        if isinstance(string.value, str) and node not in seen and any(word in string.value for word in BFLOAT16):
            seen.add(node)
            value = string.value if node is string else _filled_in(module.source(node))
            if IMPORTS.search(value):
                yield Program(module, node, value, selection)
            elif value.strip() != "torch.bfloat16" and _is_run(module, node, here=True):
                yield Program(module, node, value, selection, _brought(module, value))


def _brought(module: Module, text: str) -> str:
    """The imports of a module that a program which it runs in its own names may use; they stand below the program."""
    found = [each for each in module.tree.body if isinstance(each, ast.Import | ast.ImportFrom)]
    used = [each for each in found if any((name.asname or name.name.partition(".")[0]) in text for name in each.names)]
    return "".join(f"\n{ast.unparse(each)}" for each in used if getattr(each, "module", "") != "__future__")


def _filled_in(source: str) -> str:
    """An f-string with something as long in the place of what is put into it; all of it where it has escapes."""
    match = F_STRING.fullmatch(source)
    if match is None or "\\" in match[3]:
        return source
    return _PUT_IN.sub(lambda put: f" {put[0][0]}" if put[0] in ("{{", "}}") else "1" * len(put[0]), match[3])


def _judged(program: Program, into: Analysis, keeps: Keeps, left: Left) -> Sequence[Finding]:
    found = program.judged(left)
    if found is None:
        return _read(program) if program.is_run else ()
    for finding in found.findings:
        if finding.by_comment:
            keeps.heed(manual(""), finding.code, [program.outer(finding)[0]])
    # An import that would have to change stands in the module.
    is_run = program.is_run and "bfloat16" not in program.brought
    if program.start is not None and is_run:
        into.stretches += [Stretch(each.code, each.edits, program.placed) for each in found.stretches]
        return [_placed(each, program) for each in found.findings]
    told = [_left(each, _ESCAPED if is_run or program.brought else _UNKNOWN) for each in found.findings]
    # Without a place of their own they would all stand in one.
    return [_placed(each, program) for each in (told if program.start is not None else _first(told))]


def _first(told: Sequence[Finding]) -> Sequence[Finding]:
    return [each for each in told if each.action is Action.MANUAL][:1]


def _read(program: Program) -> Sequence[Finding]:
    """What is said of the lines of a program that is none before something is put into it."""
    found = []
    for number, line in enumerate(program.text.split("\n"), 1):
        answer = about_line(line, Lines.WRITTEN)
        if answer is not None:
            column = len(line) - len(line.lstrip()) + 1
            rule, verdict = answer
            path = program.module.path
            found.append(Finding(path, number, column, rule.code, verdict.action, line.strip()[:40], verdict.reason))
    return [_placed(each, program) for each in (found if program.start is not None else _first(found))]


def _left(finding: Finding, why: str) -> Finding:
    if finding.action is not Action.REWRITE:
        return finding
    return replace(finding, action=Action.MANUAL, reason=f"{finding.reason}, {why}")


def _placed(finding: Finding, program: Program) -> Finding:
    line, column = program.outer(finding)
    return replace(finding, line=line, column=column, runtime=False)


def _is_run(module: Module, node: ast.expr, most: int = _MOST_NAMES, *, here: bool = False) -> bool:
    """Whether a text is seen to be run, or written into a file of Python; `here`: among the names of this module."""
    above = module.parent(node)
    if isinstance(above, ast.Assign) and above.value is node and isinstance(above.targets[0], ast.Name) and most:
        return any(_is_run(module, reader, most - 1, here=here) for reader in module.readers(above.targets[0]))
    if isinstance(above, ast.BinOp):
        return _is_run(module, above, most, here=here)
    if isinstance(above, ast.List | ast.Tuple):
        return not here and _is_command(module, above.elts, node)
    if isinstance(above, ast.Attribute):
        call = module.parent(above)
        return isinstance(call, ast.Call) and above.attr in _SAME_TEXT and _is_run(module, call, most, here=here)
    call = module.parent(above) if isinstance(above, ast.keyword) else above
    if not isinstance(call, ast.Call) or node is call.func:
        return False
    if called(call) in _SAME_TEXT:
        return _is_run(module, call, most, here=here)
    if here or called(call) in _RUNS:
        return called(call) in _RUNS
    return file_of(module, call).endswith(".py") or _is_command(module, call.args, node)


def _is_command(module: Module, words: list[ast.expr], node: ast.AST) -> bool:
    """`[sys.executable, "-c", TEXT]`, of which the first may be a name for it."""
    place = module.index(words, node) or 0
    before = words[place - 1] if place else None
    if not isinstance(before, ast.Constant) or before.value != "-c":
        return False
    others = [str(each.value) for each in words[: place - 1] if isinstance(each, ast.Constant)]
    programs = [each for each in others if not each.startswith("-")]
    return not programs or any(map(_PYTHON.fullmatch, programs))


@dataclass(eq=False)
class Program:
    """A program in a string, without the space before all of its lines."""

    module: Module
    node: ast.Constant | ast.JoinedStr
    value: str
    selection: Selection
    brought: str = ""

    @cached_property
    def is_run(self) -> bool:
        return _is_run(self.module, self.node)

    @cached_property
    def _whole(self) -> Analysis | None:
        """What is said of it where nothing is left; None where it is no program before something is put into it."""
        from precision_fix.sources.python import analyse

        module = self.module
        left: Left | None = {} if self._is_among else None
        try:
            return analyse(module.path, self.text, module.target, self.selection, left=left, starts=False)
        except Unparsable:
            return None

    @cached_property
    def _is_among(self) -> bool:
        """Whether it is run among the names of the module: an assertion in one guards what the other makes."""
        can_edit = self.start is not None and "bfloat16" not in self.brought
        return can_edit and _is_run(self.module, self.node, here=True)

    @property
    def moves(self) -> list[Move]:
        """The places that change together with others, as those of the module do.

        Where the string cannot be edited, the guards in it hold what the module makes.
        """
        found = self._whole.moves if self._whole is not None else []
        if not self._is_among:
            place = Place(self.module.real, *place_of(self.module, self.node))
            guards = (each for each in found if each.part is Part.GUARDS)
            here = [*guards] if self._whole is not None and _is_run(self.module, self.node, here=True) else []
            return [replace(each, place=place, action=Action.MANUAL, moves_with=()) for each in here[:1]]
        return [
            replace(each, place=self._out(each.place), moves_with=tuple(map(self._out, each.moves_with)))
            for each in found
        ]

    def judged(self, left: Left) -> Analysis | None:
        """What is said of it, without the places of the module that are left; None where it is no program."""
        from precision_fix.sources.python import analyse

        if not left or not self._is_among or self._whole is None:
            return self._whole
        inner = {}
        for finding in self._whole.findings:
            why = left.get(self.outer(finding))
            if why is not None:
                inner[finding.line, finding.column] = why
        if not inner:
            return self._whole
        module = self.module
        return analyse(module.path, self.text, module.target, self.selection, left=inner, starts=False)

    def _out(self, place: Place) -> Place:
        line, column = self._out_of(place.line, abs(place.column))
        return Place(place.path, line, column if place.column > 0 else -column)

    @cached_property
    def start(self) -> int | None:
        """Where the content begins in the text of the module; None where that is not what the string says."""
        if isinstance(self.node, ast.JoinedStr):
            match = F_STRING.fullmatch(self.module.source(self.node))
            inner = match.start(3) if match is not None and len(match[3]) == len(self.value) else None
        else:
            raw = raw_of(self.module, self.node, self.value)
            inner = raw[0] if raw is not None else None
        if inner is None or ("\r" in self.module.text and "\n" in self.value):
            return None
        line, column = place_of(self.module, self.node)
        return self._around.start(line) + column - 1 + inner

    @cached_property
    def _around(self) -> Positions:
        return Positions(self.module.text)

    @cached_property
    def margin(self) -> str:
        lines = [line for line in self.value.split("\n") if line.strip()]
        shortest = min((line[: len(line) - len(line.lstrip())] for line in lines), key=len, default="")
        return shortest if all(line.startswith(shortest) for line in lines) else ""

    @cached_property
    def text(self) -> str:
        return "\n".join(line.removeprefix(self.margin) for line in self.value.split("\n")) + self.brought

    @cached_property
    def _starts(self) -> list[tuple[int, int]]:
        """For each line where it begins here, and how much further on what is left of it does in the string."""
        found, here, there = [], 0, 0
        for line in self.value.split("\n"):
            cut = len(self.margin) if line.startswith(self.margin) else 0
            found.append((here, there + cut - here))
            here, there = here + len(line) - cut + 1, there + len(line) + 1
        return found

    def _offset(self, offset: int) -> int:
        shift = next(shift for start, shift in reversed(self._starts) if start <= offset)
        return (self.start or 0) + offset + shift

    def outer(self, finding: Finding) -> tuple[int, int]:
        """Line and column, from 1, in the module."""
        if self.start is None:
            return place_of(self.module, self.node)
        return self._out_of(finding.line, finding.column)

    def _out_of(self, line: int, column: int) -> tuple[int, int]:
        return self._around.of(self._offset(self._starts[line - 1][0] + column - 1))

    def placed(self, splices: list[Splice]) -> list[Splice]:
        """Raises ValueError for a text that would end the string, or mean something else in it."""
        quote = self.module.source(self.node).lstrip("rRbBuUfF")[0]
        found = []
        for each in splices:
            if "\\" in each.text or (quote in each.text and quote not in self.text[each.start : each.end]):
                raise ValueError("an edit that the string around it would not take")
            text = each.text.replace("\n", "\n" + self.margin)
            found.append(Splice(self._offset(each.start), self._offset(each.end), text))
        return found
