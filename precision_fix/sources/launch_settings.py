"""The settings of launch lines: options and variables of commands, with the places where their values are written.

A value that a variable brings (`--mixed_precision $PRECISION`) is followed to where the file sets it, and words in a
variable (`ARGS="--bf16 --x 1"`, `ARGS=(--bf16)`) belong to the commands that the variable is spread over.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from precision_fix.model.setting import Form, plain
from precision_fix.model.sites import is_flag
from precision_fix.model.vocabulary import attention, precision
from precision_fix.model.vocabulary.spellings import speaks
from precision_fix.model.vocabulary.truth import TRUE, TRUTH
from precision_fix.sources.commands import (
    OPTION,
    Program,
    default_of,
    name_of,
    programs_of,
    variables_in,
    whole_variable,
)
from precision_fix.sources.launch_variables import MOST_READERS, TOO_MANY, Variable
from precision_fix.sources.shell import ASSIGNMENT, POSIX, Command, Dialect, Word, words


def _all(names: str) -> frozenset[str]:
    return frozenset(names.split())


_OVERRIDE = re.compile(r"(?:\+\+|\+)?([A-Za-z_][\w./@-]*)=")
# `--model_args pretrained=m,dtype=bfloat16`: settings within a value.
_PARTS = re.compile(r"(?:^|,)([A-Za-z_]\w*)=([^,=]*)(?=,|$)")
_KEYWORDS = frozenset({"if", "then", "else", "elif", "while", "until", "do", "!", "{", "time", "exec", "nohup", "sudo"})
_DECLARES = frozenset({"export", "declare", "local", "readonly", "typeset", "env", "set", "ENV", "ARG"})
_TESTS = frozenset({"[", "[[", "test", "case", "grep"})
# These read no precision; their words are text, files and packages.
_SILENT = _all(
    "echo printf cat grep sed awk rm mkdir cp mv ls cd pip pip3 wget curl git apt apt-get find read cut tr head tail"
    " source . return exit for shift trap unset conda huggingface-cli hf modelscope REM rem Write-Host Write-Output"
    " LABEL FROM COPY ADD WORKDIR function cmake make"
)
# What runs the text of one of its words.
_RUNS = frozenset(
    {"bash", "sh", "zsh", "eval", "ssh", "srun", "screen", "tmux", "docker", "su", "sbatch", "cmd", "kubectl"}
)
# docker's options, behind which `NAME=value` stands.
_ENVIRONMENT = frozenset({"-e", "--env"})
# What runs a here-document that it is given; "" is Docker's `RUN <<EOF`.
_SCRIPTS = frozenset({"", "bash", "sh", "zsh", "ssh", "sbatch"})


@dataclass(eq=False, slots=True)
class Found:
    """A setting of a launch line and where it is written.

    `key` is its name as it is written, without dashes; `value` the word that its value is written as, None for a
    switch that stands alone. `programs` are those that read it, `options` the names and values beside it; `why` says
    why it cannot be edited where that is so.
    """

    form: Form
    key: str
    option: Word
    value: Word | None
    line: Line
    index: int
    programs: list[Program]
    options: dict[str, object]
    why: str = ""

    @property
    def remote(self) -> bool:
        """Whether the value stands elsewhere than the option, in an assignment."""
        return self.value is not None and self.line.words == [self.value]


@dataclass(eq=False, slots=True)
class Line:
    """The words of one command in their order, among which a switch may be taken out."""

    words: list[Word]
    others: list[tuple[int, int]] = field(default_factory=list)
    listed: bool = False


def found(commands: Sequence[Command], dialect: Dialect = POSIX) -> list[Found]:
    """The settings in commands that speak of bfloat16, or of an attention that needs it, in no particular order."""
    finder = _Finder(dialect)
    for command in commands:
        finder.command(command)
    finder.follow()
    return finder.found


def reads_here(command: Command) -> bool:
    """Whether the here-document of a command is read as commands, or as words of a variable."""
    names = [name_of(word.text) for word in command.words if not ASSIGNMENT.match(word.text)]
    return not names or names[0] in _SCRIPTS or "read" in names


class _Finder:
    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.found: list[Found] = []
        self.variables: dict[str, Variable] = defaultdict(Variable)
        self.beside: dict[Program, dict[str, object]] = {}

    def command(self, command: Command) -> None:
        if command.array is not None:
            self.variables[command.array].arrays.append(command)
            return
        rest = self._assignments(command.words)
        name = name_of(rest[0].text) if rest else ""
        if name in _SCRIPTS:
            for here in command.here:
                for inner in words(here.word, self.dialect):
                    self.command(inner)
        if not rest:
            return
        if name == "for":
            self._loop(rest)
        if name in _TESTS:
            for variable in variables_in(rest):
                self.variables[variable].compared = True
        if name == "read":
            self._read(command, rest)
        if name in _SILENT or name in _TESTS:
            return
        if name in _RUNS:
            for word in rest[1:]:
                if word.quoted and " " in word.text:
                    for inner in words(word, self.dialect):
                        self.command(inner)
        self._options(
            Line(rest, command.others, command.listed), [[each] for each in programs_of(self._resolved(rest))]
        )

    def _resolved(self, given: list[Word]) -> list[Word]:
        """`$CMD --bf16`: the first word by what the file gave the variable."""
        values = self.variables[whole_variable(given[0]) or ""].values if "$" in given[0].text else []
        if len(values) != 1 or len(values[0].text.split()) != 1:
            return given
        return [Word(values[0].text, (), given[0].start, given[0].end), *given[1:]]

    def _assignments(self, given: list[Word]) -> list[Word]:
        """Take the assignments at the head of a command; what is left are its own words."""
        index, exported = 0, False
        while index < len(given):
            word = given[index]
            match = ASSIGNMENT.match(word.text)
            if word.text in _KEYWORDS:
                pass
            elif word.text in _DECLARES or (index and given[index - 1].text in _DECLARES and word.text[:1] in "-/"):
                exported = exported or word.text in ("export", "ENV", "env", "ARG")
            elif match:
                variable = self.variables[match[1]]
                variable.values.append(word.part(match.end()))
                # In front of a command, it is set for that command alone: it is exported.
                variable.exported |= exported or index + 1 < len(given)
            else:
                break
            index += 1
        return given[index:]

    def _loop(self, rest: list[Word]) -> None:
        if len(rest) > 3 and rest[2].text == "in":
            variable = self.variables[rest[1].text]
            variable.looped = True
            variable.values += rest[3:]

    def _read(self, command: Command, rest: list[Word]) -> None:
        """`read -d '' NAME <<EOF`: the lines of a here-document are the value of a variable."""
        self.variables[rest[-1].text].values += [here.word for here in command.here]

    # The options of one command.

    def _options(self, line: Line, programs: Sequence[list[Program]]) -> None:
        """The options of a line; `programs` are those that read the word at each place."""
        options = _all_options(line.words)
        by_identity = {id(readers): readers for readers in programs}
        for program in dict.fromkeys(each for readers in by_identity.values() for each in readers):
            # The words that several variables hold for one program tell of each other what it is.
            known = self.beside.setdefault(program, {})
            known.update(options)
            options = known
        for index in range(len(line.words)):
            self.found += self._option(line, index, programs[index], options)

    def _option(self, line: Line, index: int, programs: list[Program], options: dict[str, object]) -> Iterator[Found]:
        named = self._named(line, index, programs)
        if named is None:
            return
        word, (key, value) = line.words[index], named
        if value is not None and (variable := whole_variable(value)):
            self.variables[variable].given_to([(key, word, programs, options)])
            value = default_of(value)
            if value is None:
                return
        if _speaks(key, value):
            yield Found(Form.OPTION, key, word, value, line, index, programs, options)
        if value is not None:
            for match in _PARTS.finditer(value.text):
                inner = value.part(match.start(2), match.end(2))
                if inner.text and _speaks(match[1], inner):
                    part = value.part(match.start(1), match.end(2))
                    yield Found(Form.OPTION, match[1], part, inner, line, index, programs, options)

    def _named(self, line: Line, index: int, programs: list[Program]) -> tuple[str, Word | None] | None:
        """Name and value of an option; None for any other word, of whose variables it is noted what becomes of them."""
        word = line.words[index]
        previous = line.words[index - 1].text if index else ""
        if OPTION.match(word.text):
            return self._dashed(word, line.words[index + 1] if index + 1 < len(line.words) else None)
        if previous in _ENVIRONMENT:
            return None
        if (match := _OVERRIDE.match(word.text)) and index:
            return match[1], word.part(match.end())
        is_value = OPTION.match(previous) and "=" not in previous
        if not is_value or self._may_spread(word):
            self._spread(word, programs)
        return None

    def _dashed(self, word: Word, following: Word | None) -> tuple[str, Word | None] | None:
        """Name and value of a word with dashes; None where the next word is a variable for a container."""
        name, equal, _ = word.text.partition("=")
        key = name.lstrip("-")
        if equal:
            return key, word.part(len(name) + 1)
        if following is None:
            return key, None
        if name in _ENVIRONMENT:
            self._variable_for_container(following)
            return None
        if OPTION.match(following.text):
            return key, None
        takes_word = attention.CHOOSES.fullmatch(plain(key)) is not None
        is_switch = is_flag(plain(key)) or (not takes_word and attention.SWITCH.fullmatch(plain(key)) is not None)
        return key, None if is_switch and not _is_truth(following.text) else following

    def _may_spread(self, word: Word) -> bool:
        name = whole_variable(word) or ""
        return name in self.variables and self.variables[name].holds_words()

    def _spread(self, word: Word, programs: list[Program]) -> None:
        for name in variables_in([word]):
            self.variables[name].spread.add(programs)

    def _variable_for_container(self, word: Word) -> None:
        """`docker run -e NAME=value`."""
        match = ASSIGNMENT.match(word.text)
        if match:
            self.variables[match[1]].values.append(word.part(match.end()))
            self.variables[match[1]].exported = True

    # What variables bring.

    def follow(self) -> None:
        for _ in range(3):
            self._pass_on()
        held = [
            (variable, command)
            for variable in self.variables.values()
            for command in (*variable.arrays, *(each for value in variable.values for each in self._commands(value)))
        ]
        for variable, command in held:
            self._within(command, variable)
        # What the words within variables read is known by now.
        self._pass_on()
        for name, variable in list(self.variables.items()):
            for value in variable.values:
                self._word(name, variable, value)

    def _commands(self, value: Word) -> list[Command]:
        """The commands or options that a variable's value consists of; none for a single word."""
        text = value.text.strip()
        several = " " in text or "\n" in text or OPTION.match(text)
        return words(value, self.dialect) if several else []

    def _pass_on(self) -> None:
        """`B=$A` and `ALL="$A $B"`: what is done with the one is done with the other."""
        for variable in list(self.variables.values()):
            for value in variable.values:
                if whole := whole_variable(value):
                    other = self.variables[whole]
                    other.given_to(variable.options)
                    other.compared |= variable.compared
            texts = [value.text for value in variable.values] + [w.text for a in variable.arrays for w in a.words]
            for part in (part for text in texts for part in text.split()):
                if whole := whole_variable(Word(part, (), 0, 0)):
                    other = self.variables[whole]
                    other.spread.add(variable.spread)

    def _within(self, command: Command, variable: Variable) -> None:
        """Words that a variable holds: options for the commands that it is spread over, or a command of its own."""
        if not command.words or command.words[0].text in _SILENT:
            return
        own = programs_of(command.words)
        starts = own[-1].script or (command.words[0].text[:1] not in "-$" and "=" not in command.words[0].text)
        programs = [[each] for each in own] if starts else [variable.spread] * len(command.words)
        self._options(Line(command.words, command.others, command.listed), programs)

    def _word(self, name: str, variable: Variable, value: Word) -> None:
        if whole_variable(value):
            inner = default_of(value)
            if inner is None:
                return
            value = inner
        readers = [each for each in variable.options if _speaks(each[0], value)]
        line = Line([value])
        for key, option, programs, options in readers:
            each = Found(Form.OPTION, key, option, value, line, 0, programs, options)
            each.why = _kept_because(variable, name)
            self.found.append(each)
        if not readers and _speaks(name, value) and not variable.options:
            each = Found(Form.ASSIGNED, name, value, value, line, 0, [], {})
            each.why = _kept_because(variable, name)
            if variable.exported or precision.says(value.text):
                self.found.append(each)


