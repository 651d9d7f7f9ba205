"""A site: one occurrence of bfloat16 in a parsed file, with its kind and what its value comes to."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property

from precision_fix.model.edit import Edit, ImportAlso, Rename, Replace
from precision_fix.model.fate import Fate
from precision_fix.model.flow import follow, follow_results
from precision_fix.model.held import End
from precision_fix.model.module import Module


class Kind(Enum):
    """What the occurrence is, before its meaning is asked."""

    DTYPE = auto()
    TENSOR_TYPE = auto()
    METHOD = auto()
    WORD = auto()
    FLAG = auto()
    PROBE = auto()
    LOOKUP = auto()
    KERNEL = auto()
    CHECKPOINT = auto()
    ATTENTION = auto()
    PACKAGE = auto()
    PRODUCT = auto()
    LAUNCH = auto()
    BROUGHT = auto()
    REFUSAL = auto()
    """float32, in a guard that refuses it."""


_OF_DTYPES = frozenset({Kind.DTYPE, Kind.METHOD, Kind.TENSOR_TYPE})


@dataclass(eq=False)
class Site:
    """One occurrence. `node` is the expression it consists of; `value`, for a flag, what the flag is set to.

    `within` is where it begins in the source of the node: in a string that holds more than the one.
    """

    module: Module
    kind: Kind
    node: ast.AST
    token: str
    value: ast.expr | None = None
    within: int = 0

    @cached_property
    def ends(self) -> list[End]:
        return follow(self.module, self.node if self.kind is not Kind.FLAG or self.value is None else self.value)

    @cached_property
    def fates(self) -> frozenset[Fate]:
        return frozenset(end.fate for end in self.ends)

    @cached_property
    def results(self) -> list[End]:
        """What becomes of the tensors and modules that are cast to, or made in, the site's precision."""
        return follow_results(self.module, self.node, is_tensor=self.kind is Kind.METHOD)

    def meets(self, *fates: Fate) -> Iterator[End]:
        """The ends of these fates, of the value or of what is made with it."""
        known = dict.fromkeys([*self.ends, *self.results] if self.kind in _OF_DTYPES else self.ends)
        return (end for end in known if end.fate in fates)

    @cached_property
    def chain(self) -> list[ast.AST]:
        """The nodes around the site, innermost first, up to and with its statement."""
        found: list[ast.AST] = []
        for above in self.module.ancestors(self.node):
            found.append(above)
            if isinstance(above, ast.stmt):
                break
        return found

    @property
    def statement(self) -> ast.stmt:
        return self.module.statement(self.node)

    @property
    def parent(self) -> ast.AST | None:
        return self.module.parent(self.node)

    @property
    def word(self) -> str:
        return self.node.value if isinstance(self.node, ast.Constant) and isinstance(self.node.value, str) else ""

    def retarget(self) -> tuple[Edit, ...] | None:
        """The edits that put the target dtype in the site's place; None where its name means something else here."""
        dtype = self.module.target.dtype
        if isinstance(self.node, ast.Attribute):
            return (Rename(self.node, dtype),)
        assert isinstance(self.node, ast.Name)
        torch = self.module.local_name("torch", self.node)
        if torch is not None:
            return (Replace(self.node, f"{torch}.{dtype}"),)
        statement = self.module.import_of(self.node)
        taken = self.module.scope_of(self.node).owner(dtype)
        if taken is None and statement is not None:
            return (Replace(self.node, dtype), ImportAlso(statement, dtype))
        # What binds the name already may be torch's own dtype; unbound, it came with the star that brought bfloat16.
        known = [self.module.imported(bound) for bound in taken.bindings[dtype]] if taken else []
        return (Replace(self.node, dtype),) if all(name == f"torch.{dtype}" for name in known) else None
