"""Python source: find the sites in a text and ask the rules about each."""

from __future__ import annotations

import ast
import os
import re
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from precision_fix.model import hearing, newlines
from precision_fix.model.around import ALONE, Around
from precision_fix.model.blocks import Blocks, NotApart, long_strings, occurrences, parsed
from precision_fix.model.brought import calls as brought
from precision_fix.model.edit import Edit, LetPass
from precision_fix.model.finding import BY_COMMENT, Action, Finding, Part, Verdict, manual
from precision_fix.model.hearing import SILENT, Hearing, heard
from precision_fix.model.linked import moves_with, place_of
from precision_fix.model.met import together
from precision_fix.model.module import Module
from precision_fix.model.moves import Move, Place, action_of
from precision_fix.model.moves import left as groups_left
from precision_fix.model.rule import Rule
from precision_fix.model.selection import ALL, Selection
from precision_fix.model.site import Kind, Site
from precision_fix.model.sites import PROBES, is_flag, sites
from precision_fix.model.target import Target
from precision_fix.model.vocabulary.needles import BFLOAT16, ELSEWHERE, FLASH, REFUSES
from precision_fix.model.vocabulary.spellings import QUIET_WORDS, STYLES, TAG
from precision_fix.model.worklist import TooMuch
from precision_fix.rules import rules_of
from precision_fix.sources.analysis import Analysis, Left, Stretch, Unparsable
from precision_fix.sources.code_strings import IMPORTS, embedded, programs
from precision_fix.sources.comments import Keeps
from precision_fix.sources.config_strings import Answer, handles_configs
from precision_fix.sources.launch_strings import COMMAND, launch_lines
from precision_fix.sources.positions import Positions

# How many files around one may turn out not to parse apart, each of which has it judged anew.
_MOST_READ_ANEW = 64
# libcst's native parser recurses: an expression nested more deeply than this is not given to it.
_MAX_DEPTH = 100
# So many expressions may stand around a place. Beyond _MAX_DEPTH it is not edited, only told of.
_MOST_AROUND = 500


def analyse(
    path: str,
    text: str,
    target: Target,
    selection: Selection = ALL,
    around: Around = ALONE,
    left: Left | None = None,
    *,
    blocks: Sequence[int] = (),
    starts: bool = True,
) -> Analysis:
    """Find the sites of a text and judge them; those of the selected rules count. Raises Unparsable.

    `blocks` are the lines at which parts of the text begin that must be sound by themselves (the cells of a notebook):
    a statement that reaches from one into the next is none. Without `starts` a program that stands alone is not made to
    start the runtime.
    """
    keeps = Keeps(text)
    hits = {*_mentions(text), *occurrences(text, (*ELSEWHERE, *REFUSES))}
    if "flash" in text:
        hits.update(occurrences(text, FLASH))
    if not hits:
        return Analysis(unused_keeps=keeps.unused)
    hits |= brought(text)
    try:
        module, answers, silent = _understand(path, text, hits, target, around)
    except TooMuch:
        raise Unparsable("its values go more ways than are followed: split it, or change it by hand") from None
    if blocks:
        _check_blocks(module.tree, blocks)
    held = programs(module, selection) if starts else []
    analysis, left = _told(module, answers, keeps, selection, left, [move for each in held for move in each.moves])
    embedded(module, held, analysis, keeps, left)
    for site in silent if hearing.is_heard() else ():
        finding = Finding(path, *_Places(module).of(site), "", Action.KEEP, site.token, SILENT)
        analysis.unanswered.append(heard(finding, _heard(site)))
    analysis.unused_keeps = keeps.unused
    if around is ALONE and not blocks and starts:
        from precision_fix.sources import start_line

        start_line.alone(analysis, path, text, selection, target.dtype)
    if around is ALONE:
        module.release()
    return analysis


