"""The options that a Python program of the project declares: what each takes, and which words it offers.

Read from the program's file and what it imports of the project, without running anything: `argparse`, click, typer,
and dataclasses that a parser is made of. How many files are read for one program is bounded.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from precision_fix import door
from precision_fix.model.setting import Declared, Takes, plain
from precision_fix.model.vocabulary.spellings import GENERAL

_MOST_FILES = 80
_MOST_BYTES = 1_000_000
_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg", "requirements.txt")
_IMPORT = re.compile(rb"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+\(?([\w, \t]*)|import[ \t]+([\w., \t]+))", re.M)
_TRUTH_TYPES = re.compile(r"(?i)str2bool|str_to_bool|string_to_bool|strtobool|boolean|parse_bool|to_bool|bool_arg|eval")
# These read a dataclass field that is a bool as `--bf16`, `--bf16 True` or `--bf16 False`
# (transformers: hf_argparser.py, _parse_dataclass_field; trl: scripts/utils.py, TrlParser).
_HF_PARSERS = ("HfArgumentParser", "TrlParser", "H4ArgumentParser", "ArgumentParserPlus")


@dataclass(slots=True)
class _File:
    """What one file declares."""

    options: dict[str, Declared] = field(default_factory=dict)
    spelt: dict[str, str] = field(default_factory=dict)
    fields: dict[str, Declared] = field(default_factory=dict)
    tables: list[tuple[str, ...]] = field(default_factory=list)
    compared: dict[str, set[str]] = field(default_factory=dict)
    hf: bool = False


def project_of(path: Path) -> Path:
    """The folder of the project that a file lies in: the closest above that looks like the top of one."""
    return _top(path.parent)


@lru_cache(maxsize=4096)
def _top(folder: Path) -> Path:
    for each in (folder, *list(folder.parents)[:8]):
        if any((each / mark).exists() for mark in _MARKS):
            return each
    return folder


def declared(path: str, script: str, module: bool, option: str) -> Declared | None:
    """What the program that a launch line in the file `path` starts says of an option; None where it is not there.

    `Takes.UNKNOWN` says that the program is there, and where the option comes from does not show.
    """
    here = Path(path).absolute()
    top = project_of(here)
    file = _script(here.parent, top, script, module)
    return _declared(file, top, plain(option)) if file is not None else None


def _script(folder: Path, top: Path, script: str, module: bool) -> Path | None:
    # `$DIR/train.py`: the variable holds a folder that is tried anyway.
    parts = [part for part in script.replace("\\", "/").split("/") if part not in ("", ".", "..") and "$" not in part]
    if module:
        parts = script.split(".")
    if not parts or "%" in script:
        return None
    name = "/".join(parts)
    ends = (f"{name}.py", f"{name}/__main__.py", f"src/{name}.py", f"src/{name}/__main__.py") if module else (name,)
    for each in _up_to(folder, top):
        for end in ends:
            if (each / end).is_file():
                return each / end
    return None


def _up_to(folder: Path, top: Path) -> Iterator[Path]:
    yield folder
    for each in folder.parents:
        if not each.is_relative_to(top):
            return
        yield each


@lru_cache(maxsize=512)
def _declared(file: Path, top: Path, option: str) -> Declared:
    files = _program(file, top)
    hf = any(each.hf for each in files)
    for each in files:
        if option in each.options:
            return _with_others(_with_words(each.options[option], option, files), option, files)
    for each in files:
        if option in each.fields:
            found = _with_words(each.fields[option], option, files)
            return Declared(Takes.TRUTH, found.offered) if hf and found.takes is Takes.FIELD else found
    return Declared(Takes.TRUTH if hf and option in ("bf16", "bf16_full_eval") else Takes.UNKNOWN)


def _with_words(found: Declared, option: str, files: list[_File]) -> Declared:
    """An option that takes any word: the words that the program compares it with, or looks it up by."""
    if found.offered or found.takes is not Takes.WORD:
        return found
    compared = {word for each in files for word in each.compared.get(option, ())}
    offered = compared if compared.intersection(GENERAL) else set()
    if not offered and re.search("dtype|precision", option):
        offered = {word for each in files for table in each.tables for word in table}
    return replace(found, offered=tuple(sorted(offered)))


def _with_others(found: Declared, option: str, files: list[_File]) -> Declared:
    """A switch: what the program offers in its place, `--fp32-vae` for `--bf16-vae`."""
    if found.takes is not Takes.NOTHING:
        return found
    alike = [re.sub("bf16|bfloat16", short, option) for short in ("fp32", "float32", "fp16", "float16")]
    known = {name: spelt for each in files for name, spelt in each.spelt.items()}
    return replace(found, others=tuple(known[name] for name in alike if name != option and name in known))


@lru_cache(maxsize=128)
def _program(file: Path, top: Path) -> list[_File]:
    """What a program's files declare: its own first, then those that it imports, closest first."""
    pending, seen, found = [file], {file}, []
    while pending and len(seen) <= _MOST_FILES:
        current = pending.pop(0)
        try:
            data = door.start(current, _MOST_BYTES)
        except OSError:
            continue
        found.append(_read(data))
        for each in _imported(data, current, file, top):
            if each not in seen and len(seen) <= _MOST_FILES:
                seen.add(each)
                pending.append(each)
    return found


