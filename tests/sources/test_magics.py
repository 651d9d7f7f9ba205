"""What IPython adds to Python: understood as IPython understands it, and replaced at its place."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from precision_fix.sources.magics import Kind, understand


def parts(text: str) -> list[tuple[Kind, str, str]]:
    return [(part.kind, text[part.start : part.end], part.name) for part in understand(text).parts]


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("x = 1\n!pip install y\nz", "x = 1\n0             \nz"),
        ("if a:\n    !ls\n    %cd b", "if a:\n    0  \n    0    "),
        ("x = !ls -l", "x = 0     "),
        ("x = %timeit -o f(1)", "x = 0         ;f(1)"),
        ("%time y = f(x)  # why", "0    ;y = f(x)  # why"),
        ("%timeit -n 10 -r3 y.to(z)", "0                ;y.to(z)"),
        ("%time for x in y: f(x)", "0                     "),
        ("%%time\ny = 1", "0     \ny = 1"),
        ("%%capture out\n%%timeit -n1 x = f()\nx += 1", "0            \n0           ;x = f()\nx += 1"),
        ("# @title Form\n\n%%time\ny = 1", "# @title Form\n\n0     \ny = 1"),
        ("%%bash\nls\nx", "      \n  \n "),
        ("!a \\\n  --b \\\n  c\nx", "0   \n       \n   \nx"),
        ("f??\n?g\nh.i?", "0  \n0 \n0   "),
        ("%%time?", "0      "),
        (",f a b\n;f a\n/f 1", "0     \n0   \n0   "),
        ("!ls\r\nx\r\n%pwd\r\n", "0  \r\nx\r\n0   \r\n"),
    ],
)
def test_stand_ins(text: str, python: str) -> None:
    assert understand(text).python == python


@pytest.mark.parametrize(
    "text",
    [
        "x = (a\n  % b)",
        "x = a \\\n  % b",
        "x = [\n  '''\n% a\n''',\n  % b]",
        '"""\n!ls\n%cd\n"""',
        "f('!ls', x == y, z=[\n%b])",
        "x = y % z\nx %= 3\nx != 3",
        "x = 'a?'\n# what?",
        "f(a=(\n!b))",
    ],
)
def test_what_only_looks_like_it(text: str) -> None:
    assert understand(text).python == text
    assert parts(text) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("!python a.py \\\n  --b {c}\nx", [(Kind.SHELL, "python a.py \\\n  --b {c}", "")]),
        ("!!ls", [(Kind.SHELL, "ls", "")]),
        ("x = !ls 'a", [(Kind.SHELL, "ls 'a", "")]),
        ("%%bash\na\nb\n", [(Kind.SHELL, "a\nb\n", "")]),
        ("%%script --no-raise-error bash -e\na", [(Kind.SHELL, "a", "")]),
        ("%%script /bin/sh\na", [(Kind.SHELL, "a", "")]),
        ("%%script false --no-raise-error\na", []),
        ("%%writefile -a 'a b.py'\nx", [(Kind.FILE, "x", "b.py")]),
        ("%%file c/d.yaml\nx: 1\n", [(Kind.FILE, "x: 1\n", "c/d.yaml")]),
        ("%%python3\nx", [(Kind.FILE, "x", "cell.py")]),
        ("%%script python3 -u\nx", [(Kind.FILE, "x", "cell.py")]),
        ("%%html\n<b>", []),
        ("%%unheard\nx", [(Kind.UNKNOWN, "x", "%%unheard")]),
        ("%run a.py --b", [(Kind.RUN, "a.py --b", "")]),
        ("%env A=b\n%set_env A b", [(Kind.VARIABLE, "A=b", ""), (Kind.VARIABLE, "A b", "")]),
        ("%%capture\n!ls", [(Kind.SHELL, "ls", "")]),
        ("%%time\n%%bash\nls", [(Kind.SHELL, "ls", "")]),
        ("for x in y:\n  !ls {x}\n  z", [(Kind.SHELL, "ls {x}", "")]),
    ],
)
def test_parts(text: str, wanted: list[tuple[Kind, str, str]]) -> None:
    assert parts(text) == wanted


_LINES = st.sampled_from(
    [
        *("!ls", "%cd a", "%matplotlib inline", "x = !ls 'a", "x = %pwd", "x: int = %pwd", "?f", "!!ls"),
        *(
            "%time x",
            "%timeit -n 1 x.y()",
            "x = (a",
            "% b)",
            "'''",
            '"""',
            "x = 'a'",
            "if x:",
            "    !ls",
            "    x",
            "# !ls",
        ),
        *(
            "x = a \\",
            "!a \\",
            "  b",
            "x = y % z",
            "'%s' % x",
            "{",
            "}",
            "x;",
            "f(a, b=!c)",
            "await x",
            "",
            "x = f'{y}'",
        ),
        *(
            "'it''s'",
            "x = '\\'",
            "r'\\'",
            "x == !y",
            "\tx",
            "),",
            "x = y = %z",
            "lambda: 1",
            "%",
            "!",
            "?",
            "%%x",
            "/f 1",
        ),
    ]
)


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


@given(st.lists(_LINES, max_size=7).map("\n".join))
def test_a_cell_is_sound_here_where_it_is_in_ipython(text: str) -> None:
    python = understand(text).python
    assert len(python) == len(text)
    try:
        theirs = TransformerManager().transform_cell(text)  # type: ignore[no-untyped-call]
    except SyntaxError:
        return
    if theirs == text + "\n" * (not text.endswith("\n")):
        assert python == text or not _is_python(python)
    elif _is_python(theirs) and not text.startswith(("%%", "\n", " ", "\t")):
        assert _is_python(python), theirs


@given(st.text(alphabet="x %!?=,;/'\"\\\n\r#()[]ab-\t", max_size=30))
def test_any_text(text: str) -> None:
    code = understand(text)
    assert len(code.python) == len(text)
    assert [x for x in code.python if x in "\r\n"] == [x for x in text if x in "\r\n"]
    for part in code.parts:
        assert 0 <= part.start <= part.end <= len(text)