def _told(
    module: Module,
    answers: Sequence[Answer],
    keeps: Keeps,
    selection: Selection,
    left: Left | None,
    besides: Sequence[Move],
) -> tuple[Analysis, Left]:
    """What the answers come to: one finding a place, what moves with it, and the edits; and what is left.

    `besides` are places in programs that strings of the module hold.
    """
    analysis = Analysis()
    places = _Places(module)
    decided: dict[tuple[int, int], tuple[Finding, tuple[Edit, ...], Move]] = {}
    heeded = [(site, rule, keeps.heed(verdict, rule.code, [places.of(site)[0]])) for site, rule, verdict in answers]
    met = _met(heeded)
    for site, rule, verdict in heeded:
        line, column = places.of(site)
        if verdict.reason is BY_COMMENT:
            verdict = replace(verdict, part=Part.HOLDS)
        by_runtime = (rule.runtime or verdict.runtime) and verdict.action is Action.MANUAL
        finding = Finding(
            module.path,
            line,
            column,
            rule.code,
            verdict.action,
            site.token,
            verdict.reason,
            by_runtime,
            made_on=verdict.made_on,
        )
        known = decided.get((line, column))
        action = verdict.action if selection.takes(rule.code) or verdict.action is Action.KEEP else Action.MANUAL
        others = (*moves_with(site, verdict), *verdict.moves_with, *met.get(site, ()))
        place, region = Place(module.real, line, column), rule.code == "PF103"
        move = Move(place, action, verdict.part, others, region, module.target.lets_both and _lets_both(verdict))
        # A word may be a flag's name as well: one place, one finding, and a change counts for more.
        chosen = (finding, verdict.edits, move) if known is None or verdict.action is Action.REWRITE else known
        if mine := _heard(site):
            before = known[0].hearings if known and chosen is not known else ()
            chosen = heard(chosen[0], (*before, *mine)), chosen[1], chosen[2]
        decided[line, column] = chosen
    analysis.moves = [move for _, _, move in decided.values() if move.counts]
    made = tuple(move.place for move in analysis.moves if move.action is Action.REWRITE and move.part is Part.NONE)
    # A guard in a string that stays holds all of it: what comes there by its name is not followed.
    analysis.moves += [each if each.action is Action.REWRITE else replace(each, moves_with=made) for each in besides]
    if left is None and module.around is ALONE:
        left = {(place.line, place.column): why for place, why in groups_left(analysis.moves).items()}
    all_edits: list[Edit] = []
    for place_, (finding, edits, move) in sorted(decided.items(), key=lambda each: each[0]):
        if left and place_ in left and finding.action is Action.REWRITE:
            finding, edits = replace(finding, action=action_of(left[place_]), reason=left[place_]), ()
        if module.target.guards_alone and not move.lets_both:
            edits = ()
        if finding.runtime:
            analysis.while_it_runs.append(finding)
        if selection.takes(finding.code):
            analysis.findings.append(finding)
            all_edits.extend(edits)
    if all_edits:
        # Two places may ask for one and the same: a copy of what either of them made.
        analysis.stretches.append(Stretch(module.text, [*dict.fromkeys(all_edits)]))
    return analysis, left or {}


def _met(answers: Sequence[Answer]) -> Mapping[Site, tuple[Place, ...]]:
    """Where what a person keeps comes together with what changes."""
    kept = [site for site, _, verdict in answers if verdict.reason is BY_COMMENT]
    if not kept:
        return {}
    return together(kept, [site for site, _, verdict in answers if verdict.action is Action.REWRITE])


def _lets_both(verdict: Verdict) -> bool:
    """Whether a guard is edited to let bfloat16 pass as well: one that refuses float32 never refused that."""
    return verdict.part is Part.REFUSES or any(isinstance(edit, LetPass) for edit in verdict.edits)


def _heard(site: Site) -> tuple[Hearing, ...]:
    """What was asked about a site, with what its value reaches: asked now, since the module is cut up later."""
    hearings = hearing.of(site)
    for each in hearings:
        if each.place is site:
            from precision_fix.model.reach import reached

            each.reached = reached(site)
    return hearings


