"""PF912: the flash-attn package is needed."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_reported, findings


@pytest.mark.parametrize("line", ["import flash_attn", "from flash_attn import flash_attn_func"])
def test_a_program_that_has_no_other_way(line: str) -> None:
    check_reported(f"{line}\nx = 1\n", code="PF912")


def test_one_that_has() -> None:
    check_kept("try:\n    import flash_attn\nexcept ImportError:\n    flash_attn = None\n", code="PF912")


@pytest.mark.parametrize(
    "again",
    [
        "except:\n    FA = None\ntry:\n    from flash_attn_interface import flash as FA\nexcept:\n    FA = FA\n",
        "except ImportError:\n    FA = FA if False else None\n",
        "except ImportError:\n    FA: object = None\nelse:\n    FA = FA\n",
        "except ImportError:\n    pass\nFA = FA\n",
    ],
)
def test_a_name_that_is_given_to_itself_stands_for_nothing_else(again: str) -> None:
    text = f"try:\n    from flash_attn import flash_attn_func as FA\n{again}y = FA(q, k, v)\n"
    [said] = [each for each in findings(text) if each.code == "PF912" and each.line == 2]
    assert "has no way without it" in said.reason


TRIED = "try:\n    from flash_attn import flash_attn_func\nexcept ImportError:\n    flash_attn_func = None\n"
BY_A_WORD = f"""{TRIED}
def attend(q, mode="flash", fast=True):
    if mode == "torch":
        return sdpa(q)
    elif mode == "flash":
        x = flash_attn_func(q, q, q)
    else:
        x = eager(q)
    return x
"""
BY_A_FLAG = f"{TRIED}\ndef attend(q, *, fast: bool = True):\n    return flash_attn_func(q, q, q) if fast else sdpa(q)\n"
EARLY = f"""{TRIED}
def attend(q, fast=None):
    if fast is not None:
        return sdpa(q)
    return flash_attn_func(q, q, q)
"""
AMONG = f"""{TRIED}
def attend(q, mode):
    if mode in ("flash", "fa2"):
        return flash_attn_func(q, q, q)
    return sdpa(q)
"""
METHOD = f"""{TRIED}
class Block:
    def attend(self, q, mode="flash"):
        return flash_attn_func(q, q, q) if mode == "flash" else sdpa(q)
