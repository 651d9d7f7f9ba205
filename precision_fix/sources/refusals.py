"""The words that a project's programs take, where they refuse every other.

`assert amp_type in ["bfloat16", "float16"]` makes an error of the word for float32, wherever that word is given: in a
config, or as a default in another file. Read from the project's Python files, without running anything; how many are
read is bounded.
"""

from __future__ import annotations

import ast
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from precision_fix import door
from precision_fix.model.blocks import Blocks, occurrences
from precision_fix.model.context import receiver
from precision_fix.model.edit import Edit, GiveValue, Rename, Respell
from precision_fix.model.finding import Verdict, change, keep, manual, rewrite
from precision_fix.model.setting import Setting, plain
from precision_fix.model.site import Kind, Site
from precision_fix.model.syntax import called
from precision_fix.model.target import TARGETS
from precision_fix.model.vocabulary import precision
from precision_fix.model.vocabulary.needles import BFLOAT16
from precision_fix.sources.programs import project_of

_MOST_FILES = 4_000
_MOST_BYTES = 1_000_000
# What a test asserts is no refusal of the program.
_ELSEWHERE = frozenset({"node_modules", "site-packages", "venv", "build", "dist", "__pycache__", "test", "tests"})
# Cheap, before a file is parsed: a list that may hold bfloat16, and what may refuse what is not in it.
_LISTS = re.compile(rb"[\[({,]\s*(?:['\"](?:torch\.)?(?:bfloat16|bf16)['\"]|torch\.bfloat16)\s*[\])},]")
_REFUSES = re.compile(rb"\bassert\b|\bnot in\b|\bLiteral\[")
_COMPARES = re.compile(rb"==\s*['\"](?:torch\.)?(?:bfloat16|bf16)['\"]")
_ATTENTION = re.compile(rb"['\"]flash_attention_2['\"]\s*:")
_WORDS = frozenset(precision.GENERAL)
# So many things are called this that one is meant only where the reader shows.
_COMMON = frozenset({"dtype", "precision", "torch_dtype"})
_BECOMES = ("bfloat16", *(name for each in TARGETS.values() for name in (each.dtype, each.method)))
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Refusal:
    """A test that lets only some words pass, and where it stands.

    `owner` is the class whose attribute it tests, or the function or class whose parameter.
    """

    name: str
    words: tuple[str, ...]
    where: str
    owner: str = ""

    def may_be_read_by(self, reader: str) -> bool:
        if self.name in _COMMON:
            return self.owner == reader != ""
        return not self.owner or not reader or self.owner == reader

    def speaks_of(self, word: str) -> bool:
        """Whether the list is one of dtypes, or of words, as the word is."""
        return any(each.startswith("torch.") == word.startswith("torch.") for each in self.words)


@dataclass(slots=True)
class _Index:
    by_name: dict[str, list[Refusal]] = field(default_factory=dict)
    # The tests of a parameter, by the name of its function: which parameter, and its place among the arguments.
    by_function: dict[str, list[tuple[str, int, Refusal]]] = field(default_factory=dict)
    # The words of a name that lead to a dtype of torch's, and where.
    leads: dict[str, dict[str, str]] = field(default_factory=dict)
    # The tables of attention classes: the words of each, and where it stands.
    attention: list[tuple[frozenset[str], str]] = field(default_factory=list)

    def add(self, other: _Index) -> None:
        for name, tests in other.by_name.items():
            self.by_name.setdefault(name, []).extend(tests)
        for name, given in other.by_function.items():
            self.by_function.setdefault(name, []).extend(given)
        for name, leads in other.leads.items():
            self.leads[name] = {**leads, **self.leads.get(name, {})}
        self.attention += other.attention