def _check_blocks(tree: ast.Module, blocks: Sequence[int]) -> None:
    for statement in tree.body:
        first = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", ()))])
        if bisect_right(blocks, first) != bisect_right(blocks, statement.end_lineno or first):
            raise Unparsable(f"does not parse, line {first}: a statement does not end where its part of the text does")


def _judge(site: Site) -> Answer | None:
    answer = hearing.ask(_rules_for(site.kind), site)
    if answer is None:
        return None
    rule, verdict = answer
    if not all(_is_where_it_says(site.module, edit.node) for edit in verdict.edits):
        return site, rule, manual("inside an f-string, whose parts this version of Python does not place")
    if any(_depth(edit.node) > _MAX_DEPTH for edit in verdict.edits):
        return site, rule, manual("nested too deeply to edit safely")
    return site, rule, verdict


def _is_where_it_says(module: Module, node: ast.AST) -> bool:
    """Before Python 3.12 the positions within an f-string may be off: is the node's own text there?"""
    if not any(isinstance(above, ast.JoinedStr) for above in module.ancestors(node)):
        return True
    try:
        assert isinstance(node, ast.expr)
        there = ast.parse(f"({module.source(node)})", mode="eval").body
    except (SyntaxError, IndexError):
        return False
    return ast.dump(there) == ast.dump(node)


@cache
def _rules_for(kind: Kind) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules_of(Rule) if kind in rule.kinds)


def _depth(node: ast.AST) -> int:
    deepest, pending = 0, [(node, 1)]
    while pending:
        current, depth = pending.pop()
        deepest = max(deepest, depth)
        pending += [(child, depth + 1) for child in ast.iter_child_nodes(current)]
    return deepest


_Understood = tuple[Module, list[Answer], list[Site]]


def _understand(path: str, text: str, hits: set[int], target: Target, around: Around) -> _Understood:
    """Judge the sites in the blocks of a text that speak of them; where one does not parse apart, in all of it.

    Gives the sites of which no rule knows a meaning as well.
    """
    for _ in range(_MOST_READ_ANEW if around is not ALONE else 0):
        try:
            return _answers(around.own(path, text, hits))
        except NotApart as apart:
            # Another file that does not parse apart is read as a whole, and then this one is judged anew.
            if apart.args in ((), (path,)):
                parse(text)
                around.read_whole(os.path.abspath(path))  # noqa: PTH100
            else:
                around.read_whole(os.path.abspath(apart.args[0]))  # noqa: PTH100
    if around is not ALONE:
        raise Unparsable("too many of the files that it meets have to be read as a whole: change it by hand")
    try:
        blocks = Blocks(text)
        return _answers(Module(path, text, parsed(blocks.take(hits)), target, blocks))
    except NotApart:
        return _answers(Module(path, text, parse(text), target))


def _not_too_deep(found: Iterable[Site]) -> Iterator[Site]:
    """The sites, unless one lies so deep in its statement that asking what is around each would take seconds."""
    for site in found:
        if len(site.chain) > _MOST_AROUND:
            line = site.node.lineno  # type: ignore[attr-defined]
            raise Unparsable(f"the expression on line {line} is nested too deeply to be judged: cut it into several")
        yield site


def _answers(module: Module) -> _Understood:
    module.followed = 0
    judged = [(site, _judge(site)) for site in _not_too_deep(sites(module))]
    answers: list[Answer] = [answer for _, answer in judged if answer is not None]
    answers += launch_lines(module)
    return module, answers, [site for site, answer in judged if answer is None]


def _mentions(text: str) -> Iterator[int]:
    """Where bfloat16 is spoken of in a way that can be a site: in no longer name, no comment line, no long string."""
    hidden = long_strings(text)
    start, end, is_comment = 0, 0, False
    for position in sorted(occurrences(text, BFLOAT16)):
        marks = bisect_right(hidden, position)
        if marks % 2 and not _may_tell(text, hidden[marks - 1], hidden[marks]):
            continue
        if position >= end:
            # Where the next line begins; the words of one long line ask this once.
            start = newlines.start_of(text, position, end)
            line = _LINE.match(text, start)
            end = max(line.end() if line else 0, position + 1)
            is_comment = _COMMENT.match(text, start) is not None
        found = _TOKEN.search(text, max(start, position - 40))
        while found and found.end() <= position:
            found = _TOKEN.search(text, found.end())
        if found and not is_comment and _may_be_site(found, text):
            yield position


