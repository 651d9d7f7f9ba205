"""YAML, JSON, TOML and INI-like files: where a value stands, how it is written, comments that keep, what is broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.test_bad_input import check_said_once, said
from tests.tools import analyse, check_kept, check_not_a_site, check_rewritten, command, findings, plant, rewritten

DEEP = 3_000


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # A bare `no` would be false.
        ("mixed_precision: bf16\n", 'mixed_precision: "no"\n'),
        ("mixed_precision: 'bf16'\n", "mixed_precision: 'no'\n"),
        ('mixed_precision: "bf16"\n', 'mixed_precision: "no"\n'),
        ("{mixed_precision: bf16, x: 1}\n", '{mixed_precision: "no", x: 1}\n'),
        ('{"mixed_precision":"bf16"}', '{"mixed_precision":"no"}'),
        ("mixed_precision: !!str bf16\n", 'mixed_precision: !!str "no"\n'),
        ("mixed_precision: &p bf16\nb: *p\n", 'mixed_precision: &p "no"\nb: *p\n'),
        ("mixed_precision: &p !!str 'bf16'\n", "mixed_precision: &p !!str 'no'\n"),
        ("? mixed_precision\n: bf16\n", '? mixed_precision\n: "no"\n'),
        ("mixed_precision:\n  bf16   # why\n", 'mixed_precision:\n  "no"   # why\n'),
        ("bf16: true\n", "bf16: false\n"),
        ("bf16: True\n", "bf16: False\n"),
        ("bf16: TRUE\n", "bf16: FALSE\n"),
        ("bf16: yes\n", "bf16: no\n"),
        ("bf16: On\n", "bf16: Off\n"),
        ("bf16: 'auto'\n", "bf16: false\n"),
        ("a: &x\n  dtype: bf16\nb:\n  <<: *x\n  bf16: true\n", "a: &x\n  dtype: fp32\nb:\n  <<: *x\n  bf16: false\n"),
        ("dtype: bf16\n---\ndtype: bf16\n...\n---\n- 1\n", "dtype: fp32\n---\ndtype: fp32\n...\n---\n- 1\n"),
        ("dtype: bf16\r\nb: 1\r\n", "dtype: fp32\r\nb: 1\r\n"),
        ("dtype: bf16", "dtype: fp32"),
        ("# \u00e9 \U0001f600\n\u00e9\U0001f600: {x: '\U0001f600', dtype: bf16}\n", None),
        ("dtype: bf16\ndtype: bf16\n", "dtype: fp32\ndtype: fp32\n"),
        ("- dtype: bf16\n- - dtype: bf16\n", "- dtype: fp32\n- - dtype: fp32\n"),
        ("x: !Custom {dtype: bf16}\n", "x: !Custom {dtype: fp32}\n"),
        ("? [a, b]\n: {dtype: bf16}\n? {c: d}\n: 1\n", "? [a, b]\n: {dtype: fp32}\n? {c: d}\n: 1\n"),
    ],
)
def test_yaml(before: str, after: str | None) -> None:
    check_rewritten(before, before.replace("bf16", "fp32") if after is None else after, path="a.yaml")


def test_a_word_stays_a_word() -> None:
    for quote in ("", "'", '"'):
        text = rewritten(f"mixed_precision: {quote}bf16{quote}\n", path="a.yaml")
        assert yaml.safe_load(text) == {"mixed_precision": "no"}


@pytest.mark.parametrize("text", ["dtype: |-\n  bf16\n", "dtype: >-\n  bf16\n"])
def test_a_block_is_left_and_reported(text: str) -> None:
    assert rewritten(text, path="a.yaml") == text
    assert [each.action.name for each in findings(text, path="a.yaml")] == ["MANUAL"]


@pytest.mark.parametrize("text", ["dtype: !Other bf16\n", "x: &bf16 1\ndtype: *bf16\n", "dtype: !!binary bf16\n"])
def test_what_yaml_reads_as_something_else(text: str) -> None:
    check_not_a_site(text, path="a.yaml")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"dtype": "bf16", "bf16": true}', '{"dtype": "fp32", "bf16": false}'),
        ('{"a": [{"dtype" :\t"bf16"} , 1]}\r\n', '{"a": [{"dtype" :\t"fp32"} , 1]}\r\n'),
        (
            '// bf16\n{"dtype": "bf16", /* bf16 */ "x": "\\u00e9",}',
            '// bf16\n{"dtype": "fp32", /* bf16 */ "x": "\\u00e9",}',
        ),
        ('{"dtype": "bf16", "dtype": "bf16"}', '{"dtype": "fp32", "dtype": "fp32"}'),
    ],
)
def test_json(before: str, after: str) -> None:
    check_rewritten(before, after, path="a.jsonc")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('dtype = "bf16" # bf16\n', 'dtype = "fp32" # bf16\n'),
        ("dtype='bf16'\r\n", "dtype='fp32'\r\n"),
        ('a.dtype = "bf16"\n[t]\nbf16 = true\nx = true\n', 'a.dtype = "fp32"\n[t]\nbf16 = false\nx = true\n'),
        ('t = {dtype = "bf16", n = [1, 2]}\n', 't = {dtype = "fp32", n = [1, 2]}\n'),
        ('[[a]]\ndtype = "bf16"\n[[a]]\ndtype = "bf16"\n', '[[a]]\ndtype = "fp32"\n[[a]]\ndtype = "fp32"\n'),
        ('"bf16" = true\n"true" = true\n', '"bf16" = false\n"true" = true\n'),
        ('s = """\ndtype = "bf16"\n"""\ndtype = "bf16"\n', 's = """\ndtype = "bf16"\n"""\ndtype = "fp32"\n'),
        ('s = \'say "bf16"\'\ndtype = "bf16"\n', 's = \'say "bf16"\'\ndtype = "fp32"\n'),
        ("s = '''it's \"bf16\"'''\ndtype = 'bf16'\n", "s = '''it's \"bf16\"'''\ndtype = 'fp32'\n"),
        ("x = nan\ny = -inf\nbf16 = true\n", "x = nan\ny = -inf\nbf16 = false\n"),
        ("d = 1979-05-27\nbf16 = true\n", "d = 1979-05-27\nbf16 = false\n"),
    ],
)
def test_toml(before: str, after: str) -> None:
    check_rewritten(before, after, path="a.toml")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[a]\ndtype = bf16\n", "[a]\ndtype = fp32\n"),
        ("dtype=bf16", "dtype=fp32"),
        ("dtype: bf16 ; why\r\n", "dtype: fp32 ; why\r\n"),
        (
            "dtype = bf16  # why\n; dtype = bf16\n# dtype = bf16\n",
            "dtype = fp32  # why\n; dtype = bf16\n# dtype = bf16\n",
        ),
        ('dtype = "bf16"\nbf16 = "True"\n', 'dtype = "fp32"\nbf16 = "False"\n'),
        ("bf16 = 1\nbf16_full_eval=on\n", "bf16 = 0\nbf16_full_eval=off\n"),
        ("[bf16]\nenabled = true\n", "[bf16]\nenabled = false\n"),
    ],
)
def test_ini(before: str, after: str) -> None:
    check_rewritten(before, after, path="a.cfg")


def test_an_env_file() -> None:
    before = "# bf16\nexport ACCELERATE_MIXED_PRECISION=bf16\nNAME=bf16\n"
    check_rewritten(before, before.replace("PRECISION=bf16", "PRECISION=no"), path=".env")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.yaml", "dtype: bf16  # precision-fix: keep\n"),
        ("a.yaml", "mixed_precision: bf16 # precision-fix: keep[PF502]\n"),
        ("a.toml", "dtype = 'bf16' # precision-fix: keep\n"),
        ("a.ini", "dtype = bf16 # precision-fix: keep\n"),
        ("a.json", '{\n"dtype": "bf16" // precision-fix: keep\n}'),
        ("a.json", '{\n"dtype": "bf16" // precision-fix: keep[PF501, PF502]\n}'),
    ],
)
def test_a_comment_keeps(path: str, text: str) -> None:
    check_kept(text, path=path)
    assert analyse(path, text).unused_keeps == []


@pytest.mark.parametrize(
    ("path", "text", "unused"),
    [
        ("a.yaml", "# precision-fix: keep\ndtype: bf16\n", [1]),
        ("a.yaml", "dtype: bf16 # precision-fix: keep[PF503]\n", [1]),
        ("a.yaml", "x: '# precision-fix: keep'\ny: |\n  a # precision-fix: keep\ndtype: bf16\n", []),
        ("a.json", '{"x": "// precision-fix: keep", "dtype": "bf16"}', []),
        ("a.toml", "x = '# precision-fix: keep'\ndtype = 'bf16'\n", []),
        ("a.ini", "a = 1\r\nb = 2 # precision-fix: keep\r\ndtype = bf16\r\n", [2]),
    ],
)
def test_a_comment_that_keeps_nothing(path: str, text: str, unused: list[int]) -> None:
    assert "bf16" not in rewritten(text, path=path)
    assert analyse(path, text).unused_keeps == unused


BAD: dict[str, tuple[bytes, str]] = {
    "open.json": (b'{\n"dtype": "bf16"\n', "the text ends too early"),
    "comma.json": (b'{"dtype": "bf16" "x": 1}', "does not parse, line 1"),
    "deep.json": (b'{"dtype": "bf16", "x": ' + b"[" * DEEP + b"]" * DEEP + b"}", "nested more than"),
    "nul.json": (b'{"dtype": "bf16", "x": "\x00"}', "NUL byte"),
    "latin.json": (b'{"dtype": "bf16", "x": "\xe9"}', "is not UTF-8"),
    "tab.yaml": (b"a:\n\tdtype: bf16\n", "does not parse, line 2"),
    "key.yaml": (b"dtype: bf16\nx: y: z\n", "does not parse, line 2"),
    "deep.yaml": (b"dtype: bf16\nx: " + b"[" * DEEP + b"]" * DEEP + b"\n", "nesting depth"),
    "blocks.yaml": (b"dtype: bf16\n" + b"".join(b" " * i + b"a:\n" for i in range(400)), "nested more than"),
    "jinja.yaml": (b"{% if x %}\ndtype: bf16\n{% endif %}\n", "looks like a template"),
    "helm.yaml": (b"dtype: bf16\n{{- with .Values.x }}\n  a: 1\n{{- end }}\n", "looks like a template"),
    "control.yaml": (b"dtype: bf16\nx: \x01\n", "does not parse, line 2"),
    "utf16.yaml": (b"\xff\xfedtype: bf16\n", "is UTF-16"),
    "twice.toml": (b'dtype = "bf16"\ndtype = "bf16"\n', "does not parse, line 2"),
    "open.toml": (b'dtype = "bf16\n', "does not parse, line 1"),
    "deep.toml": (b'dtype = "bf16"\nx = ' + b"[" * 100_000 + b"\n", "nested too deeply"),
    "binary.cfg": (b"\x7fELF bf16 \x00", "NUL byte"),
}
# An alias that would grow to 10**9 nodes, were it followed.
BOMB = b"dtype: bf16\na: &a [x]\n" + b"".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n".encode() for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
GOOD: dict[str, tuple[bytes, bytes]] = {
    "bomb.yaml": (BOMB, BOMB.replace(b"bf16", b"fp32")),
    "twice.json": (b'{"dtype": "bf16", "dtype": "bf16"}', b'{"dtype": "fp32", "dtype": "fp32"}'),
    "twice.yaml": (b"dtype: bf16\ndtype: bf16\n", b"dtype: fp32\ndtype: fp32\n"),
    "bom.yaml": (b"\xef\xbb\xbfdtype: bf16\n", b"\xef\xbb\xbfdtype: fp32\n"),
    "bom.json": (b'\xef\xbb\xbf{"dtype": "bf16"}', b'\xef\xbb\xbf{"dtype": "fp32"}'),
    "bom.toml": (b'\xef\xbb\xbfdtype = "bf16"\n', b'\xef\xbb\xbfdtype = "fp32"\n'),
    "bom.ini": (b"\xef\xbb\xbfdtype = bf16\n", b"\xef\xbb\xbfdtype = fp32\n"),
    "cr.ini": (b"a = 1\rdtype = bf16\r", b"a = 1\rdtype = fp32\r"),
    "mixed.yaml": (b"a: 1\r\ndtype: bf16\nb: 2\r\n", b"a: 1\r\ndtype: fp32\nb: 2\r\n"),
    "big.json": (b'{"dtype": "bf16", "x": "' + b"0" * (5 << 20) + b'"}', b""),
    "template_without_a_mention.yaml": (b"{% if x %}\na: 1\n# bf16\n{% endif %}\n", b""),
    "vocabulary.json": (b'{"bf16": 1, "fp16": 2, "</s>": 0}', b""),
    "index.json": (b'{"weight_map": {"w": "model-bf16-00001-of-2.safetensors"}}', b""),
    "package-lock.json": (b'{"integrity": "sha512-abf16c+/bf16=="}', b""),
    "empty.yaml": (b"", b""),
}


def test_the_others_are_done(tmp_path: Path) -> None:
    root = plant(tmp_path, {name: data for name, (data, _) in (BAD | GOOD).items()})
    result = command("--gpu", "t4", ".", cwd=root)
    output = said(result)
    assert result.returncode == 1
    for name, (data, what) in BAD.items():
        check_said_once(output, f"  {name}:", what)
        assert (root / name).read_bytes() == data
    for name, (before, after) in GOOD.items():
        assert (root / name).read_bytes() == (after or before), name
    assert command("undo", root).returncode == 0
    assert {name: (root / name).read_bytes() for name in GOOD} == {name: data for name, (data, _) in GOOD.items()}


def test_big_files_are_read_where_they_are_named(tmp_path: Path) -> None:
    data = GOOD["big.json"][0]
    plant(tmp_path, {"big.json": data})
    assert command("--gpu", "t4", "big.json", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "big.json").read_bytes())["dtype"] == "fp32"
