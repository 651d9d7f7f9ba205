"""PF203: flags."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_not_a_site, check_reported, check_rewritten, findings


@pytest.mark.parametrize(
    "line",
    [
        "args = TrainingArguments(out, bf16=True, fp16=False)",
        "args = TrainingArguments(bf16_full_eval=True)",
        "args.bf16 = True",
        'args["bf16"] = True',
        'config = {"bf16": {"enabled": True, "x": 1}}',
        'config["bf16"]["enabled"] = True',
        'config = {"bf16": True}',
        "def f(use_bf16=True): ...",
        "def f(*, bf16: bool = True): ...",
        "use_bf16 = True",
        "class C:\n    bf16: bool = True",
        "class C:\n    bf16: bool = field(default=True)",
        "f(enable_bfloat16=True)",
        'p.add_argument("--bf16", action="store_false", default=True)',
    ],
)
def test_a_flag_that_is_on(line: str) -> None:
    check_rewritten(line + "\n", line.replace("True", "False") + "\n", code="PF203")


@pytest.mark.parametrize(
    "line",
    [
        "module._casted_to_bf16 = True",
        "self.is_bf16 = True",
        "has_bf16 = True",
        "torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True",
        "supports_bf16 = True",
        'sections = {"bf16": {"loaded": 1}}',
    ],
)
def test_a_fact(line: str) -> None:
    check_kept(line + "\n")


@pytest.mark.parametrize("line", ["args.bf16 = False", "f(bf16=on)", "x = args.bf16", "bf16 = 1", "xbf16x = True"])
def test_a_flag_that_is_off_or_unknown(line: str) -> None:
    check_not_a_site(line + "\n")


def test_a_flag_that_the_file_reads() -> None:
    """What it leads to is rewritten there."""
    check_rewritten(
        """\
        import torch
        use_bf16 = True
        if use_bf16:
            model.to(torch.bfloat16)
        """,
        """\
        import torch
        use_bf16 = True
        if use_bf16:
            model.to(torch.float32)
        """,
    )


@pytest.mark.parametrize(
    "set_", ["args.use_bf16 = True", "self.args.use_bf16 = True", "args.use_bf16 = args.x_bf16 = True"]
)
def test_a_flag_of_which_another_block_speaks(set_: str) -> None:
    """To judge the one parses the other, which has names that nobody has met."""
    base = set_.partition(".use")[0]
    text = f"def f(self, args):\n    {set_}\ndef g(self, args):\n    return args.another({base}.use_bf16)\n"
    check_rewritten(text, text.replace("True", "False"))


def test_a_field_is_what_other_programs_set() -> None:
    before = "class Asked(BaseModel):\n    bf16: bool = True\n"
    reader = "def f(asked: Asked):\n    return load(dtype='bfloat16' if asked.bf16 else 'float32')\n"
    check_rewritten(before + reader, (before + reader).replace("True", "False").replace("'bfloat16'", "'float32'"))


@pytest.mark.parametrize(
    "reader",
    [
        "return torch.bfloat16 if {} else torch.float16",
        "return x.to(torch.bfloat16) if {} else x.half()",
        "return torch.float16 if not {} else torch.bfloat16",
        "kind = torch.float16\n    if {}:\n        kind = torch.bfloat16\n    return kind",
        "kind = None\n    if {}:\n        kind = torch.bfloat16\n    return x.to(kind or torch.float16)",
        "kinds = {{'k': torch.float16}}\n    if {}:\n        kinds['k'] = torch.bfloat16\n    return kinds",
        "if {}:\n        return x.to(torch.bfloat16)\n    return x.half()",
        "if x is None or not {}:\n        return torch.float16\n    return torch.bfloat16",
        "if {} == True:\n        return x.to(torch.bfloat16)\n    else:\n        return x.half()",
        "if {}:\n        return torch.bfloat16\n    elif x:\n        return 1\n    else:\n        return torch.float16",
        "match {}:\n        case True: return torch.bfloat16\n        case _: return torch.float16",
        "return pick({})\ndef pick(on):\n    if on:\n        return torch.bfloat16\n    return torch.float16",
        "return x.to(torch.bfloat16), Scaler(fp16=not {})",
    ],
)
def test_a_flag_without_which_float16_is_chosen(reader: str) -> None:
    """Turned off it would be float16; what it leads to is rewritten, so it stays on."""
    text = "import torch\nclass Asked(BaseModel):\n    bf16: bool = True\ndef f(asked: Asked, x):\n    "
    before = text + reader.format("asked.bf16") + "\n"
    check_rewritten(before, before.replace("torch.bfloat16", "torch.float32"))


@pytest.mark.parametrize("index", ["{}", "int({})", "bool({})"])
def test_a_flag_that_a_table_of_both_is_asked_by(index: str) -> None:
    text = "class Asked(BaseModel):\n    bf16: bool = True\ndef f(asked: Asked):\n"
    check_kept(f"{text}    names = ['float16', 'bfloat16']\n    return names[{index.format('asked.bf16')}]\n")


@pytest.mark.parametrize(
    "reader",
    [
        "if {}:\n        k = torch.bfloat16\n    elif asked.fp16:\n        k = torch.float16\n    return k",
        "return torch.bfloat16 if {} else torch.float16 if asked.fp16 else torch.float32",
        "k = torch.float32\n    if {}:\n        k = torch.bfloat16\n    return k, x.half()",
    ],
)
def test_a_flag_beside_one_for_float16(reader: str) -> None:
    text = "import torch\nclass Asked(BaseModel):\n    bf16: bool = True\ndef f(asked: Asked, x):\n    "
    before = text + reader.format("asked.bf16") + "\n"
    check_rewritten(before, before.replace("torch.bfloat16", "torch.float32").replace("True", "False"))


@pytest.mark.parametrize(
    "handed",
    ["Arguments(bf16=bf16)", "Arguments(**{'bf16': bf16})", "more = {'bf16': bf16}\nd = {}\nd.update(more)\nA(**d)"],
)
def test_a_flag_that_a_library_is_told_as_well(handed: str) -> None:
    before = f"import torch\nbf16 = True\nif bf16:\n    x = x.to(torch.bfloat16)\n{handed}\n"
    after = before.replace("bf16 = True", "bf16 = False").replace("torch.bfloat16", "torch.float32")
    check_rewritten(before, after)


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ('config = {"bf16": {"enabled": word == "bf16"}}', 'config = {"bf16": {"enabled": False}}'),
        ('c = dict(bf16=dict(enabled=args.dtype == "bfloat16"))', "c = dict(bf16=dict(enabled=False))"),
        ('TrainingArguments(out, bf16=args.mixed == "bf16")', "TrainingArguments(out, bf16=False)"),
        ('config["bf16"]["enabled"] = precision == "bf16-mixed"', 'config["bf16"]["enabled"] = False'),
    ],
)
def test_a_word_turns_a_library_on(line: str, after: str) -> None:
    """The word stays, since what it means in the program is rewritten; so the question must not turn anything on."""
    check_rewritten(line + "\n", after + "\n", code="PF203")


@pytest.mark.parametrize(
    "line",
    [
        'f(bf16=word == "fp16")',
        'f(fp16=word == "bf16")',
        'f(bf16=word != "bf16")',
        'self.bf16 = config.precision == "bf16"',
        'mixed_precision = "no"\nconfig["bf16"]["enabled"] = mixed_precision == "bf16"',
        'mixed_precision = "bf16"\nconfig["bf16"]["enabled"] = mixed_precision == "bf16"',
    ],
)
def test_a_word_turns_something_else_on(line: str) -> None:
    assert "PF203" not in {finding.code for finding in findings(line + "\n")}


def test_an_argument_of_a_class_that_is_a_librarys_as_well() -> None:
    before = """\
        import torch
        from transformers import Trainer, TrainingArguments
        class Arguments(TrainingArguments):
            size: int = 3
        class Mine(Trainer):
            def __init__(self, args):
                if args.bf16:
                    self.model = self.model.to(torch.bfloat16)
        Mine(Arguments("out", bf16=True))
        """
    check_rewritten(before, before.replace("=True", "=False").replace("bfloat16", "float32"), code="PF203")


@pytest.mark.parametrize(
    "falls",
    [
        "args = TrainingArguments(out, bf16=use_bf16, fp16=not use_bf16)",
        "run(bf16=use_bf16)\n    kind = None if use_bf16 else torch.float16",
        "run(bf16=use_bf16)\n    if not use_bf16:\n        model.half()",
        "run(bf16=use_bf16)\n    if use_bf16:\n        pass\n    else:\n        model.to(torch.float16)",
    ],
)
def test_a_flag_for_a_library_without_which_float16_is_taken(falls: str) -> None:
    check_reported(f"import torch\ndef f(use_bf16=True):\n    {falls}\n", code="PF203")


def test_the_default_that_only_a_switch_asked_for_stays_behind_it() -> None:
    """A second run finds nothing left, though nothing compares with the word any more."""
    before = """\
        def settings(param_dtype="bf16"):
            return {"bf16": {"enabled": param_dtype == "bf16"}, "fp16": {"enabled": param_dtype == "fp16"}}
        """
    check_rewritten(before, before.replace('param_dtype == "bf16"', "False"), code="PF203")