def _imported(data: bytes, current: Path, file: Path, top: Path) -> Iterator[Path]:
    for match in _IMPORT.finditer(data):
        if match[3]:
            modules = [part.split()[0] for part in match[3].decode().split(",") if part.split()]
        else:
            module = match[1].decode()
            modules = [
                module,
                *(f"{module.rstrip('.')}.{name.split()[0]}" for name in match[2].decode().split(",") if name.split()),
            ]
            if not module.strip("."):
                modules = [module + name.split()[0] for name in match[2].decode().split(",") if name.split()]
        for module in modules:
            found = _module(module, current, file, top)
            if found is not None:
                yield found


def _module(module: str, current: Path, file: Path, top: Path) -> Path | None:
    dots = len(module) - len(module.lstrip("."))
    parts = module.lstrip(".").split(".")
    if dots:
        bases = [current.parents[dots - 1]] if dots <= len(current.parents) else []
    else:
        bases = [file.parent, *_up_to(current.parent, top), top / "src"]
    for base in bases:
        place = base.joinpath(*parts)
        for each in (place.with_suffix(".py") if place.name else place, place / "__init__.py"):
            if each.is_file():
                return each
    return None


def _read(data: bytes) -> _File:
    found = _File()
    found.hf = any(name.encode() in data for name in _HF_PARSERS)
    if not any(word in data for word in (b"bf16", b"bfloat16", b"flash", b"attn_impl", b"precision", b"dtype")):
        return found
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return found
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            _call(node, found)
        elif isinstance(node, ast.ClassDef):
            _fields(node, found)
        elif isinstance(node, ast.FunctionDef):
            _parameters(node, found)
        elif isinstance(node, ast.Dict):
            words = _strings(node.keys)
            if any(word in GENERAL for word in words):
                found.tables.append(words)
        elif isinstance(node, ast.Compare):
            _compared(node, found)
    return found


def _call(node: ast.Call, found: _File) -> None:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    names = [word for word in _strings(node.args) if word.startswith("-")]
    if name not in ("add_argument", "option", "Option", "add_option") or not names:
        return
    by_name = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    takes = _takes(by_name, names)
    each = Declared(
        takes, _choices(by_name), _is_on(by_name.get("default")), _contrary(names) if takes is Takes.PAIR else ()
    )
    for word in names:
        for part in word.split("/"):
            found.options.setdefault(plain(part.strip()), each)
            found.spelt.setdefault(plain(part.strip()), part.strip().lstrip("-"))


