"""Decoding agrees with Python, and every text that is decoded comes back as the same bytes."""

from __future__ import annotations

import ast
import codecs
import io
import tokenize

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from precision_fix.sources.text import Undecodable, decode

_ENCODINGS = """
    utf-8 latin-1 iso-8859-15 cp1252 cp1251 koi8-r gbk gb2312 gb18030 big5 shift_jis euc-jp euc-kr iso2022_jp
    iso2022_jp_2 utf-7 utf-8-sig utf_8 hz cp037 utf-16 utf-16-le utf-32 punycode idna raw_unicode_escape
    unicode_escape rot13 hex zlib base64 mbcs ascii undefined charmap nonsense UTF8 Latin_1
""".split()  # noqa: SIM905


def bytes_of_a_source(encoding: str, bom: bool, above: str, end: str, text: str, tail: bytes) -> bytes:
    head = f"{above}# -*- coding: {encoding} -*-{end}".encode()
    try:
        body = text.replace("\n", end).encode(encoding)
    except (LookupError, UnicodeError, TypeError, ValueError, AssertionError):
        body = text.encode("utf-8", "replace")
    return codecs.BOM_UTF8 * bom + head + body + tail


sources = st.builds(
    bytes_of_a_source,
    st.sampled_from(_ENCODINGS),
    st.booleans(),
    st.sampled_from(["", "\n", "#!/usr/bin/python\n", "x = 1\n", "\r\n", "# a\r", "\f\n"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.text("x = 'é日本語~+-\\n\n\t{}ъ¥\\", max_size=30),
    st.binary(max_size=4),
)


@settings(max_examples=750, deadline=None)
@given(sources | st.binary(max_size=60))
@example(b"")
@example(b"# coding: utf-7\n+AGE-\n")
@example(b"# coding: iso2022_jp\n\x1b(B\x1b(B'a'\n")
@example(b"\xef\xbb\xbf\xef\xbb\xbf# twice\n")
def test_every_byte_comes_back(data: bytes) -> None:
    try:
        source = decode(data)
    except Undecodable as error:
        assert str(error)
        assert "\n" not in str(error)
    else:
        assert source.encode(source.text) == data


@settings(max_examples=400, deadline=None)
@given(sources)
def test_the_encoding_is_the_one_python_takes(data: bytes) -> None:
    try:
        source = decode(data)
    except Undecodable:
        return
    if b"\r" in data.replace(b"\r\n", b""):
        return  # the tokenizer module knows no lines that end in a bare \r, the compiler does
    try:
        name, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError:  # with a byte order mark, Python wants `utf-8` spelled like that
        assert source.bom
        assert source.encoding == "utf-8"
        return
    assert codecs.lookup(source.encoding).name == codecs.lookup(name.removesuffix("-sig")).name
    assert source.bom == (name == "utf-8-sig")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_python_reads_from_bytes_is_what_we_decode(end: str) -> None:
    data = end.join(["#!python", "# vim: set fileencoding=cp1251 :", "x = 'ъ'", ""]).encode("cp1251")
    source = decode(data)
    assert (source.encoding, source.bom) == ("cp1251", False)
    assert source.text == end.join(["#!python", "# vim: set fileencoding=cp1251 :", "x = 'ъ'", ""])
    statement = ast.parse(data).body[0]
    assert isinstance(statement, ast.Assign)
    assert ast.literal_eval(statement.value) == "ъ"


def test_an_edit_keeps_mark_encoding_and_line_endings() -> None:
    data = codecs.BOM_UTF8 + "# é\r\nx = torch.bfloat16\r\ny\n".encode()
    source = decode(data)
    edited = source.encode(source.text.replace("bfloat16", "float32"))
    assert edited == data.replace(b"bfloat16", b"float32")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            b"x = 1\r\ny = '\xe9'\n",
            "is not UTF-8: byte 0xe9 at offset 12 (line 2), and no coding line says what it is",
        ),
        (
            codecs.BOM_UTF8 + b"'\xe9'",
            "is not UTF-8: byte 0xe9 at offset 4 (line 1), and no coding line says what it is",
        ),
        (
            b"# coding: ascii\n'\xe9'",
            "is not the ascii that its coding line says: byte 0xe9 at offset 17 (line 2)",
        ),
        (b"# coding: klingon\n", "its coding line names an unknown encoding: klingon"),
        (b"a = 1\0b", "holds a NUL byte at offset 5: is it a binary file?"),
        ("x = 1".encode("utf-16"), "is UTF-16, which Python does not read: save it as UTF-8"),
        ("x = 1".encode("utf-32"), "is UTF-32, which Python does not read: save it as UTF-8"),
        (
            codecs.BOM_UTF8 + b"# coding: latin-1\n",
            "begins with the byte order mark of UTF-8, but its coding line says latin-1",
        ),
        (
            b"# coding: utf-7\n+AGE-",
            "its text does not come back as the same bytes in utf-7: save it as UTF-8",
        ),
        (
            b"# coding: utf-16-le\nxx",
            "its coding line says utf-16-le, in which that very line reads as something else",
        ),
    ],
)
def test_one_line_says_what_is_wrong(data: bytes, reason: str) -> None:
    with pytest.raises(Undecodable) as caught:
        decode(data)
    assert str(caught.value) == reason


def test_a_character_that_the_encoding_lacks() -> None:
    source = decode(b"# coding: latin-1\nx\n")
    with pytest.raises(Undecodable, match=r"iso-8859-1, the encoding of this file, has no '.u65e5'"):
        source.encode("日")


def test_ten_megabytes() -> None:
    data = b"x = 1  # abc\n" * 800_000
    source = decode(data)
    assert source.encode(source.text) == data
