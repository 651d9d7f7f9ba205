"""What can be reached in a graph that is found out step by step: each node is looked at once, whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

Node = TypeVar("Node", bound=Hashable)


class Marks(Generic[Node]):
    """`step` says of a node where it leads and which marks it bears itself, as bits of a number.

    The marks of all that a node reaches flow back to it, along each edge at most once for each mark. So what all nodes
    of a graph reach costs what the graph is large, and cycles end by themselves.
    """

    def __init__(self, step: Callable[[Node], tuple[Iterable[Node], int]]) -> None:
        self._step = step
        self._marks: dict[Node, int] = {}
        self._before: dict[Node, list[Node]] = {}

    def marks(self, node: Node) -> int:
        """The marks of a node and of all that it reaches."""
        if node not in self._marks:
            self._explore(node)
        return self._marks[node]

    def _explore(self, start: Node) -> None:
        marks, before = self._marks, self._before
        found: list[Node] = [start]
        marks[start] = 0
        for node in found:  # which grows
            following, own = self._step(node)
            for each in following:
                before.setdefault(each, []).append(node)
                if each not in marks:
                    marks[each] = 0
                    found.append(each)
                own |= marks[each]
            marks[node] |= own
        # What was known before leads to nothing new: only the new ones can still gain.
        while found:
            node = found.pop()
            for each in before.get(node, ()):
                gained = marks[each] | marks[node]
                if gained != marks[each]:
                    marks[each] = gained
                    found.append(each)