def _kept_because(variable: Variable, name: str) -> str:
    if len(variable.options) > MOST_READERS:
        return TOO_MANY
    if variable.looped:
        return f"{name} goes through a list of words"
    return f"{name} is compared with as well" if variable.compared else ""


def _speaks(key: str, value: Word | None) -> bool:
    """Whether an option speaks of bfloat16 or of flash attention, and turns it on."""
    name = plain(key).rpartition(".")[2]
    if value is not None and precision.says(value.text, name):
        return True
    if value is not None and attention.CHOOSES.fullmatch(name) and attention.needs_flash_attention(value.text):
        return True
    on = value is None or value.text.lower() in TRUE
    return on and bool(speaks(name) or precision.is_switch(name) or attention.SWITCH.fullmatch(name))


def _is_truth(text: str) -> bool:
    return text.lower() in TRUTH or whole_variable(Word(text, (), 0, 0)) is not None


def _all_options(given: list[Word]) -> dict[str, object]:
    """The options of a command by name, for what they tell of the program; true for one that stands alone."""
    options: dict[str, object] = {}
    for index, word in enumerate(given):
        if OPTION.match(word.text):
            name, equal, value = word.text.lstrip("-").partition("=")
            following = given[index + 1].text if index + 1 < len(given) else "-"
            options[plain(name)] = value if equal else True if OPTION.match(following) else following
    return options
