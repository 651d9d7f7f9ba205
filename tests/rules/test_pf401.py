"""PF401: bytes are read as bfloat16, then cast up."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_reported, check_rewritten, findings, rewritten


@pytest.mark.parametrize(
    "line",
    [
        "return torch.frombuffer(b, dtype=torch.bfloat16)",
        "x = torch.frombuffer(b, dtype=torch.bfloat16)",
        "x = torch.frombuffer(\n        b,  # bytes\n        dtype=torch.bfloat16,\n    )",
    ],
)
def test_a_buffer(line: str) -> None:
    before = f"import torch\ndef f(b):\n    {line}\n"
    check_rewritten(before, before[:-1] + ".to(torch.float32)\n", code="PF401")


def test_a_buffer_goes_on() -> None:
    check_rewritten(
        "import torch\nx = torch.frombuffer(b, dtype=torch.bfloat16).reshape(2, 2)\n",
        "import torch\nx = torch.frombuffer(b, dtype=torch.bfloat16).to(torch.float32).reshape(2, 2)\n",
    )


def test_other_names() -> None:
    check_rewritten(
        "import torch as th\nx = th.frombuffer(b, dtype=th.bfloat16)\n",
        "import torch as th\nx = th.frombuffer(b, dtype=th.bfloat16).to(th.float32)\n",
    )
    check_rewritten(
        "from torch import bfloat16, frombuffer\nx = frombuffer(b, dtype=bfloat16)\n",
        "from torch import bfloat16, frombuffer\nx = frombuffer(b, dtype=bfloat16).float()\n",
    )


def test_a_view_under_another_name() -> None:
    check_rewritten(
        "import torch as th\ndef f(b):\n    return b.view(th.bfloat16)\n",
        "import torch as th\ndef f(b):\n    return b.view(th.bfloat16).to(th.float32)\n",
    )


def test_a_view() -> None:
    check_rewritten(
        """\
        import torch
        def f(raw):
            return raw.view(torch.bfloat16)
        def g(raw):
            weight = raw.view(dtype=torch.bfloat16)
            return weight
        """,
        """\
        import torch
        def f(raw):
            return raw.view(torch.bfloat16).to(torch.float32)
        def g(raw):
            weight = raw.view(dtype=torch.bfloat16).to(torch.float32)
            return weight
        """,
        code="PF401",
    )


def test_what_is_cast_up_already() -> None:
    check_kept("import torch\nx = raw.view(torch.bfloat16).float()\n")
    check_kept("import torch\nx = raw.view(torch.bfloat16).to(torch.float32)\n")


def test_a_buffer_that_is_cast_up_already() -> None:
    check_kept("import torch\nx = torch.frombuffer(b, dtype=torch.bfloat16).to(torch.float32)\n")
    check_kept("import torch\nx = torch.frombuffer(b, dtype=torch.bfloat16).float()\n")


def test_a_view_that_is_written_through() -> None:
    check_reported(
        """\
        import torch
        def fill(storage, value):
            view = storage.view(torch.bfloat16)
            view.copy_(value)
            view[0] = 1
        """,
        code="PF401",
    )


@pytest.mark.parametrize("shape", [".reshape(shape)", ".view(-1, 2)", ".reshape(4).unsqueeze(0)", ".t()"])
def test_a_view_that_is_returned_in_another_shape(shape: str) -> None:
    check_rewritten(
        f"import torch\ndef f(raw, shape):\n    return raw.view(torch.bfloat16){shape}\n",
        f"import torch\ndef f(raw, shape):\n    return raw.view(torch.bfloat16).to(torch.float32){shape}\n",
        code="PF401",
    )


def test_a_shape_that_is_written_through() -> None:
    check_reported("import torch\ndef f(raw, x):\n    raw.view(torch.bfloat16).reshape(2, 2).copy_(x)\n", code="PF401")


def test_bytes_that_a_function_only_computes_with_are_cast_up() -> None:
    check_rewritten(
        """
        import torch
        def f(raw, x):
            w = torch.from_numpy(raw).view(torch.bfloat16).reshape(2, 2)
            return x @ w
        """,
        """
        import torch
        def f(raw, x):
            w = torch.from_numpy(raw).view(torch.bfloat16).to(torch.float32).reshape(2, 2)
            return x @ w
        """,
        code="PF401",
    )


@pytest.mark.parametrize(
    "body",
    [
        "w = raw.view(torch.bfloat16)\n    raw.copy_(x)\n    return x @ w",  # its memory is written to
        "w = raw.view(torch.bfloat16)\n    w.copy_(x)\n    return x @ w",
        "w = raw.view(torch.bfloat16)\n    w[0] = 1\n    return x @ w",
        "w = raw.view(torch.bfloat16)\n    w += 1\n    return x @ w",
        "w = self.raw.view(torch.bfloat16)\n    self.fill()\n    return x @ w",
        "w = self.raw.view(torch.bfloat16)\n    return x @ w",
        "w = cls.raw.view(torch.bfloat16)\n    return x @ w",
        "w = held.view(torch.bfloat16)\n    fill()\n    return x @ w",
        "w = raw.view(torch.bfloat16)\n    self.w = w\n    return x @ w",
    ],
)
def test_memory_that_somebody_else_may_write_to_is_left(body: str) -> None:
    check_reported(f"import torch\nheld = torch.zeros(4)\ndef f(self, cls, raw, x):\n    {body}\n", code="PF401")


@pytest.mark.parametrize("cast", ["float()", "double()", "half()", "to(torch.float16)", "type(torch.float16)"])
def test_what_is_cast_right_behind_stays(cast: str) -> None:
    text = f"import torch\nx = torch.frombuffer(b, dtype=torch.bfloat16).{cast}\n"
    check_kept(text)
    assert not any("on purpose" in each.reason for each in findings(text))
    check_kept(f"import torch\nkind = torch.bfloat16\nx = torch.frombuffer(b, dtype=kind).{cast}\n", code="PF401")


@pytest.mark.parametrize("readers", [1, 20, 40])
def test_the_last_of_many_readers_may_write_into_it(readers: int) -> None:
    """A buffer that is written into is no copy."""
    text = "import torch\ndef f(b, y):\n    x = torch.frombuffer(b, dtype=torch.bfloat16)\n" + "    use(x)\n" * readers
    assert ".to(torch.float32)" in rewritten(text)
    assert ".to(torch.float32)" not in rewritten(f"{text}    x.add_(y)\n")
