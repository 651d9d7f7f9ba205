"""Who reads a setting, and what it is to say instead: looks a setting up in the table of the libraries."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache

from precision_fix.model.callees import is_partial
from precision_fix.model.fate import Fate
from precision_fix.model.held import End
from precision_fix.model.setting import Form, Setting, plain
from precision_fix.model.target import Target
from precision_fix.model.vocabulary import precision
from precision_fix.model.vocabulary.libraries import LIBRARIES, Follows, Library, Switch, Words
from precision_fix.model.vocabulary.truth import TRUE


@dataclass(frozen=True, slots=True)
class Answer:
    """What a setting is to say instead. `value` is a word or False; None where it stays, and `why` says so.

    `library` is None where nobody in particular is known to read the setting, and the word is any reader's.
    """

    library: Library | None
    value: str | bool | None
    why: str = ""

    @property
    def reader(self) -> str:
        return self.library.name if self.library else ""


def answer(setting: Setting) -> Answer | None:
    """What the libraries say of a setting; None where none of them knows it, or several differ.

    A library counts as the reader where the word is its own, where the file or the command line shows it, then where
    the project says that it uses it. What nobody is known to read is answered where it makes no difference who does:
    a switch, or a word that is usual.
    """
    found = [(_evidence(each, row, setting), each, row) for each, row in _knowing(setting)]
    found = [each for each in found if each[0] > 0 or not isinstance(each[2], Words) or each[2].usual]
    if not found:
        return None
    best = max(evidence for evidence, _, _ in found)
    answers = [_answer(each, row, setting.target, setting) for evidence, each, row in found if evidence == best]
    agreed = {(each.value, each.why) for each in answers}
    if len(agreed) > 1:
        return None
    first = answers[0]
    return first if best > 0 or first.value is None else Answer(None, first.value)


def replacement(setting: Setting) -> Answer | None:
    """What a setting is to say instead, whoever reads it; None where that cannot be told."""
    found = answer(setting)
    if found is not None:
        return found
    if precision.says(setting.value, setting.name) and takes_dtype(setting):
        new = setting.target.word_like(setting.word)
        return Answer(None, new) if new else None
    return Answer(None, False) if is_on(setting) and turns_on(setting) else None


def of_argument(name: str, word: str, callee: str | None) -> tuple[str, str] | None:
    """The library's words for float32 and float16, for what a call in Python is given under a name; None where no
    library is seen to read it.

    `callee` is the dotted name of what is called, if there is one. The modules that the name begins with tell the
    library, then its last name alone, which is a guess, then that the reader of such a name is usual.
    """
    found = _of_argument(name, word, callee)
    return found[0] if found is not None else None


def _of_argument(name: str, word: str, callee: str | None) -> tuple[tuple[str, str], tuple[str, ...]] | None:
    """The same, and what else the library takes for float32."""
    found: dict[int, set[tuple[tuple[str, str], tuple[str, ...]]]] = {}
    for library, row, at in _called_so(plain(name)):
        if isinstance(row, Words) and word in row.words:
            evidence = 3 if word in row.own else _calls(library, callee)
            if "." not in at and (evidence or row.usual):
                found.setdefault(evidence, set()).add((row.words[word], row.also))
    best = found[max(found)] if found else set()
    return best.pop() if len(best) == 1 else None


def taken_by(end: End, word: str, target: Target) -> tuple[str, ...]:
    """The words for the target precision, the best first, that the library takes which a word is handed to in the end.

    Empty where no library is seen to.
    """
    call = end.node
    if end.fate is not Fate.CHOOSES or end.under is None or not isinstance(call, ast.Call):
        return ()
    callee = end.module.resolve(call.func)
    if is_partial(end.module, call):
        callee = end.module.resolve(call.args[0])
    found = _of_argument(end.under, word, callee)
    if found is None:
        return ()
    words, also = found
    return (target.pick(words), *(also if target.dtype == "float32" else ()))


def no_word(name: str, callee: str | None) -> str | None:
    """Why a library has no other word for what a call of it is given under a name; None where that is not known."""
    rows = ((library, row) for library, row, at in _called_so(plain(name)) if "." not in at)
    return next((row.why for library, row in rows if isinstance(row, Follows) and _calls(library, callee)), None)


def _calls(library: Library, callee: str | None) -> int:
    """What a called name tells of the library: 2 by its module, 1 by its last name, 0 nothing."""
    if callee is None:
        return 0
    module, _, last = callee.rpartition(".")
    packages = {package.replace("-", "_") for package in library.packages}
    if module and (callee.partition(".")[0] in packages or (library.targets and callee.startswith(library.targets))):
        return 2
    return int(last in library.callees)


def takes_dtype(setting: Setting) -> bool:
    """Whether the name is one of a precision, or the value is what Hydra puts there: `dtype: {_target_: ...}`."""
    if setting.name == "target" or (setting.name == "path" and "get_object" in str(setting.beside("target"))):
        return precision.is_precision(setting.above)
    return precision.is_precision(setting.name)


def turns_on(setting: Setting) -> bool:
    """Whether the names say that a setting that is true turns bfloat16 on; `enabled` may stand under such a name."""
    if precision.says(setting.beside(f"{setting.name}_dtype")):
        return setting.name in precision.MIXED
    if setting.name not in ("enabled", "enable", "use"):
        return precision.is_switch(setting.name)
    return precision.is_switch(setting.above) or (
        setting.above == "torch_autocast" and precision.says(setting.beside("dtype"))
    )


def switch_beside(setting: Setting) -> str | None:
    """The switch that decides whether a dtype counts at all: `mixed_precision` beside `mixed_precision_dtype`."""
    switch = setting.name.removesuffix("_dtype")
    return switch if switch in precision.MIXED and isinstance(setting.beside(switch), bool) else None


Row = Words | Switch | Follows


@cache
def _rows() -> dict[str, list[tuple[Library, Row, str]]]:
    """The rows of the table by the last part of each of their names."""
    found: dict[str, list[tuple[Library, Row, str]]] = {}
    for library in LIBRARIES:
        for row in library.settings:
            for name in row.names:
                found.setdefault(name.rpartition(".")[2], []).append((library, row, name))
    return found


def _called_so(name: str) -> Iterator[tuple[Library, Row, str]]:
    """The rows for a name in plain spelling: those that have it, those that any name counts for, the usual ones."""
    yield from _rows().get(name, ())
    yield from _rows()["*"]
    while "_" in name:
        _, _, name = name.partition("_")
        for library, row, whole in _rows().get(name, ()):
            if isinstance(row, Words) and row.usual and whole == name:
                yield library, row, whole


def _knowing(setting: Setting) -> Iterator[tuple[Library, Row]]:
    """The libraries that have a setting of this name and value, each with the first of its rows that does."""
    known: set[str] = set()
    for library, row, name in _called_so(setting.name):
        if library.name not in known and ("." not in name or setting.ends_in(name)) and _says(row, setting):
            known.add(library.name)
            yield library, row


def _says(row: Row, setting: Setting) -> bool:
    """Whether the value turns bfloat16 on, in this row's words."""
    match row:
        case Words():
            return setting.word in row.words
        case Switch():
            return is_on(setting) or setting.word in row.also
        case Follows():
            return not row.values or setting.word in row.values


def is_on(setting: Setting) -> bool:
    """Whether a switch is on: true, or on a command line true in any spelling, or standing alone.

    In a config a string that says true is another thing: whoever reads it may take any string for true.
    """
    if setting.form is Form.KEY:
        return setting.value is True
    value = setting.value
    return value is None or value is True or setting.word.lower() in TRUE


def _evidence(library: Library, row: Row, setting: Setting) -> int:
    document = setting.document
    if isinstance(row, Words) and setting.word in row.own:
        return 3
    near = document.mapping(setting.keys[:-1]), document.mapping(())
    beside = sum(any(name in each for each in near) for name in library.beside)
    target = document.command[0] if document.command else str(setting.beside("target") or "")
    if (
        beside >= min(2, len(library.beside)) > 0
        or any(fnmatch(document.file, pattern) for pattern in library.files)
        or target.startswith(library.targets)
    ):
        return 2
    return 1 if library.packages & document.libraries else 0


def _answer(library: Library, row: Row, target: Target, setting: Setting) -> Answer:
    match row:
        case Words():
            return Answer(library, target.pick(row.words[setting.word]))
        case Switch():
            return Answer(library, False)
        case Follows():
            return Answer(library, None, row.why)