def _contrary(names: list[str]) -> tuple[str, ...]:
    """`no-bf16`, of `--bf16/--no-bf16` or of a name to which argparse adds it."""
    first = next((name for name in names if name.startswith("--")), names[0])
    return ((first.partition("/")[2] or f"no-{first.lstrip('-')}").strip().lstrip("-"),)


def _takes(by_name: dict[str, ast.expr], names: list[str]) -> Takes:
    action, kind = by_name.get("action"), by_name.get("type")
    said = ast.unparse(action).strip("'\"") if action is not None else ""
    if "BooleanOptionalAction" in said or any("/" in name for name in names):
        return Takes.PAIR
    if said == "store_true" or _is_on(by_name.get("is_flag")):
        return Takes.NOTHING
    if said:
        return Takes.UNKNOWN
    reads = ast.unparse(kind) if kind is not None else ""
    if reads == "bool":
        return Takes.ANY_IS_TRUE
    if _TRUTH_TYPES.search(reads) or "const" in by_name or (isinstance(kind, ast.Lambda) and "true" in reads.lower()):
        return Takes.TRUTH
    return Takes.WORD


def _choices(by_name: dict[str, ast.expr]) -> tuple[str, ...]:
    chosen = by_name.get("choices", by_name.get("type"))
    if isinstance(chosen, ast.Call) and chosen.args:
        chosen = chosen.args[0]
    return _strings(chosen.elts) if isinstance(chosen, ast.List | ast.Tuple | ast.Set) else ()


def _fields(node: ast.ClassDef, found: _File) -> None:
    """The fields of a dataclass, which a parser may be made of."""
    if not any("dataclass" in ast.unparse(each) for each in node.decorator_list):
        return
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            annotation = ast.unparse(each.annotation)
            words = re.findall(r"['\"]([\w.-]+)['\"]", annotation) if "Literal[" in annotation else []
            takes = Takes.FIELD if re.search(r"\bbool\b", annotation) else Takes.WORD
            if isinstance(each.value, ast.Call) and not words:
                metadata = [n for n in ast.walk(each.value) if isinstance(n, ast.Dict)]
                by_name = {k: v for d in metadata for k, v in zip(_strings(d.keys), d.values, strict=False)}
                words = list(_choices({k: v for k, v in by_name.items() if k == "choices"}))
            found.fields.setdefault(plain(each.target.id), Declared(takes, tuple(words), _is_on(each.value)))


def _parameters(node: ast.FunctionDef, found: _File) -> None:
    """The parameters of a typer command: a bool is a pair of switches."""
    arguments = node.args
    defaults = [*[None] * (len(arguments.args) - len(arguments.defaults)), *arguments.defaults]
    for parameter, default in zip(arguments.args, defaults, strict=True):
        text = ast.unparse(parameter.annotation) if parameter.annotation else ""
        says = f"{text} {ast.unparse(default) if default else ''}"
        if "Option(" in says and not re.search(r"Option\([^)]*['\"]-", says):
            takes = Takes.PAIR if re.search(r"\bbool\b", text) else Takes.WORD
            contrary = (f"no-{parameter.arg.replace('_', '-')}",) if takes is Takes.PAIR else ()
            found.options.setdefault(plain(parameter.arg), Declared(takes, others=contrary))


def _compared(node: ast.Compare, found: _File) -> None:
    """`args.dtype == "bf16"`, `args.dtype in ("bf16", "fp32")`."""
    if isinstance(node.left, ast.Attribute | ast.Name):
        name = node.left.attr if isinstance(node.left, ast.Attribute) else node.left.id
        words = {n.value for each in node.comparators for n in ast.walk(each) if isinstance(n, ast.Constant)}
        found.compared.setdefault(plain(name), set()).update(word for word in words if isinstance(word, str))


def _is_on(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        return any(k.arg == "default" and _is_on(k.value) for k in value.keywords)
    return isinstance(value, ast.Constant) and value.value is True


def _strings(nodes: list[ast.expr] | list[ast.expr | None]) -> tuple[str, ...]:
    return tuple(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
