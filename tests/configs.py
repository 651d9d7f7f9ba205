"""Configs made by hypothesis, in every format, out of settings whose fate is known: each as it is and as it becomes."""

from __future__ import annotations

import configparser
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml
from hypothesis import strategies as st

from precision_fix.sources.jsontext import scalars
from tests.modules import Example

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# A name, what it is set to, what that becomes.
SETTINGS: list[tuple[str, object, object]] = [
    ("dtype", "bf16", "fp32"),
    ("torch_dtype", "bfloat16", "float32"),
    ("compute-dtype", "torch.bfloat16", "torch.float32"),
    ("mixed_precision", "bf16", "no"),
    ("precision", "bf16-true", "32-true"),
    ("bf16", True, False),
    ("bf16_full_eval", True, False),
    ("save_dtype", "bf16", "bf16"),
    ("weights", "bf16", "bf16"),
    ("fp16", True, True),
    ("use_bf16", False, False),
]
_NOISE = st.one_of(
    st.text("ab\u00e9\U0001f600 bf16'\"#:{}[],&*!|>%@`\\=;$\n", max_size=12),
    st.integers(-9, 99),
    st.booleans(),
    st.sampled_from(["bf16 is fast", "a-bf16.safetensors", "# dtype: bf16", "no", "{{ x }}", "bfloat16,float32"]),
)


@dataclass(frozen=True)
class Entry:
    """One key of a mapping: a scalar as it is and as it becomes, or a mapping of its own."""

    key: str
    before: object
    after: object
    below: tuple[Entry, ...] | None = None


def _entries(depth: int) -> st.SearchStrategy[tuple[Entry, ...]]:
    setting = st.sampled_from(SETTINGS).map(lambda each: Entry(*each))
    noise = st.builds(
        lambda key, value: Entry(key, value, value), st.sampled_from(["n1", "n2", "gr\u00f6\u00dfe"]), _NOISE
    )
    leaf = st.one_of(setting, noise)
    kinds = [leaf]
    if depth:
        below = _entries(depth - 1)
        kinds.append(st.builds(lambda key, found: Entry(key, None, None, found), st.sampled_from(["s1", "s 2"]), below))
    return st.lists(st.one_of(*kinds), min_size=1, max_size=5, unique_by=lambda each: each.key).map(tuple)


def _quoted(value: object, draw: st.DrawFn) -> tuple[str, str]:
    """A string in the quotes of JSON, or in single ones, and those that it has."""
    text = str(value)
    if "'" not in text and "\\" not in text and text.isprintable() and draw(st.booleans()):
        return f"'{text}'", "'"
    return json.dumps(text, ensure_ascii=False), '"'


def _plain(value: object) -> bool:
    """Whether a string can stand bare in YAML, in a block and in a flow."""
    return isinstance(value, str) and re.fullmatch(r"[a-z][\w.-]*", value) is not None and value not in ("no", "yes")


def _pair(entry: Entry, draw: st.DrawFn, bare: bool) -> tuple[str, str]:
    """The text of a scalar before and after; `bare` says that YAML's bare words are allowed, and its booleans."""
    before, after = entry.before, entry.after
    if isinstance(before, bool):
        style = draw(st.sampled_from([str.lower, str.capitalize, str.upper])) if bare else str.lower
        return style(str(before)), style(str(after))
    if isinstance(before, int):
        return str(before), str(after)
    if bare and _plain(before) and draw(st.booleans()):
        return str(before), str(after) if after != "no" else '"no"'
    text, quote = _quoted(before, draw)
    return text, text if before == after else f"{quote}{after}{quote}"


def _comment(draw: st.DrawFn, mark: str) -> str:
    return draw(st.sampled_from(["", "", f"  {mark} bf16: true", f" {mark} \u00e9 dtype = 'bf16' \"", "   "]))


def _yaml(entries: tuple[Entry, ...], draw: st.DrawFn, indent: str = "") -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for entry in entries:
        end = _comment(draw, "#")
        if entry.below is None:
            properties = ["", "", "!!str "] if lines or indent else ["&a ", "&a !!str "]
            anchor = draw(st.sampled_from(properties)) if isinstance(entry.before, str) else ""
            before, after = _pair(entry, draw, bare=True)
            lines.append((f"{indent}{entry.key}: {anchor}{before}{end}", f"{indent}{entry.key}: {anchor}{after}{end}"))
        elif draw(st.booleans()):
            flow = [_pair(each, draw, bare=True) for each in entry.below if each.below is None]
            keys = [each.key for each in entry.below if each.below is None]
            inner = [", ".join(f"{key}: {pair[side]}" for key, pair in zip(keys, flow, strict=True)) for side in (0, 1)]
            lines.append((f"{indent}{entry.key}: {{{inner[0]}}}{end}", f"{indent}{entry.key}: {{{inner[1]}}}{end}"))
        else:
            lines.append((f"{indent}{entry.key}:{end}",) * 2)
            lines += _yaml(entry.below, draw, indent + draw(st.sampled_from(["  ", "    "])))
    return lines