def check_setting(setting: Setting, verdict: Verdict, *, anybody: bool = False) -> Verdict:
    """The verdict on a setting, unless it would give a word that the project's programs refuse.

    `anybody` says that no library is known to read the setting, so that the project itself may.
    """
    if not isinstance(verdict.change, GiveValue):
        return verdict
    if verdict.change.value == "sdpa":
        table = _without_sdpa(setting.document.path)
        return change(_EAGER.format(table), GiveValue("eager")) if table else verdict
    if not precision.says(setting.value, setting.name):
        return verdict
    target = str(setting.beside("target") or "")
    tests = _around(setting.document.path).by_name.get(plain(setting.name), ())
    why = _why(tests, str(verdict.change.value), target)
    if why:
        return manual(why)
    led = _around(setting.document.path).leads.get(setting.name, {}) if anybody else {}
    if setting.word in led:
        return keep(f"compared in {led[setting.word]}; what it leads to is rewritten there")
    return verdict


def check_site(site: Site, verdict: Verdict) -> Verdict:
    """The same for a word or a dtype in Python: a default, an argument, what is assigned."""
    new = next((each for each in map(_becomes, verdict.edits) if each is not None), None)
    if new == "sdpa" and isinstance(site.node, ast.Constant):
        table = _without_sdpa(site.module.path)
        return rewrite(_EAGER.format(table), Respell(site.node, site.word, "eager")) if table else verdict
    name = receiver(site) if new is not None and site.kind in (Kind.WORD, Kind.DTYPE) else None
    if name is None or new is None:
        return verdict
    reader = _reader(site)
    why = _why(_tests_of(site.module.path, name, reader), new, reader)
    return manual(why) if why else verdict


_EAGER = "flash attention needs compute capability 8.0; the model in {} has eager, not sdpa"


def _without_sdpa(path: str) -> str | None:
    """Where the project has a model with eager attention and none of torch's own, if each of its models has eager."""
    tables = _around(path).attention
    if not all("eager" in offered for offered, _ in tables):
        return None
    return next((where for offered, where in tables if "sdpa" not in offered), None)


def _becomes(edit: Edit) -> str | None:
    if isinstance(edit, Rename):
        return f"torch.{edit.name}"
    return edit.new if isinstance(edit, Respell) else None


def _reader(site: Site) -> str:
    """The class or function that a word is an argument of, or a default in."""
    for above in site.module.ancestors(site.node):
        if isinstance(above, ast.Call) and isinstance(site.parent, ast.keyword):
            return called(above)
        if isinstance(above, ast.ClassDef) or (isinstance(above, _Function) and above.name != "__init__"):
            return above.name
    return ""


def _tests_of(path: str, name: str, reader: str) -> Iterator[Refusal]:
    """The tests of a name in the project around a file.

    Names in Python are many: only files are parsed that speak of this one, and of its reader where that decides.
    """
    file = Path(path)
    if not file.is_file() or (plain(name) in _COMMON and not reader):
        return
    spoken = [plain(name).encode(), *([reader.lower().encode()] if plain(name) in _COMMON else [])]
    top = project_of(file.absolute())
    for other, data in _in_lower_case(top).items():
        if all(each in data for each in spoken):
            yield from _one(top, other).by_name.get(plain(name), ())


def _why(tests: Iterable[Refusal], word: str, reader: str = "") -> str | None:
    """Why what is tested cannot be `word`; `reader` is the class that takes it, if that is known."""
    for each in tests:
        if word not in each.words and each.speaks_of(word) and each.may_be_read_by(reader.rpartition(".")[2]):
            return f"the program takes only {', '.join(each.words)} there ({each.where}): change both"
    return None


@lru_cache(maxsize=256)
def _around(path: str) -> _Index:
    """The index of the project that a file lies in; an empty one for a text that is no file."""
    file = Path(path)
    return _index(project_of(file.absolute())) if file.is_file() else _Index()


@lru_cache(maxsize=32)
def _testing(top: Path) -> dict[str, bytes]:
    """The files that may hold such a test, or a table of attention classes."""
    return {file: data for file, data in _python(top) if _may_test(data)}


@lru_cache(maxsize=32)
def _in_lower_case(top: Path) -> dict[str, bytes]:
    return {file: data.lower() for file, data in _testing(top).items()}


