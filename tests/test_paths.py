"""The ways through a block of statements: whether all of them come to a call of `hit`, whether one leads away."""

from __future__ import annotations

import ast

import pytest

from precision_fix.model.paths import always, leaves

# Whoever goes into these comes to `hit`, or to an exception.
COMES = [
    "hit()",
    "x = hit()",
    "raise E",
    "x = 1\nhit()",
    "if a: hit()\nelse: raise E",
    "if hit(): pass",
    "if a: x = 1\nhit()",
    "if a:\n    return hit()\nhit()",
    "return hit() if a else hit()",
    "x = hit() if a else hit()",
    "x = a if hit() else b",
    "match a:\n    case 1: hit()\n    case _: hit()",
    "match a:\n    case 1: hit()\n    case other: raise E",
    "match hit():\n    case 1: pass",
    "try: hit()\nexcept E: raise",
    "try: x = 1\nexcept E: pass\nfinally: hit()",
    "with a: hit()",
    "with hit(): pass",
    "async def f():\n    pass\nhit()",
    "for x in a: hit()",
    "while a:\n    hit()",
    "for x in a:\n    if x: break\nhit()",
    "while a:\n    if a: continue\nhit()",
    "def f():\n    return 1\nhit()",
    "class A:\n    x = 1\nhit()",
]
# One way through these does not, and it leads out of the block.
LEAVES = [
    "return 1\nhit()",
    "return",
    "if a: return 1\nhit()",
    "if a: pass\nelse: return\nhit()",
    "if a:\n    return hit()\nelse:\n    return 1",
    "return hit() if a else 1",
    "break\nhit()",
    "continue\nhit()",
    "if a: break\nhit()",
    "for x in a:\n    if x: return\nhit()",
    "for x in a:\n    pass\nelse:\n    return\nhit()",
    "match a:\n    case 1: return\nhit()",
    "try: x = 1\nexcept E: return\nhit()",
    "with a: return\nhit()",
]
# One does not, and goes on behind it.
GOES_ON = [
    "",
    "x = 1",
    "if a: hit()",
    "if a: pass\nelse: hit()",
    "x = hit() if a else 1",
    "match a:\n    case 1: hit()\n    case 2: hit()",
    "match a:\n    case 1: hit()\n    case _ if b: hit()",
    "match a:\n    case 1: hit()\n    case [_]: hit()",
    "match a:\n    case 1: pass\n    case _: hit()",
    "try: hit()\nexcept E: pass",
    "try: pass\nexcept E: hit()",
    "with a: pass",
    "for x in a: pass",
    "for x in a:\n    if x: break\n    hit()",
    "def f(): hit()",
    "async def f(): hit()",
    "class A:\n    def f(self): hit()",
]


def hits(node: ast.AST) -> bool:
    """Whether a statement that is none of a block calls it, or an expression."""
    return any(isinstance(each, ast.Call) and ast.unparse(each.func) == "hit" for each in ast.walk(node))


def found(text: str) -> tuple[bool, bool]:
    block = ast.parse(text).body
    return always(block, hits), leaves(block, hits)


@pytest.mark.parametrize(
    ("text", "comes", "leads_away"),
    [
        *((text, True, False) for text in COMES),
        *((text, False, True) for text in LEAVES),
        *((text, False, False) for text in GOES_ON),
    ],
)
def test_the_ways_through_a_block(text: str, comes: bool, leads_away: bool) -> None:
    assert found(text) == (comes, leads_away)