"""


@pytest.mark.parametrize(
    ("text", "call"),
    [
        (BY_A_WORD, "attend(q)"),
        (BY_A_WORD, "attend(q, mode='flash')"),
        (BY_A_WORD, "attend(q) if parallel else attend(q, 'flash')"),
        (BY_A_FLAG, "attend(q)"),
        (EARLY, "attend(q)"),
        (AMONG, "attend(q, 'fa2')"),
        (AMONG, "[attend(q, 'torch'), attend(q, 'flash')]"),
    ],
)
def test_what_a_parameter_chooses_is_settled_by_who_calls(text: str, call: str) -> None:
    check_reported(f"{text}\nx = {call}\n", code="PF912")
    check_reported(f"{text}\nclass Block:\n    def forward(self, q):\n        return {call}\nBlock()\n", code="PF912")


@pytest.mark.parametrize(
    ("text", "call"),
    [
        (BY_A_WORD, "attend(q, 'torch')"),
        (BY_A_WORD, "attend(q, mode=mode)"),
        (BY_A_WORD, "attend(q, 'vanilla')"),
        (BY_A_WORD, "attend(*q)"),
        (BY_A_WORD, "attend(q, **how)"),
        (BY_A_WORD, "attend(q) if parallel else sdpa(q)"),
        (
            BY_A_WORD.replace(
                '    if mode == "torch"', '    mode = mode if flash_attn_func else "torch"\n    if mode == "torch"'
            ),
            "attend(q)",
        ),
        (BY_A_WORD.replace('elif mode == "flash"', 'elif mode == "flash" and flash_attn_func'), "attend(q)"),
        (BY_A_FLAG, "attend(q, fast=False)"),
        (BY_A_FLAG, "attend(q, fast=has_flash())"),
        (BY_A_FLAG.replace("if fast", "if fast and flash_attn_func is not None"), "attend(q)"),
        (EARLY, "attend(q, 0)"),
        (EARLY.replace("    return flash", "    elif fast is None:\n        return 0\n    return flash"), "attend(q)"),
        (AMONG, "attend(q, 'torch')"),
        # Whoever makes the whole chooses, and may ask whether the package is there.
        (METHOD, "Block()"),
    ],
)
def test_who_chooses_otherwise_or_asks_has_another_way(text: str, call: str) -> None:
    check_kept(f"{text}\nx = {call}\n", code="PF912")


@pytest.mark.parametrize("text", [BY_A_WORD, f"{TRIED}\ndef attend(q):\n    return flash_attn_func(q, q, q)\n"])
def test_the_main_block_is_no_other_way(text: str) -> None:
    main = "\ndef main(q):\n    attend(q)\n\nif __name__ == '__main__':\n    main(read())\n"
    turned = (text + main).replace("__name__ == '__main__'", "'__main__' == __name__")
    # It starts with the runtime, which stands in.
    assert [each.code for each in findings(turned)] == ["PF701", "PF912"]
    assert [each.code for each in findings(text + main)] == ["PF701", "PF912"]
    check_kept((text + main).replace("    attend(q)", "    attend(q) if q else 0"), code="PF912")


def test_both_ways_lead_there_where_a_function_is_called_on_one_of_them() -> None:
    rings = "def rings(q):\n    return flash_attn_func(q, q, q, 0.5)\n"
    text = f"{BY_A_WORD}\n{rings}\nx = attend(q) if not parallel else rings(q)\n"
    check_reported(text, code="PF912")
    check_kept(
        text.replace("return flash_attn_func(q, q, q, 0.5)", "return flash_attn_func(q) if q else q"), code="PF912"
    )


def test_a_function_under_a_condition_that_is_called_in_any_case() -> None:
    check_reported(
        f"{TRIED}if A:\n    def attend(q):\n        return flash_attn_func(q)\nx = attend(q)\n", code="PF912"
    )


def test_functions_that_call_each_other_and_nobody_else() -> None:
    text = f"{TRIED}def a(q):\n    flash_attn_func(q)\n    b(q)\ndef b(q):\n    a(q)\n"
    check_kept(text, code="PF912")
    check_reported(f"{text}a(q)\n", code="PF912")
    check_reported(f"{text}b(q)\n", code="PF912")


def test_as_many_callers_as_are_gone_up_to() -> None:
    def chain(length: int) -> str:
        between = "".join(f"def f{at + 1}(q):\n    return f{at}(q)\n" for at in range(length))
        return f"{TRIED}def f0(q):\n    return flash_attn_func(q)\n{between}x = f{length}(q)\n"

    check_reported(chain(0), code="PF912")
    check_reported(chain(4), code="PF912")
    for text in (chain(4), f"{chain(4)}def g(q):\n    return f2(q)\n"):
        assert not any("as far up" in each.reason for each in findings(text))
    check_reported(chain(5), code="PF912")
    assert any("as far up as callers are asked" in each.reason for each in findings(chain(5)))


FLASH = "return flash_attn_func(q, q, q)"
# The body of a function of `q`, `mode` and `fast`, which is called with "flash".
OTHER_WAYS = {
    "another case": f'match fast:\n    case "flash":\n        {FLASH}\n    case _:\n        return sdpa(q)',
    "a case of none": f'match mode:\n    case "fa3":\n        {FLASH}\nreturn sdpa(q)',
    "a case with a guard": f'match mode:\n    case "flash" if fast:\n        {FLASH}\nreturn sdpa(q)',
    "a case that leaves": f"match fast:\n    case True:\n        return sdpa(q)\n{FLASH}",
    "an if within an if that leaves": (
        f"if fast:\n    if q.causal:\n        return sdpa(q, True)\n    else:\n        return sdpa(q)\n{FLASH}"
    ),
    "an elif that leaves": f"if fast:\n    q = q * 2\nelif q.causal:\n    return sdpa(q)\n{FLASH}",
    "an else that leaves": f"if fast:\n    q = q * 2\nelse:\n    return sdpa(q)\n{FLASH}",
    "an if before it in an else": (
        f"if fast:\n    {FLASH}\nelse:\n    if q.causal:\n        return sdpa(q)\n    {FLASH}"
    ),
    "a choice in the other arm": (
        f"if fast:\n    {FLASH}\nelse:\n    if q.causal:\n        {FLASH}\n    else:\n        return sdpa(q)"
    ),
    "an arm of an arm": f"if fast:\n    {FLASH}\nreturn flash_attn_func(q) if q.causal else sdpa(q)",
    "a loop that is left": f"for each in q:\n    if each.short:\n        return sdpa(q)\n{FLASH}",
    "a with": f"with profile():\n    if fast:\n        return sdpa(q)\n{FLASH}",
}
NO_OTHER_WAY = {
    "the case that is taken": f'match mode:\n    case "flash":\n        {FLASH}\n    case _:\n        return sdpa(q)',
    "one of several": f'match mode:\n    case "fa2" | "flash":\n        {FLASH}\n    case _:\n        return sdpa(q)',
    "cases that stop": f"match q.mode:\n    case 1:\n        {FLASH}\n    case _:\n        raise ValueError(mode)",
    "cases that all lead there": f"match q.mode:\n    case 1:\n        {FLASH}\n    case _:\n        {FLASH}",
    "an else whose arms stop": (
        f"if q.fast:\n    {FLASH}\nelse:\n    if q.short:\n        raise ValueError\n    else:\n        raise TypeError"
    ),
    "arms that both lead there": (
        f"if q.fast:\n    {FLASH}\nelse:\n    if q.causal:\n        {FLASH}\n    else:\n        raise ValueError"
    ),
    "a return in the other arm": f"if q.fast:\n    if q.causal:\n        raise TypeError\nelse:\n    {FLASH}\n{FLASH}",
    "a loop that is gone on with": f"for each in q:\n    if each:\n        continue\n{FLASH}",
}


def _program(body: str, call: str) -> str:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"{TRIED}\ndef attend(q, mode, fast):\n{lines}\nx = attend(q, {call})\n"


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_another_way_through_cases_and_tests_within_tests(way: str) -> None:
    check_kept(_program(OTHER_WAYS[way], '"flash", read()'), code="PF912")


@pytest.mark.parametrize("way", NO_OTHER_WAY)
def test_no_other_way_through_cases_and_tests_within_tests(way: str) -> None:
    check_reported(_program(NO_OTHER_WAY[way], '"flash", read()'), code="PF912")