_TOKEN = re.compile(r"\w+")
_LINE = re.compile(r"[^\r\n]*")
_COMMENT = re.compile(r"[^\S\r\n]*#")
_SPELT = (*STYLES, *QUIET_WORDS, TAG, "BFloat16Tensor", "BFloat16Storage", *PROBES)
_WHOLE = frozenset(part for word in _SPELT for part in _TOKEN.findall(word))
_SET = re.compile(r"\s*[=:\"'\].]")


# What goes on with a statement: a string behind it is none of its own, and in documentation nothing is told.
_GOES_ON = frozenset("([{,=+-*/%|&^<>@.\\:")
_GOES_ON_WORDS = frozenset({"and", "else", "if", "in", "is", "not", "or"})
_HEADS = ("def ", "class ", "async ", ")")
_MOST_BETWEEN = 400


def _may_tell(text: str, quotes: int, end: int) -> bool:
    """Whether a long string may be a config or a launch line, or a word: none of them is documentation."""
    start = newlines.start_of(text, quotes)
    before = text[start:quotes]
    if not before.strip(" \trR") and _is_statement(text, start):
        return False
    content = text[quotes + 3 : end]
    is_short = "\n" not in content
    if is_short or before[-1:] in "fF" or content.lstrip()[:1] == "{" or COMMAND.match(content) is not None:
        return True
    if IMPORTS.search(content) is not None:
        return True
    return "exec(" in text or handles_configs(text)


def _is_statement(text: str, start: int) -> bool:
    """Whether what begins a line at this offset is a statement, as far as the code above it tells."""
    above = text[max(0, start - _MOST_BETWEEN) : start]
    code = [line for line in newlines.split(above) if line.strip() and line.lstrip()[0] != "#"]
    if not code:
        return bool(above.strip()) and start <= _MOST_BETWEEN
    # What looks like a comment may be part of a string.
    ends = {code[-1].rstrip(), code[-1].partition("#")[0].rstrip()} - {""}
    if any(end[-1] == ":" for end in ends):
        return code[-1].lstrip().startswith(_HEADS)
    return not any(end[-1] in _GOES_ON or end.split()[-1] in _GOES_ON_WORDS for end in ends)


def _may_be_site(token: re.Match[str], text: str) -> bool:
    return token[0] in _WHOLE or (is_flag(token[0]) and _SET.match(text, token.end()) is not None)


def parse(text: str) -> ast.Module:
    """`ast.parse`, with every way of failing turned into Unparsable."""
    try:
        with warnings.catch_warnings():
            # An invalid escape in somebody's string is not ours to report.
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        raise Unparsable(_explain(error, text)) from None
    except (RecursionError, MemoryError):
        raise Unparsable("nested too deeply for Python's own parser") from None
    except ValueError as error:
        raise Unparsable(str(error)) from None


_PYTHON_2 = re.compile(r"^\s*(?:print\s+[\"'\w]|exec\s+[\"']|except\s+\w+\s*,\s*\w+\s*:|raise\s+\w+\s*,)", re.MULTILINE)


def _explain(error: SyntaxError, text: str) -> str:
    what = "looks like Python 2" if _PYTHON_2.search(text) else error.msg
    return f"does not parse, line {error.lineno}: {what}"


class _Places:
    """Line and column of a site's token, both from 1, the column in characters."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._within: dict[ast.AST, Positions] = {}

    def of(self, site: Site) -> tuple[int, int]:
        line, place = place_of(self._module, site.node)
        if not site.within:
            return line, place
        node = site.node
        if node not in self._within:
            assert isinstance(node, ast.expr)
            self._within[node] = Positions(self._module.source(node))
        further, inner = self._within[node].of(site.within)
        return (line, place + inner - 1) if further == 1 else (line + further - 1, inner)
