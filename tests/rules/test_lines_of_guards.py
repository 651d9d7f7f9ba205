"""What is found in each line of small programs: what guards ask by a name, and words beside them."""

# A line, what is found in it and what becomes of it read best side by side.
# ruff: noqa: E501
from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.lines import check_lines

PROGRAMS = {
    ("what a guard asks of a choice", "a.py", "float32"): """
        import torch
        class A:
            def __init__(self, compute=torch.bfloat16):  #: PF101 manual@9 moves together with line
                self.compute = compute
                self.other = compute
                self.table = compute
            def forward(self, x):
                assert self.compute == torch.bfloat16, "requires bfloat16"  #: PF106 manual@9 moves together with line
                assert self.other == torch.bfloat16, "requires bfloat16"  #: PF106 manual guards what needs bfloat16,
                assert self.table == torch.bfloat16, "requires bfloat16"  #: PF106 manual guards what needs bfloat16,
                return x.to(self.compute), TABLE[self.table], x.to(self.table)
        """,
    ("a list that a guard asks for by a name", "a.py", "float32"): """
        import torch
        MORE = (torch.bfloat16,)  #: PF001 keep compared with a dtype,
        KINDS = MORE
        KIND = torch.bfloat16  #: PF101 rewrite chooses a precision => KIND = torch.float32
        HERE = frozenset({torch.bfloat16})  #: PF002 keep a set, which is
        AGAIN = OTHER
        OTHER = AGAIN
        def known(x):
            x = x.to(torch.bfloat16)  #: PF903 manual@10 the guard on line
            assert x.dtype in KINDS
            return x
        def ask(x):
            x = x.to(torch.bfloat16)  #: PF903 manual@14 the guard on line
            if x.dtype not in MORE:
                raise TypeError
            return x
        def circle(x):
            x = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => x = x.to(torch.float32)
            assert x.dtype in AGAIN
            return x
        def inline(x):
            x = x.to(torch.bfloat16)  #: PF101 manual@23 moves together with line
            assert x.dtype in (torch.bfloat16,)  #: PF001 keep compared with a dtype,
            return x
        def same(x):
            x = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => x = x.to(torch.float32)
            assert x.dtype == KIND
            return x
        def frozen(x):
            x = x.to(torch.bfloat16)  #: PF903 manual@31 the guard on line
            if x.dtype not in HERE: raise TypeError
            return x
        """,
    ("what is joined, and what speaks of a flag or a word", "a.py", "float32"): """
        import torch, argparse
        def joined(x, y):
            z = torch.cat([x.to(torch.bfloat16), y])  #: PF005 keep the bits of the
            assert z.dtype == torch.bfloat16  #: PF106 manual guards what reads its
            z.view(torch.int16)
        def named(x, word):
            assert name_of(x.shape) == word
            return x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => return x.to(torch.float32)
        def caught(x, kind=torch.bfloat16):  #: PF101 rewrite chooses a precision => def caught(x, kind=torch.float32):
            try:
                y = x.to(kind)
            except ValueError as kind:
                print(kind.itemsize)
            return y
        bf16 = False if old else True  #: PF203 rewrite bf16 turns bfloat16 on => bf16 = False if old else False
        run(bf16=not old if fp16 else True)  #: PF203 rewrite bf16 turns bfloat16 on => run(bf16=not old if fp16 else False)
        f(name="bf16-mixed", kind="bf16_o2")  #: PF202 rewrite the library's word for => f(name="32-true", kind="bf16_o2")
        p = argparse.ArgumentParser()
        p.add_argument("-a", "--attn-impl", default="flash_attention_2")  #: PF205 rewrite flash attention needs compute => p.add_argument("-a", "--attn-impl", default="sdpa")
        p.add_argument("name", default="flash_attention_2")  #: PF205 keep a word whose reader
        """,
    ("flash attention in a config", "a.yaml", "float32"): """
        model:
          flash_attn: fa2  #: PF504 rewrite flash attention does not => flash_attn: sdpa
          attn_impl: flash  #: PF504 manual flash attention does not
          attn_implementation: fa2  #: PF504 manual flash attention does not
        attn_config:
          attn_impl: flash  #: PF504 rewrite flash attention does not => attn_impl: torch
          other_impl: flash
        use_flash_attn: fa2  #: PF504 manual flash attention does not
        """,
    ("a region of another object", "a.py", "float32"): """
        import torch
        from functools import partial
        net.region = partial(torch.autocast, dtype=torch.bfloat16)  #: PF103 rewrite an autocast region in => net.region = partial(torch.autocast, dtype=torch.float32, enabled=False)
        def f(net, other, x, fast):
            with other.region("cuda", enabled=fast):
                return net(x)
        """,
}


@pytest.mark.parametrize(("title", "path", "to"), PROGRAMS)
def test_each_line(title: str, path: str, to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_lines(PROGRAMS[title, path, to], path=path, to=to)