def _may_test(data: bytes) -> bool:
    if b"flash_attention_2" in data and _ATTENTION.search(data):
        return True
    speaks = b"bf16" in data or b"bfloat16" in data
    return speaks and bool((_REFUSES.search(data) and _LISTS.search(data)) or _COMPARES.search(data))


@lru_cache(maxsize=_MOST_FILES)
def _one(top: Path, file: str) -> _Index:
    """The tests of one file."""
    index = _Index()
    _collect(_parse_part(_testing(top)[file]), os.path.relpath(file, top).replace(os.sep, "/"), index)
    return index


@lru_cache(maxsize=32)
def _index(top: Path) -> _Index:
    index = _Index()
    for file in _testing(top):
        index.add(_one(top, file))
    if index.by_function:
        calls = re.compile(rf"\b({'|'.join(map(re.escape, index.by_function))})\s*\(".encode())
        for _, data in _python(top):
            named = {found.decode() for found in calls.findall(data)}
            for name in sorted(named):
                for given, test in _given(_parse(data), name, index.by_function[name]):
                    index.by_name.setdefault(given, []).append(test)
    return index


def _python(top: Path) -> Iterator[tuple[str, bytes]]:
    count = 0
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(each for each in folders if each not in _ELSEWHERE and not each.startswith("."))
        for name in sorted(each for each in names if each.endswith(".py") and not each.startswith("test_")):
            count += 1
            if count > _MOST_FILES:
                return
            file = os.path.join(folder, name)  # noqa: PTH118 - for each file of a project
            try:
                data = door.start(file, _MOST_BYTES)
            except OSError:
                continue
            yield file, data


def _parse_part(data: bytes) -> ast.Module:
    """The blocks that speak of bfloat16, or of a list of words at the margin that does."""
    text = data.decode("utf-8", "replace")
    hits = {*occurrences(text, (*BFLOAT16, "flash_attention_2"))}
    tree = _parse(Blocks(text).take(hits).encode())
    lists = [name for each in tree.body for name, _ in _named(each)]
    return _parse(Blocks(text).take({*hits, *occurrences(text, lists)}).encode()) if lists else tree


def _parse(data: bytes) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def _collect(tree: ast.Module, file: str, index: _Index) -> None:
    lists = {name: words for each in tree.body for name, words in _named(each)}
    pending: list[tuple[ast.AST, str, _Function | None]] = [(tree, "", None)]
    while pending:
        node, owner, function = pending.pop()
        if isinstance(node, ast.ClassDef):
            owner, function = node.name, None
        elif isinstance(node, _Function):
            function = node
            for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                _add(ast.Name(each.arg), _literal(each.annotation), f"{file}:{each.lineno}", owner, function, index)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and owner and function is None:
            own = ast.Attribute(ast.Name("self"), node.target.id)
            _add(own, _literal(node.annotation), f"{file}:{node.lineno}", owner, None, index)
        elif isinstance(node, ast.Dict):
            offered = frozenset(_word(key) for key in node.keys if key is not None)
            # A table of classes, as transformers has in its models: another map may be of anything.
            if "flash_attention_2" in offered and all(isinstance(each, ast.Name) for each in node.values):
                index.attention.append((offered, f"{file}:{node.lineno}"))
        elif isinstance(node, ast.Assert | ast.If):
            for tested, words in _tests(node, lists):
                _add(tested, words, f"{file}:{node.lineno}", owner, function, index)
        if isinstance(node, ast.If | ast.IfExp):
            for name, word in _leads(node):
                index.leads.setdefault(name, {}).setdefault(word, f"{file}:{node.lineno}")
        pending += [(child, owner, function) for child in ast.iter_child_nodes(node)]


