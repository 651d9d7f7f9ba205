"""Read a settings file, and say what is wrong with one: in one line, with the file and, where it is plain, the line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from precision_fix.engine.settings import Settings
from precision_fix.errors import PrecisionFixError
from precision_fix.model import newlines
from precision_fix.model.problem import shown
from precision_fix.model.target import TARGETS
from precision_fix.rules import codes
from precision_fix.sources import ignore, toml
from precision_fix.sources.heeded import NAMES

TABLE = "tool.precision-fix"
#: Every key, and an example of its value.
KEYS = {
    "select": '["PF1", "PF201"]',
    "ignore": '["PF9"]',
    "per-file-ignores": '{ "tests/**" = ["PF1"] }',
    "extend-exclude": '["vendor"]',
    "force-exclude": "true",
    "to": '"float32"',
    "gpu": '"t4"',
}
# What other tools call it.
_MEANT = {
    "exclude": "extend-exclude",
    **dict.fromkeys(("extend-select", "enable", "rules"), "select"),
    **dict.fromkeys(("extend-ignore", "disable"), "ignore"),
    **dict.fromkeys(("target", "dtype", "precision"), "to"),
    **dict.fromkeys(("device", "target-gpu"), "gpu"),
}
_DIGITS = str.maketrans("OIL", "011")
_AT = re.compile(r" \(at line (\d+), column \d+\)$")


def parse(file: str, data: bytes, base: str, *, plain: bool) -> Settings | None:
    """The settings in a file of that name; None where it has no table for them.

    `plain` says that the keys stand at the top, as in precision-fix.toml. Raises PrecisionFixError.
    """
    try:
        text = data.decode("utf-8-sig")
        table = toml.loads(text)
    except UnicodeDecodeError:
        raise PrecisionFixError(f"{file}: is not UTF-8, as TOML must be") from None
    except toml.Broken as error:
        said = str(error)
        at = _AT.search(said)
        line = f"{at[1]}: " if at else " "
        raise PrecisionFixError(f"{file}:{line}broken TOML: {_AT.sub('', said)}") from None
    if plain:
        return _Reader(file, text, "").settings(table, base)
    tool = table.get("tool")
    found = tool.get("precision-fix") if isinstance(tool, dict) else None
    return None if found is None else _Reader(file, text, TABLE).settings(found, base)


class _Reader:
    def __init__(self, file: str, text: str, table: str) -> None:
        self._file = file
        self._text = text
        self._table = table

    def settings(self, table: object, base: str) -> Settings:
        if not isinstance(table, dict):
            raise PrecisionFixError(f"{self._file}: [{TABLE}] must be a table")
        for key in table:
            if key not in KEYS:
                raise self._wrong(key, self._unknown(key))
        return Settings(
            file=self._file,
            base=base,
            select=self._codes("select", table["select"]) if "select" in table else None,
            ignore=self._codes("ignore", table.get("ignore", [])),
            per_file_ignores=self._per_file(table.get("per-file-ignores", {})),
            extend_exclude=tuple(map(_pattern, self._strings("extend-exclude", table.get("extend-exclude", [])))),
            force_exclude=self._bool("force-exclude", table.get("force-exclude", False)),
            to=self._to(table.get("to")),
            gpu=self._gpu(table.get("gpu")),
        )

    def _unknown(self, key: str) -> str:
        if key == "tool" and not self._table:
            return f"the keys stand at the top of {NAMES[0]}, without [{TABLE}] above them"
        plain = key.lower().replace("_", "-")
        hint = f', did you mean "{_MEANT[plain]}"?' if plain in _MEANT else near(plain, KEYS)
        where = f" in [{self._table}]" if self._table else ""
        return f"unknown key {_quoted(key)}{where}{hint or ': there are ' + ', '.join(KEYS)}"

    def _wrong(self, key: str, message: str) -> PrecisionFixError:
        line = self._line(key)
        return PrecisionFixError(f"{self._file}:{f'{line}:' if line else ''} {message}")

    def _line(self, key: str) -> int | None:
        """The line of a key of the table, where it is written as one usually writes it."""
        start = 0
        if self._table:
            head = re.search(rf"^[ \t]*\[[ \t]*{re.escape(self._table)}[ \t]*\]", self._text, re.MULTILINE)
            if head is None:
                return None
            start = head.end()
        end = re.compile(r"^[ \t]*\[", re.MULTILINE).search(self._text, start)
        found = re.compile(rf"^[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*[=.]", re.MULTILINE).search(
            self._text, start, end.start() if end else len(self._text)
        )
        return newlines.number(self._text, found.start()) if found else None

    def _strings(self, key: str, value: object) -> list[str]:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self._wrong(key, f"{key} must be a list of strings, as in {key} = {_example(key)}")
        self._check_number(key, len(value))
        return value

    def _check_number(self, key: str, number: int) -> None:
        """Each may be tried for every file."""
        if number > ignore.MOST_PATTERNS:
            raise self._wrong(key, f"{key} has {number:,} entries, and at most {ignore.MOST_PATTERNS:,} are heeded")

    def _codes(self, key: str, value: object) -> tuple[str, ...]:
        try:
            return prefixes(self._strings(key, value))
        except ValueError as error:
            raise self._wrong(key, f"{key}: {error}") from None

    def _per_file(self, value: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
        key = "per-file-ignores"
        if not isinstance(value, dict):
            raise self._wrong(key, f"{key} must be a table of patterns, as in {key} = {_example(key)}")
        self._check_number(key, len(value))
        for pattern, found in value.items():
            if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
                raise self._wrong(key, f"{key}: {_quoted(pattern)} must have a list of codes, as in {_example(key)}")
        return tuple((_pattern(pattern), self._codes(key, found)) for pattern, found in value.items())

    def _bool(self, key: str, value: object) -> bool:
        if not isinstance(value, bool):
            raise self._wrong(key, f"{key} must be true or false")
        return value

    def _to(self, value: object) -> str | None:
        if value is not None and (not isinstance(value, str) or value not in TARGETS):
            raise self._wrong("to", f"to must be one of {', '.join(map(_quoted, TARGETS))}")
        return value

    def _gpu(self, value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            raise self._wrong("gpu", 'gpu must be a string, as in gpu = "t4" or gpu = "7.5"')
        from precision_fix.gpu import named

        try:
            named(value)
        except PrecisionFixError as error:
            raise self._wrong("gpu", f"gpu: {error}") from None
        return value


def prefixes(words: Iterable[str]) -> tuple[str, ...]:
    """Codes and prefixes of codes in upper case; ALL is the empty one. Raises ValueError for one that no rule has."""
    found = tuple("" if word.strip().upper() == "ALL" else word.strip().upper() for word in words)
    for prefix, word in zip(found, words, strict=True):
        if not prefix and word.strip().upper() != "ALL":
            raise ValueError("an empty code: write ALL for all rules")
        if not any(code.startswith(prefix) for code in codes()):
            families = f": there are {', '.join(sorted({code[:3] for code in codes()}))}"
            # A letter for a digit is the likeliest slip.
            hint = near(prefix[:2] + prefix[2:].translate(_DIGITS), codes()) if len(prefix) > 3 else ""
            raise ValueError(f"no rule has the code {_quoted(word)}{hint or families}")
    return found


def near(word: str, right: Iterable[str]) -> str:
    """A question that names the nearest right word, if one is near."""
    found = difflib.get_close_matches(word, list(right), 1, 0.5)
    return f", did you mean {_quoted(found[0])}?" if found else ""


def _example(key: str) -> str:
    return KEYS[key]


def _pattern(pattern: str) -> str:
    """A pattern as .gitignore has it, where `./` leads nowhere."""
    return pattern.replace("./", "", 1) if pattern.startswith(("./", "!./")) else pattern


def _quoted(word: str) -> str:
    return f'"{shown(word)}"'


def option_codes(option: str, values: Sequence[str]) -> tuple[str, ...]:
    """The codes of an option of the command line, which may come comma-separated. Raises PrecisionFixError."""
    words = [word for value in values for word in value.split(",") if word.strip()]
    if not words:
        raise PrecisionFixError(f"{option}: names no code")
    try:
        return prefixes(words)
    except ValueError as error:
        raise PrecisionFixError(f"{option}: {error}") from None
