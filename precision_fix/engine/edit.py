"""Carry out edits of Python with libcst, on the smallest expressions that hold them; every other byte stays.

libcst parses exactly and slowly, and its native parser can overflow the stack of the process on deep nesting. It is
given only the text of the expressions that change, and `sources.python` lets none through that is nested deeply.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import fields

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from precision_fix.engine.lines import Lines
from precision_fix.model.edit import CallOn, Edit, ImportAlso, LetPass, Rename, Replace, Respell, SetArgument, Splice


def splices(code: str, edits: Iterable[Edit]) -> list[Splice]:
    """What all edits come to in the text. Raises ValueError where an expression is not found again, or not parsed."""
    lines = Lines(code)
    known: dict[object, str] = {}
    try:
        return [
            Splice(start, end, _rewrite(code[start:end], start, group, lines, known))
            for (start, end), group in sorted(_regions(list(edits), lines).items())
        ]
    except cst.ParserSyntaxError as error:
        raise ValueError(str(error)) from error


def _regions(edits: list[Edit], lines: Lines) -> dict[tuple[int, int], list[Edit]]:
    """Edits by the outermost expression that one of them names: those within it are made together with it."""
    placed = [(lines.span(edit.node), edit) for edit in edits]
    spans = sorted({span for span, _ in placed}, key=lambda span: (span[0], -span[1]))
    outer: list[tuple[int, int]] = []
    for span in spans:
        if not outer or span[0] >= outer[-1][1]:
            outer.append(span)
    groups: dict[tuple[int, int], list[Edit]] = defaultdict(list)
    for span, edit in placed:
        groups[outer[bisect_right(outer, (span[0], len(lines.text) + 1)) - 1]].append(edit)
    return groups


def _rewrite(source: str, start: int, edits: list[Edit], lines: Lines, known: dict[object, str]) -> str:
    """Parse one expression (or import statement), make its edits, and give back its text.

    libcst takes a millisecond for the shortest: what is written and edited alike many times is made once.
    """
    if isinstance(edits[0], ImportAlso):
        return _import_also(source, edits)
    alike = source, tuple(_by_place(edit, start, lines) for edit in edits)
    if alike not in known:
        known[alike] = _rewritten(source, start, edits, lines)
    return known[alike]


def _by_place(edit: Edit, start: int, lines: Lines) -> tuple[object, ...]:
    """An edit by what it does, and where in its region."""
    first, last = lines.span(edit.node)
    done = [getattr(edit, each.name) for each in fields(edit) if each.name != "node"]
    return type(edit), first - start, last - start, *done


def _rewritten(source: str, start: int, edits: list[Edit], lines: Lines) -> str:
    # Brackets let an expression that goes over several lines stand by itself.
    prefix = "(\n"
    module = cst.parse_module(prefix + source + "\n)\n")
    at: dict[tuple[int, int], list[Edit]] = defaultdict(list)
    for edit in edits:
        first, last = lines.span(edit.node)
        at[first - start, last - start].append(edit)
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    editor = _Editor(at, Lines(source))
    code = wrapper.visit(editor).code
    if editor.left:
        raise ValueError(f"line {edits[0].node.lineno}: the expression was not found again in its source")
    return code[len(prefix) : -len("\n)\n")]


class _Editor(cst.CSTTransformer):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, at: dict[tuple[int, int], list[Edit]], lines: Lines) -> None:
        super().__init__()
        self.at = at
        self.lines = lines
        self.left = sum(len(edits) for edits in at.values())

    def on_leave(self, original_node: cst.CSTNodeT, updated_node: cst.CSTNodeT) -> cst.CSTNodeT:
        node = super().on_leave(original_node, updated_node)
        if isinstance(original_node, cst.BaseExpression) and isinstance(node, cst.BaseExpression):
            where = self.get_metadata(PositionProvider, original_node)
            if where.start.line > 1:
                first, last = (self.lines.starts[p.line - 2] + p.column for p in (where.start, where.end))
                for edit in self.at.get((first, last), ()):
                    changed = _make(edit, node)
                    if changed is not None:
                        node, self.left = changed, self.left - 1  # type: ignore[assignment]
        return node  # type: ignore[return-value]


def _make(edit: Edit, node: cst.BaseExpression) -> cst.BaseExpression | None:
    """Make an edit on the node that it is meant for; None on another node of the same extent."""
    match edit:
        case Replace():
            return _with_parens(cst.parse_expression(edit.text), node)
        case Rename() if isinstance(node, cst.Attribute):
            return node.with_changes(attr=node.attr.with_changes(value=edit.name))
        case Respell() if isinstance(node, cst.SimpleString):
            return node.with_changes(value=node.value.replace(edit.old, edit.new))
        case SetArgument() if isinstance(node, cst.Call):
            return _set_argument(node, edit)
        case CallOn():
            return _call_on(node, edit.call)
        case LetPass() if isinstance(node, cst.Comparison):
            return _let_pass(node, edit)
    return None


def _with_parens(new: cst.BaseExpression, old: cst.BaseExpression) -> cst.BaseExpression:
    return new.with_changes(lpar=old.lpar, rpar=old.rpar)


def _set_argument(call: cst.Call, edit: SetArgument) -> cst.Call:
    value = cst.parse_expression(edit.value)
    args = list(call.args)
    index = next((i for i, arg in enumerate(args) if arg.keyword and arg.keyword.value == edit.name), edit.position)
    if index is not None:
        args[index] = args[index].with_changes(value=value)
        return call.with_changes(args=args)
    return call.with_changes(args=_with_keyword(args, edit.name, value))


def _with_keyword(args: list[cst.Arg], name: str, value: cst.BaseExpression) -> list[cst.Arg]:
    """One more keyword argument at the end, laid out as the last one is."""
    equal = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
    new = cst.Arg(value, keyword=cst.Name(name), equal=equal)
    if not args:
        return [new]
    last = args[-1]
    if isinstance(last.equal, cst.AssignEqual):
        new = new.with_changes(equal=last.equal)
    before = args[-2].comma if len(args) > 1 and isinstance(args[-2].comma, cst.Comma) else None
    between = before or cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    after, behind = last.comma, last.whitespace_after_arg
    if isinstance(between.whitespace_after, cst.ParenthesizedWhitespace):
        # On a line of its own: the last argument keeps the comment at its end, and no other is said twice.
        ending = after.whitespace_after if isinstance(after, cst.Comma) else behind
        first = ending.first_line if isinstance(ending, cst.ParenthesizedWhitespace) else None
        space = between.whitespace_after
        space = space.with_changes(first_line=first or _without_comment(space.first_line), empty_lines=())
        between = between.with_changes(whitespace_after=space)
        if isinstance(ending, cst.ParenthesizedWhitespace):
            ending = ending.with_changes(first_line=_without_comment(ending.first_line))
            if isinstance(after, cst.Comma):
                after = after.with_changes(whitespace_after=ending)
            else:
                behind = ending
    new = new.with_changes(comma=after, whitespace_after_arg=behind)
    return [*args[:-1], last.with_changes(comma=between, whitespace_after_arg=cst.SimpleWhitespace("")), new]


def _without_comment(line: cst.TrailingWhitespace) -> cst.TrailingWhitespace:
    return line.with_changes(comment=None, whitespace=cst.SimpleWhitespace(""))


_SPACE = cst.SimpleWhitespace(" ")


def _let_pass(node: cst.Comparison, edit: LetPass) -> cst.Comparison:
    """The comparison with a pair of values; what is compared with them comes to stand first."""
    *others, last = node.comparisons
    subject, named = (last.comparator, node.left) if edit.is_first else (node.left, last.comparator)
    pair = cst.Tuple(
        [cst.Element(named, cst.Comma(whitespace_after=_SPACE)), cst.Element(cst.parse_expression(edit.text))]
    )
    target = cst.ComparisonTarget(_member(last.operator), pair)
    return node.with_changes(left=subject, comparisons=[*others, target])


def _member(operator: cst.BaseCompOp) -> cst.In | cst.NotIn:
    """`in` for `==`, `not in` for `!=`, with a space where there was none."""
    before, after = (
        _SPACE if isinstance(space, cst.SimpleWhitespace) else space
        for space in (operator.whitespace_before, operator.whitespace_after)  # type: ignore[attr-defined]
    )
    if isinstance(operator, cst.Equal | cst.Is):
        return cst.In(before, after)
    return cst.NotIn(whitespace_before=before, whitespace_after=after)


def _import_also(source: str, edits: list[Edit]) -> str:
    statement = cst.parse_statement(source)
    assert isinstance(statement, cst.SimpleStatementLine)
    found = statement.body[0]
    assert isinstance(found, cst.ImportFrom) and not isinstance(found.names, cst.ImportStar)
    names = list(found.names)
    for edit in edits:
        if isinstance(edit, ImportAlso) and all(alias.evaluated_name != edit.name for alias in names):
            last = names[-1]
            comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
            names[-1] = last.with_changes(comma=comma)
            names.append(cst.ImportAlias(cst.Name(edit.name), comma=last.comma))
    return cst.Module([]).code_for_node(found.with_changes(names=names))


def _call_on(node: cst.BaseExpression, call: str) -> cst.BaseExpression:
    """`node.call`; the brackets around the node come to stand around the whole."""
    method = cst.parse_expression(f"_.{call}")
    assert isinstance(method, cst.Call) and isinstance(method.func, cst.Attribute)
    bare = node.with_changes(lpar=(), rpar=())
    return _with_parens(method.with_changes(func=method.func.with_changes(value=bare)), node)