def _add(
    tested: ast.expr, words: tuple[str, ...], where: str, owner: str, function: _Function | None, index: _Index
) -> None:
    name = _last_name(tested)
    if not name or not _WORDS.intersection(words):
        return
    is_own = isinstance(tested, ast.Attribute) and isinstance(tested.value, ast.Name) and tested.value.id == "self"
    parameters = [each.arg for each in (*function.args.posonlyargs, *function.args.args)] if function else []
    keywords = [each.arg for each in function.args.kwonlyargs] if function else []
    if function is None or not isinstance(tested, ast.Name) or name not in (*parameters, *keywords):
        test = Refusal(plain(name), words, where, owner if is_own else "")
        index.by_name.setdefault(test.name, []).append(test)
        return
    tester = owner if function.name == "__init__" else function.name
    test = Refusal(plain(name), words, where, tester if plain(name) in _COMMON else "")
    index.by_name.setdefault(test.name, []).append(test)
    if plain(name) in _COMMON:
        return  # a kernel's own test of its argument, most often: what is given to it has many names
    position = parameters.index(name) if name in parameters else -1
    if position > 0 and parameters[0] in ("self", "cls"):
        position -= 1
    index.by_function.setdefault(tester, []).append((name, position, test))


def _tests(node: ast.Assert | ast.If, lists: dict[str, tuple[str, ...]]) -> Iterator[tuple[ast.expr, tuple[str, ...]]]:
    """What `assert x in [...]` and `if x not in [...]: raise` test, with the words that pass."""
    wanted: type[ast.cmpop] = ast.In
    if isinstance(node, ast.If):
        wanted = ast.NotIn
        if not isinstance(node.body[-1], ast.Raise):
            return
    tests = node.test.values if isinstance(node.test, ast.BoolOp) and isinstance(node, ast.Assert) else [node.test]
    if isinstance(node.test, ast.BoolOp) and not isinstance(node.test.op, ast.And):
        return
    for test in tests:
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], wanted):
            among = test.comparators[0]
            words = lists.get(among.id, ()) if isinstance(among, ast.Name) else _strings(among)
            if words:
                yield test.left, words


def _leads(node: ast.If | ast.IfExp) -> Iterator[tuple[str, str]]:
    """The name and the word of `if precision == "bfloat16": x.to(torch.bfloat16)`."""
    test = node.test
    body = node.body if isinstance(node.body, list) else [node.body]
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
        word = _word(test.comparators[0])
        if word in _WORDS and any(_is_dtype(inner) for each in body for inner in ast.walk(each)):
            yield plain(_last_name(test.left)), word


def _is_dtype(node: ast.AST) -> bool:
    """Also what bfloat16 has become there: a second run must find the same."""
    return isinstance(node, ast.Attribute) and node.attr in _BECOMES


def _literal(annotation: ast.expr | None) -> tuple[str, ...]:
    """The words of `Literal["bf16", "fp8"]`, also beside None."""
    if annotation is None or "Literal[" not in ast.unparse(annotation):
        return ()
    return tuple(word for word in map(_word, (n for n in ast.walk(annotation) if isinstance(n, ast.Constant))) if word)


def _named(statement: ast.stmt) -> Iterator[tuple[str, tuple[str, ...]]]:
    """`VALID = {"bf16", "fp8"}`."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, words = statement.targets[0], _strings(statement.value)
        if isinstance(target, ast.Name) and words:
            yield target.id, words


def _given(tree: ast.Module, function: str, tests: Sequence[tuple[str, int, Refusal]]) -> Iterator[tuple[str, Refusal]]:
    """The names of what is given to the parameters that a function tests."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or _last_name(node.func) != function:
            continue
        for parameter, position, test in tests:
            by_name = [each.value for each in node.keywords if each.arg == parameter]
            by_place = node.args[position : position + 1] if position >= 0 else []
            for value in (*by_name, *by_place):
                name = plain(_last_name(value))
                if name and name not in _COMMON:
                    yield name, replace(test, name=name, owner="")


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _strings(node: ast.expr) -> tuple[str, ...]:
    if not isinstance(node, ast.List | ast.Tuple | ast.Set):
        return ()
    words = [word for word in map(_word, node.elts) if word]
    return tuple(words) if len(words) == len(node.elts) else ()


def _word(node: ast.expr) -> str:
    """A word, or the name of one of torch's dtypes."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "torch":
        return f"torch.{node.attr}"
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
