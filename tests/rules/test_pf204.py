"""PF204: defaults of options, in the words that the option offers (note 7)."""

from __future__ import annotations

import pytest

from precision_fix.model.finding import Action
from tests.tools import check_kept, check_reported, check_rewritten, findings


@pytest.mark.parametrize(
    ("offered", "new"),
    [
        ('["no", "fp16", "bf16"]', "no"),
        ('["bf16", "fp32"]', "fp32"),
        ('("bf16", "float32")', "float32"),
        ('["bf16", "32"]', "32"),
        ('["bf16", "f32"]', "f32"),
        ('["fp32", "bf16", "no"]', "no"),
    ],
)
def test_the_word_stands_beside_it(offered: str, new: str) -> None:
    for call in ("p.add_argument", "click.option", "gr.Dropdown"):
        before = f'x = {call}("--precision", choices={offered}, default="bf16")\n'
        check_rewritten(before, before.replace('default="bf16"', f'default="{new}"'), code="PF204")


def test_no_word_for_float32() -> None:
    check_reported('p.add_argument("--x", choices=["fp16", "bf16"], default="bf16")\n', code="PF204")


def test_no_word_for_float32_but_what_the_word_leads_to() -> None:
    check_rewritten(
        """\
        import torch
        p.add_argument("--dtype", choices=["bf16", "fp16"], default="bf16")
        args = p.parse_args()
        args.dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float16
        """,
        """\
        import torch
        p.add_argument("--dtype", choices=["bf16", "fp16"], default="bf16")
        args = p.parse_args()
        args.dtype = torch.float32 if args.dtype == "bf16" else torch.float16
        """,
    )
    check_kept(
        'p.add_argument("--dtype", choices=["bf16", "fp16"], default="bf16")\nx = args.dtype == "bf16"\n',
        code="PF204",
    )


def test_nothing_is_offered() -> None:
    check_rewritten('p.add_argument("--x", default="bfloat16")\n', 'p.add_argument("--x", default="float32")\n')
    check_rewritten('p.add_argument("--x", default="bf16")\n', 'p.add_argument("--x", default="fp32")\n', code="PF204")


def test_a_menu() -> None:
    check_rewritten(
        'TYPES = {"precision": (["bf16", "fp32"], {"default": "bf16"})}\n',
        'TYPES = {"precision": (["bf16", "fp32"], {"default": "fp32"})}\n',
        code="PF204",
    )


def test_click_choice() -> None:
    check_rewritten(
        'x = click.option("--p", type=click.Choice(["bf16", "fp32"]), default="bf16")\n',
        'x = click.option("--p", type=click.Choice(["bf16", "fp32"]), default="fp32")\n',
    )


@pytest.mark.parametrize("comment", ['#@param ["bf16", "float"]', '# @param ["float","bf16"] {allow-input: false}'])
def test_a_form_of_colab(comment: str) -> None:
    check_rewritten(f'precision = "bf16" {comment}\n', f'precision = "float" {comment}\n', code="PF204")


def test_a_form_that_offers_no_float32_or_says_how_to_save() -> None:
    check_reported('precision = "bf16" #@param ["fp16", "bf16"]\n', code="PF204")
    for other in ('save_precision = "bf16" #@param ["float", "bf16"]\n', 'x = "bf16" # @param {type:"string"}\n'):
        check_kept(other)


def test_a_default_that_is_looked_up_by() -> None:
    """The option has no word for float32, and needs none: what the word stands for is rewritten."""
    before = """\
        import argparse, torch
        p = argparse.ArgumentParser()
        p.add_argument("--precision", choices=["fp16", "bf16"], default="bf16")
        kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[p.parse_args().precision]
        x = torch.zeros(1, dtype=kind)
        """
    check_rewritten(before, before.replace("torch.bfloat16", "torch.float32"))
    assert [each.action for each in findings(before) if each.code == "PF204"] == [Action.KEEP]