def _json(entries: tuple[Entry, ...], draw: st.DrawFn) -> tuple[str, str]:
    parts: list[tuple[str, str]] = []
    for entry in entries:
        blank = draw(st.sampled_from(["", " ", "\n  ", "\t", " /* bf16 */ ", ' // "dtype": "bf16"\n']))
        if entry.below is None:
            text = json.dumps(entry.before, ensure_ascii=draw(st.booleans()))
            pair = text, text if entry.before == entry.after else json.dumps(entry.after)
        else:
            pair = _json(entry.below, draw)
        key = f"{blank}{json.dumps(entry.key)}:{blank}"
        parts.append((key + pair[0] + blank, key + pair[1] + blank))
    before, after = (",".join(part[side] for part in parts) for side in (0, 1))
    return f"{{{before}}}", f"{{{after}}}"


def _toml(entries: tuple[Entry, ...], draw: st.DrawFn, head: str = "") -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for entry in sorted(entries, key=lambda each: each.below is not None):
        end, key = _comment(draw, "#"), json.dumps(entry.key, ensure_ascii=False)
        if entry.below is not None:
            path = f"{head}.{key}" if head else key
            lines.append((f"[{path}]{end}",) * 2)
            lines += _toml(entry.below, draw, path)
        else:
            before, after = _pair(entry, draw, bare=False)
            key = entry.key if entry.key.isascii() and draw(st.booleans()) else key
            lines.append((f"{key} = {before}{end}", f"{key} = {after}{end}"))
    return lines


def _ini(entries: tuple[Entry, ...], draw: st.DrawFn) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = [("[top]",) * 2]
    for entry in sorted(entries, key=lambda each: each.below is not None):
        if entry.below is not None:
            lines += [(f"[{entry.key}]",) * 2, *_ini(entry.below, draw)[1:]] if not _nested(entry) else []
        elif not isinstance(entry.before, str) or _plain(entry.before):
            sign = draw(st.sampled_from(["=", " = ", ": ", " : "]))
            lines.append((f"{entry.key}{sign}{entry.before}", f"{entry.key}{sign}{entry.after}"))
            lines += draw(st.sampled_from([[], [("# bf16 = true",) * 2], [("; dtype = bf16",) * 2], [("",) * 2]]))
    return lines


def _nested(entry: Entry) -> bool:
    return any(each.below is not None for each in entry.below or ())


def _joined(lines: list[tuple[str, str]], draw: st.DrawFn) -> Example:
    ends = [draw(st.sampled_from(["\n", "\n", "\r\n"])) for _ in lines]
    if draw(st.booleans()):
        ends[-1] = ""
    before, after = ("".join(line[side] + end for line, end in zip(lines, ends, strict=True)) for side in (0, 1))
    return Example(before, after)


@st.composite
def yamls(draw: st.DrawFn) -> Example:
    documents = draw(st.lists(_entries(2), min_size=1, max_size=2))
    lines: list[tuple[str, str]] = []
    for entries in documents:
        lines += [("---",) * 2, *_yaml(entries, draw)] if lines else _yaml(entries, draw)
    return _joined(lines, draw)


@st.composite
def jsons(draw: st.DrawFn) -> Example:
    return Example(*_json(draw(_entries(2)), draw))


@st.composite
def tomls(draw: st.DrawFn) -> Example:
    return _joined(_toml(draw(_entries(2)), draw), draw)


@st.composite
def inis(draw: st.DrawFn) -> Example:
    return _joined(_ini(draw(_entries(1)), draw), draw)


def _read_ini(text: str) -> Any:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=", ":"))
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


def _read_json(text: str) -> Any:
    return {each.keys: each.value for each in scalars(text, comments=True)}


#: By the end of the name: what makes such files, and what another reader makes of them.
FORMATS: dict[str, tuple[st.SearchStrategy[Example], Callable[[str], Any]]] = {
    "yaml": (yamls(), lambda text: list(yaml.safe_load_all(text))),
    "json": (jsons(), _read_json),
    "toml": (tomls(), tomllib.loads),
    "ini": (inis(), _read_ini),
}


def flat(value: Any, keys: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], object]:
    """The scalars of a document by their keys."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {path: scalar for key, item in items for path, scalar in flat(item, (*keys, key)).items()}
    return {keys: value}
