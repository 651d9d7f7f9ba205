"""What a name stands for past the files that hand it on, who imports it, and which classes are of one family.

All of it is told from facts (`project.facts`), so no file is parsed for it, but for those that import in a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from precision_fix.model.trace import Trace
from precision_fix.project.facts import Facts, Import
from precision_fix.project.imports import Imports
from precision_fix.project.names import Names, stem_of

# Files that hand a name on to one another in a ring end where it closes; this is for Python's stack.
_MOST_STEPS = 64
# So many answers are not kept since a ring was open: among files that all bring one another nearly all are such.
_MOST_DROPPED = 2_000
# A base of half a library: what its attributes are called says nothing.
MOST_RELATIVES = 1_000

#: A file, and what is left of a dotted name in it.
Origin = tuple[str, tuple[str, ...]]


class Member(NamedTuple):
    """A class by the file that defines it and its name there."""

    path: str
    name: str


class Links:
    """`binds` tells whether a file binds a name at its margin, and what by an import; it parses the file."""

    def __init__(
        self, top: str, imports: Imports, binds: Callable[[str, str], tuple[bool, list[str]]], trace: Trace
    ) -> None:
        self._imports = imports
        self._trace = trace
        self._names = Names(top, imports.files)
        self._binds = binds
        self._locals: dict[str, dict[str, list[Import]]] = {}
        self._brought: dict[str, dict[str, list[str]]] = {}
        self._bases_of: dict[str, dict[str, list[tuple[str, ...]]]] = {}
        self._origins: dict[tuple[str, str], Any] = {}
        # What is being found out, by depth; the depth at which the ring began that is open; what rests on its being so.
        self._going: dict[tuple[str, str], int] = {}
        self._ring = _MOST_STEPS + 1
        self._unclosed: set[tuple[str, str]] = set()
        self._dropped = 0
        self._users: dict[tuple[str, str], Any] = {}
        self._families: dict[Member, Any] = {}
        self._derived: dict[Member, Any] = {}
        self._meant: dict[tuple[str, str], Any] = {}

    def facts(self, path: str) -> Facts | None:
        return self._imports.files.get(path)

    def imported(self, path: str, local: str) -> list[Import]:
        """The imports by which a file calls something by a name."""
        if path not in self._locals:
            facts = self.facts(path)
            known: dict[str, list[Import]] = {}
            for each in facts.imports if facts is not None else ():
                known.setdefault(each.local, []).append(each)
            self._locals[path] = known
        return self._locals[path].get(local, [])

    def origin(self, path: str, dotted: str) -> Origin | None:
        """The file that binds a name for the first time, past those that hand it on, and what is left of the name."""
        key = path, dotted
        answer = self._trace.remember(self._origins, key, lambda: self._origin(key))
        if key in self._unclosed:
            # Found out while a ring was open, at another place than where it began: asked by itself it may be another.
            self._unclosed.discard(key)
            self._dropped += 1
            if self._dropped <= _MOST_DROPPED:
                del self._origins[key]
        return answer

    def _origin(self, key: tuple[str, str]) -> Origin | None:
        found = self._names.locate(*key)
        if found is None or not found[1] or len(self._going) > _MOST_STEPS:
            return found
        if key in self._going:
            self._ring = min(self._ring, self._going[key])
            self._unclosed.add(key)
            return found
        depth = self._going[key] = len(self._going)
        ring, self._ring = self._ring, depth
        try:
            return self._handed_on(found)
        finally:
            del self._going[key]
            if self._ring < depth:
                self._unclosed.add(key)
            self._ring = min(ring, self._ring)

    def _handed_on(self, found: Origin) -> Origin:
        file, rest = found
        facts, brought = self.facts(file), self.imported(file, rest[0])
        if facts is None or (not brought and not facts.stars):
            return found
        targets = [each.target for each in brought]
        is_bound = bool(brought)
        if not brought or not all(each.margin for each in brought):
            is_bound, targets = self._binds(file, rest[0])
        for target in targets:
            return self.origin(file, ".".join([target, *rest[1:]])) or found
        for star in facts.stars if not is_bound else ():
            there = self.origin(file, f"{star}.{'.'.join(rest)}")
            if there is not None and there[1] and self._binds(there[0], there[1][0])[0]:
                return there
        return found

    def users(self, path: str, name: str) -> tuple[str, ...]:
        """The files that import a name of a file, the file itself, or all that it has."""
        return self._trace.remember(self._users, (path, name), lambda: tuple(self._find_users(path, name)))

    def handed(self, path: str, name: str) -> set[Origin | None]:
        """A name of a file, and what it stands for where the file hands it on."""
        return {(path, (name,)), *(self.origin(path, each.target) for each in self.imported(path, name))}

    def _find_users(self, path: str, name: str) -> Iterator[str]:
        stem, meant = stem_of(path), {(path, ()), *self.handed(path, name)} - {None}
        for other in self._imports.mentioning(name, stem):
            facts = self.facts(other)
            if other == path or facts is None:
                continue
            brought = self._brings(other, facts)
            dotted = [*brought.get(name, ()), *(brought.get(stem, ()) if stem != name else ())]
            origins = [self.origin(other, each) for each in dotted]
            origins += [self._names.locate(other, star) for star in facts.stars]
            if not meant.isdisjoint(origins):
                yield other

    def _brings(self, path: str, facts: Facts) -> dict[str, list[str]]:
        """All that the imports of a file bring, by its own name."""
        if path not in self._brought:
            known: dict[str, list[str]] = {}
            for each in facts.imports:
                known.setdefault(each.brings.rpartition(".")[2], []).append(each.brings)
            self._brought[path] = known
        return self._brought[path]

    # Classes.

    def family(self, member: Member) -> tuple[Member, ...]:
        """A class with its bases and what is derived from it."""
        return self._trace.remember(self._families, member, lambda: tuple(self._find_family(member)))

    def _find_family(self, member: Member) -> dict[Member, None]:
        up, down = self._relatives(member, self._bases), self._relatives(member, self._children)
        return dict.fromkeys((*up, *down))

    def _relatives(self, member: Member, next_of: Callable[[Member], Iterable[Member]]) -> list[Member]:
        found = [member]
        seen = {member}
        for each in found:
            for other in next_of(each):
                if other not in seen and len(found) < MOST_RELATIVES:
                    seen.add(other)
                    found.append(other)
        return found

    def _classes(self, path: str) -> dict[str, list[tuple[str, ...]]]:
        """The classes of a file by their names; there may be two of one, each with its bases."""
        if path not in self._bases_of:
            facts = self.facts(path)
            known: dict[str, list[tuple[str, ...]]] = {}
            for name, bases in facts.classes if facts is not None else ():
                known.setdefault(name, []).append(bases)
            self._bases_of[path] = known
        return self._bases_of[path]

    def _bases(self, member: Member) -> Iterator[Member]:
        for bases in self._classes(member.path).get(member.name, ()):
            for base in bases:
                found = self._class(member.path, base)
                if found is not None:
                    yield found

    def _children(self, member: Member) -> list[Member]:
        return self._trace.remember(self._derived, member, lambda: [*self._find_children(member)])

    def _find_children(self, member: Member) -> Iterator[Member]:
        for path in (member.path, *self.users(member.path, member.name)):
            for name, found in self._classes(path).items():
                if any(self._is(path, base, member) for bases in found for base in bases):
                    yield Member(path, name)

    def _is(self, path: str, base: str, member: Member) -> bool:
        last = base.rpartition(".")[2]
        return last == member.name or (bool(self.imported(path, last)) and self._class(path, base) == member)

    def _class(self, path: str, base: str) -> Member | None:
        return self._trace.remember(self._meant, (path, base), lambda: self._find_class(path, base))

    def _find_class(self, path: str, base: str) -> Member | None:
        """The class of the project that a base stands for, as it is written in a file."""
        first, _, rest = base.partition(".")
        if not rest and base in self._classes(path):
            return Member(path, base)
        facts, brought = self.facts(path), self.imported(path, first)
        dotted = [f"{each.target}.{rest}" if rest else each.target for each in brought]
        if not brought and facts is not None:
            dotted = [f"{star}.{base}" for star in facts.stars]
        for each in dotted:
            there = self.origin(path, each)
            if there is not None and len(there[1]) == 1 and there[1][0] in self._classes(there[0]):
                return Member(there[0], there[1][0])
        return None


def asks_another(data: bytes, word: str) -> bool:
    """Whether an attribute of this name is asked of something else than of `self` or `cls`."""
    name = f".{word}".encode()
    at = data.find(name)
    while at >= 0:
        if not data.endswith((b"self", b"cls"), max(0, at - 4), at):
            return True
        at = data.find(name, at + len(name))
    return False
