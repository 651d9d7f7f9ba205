"""Whether a text shows anything to which the dtype of a tensor matters: a guard, bits that are read, a kernel.

Asked where a tensor goes more ways than are followed: those that lead to such a text are gone all the same. A text is
searched, not parsed, so the answer is yes more often than it need be.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from precision_fix.model.blocks import occurrences, reads
from precision_fix.model.module import Module, remembered
from precision_fix.model.sizes import SIZES
from precision_fix.model.vocabulary.callees import GUESSES, TWO_BYTES, Role
from precision_fix.model.vocabulary.needles import NATIVE, missed

# Not what no GPU below 8.0 has: that is told of the kernel itself.
_TAKERS = (name for name, role in GUESSES.items() if role is Role.KERNEL)
_ALL = frozenset({*TWO_BYTES, "torch.short", "data_ptr", *_TAKERS})
# Where one of them stands in another, that one finds both.
_WORDS = tuple(word for word in sorted(_ALL) if missed((word,), (*(_ALL - {word}),)))
# What is asked of a tensor where a guard stands.
_ASKED = re.compile("|".join(("dtype", r"\.type\(\)", *sorted(SIZES))))
_TESTS = re.compile(r"[=!]=|\b(?:in|is|case|match)\b")
_NEXT = re.compile(r"\n(?: {4})?(?:async |def |class |@)")
# So many characters behind `assert`, and in front of `raise`, hold what is asked.
_NEAR = 240


def minds(text: str) -> bool:
    """Whether what stands in a text may depend on the dtype of what comes there."""
    return any(word in text for word in _WORDS) or any(_ASKED.search(part) for part in _of_guards(text))


def _of_guards(text: str) -> Iterator[str]:
    """What is asserted, what is tested in front of an exception, and tests for bfloat16."""
    for at in occurrences(text, ("assert",)):
        yield text[at : at + _NEAR].partition("\n\n")[0]
    for at in occurrences(text, ("raise",)):
        behind = max(at - _NEAR, 0, text.rfind("\n\n", 0, at))
        test = text.find("if ", behind, at)
        yield text[test:at] if test >= 0 else ""
    for at in occurrences(text, NATIVE):
        line = text[text.rfind("\n", 0, at) + 1 : text.find("\n", at)]
        yield line if _TESTS.search(line) else ""


def around(text: str, word: str) -> Iterator[str]:
    """The functions and methods, or what else is between two of them, in which a word stands; each once."""
    end = 0
    for at in reads(text, word):
        if at >= end:
            begun = max(text.rfind("\ndef ", end, at), text.rfind("\n    def ", end, at), end)
            following = _NEXT.search(text, at)
            end = following.start() if following is not None else len(text)
            yield text[begun:end]


def definitions(text: str, name: str) -> Iterator[str]:
    """The texts of the functions and methods of a name, up to the next one."""
    for at in reads(text, name):
        if text.endswith("def ", 0, at):
            line = text[text.rfind("\n", 0, at) + 1 : at]
            indent = len(line) - len(line.lstrip())
            following = re.compile(rf"\n {{0,{indent}}}(?:async |def |class |@)").search(text, at)
            yield text[at : following.start() if following is not None else None]


def minds_around(module: Module, node: ast.AST) -> bool:
    """The same of the function around a node, or of its statement where there is none."""
    return _minds_there(module, module.function(node) or module.statement(node))


@remembered
def _minds_there(module: Module, around: ast.AST) -> bool:
    first, last = getattr(around, "lineno", 1), getattr(around, "end_lineno", None)
    return minds("\n".join(module.lines[first - 1 : last]))
