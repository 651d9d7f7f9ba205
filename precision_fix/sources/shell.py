"""POSIX shell read into commands of words, each character with its place in the file.

It reads what scripts that start programs are made of: quotes, comments, continued lines, here-documents, arrays,
command substitutions. It expands nothing: `$NAME` and `${NAME:-word}` stay in the word as they are written. Where it
cannot follow, it says so, and nothing of the text is edited.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from precision_fix.model import newlines
from precision_fix.model.edit import Splice
from precision_fix.sources.analysis import Unparsable

_BLANK = " \t"
_SEPARATORS = ";&|\n()"
_MAX_NESTING = 40
ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\[[^]]*\])?\+?=")


@dataclass(frozen=True, slots=True)
class Word:
    """A word as the program gets it. `at` holds the offset of each of its characters; `start` and `end` its extent."""

    text: str
    at: Sequence[int]
    start: int
    end: int
    quoted: bool = False

    def part(self, first: int, last: int | None = None) -> Word:
        """The characters from `first` up to `last`, as a word of their own."""
        at = self.at[first:last]
        start, end = (at[0], at[-1] + 1) if at else (self.end, self.end)
        return Word(self.text[first:last], at, start, end, self.quoted)

    def spelt(self, new: str) -> Splice | None:
        """Put `new` in place of the characters, leaving quotes; None where escapes stand between them."""
        if not self.at or self.at[-1] - self.at[0] != len(self.text) - 1:
            return None
        return Splice(self.at[0], self.at[-1] + 1, new)


@dataclass(slots=True)
class HereDocument:
    """The body of `<<WORD`: its text and where that begins."""

    text: str
    start: int

    @property
    def word(self) -> Word:
        """The whole of it as a word."""
        end = self.start + len(self.text)
        return Word(self.text, range(self.start, end), self.start, end)


@dataclass(slots=True)
class Command:
    """A simple command: its words, and the extents of all that stands between them and is no blank (redirections).

    `into` is the file that its output goes to.
    `array` names the variable whose value `NAME=(...)` the words are; `listed` says that they are strings in a list,
    with commas between them.
    """

    words: list[Word] = field(default_factory=list)
    others: list[tuple[int, int]] = field(default_factory=list)
    here: list[HereDocument] = field(default_factory=list)
    into: str = ""
    array: str | None = None
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Dialect:
    """How shells differ here: the character that continues a line, and whether `'` quotes and `#` comments."""

    escape: str = "\\"
    single: bool = True
    comment: str = "#"
    expands: bool = True


POSIX = Dialect()
WINDOWS = Dialect(escape="^", single=False, comment="", expands=False)
POWERSHELL = Dialect(escape="`", expands=False)


def commands(text: str, at: Sequence[int] | None = None, dialect: Dialect = POSIX) -> list[Command]:
    """The commands of a text whose characters stand at the offsets `at`. Raises Unparsable."""
    reader = _Reader(text, range(len(text)) if at is None else at, dialect)
    reader.read(0, "")
    return [each for each in reader.done if each.words or each.here]


def words(word: Word, dialect: Dialect = POSIX) -> list[Command]:
    """The words that are written within a word: `ARGS="--bf16 --x 1"`. Nothing where they cannot be told apart."""
    try:
        return commands(word.text, word.at, dialect)
    except Unparsable:
        return []


class _Reader:
    def __init__(self, text: str, at: Sequence[int], dialect: Dialect) -> None:
        self.text = text
        self.at = at
        self.dialect = dialect
        self.done: list[Command] = []
        self.pending: list[tuple[Command, str, bool]] = []
        self.nesting = 0

    def offset(self, position: int) -> int:
        if position < len(self.text):
            return self.at[position]
        return self.at[-1] + 1 if len(self.at) else 0

    def read(self, position: int, until: str) -> int:
        """Read commands up to the end, or up to the bracket `until` that closes this one; gives the place behind."""
        self.nesting += 1
        if self.nesting > _MAX_NESTING:
            raise Unparsable("nested too deeply for a shell script")
        command = Command()
        depth = 0
        while position < len(self.text):
            character = self.text[position]
            if character == until and not depth:
                self.done.append(command)
                self.nesting -= 1
                return position + 1
            if character in _SEPARATORS:
                depth += {"(": 1, ")": -1 if depth else 0}.get(character, 0)
                self.done.append(command)
                command = Command()
                position += 1
                if character == "\n" and self.pending:
                    position = self._here_documents(position)
            else:
                position = self._token(command, position)
        self.done.append(command)
        self.nesting -= 1
        if until:
            raise Unparsable(f"does not read as a shell script: `{until}` is missing")
        return position

    def _token(self, command: Command, position: int) -> int:
        """A blank, a comment, a redirection or a word."""
        character = self.text[position]
        if character in _BLANK or character in "\r\f\v":
            return position + 1
        if self._continued(position):
            return self._continued(position)
        if self.dialect.comment and self.text.startswith(self.dialect.comment, position):
            end = self.text.find("\n", position)
            return len(self.text) if end < 0 else end
        if character in "<>":
            return self._redirection(command, position)
        return self._word(command, position)

    def _continued(self, position: int) -> int:
        """Behind the line break that the escape at `position` takes away; 0 where it takes none."""
        if self.text[position] != self.dialect.escape:
            return 0
        for end in ("\n", "\r\n"):
            if self.text.startswith(end, position + 1):
                return position + 1 + len(end)
        return 0

    def _redirection(self, command: Command, position: int) -> int:
        first = position
        if command.words and command.words[-1].text.isdigit() and command.words[-1].end == self.offset(position):
            first = position - len(command.words.pop().text)
        operator = re.compile(r"<<<|<<-?|<\(|>\(|[<>]+[&|]?|>&").match(self.text, position)
        assert operator is not None
        position = operator.end()
        if operator[0] in ("<(", ">("):
            position = self.read(position, ")")
            command.others.append((self.offset(first), self.offset(position - 1) + 1))
            return position
        while position < len(self.text) and self.text[position] in _BLANK:
            position += 1
        target = Command()
        if position < len(self.text) and self.text[position] not in _SEPARATORS + "<>":
            position = self._word(target, position)
        command.others.append((self.offset(first), self.offset(position - 1) + 1))
        if operator[0] in ("<<", "<<-") and target.words:
            self.pending.append((command, target.words[0].text, operator[0] == "<<-"))
        elif operator[0] in (">", ">>", ">|") and target.words:
            command.into = target.words[0].text
        return position

    def _here_documents(self, position: int) -> int:
        for command, end, tabs in self.pending:
            start = position
            while True:
                if position >= len(self.text):
                    told = " ".join(end.split())
                    raise Unparsable(f"does not read as a shell script: no line {told}, which ends a here-document")
                line_end = self.text.find("\n", position)
                line_end = len(self.text) if line_end < 0 else line_end
                line = self.text[position:line_end].rstrip("\r")
                if (line.lstrip("\t") if tabs else line) == end:
                    break
                position = line_end + 1
            command.here.append(HereDocument(self.text[start:position], self.offset(start)))
            position = min(line_end + 1, len(self.text))
        self.pending.clear()
        return position

    def _word(self, command: Command, position: int) -> int:
        first = position
        builder = _Builder()
        while position < len(self.text):
            character = self.text[position]
            if character in _BLANK or character in "\r\f\v<>":
                break
            if character == "(" and builder.is_array:
                return self._array(builder.name, position + 1, command)
            if character in _SEPARATORS and not (character == "&" and self.text[position - 1] in "<>"):
                break
            behind = self._continued(position)
            position = behind or self._character(builder, position)
        word = builder.word(self.offset(first), self.offset(position - 1) + 1)
        command.words.append(word)
        return position

    def _array(self, name: str, position: int, command: Command) -> int:
        """`NAME=(...)`: items over several lines, with comments between them."""
        array = Command(array=name)
        while position < len(self.text) and self.text[position] != ")":
            if self.text[position] == "\n":
                position += 1
            elif self.text[position] in _SEPARATORS:
                raise Unparsable(f"does not read as a shell script: {name}=( holds {self.text[position]!r}")
            else:
                position = self._token(array, position)
        if position >= len(self.text):
            raise Unparsable(f"does not read as a shell script: {name}=( is not closed")
        self.done.append(array)
        return position + 1

    def _character(self, builder: _Builder, position: int) -> int:
        character, dialect = self.text[position], self.dialect
        if character == dialect.escape:
            if position + 1 < len(self.text):
                builder.add(self.text[position + 1], self.at[position + 1])
            return position + 2
        if character == "'" and dialect.single:
            return self._single(builder, position)
        if character == '"':
            return self._double(builder, position + 1)
        if dialect.expands and character in "$`":
            return self._expansion(builder, position)
        builder.add(character, self.at[position])
        return position + 1

    def _single(self, builder: _Builder, position: int) -> int:
        end = self.text.find("'", position + 1)
        if end < 0:
            raise Unparsable(self._unclosed("'", position))
        builder.quoted = True
        for index in range(position + 1, end):
            builder.add(self.text[index], self.at[index])
        return end + 1

    def _double(self, builder: _Builder, position: int) -> int:
        opened = position - 1
        builder.quoted = True
        while position < len(self.text):
            character = self.text[position]
            if character == '"':
                return position + 1
            if character == self.dialect.escape and self.dialect.expands:
                behind = self._continued(position)
                if behind:
                    # It stays a blank: words within the string are told apart by it.
                    builder.add(" ", self.at[position])
                    position = behind
                    continue
                if self.text[position + 1 : position + 2] in ('"', "\\", "$", "`"):
                    position += 1
                    character = self.text[position]
                builder.add(character, self.at[position])
                position += 1
            elif self.dialect.expands and character in "$`":
                position = self._expansion(builder, position)
            else:
                builder.add(character, self.at[position])
                position += 1
        raise Unparsable(self._unclosed('"', opened))

    def _expansion(self, builder: _Builder, position: int) -> int:
        """`$NAME`, `${...}` and `$(...)` stay as they are written; the commands of the last are read as well."""
        if self.text.startswith("$((", position):
            end = self.text.find("))", position)
            end = len(self.text) if end < 0 else end + 2
        elif self.text.startswith("$(", position):
            pending, self.pending = self.pending, []
            end = self.read(position + 2, ")")
            self.pending = pending + self.pending
        elif self.text.startswith("${", position):
            end = self._braces(position + 2)
        elif self.text[position] == "`":
            found = self.text.find("`", position + 1)
            if found < 0:
                raise Unparsable(self._unclosed("`", position))
            self.done += _inner(self.text[position + 1 : found], self.at[position + 1 : found])
            end = found + 1
        elif self.text.startswith("$'", position):
            end = position + 2
            while end < len(self.text) and self.text[end] != "'":
                end += 2 if self.text[end] == "\\" else 1
            end += 1
        else:
            end = position + 1
        for index in range(position, min(end, len(self.text))):
            builder.add(self.text[index], self.at[index])
        return end

    def _braces(self, position: int) -> int:
        depth, opened = 1, position - 2
        while position < len(self.text):
            character = self.text[position]
            depth += {"{": 1, "}": -1}.get(character, 0)
            position += 2 if character == "\\" else 1
            if not depth:
                return position
        raise Unparsable(self._unclosed("${", opened))

    def _unclosed(self, what: str, position: int) -> str:
        line = newlines.number(self.text, position)
        return f"does not read as a shell script, line {line}: {what} is not closed"


def _inner(text: str, at: Sequence[int]) -> Iterator[Command]:
    yield from words(Word(text, at, 0, 0))


class _Builder:
    """A word while it is read."""

    def __init__(self) -> None:
        self.characters: list[str] = []
        self.at: list[int] = []
        self.quoted = False

    def add(self, character: str, at: int) -> None:
        self.characters.append(character)
        self.at.append(at)

    @property
    def is_array(self) -> bool:
        return not self.quoted and ASSIGNMENT.fullmatch("".join(self.characters)) is not None

    @property
    def name(self) -> str:
        found = ASSIGNMENT.fullmatch("".join(self.characters))
        return found[1] if found else ""

    def word(self, start: int, end: int) -> Word:
        return Word("".join(self.characters), self.at, start, end, self.quoted)
