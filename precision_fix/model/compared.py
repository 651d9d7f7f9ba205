"""What a value is compared with: whether that asks for it, demands it, or tells it from others."""

from __future__ import annotations

import ast

from precision_fix.model import dispatch, matched
from precision_fix.model.fate import Fate
from precision_fix.model.guard import falls_to_float16, judged_by
from precision_fix.model.handed import Handed
from precision_fix.model.held import Shape

SEQUENCES = ast.List | ast.Tuple | ast.Set


class Compared(Handed):
    """The part of a follower that knows of comparisons."""

    def compares_other_things(self, node: ast.AST, compare: ast.Compare) -> bool:
        """Whether a dtype's variable is compared with words, or a word's variable with dtypes."""
        others = [side for side in (compare.left, *compare.comparators) if side is not node]
        items = [item for side in others for item in (side.elts if isinstance(side, SEQUENCES) else [side])]
        if self.is_word:
            # A test for another word says nothing of this one either.
            words = [item.value for item in items if isinstance(item, ast.Constant)]
            other = len(words) == len(items) and not any("16" in str(word) and "b" in str(word) for word in words)
            return other or any(self.module.dtype_name(item) is not None for item in items)
        return bool(items) and all(isinstance(item, ast.Constant) and isinstance(item.value, str) for item in items)

    def named(self, node: ast.AST) -> None:
        """The name of the dtype is held against a word, which need not change with it."""
        guard = matched.by_name(self.module, node)
        if guard is not None:
            self.end(Fate.REFUSED, guard)

    def compared(self, node: ast.AST, compare: ast.Compare) -> None:
        shape = self.held.shape
        if shape in (Shape.MAP, Shape.OBJECT) or self.held.tensor:
            return
        guard = judged_by(self.module, compare, node) if shape is Shape.VALUE else None
        if guard is None and self.is_word and matched.to_name(self.module, node) is not None:
            guard = Fate.REFUSED
        if self.module.resolve(node) == "torch.bfloat16" and guard is not Fate.ASSERTED:
            guard = None  # what is compared with, not what is checked
        if guard is not None:
            self.end(guard, compare)
        elif self.held.spelt:
            self.named(node)
            self.end(dispatch.by_tests(self.module, compare, node, spelt=True), compare)
        elif not self.is_word and matched.agrees(self.module, compare):
            self.end(Fate.AGREES, compare)
        elif not self.is_word and matched.by_lookup(self.module, compare, node):
            self.end(Fate.REFUSED, compare)
        # A variable that holds now a word and now a dtype: a comparison with the one says nothing of the other.
        elif self.compares_other_things(node, compare):
            if self.is_word:
                self.end(Fate.ASKED, compare)
        elif isinstance(node, ast.Name | ast.Attribute) and falls_to_float16(self.module, compare, node):
            self.end(Fate.FALLS, compare)
        else:
            self.end(dispatch.by_tests(self.module, compare, node), compare)
