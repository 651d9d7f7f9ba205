"""Words that the project refuses where they would be given: left, and reported with the place of the test."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from precision_fix.engine.scan import scan
from precision_fix.model.finding import Action
from precision_fix.model.target import FLOAT16, FLOAT32, Target
from tests.project.programs import patched

CONFIG = "optim:\n  amp:\n    amp_dtype: bfloat16\n"


def found(folder: Path, target: Target = FLOAT32, **files: str) -> list[tuple[str, Action, str]]:
    """What is said of the files of a project, `a_py` being `a.py`: the file, what is done, and why."""
    (folder / "pyproject.toml").write_text("")
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(dedent(text))
    findings = scan([folder], target, with_text=False).findings
    return [(Path(each.path).name, each.action, each.reason) for each in findings]


def said_of(file: str, all_of_it: list[tuple[str, Action, str]]) -> list[Action]:
    return [action for name, action, _ in all_of_it if name == file]


def test_a_function_tests_what_it_is_given(tmp_path: Path) -> None:
    tests = """\
        import torch
        def amp_type(word=None):
            assert word in ["bfloat16", "float16"], "no such type"
            return torch.bfloat16 if word == "bfloat16" else torch.float16
        """
    calls = "from a import amp_type\nuse(amp_type(conf.amp.amp_dtype))\n"
    said = found(tmp_path, c_yaml=CONFIG, a_py=tests, b_py=calls)
    assert said_of("c.yaml", said) == [Action.KEEP]
    assert next(why for name, _, why in said if name == "c.yaml") == (
        "the program takes only bfloat16, float16 there (a.py:3); what it leads to is rewritten (a.py:4)"
    )
    assert Action.REWRITE in said_of("a.py", said)


@pytest.mark.parametrize(
    "test",
    [
        'assert conf.amp_dtype in ("bf16", "bfloat16")',
        'assert ready and conf["amp_dtype"] in {"bfloat16"}',
        'VALID = ["bfloat16", "fp8"]\nif amp_dtype not in VALID:\n    raise ValueError(amp_dtype)',
    ],
)
def test_the_name_itself_is_tested(tmp_path: Path, test: str) -> None:
    assert said_of("c.yaml", found(tmp_path, c_yaml=CONFIG, a_py=test)) == [Action.MANUAL]


@pytest.mark.parametrize(
    "test",
    [
        'assert conf.amp_dtype in ("bfloat16", "float32")',
        'assert conf.other in ("bfloat16", "float16")',
        'assert conf.amp_dtype in ("bfloat16", "float16") or relaxed',
        'if conf.amp_dtype not in ("bfloat16", "float16"):\n    print("slow")',
        'assert conf.amp_dtype in ("a", "b")',
        "",
    ],
)
def test_nothing_is_refused(tmp_path: Path, test: str) -> None:
    assert said_of("c.yaml", found(tmp_path, c_yaml=CONFIG, a_py=test)) == [Action.REWRITE]


def test_the_word_for_float16_passes(tmp_path: Path) -> None:
    test = 'assert conf.amp_dtype in ("bfloat16", "float16")'
    assert said_of("c.yaml", found(tmp_path, FLOAT16, c_yaml=CONFIG, a_py=test)) == [Action.REWRITE]


def test_a_list_that_has_float32_in_another_word(tmp_path: Path) -> None:
    """What is meant is not in it: the word is one that the list has and the library takes, or a person is asked."""
    test = "from lightning import Trainer\nassert conf.amp_type in {}\nTrainer(precision=conf.amp_type)\n"
    config = "optim:\n  amp_type: bf16\n"
    after, _ = patched(tmp_path, {"c.yaml": config, "a.py": test.format(("bf16", "16", "32"))})
    assert after["c.yaml"] == config.replace("bf16", "32").replace("32", '"32"')
    for allowed in (("bf16", "16", "full"), ("bf16", "none")):
        assert said_of("c.yaml", found(tmp_path, c_yaml=config, a_py=test.format(allowed))) == [Action.MANUAL]


def test_a_class_tests_its_own_attribute(tmp_path: Path) -> None:
    """Under a name that everybody uses, the config or the call says whose it is."""
    test = """\
        class Engine:
            def __post_init__(self):
                assert self.dtype in ["bfloat16", "float16"]
        """
    said = found(
        tmp_path,
        a_py=test,
        c_yaml="_target_: a.Engine\ndtype: bfloat16\n",
        d_yaml="_target_: a.Rollout\ndtype: bfloat16\n",
        e_yaml="dtype: bfloat16\n",
        f_py='from a import Engine\nx = Engine(dtype="bfloat16")\n',
        g_py='x = Rollout(dtype="bfloat16")\n',
    )
    assert said_of("c.yaml", said) == said_of("f.py", said) == [Action.MANUAL]
    assert said_of("d.yaml", said) == said_of("e.yaml", said) == said_of("g.py", said) == [Action.REWRITE]


def test_defaults_in_python_and_launch_lines(tmp_path: Path) -> None:
    test = """\
        VALID = {"bf16", "fp8"}
        class Manager:
            def __init__(self, t5_precision, verbose=False):
                assert t5_precision in VALID
        """
    said = found(
        tmp_path,
        a_py=test,
        b_py='import os\nfrom a import Manager\nmanager = Manager(t5_precision=os.getenv("T5_PRECISION", "bf16"))\n',
        c_py='from a import Manager\ndef main(t5_precision: str = "bf16"):\n    return Manager(t5_precision)\n',
        d_sh="python train.py --t5_precision bf16\n",
    )
    assert said_of("b.py", said) == said_of("c.py", said) == said_of("d.sh", said) == [Action.MANUAL]


def test_dtypes(tmp_path: Path) -> None:
    """A default in one file, its guard in another: both change, or neither."""
    test = """\
        import torch
        def run(x, state_dtype):
            assert state_dtype in [torch.float8_e4m3fn, torch.bfloat16]
        """
    call = "import torch\ndef step(x, state_dtype=torch.bfloat16):\n    return model.run(x, state_dtype=state_dtype)\n"
    said = found(tmp_path, a_py=test, b_py=call, c_py="import torch\nx = y.to(torch.bfloat16)\n")
    assert said_of("b.py", said) == [Action.MANUAL]
    assert said_of("c.py", said) == [Action.REWRITE]


def test_the_words_of_a_literal(tmp_path: Path) -> None:
    test = """\
        from typing import Literal, Optional
        def build(training_dtype: Optional[Literal["fp8", "bf16"]] = None): pass
        class Options:
            training_type_dtype: Literal["fp8", "bf16"]
            dtype: Literal["bf16", "fp8"]
        """
    use = """\
        from a import Options, build
        build(training_dtype="fp8" if fast else "bf16")
        Options(training_type_dtype="bf16")
        Options(dtype="bf16")
        Other(dtype="bf16")
        """
    said = found(tmp_path, a_py=test, b_py=use)
    assert said_of("b.py", said) == [Action.MANUAL, Action.MANUAL, Action.MANUAL, Action.REWRITE]


@pytest.mark.parametrize(
    ("tables", "new"),
    [
        ('A = {"eager": Eager, "flash_attention_2": Flash}', "eager"),
        ('A = {"eager": Eager, "flash_attention_2": Flash, "sdpa": Sdpa}', "sdpa"),
        ('A = {"eager": E, "flash_attention_2": F}\nB = {"sdpa": S, "flash_attention_2": F}', "sdpa"),
        ('A = {"eager": 1, "flash_attention_2": 2}', "sdpa"),
        ("", "sdpa"),
    ],
)
def test_a_model_without_sdpa(tmp_path: Path, tables: str, new: str) -> None:
    """`CLASSES[config.attn_implementation]` knows no other words."""
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "model.py").write_text(tables)
    use, config, script = tmp_path / "use.py", tmp_path / "a.yaml", tmp_path / "a.sh"
    use.write_text("config.attn_implementation = 'flash_attention_2' if fast else 'eager'\n")
    config.write_text("attn_implementation: flash_attention_2\n")
    script.write_text("python x.py --attn_implementation flash_attention_2\n")
    after = {Path(each.path).name: each.after.decode() for each in scan([tmp_path], FLOAT32, with_text=True).files}
    assert after["use.py"] == f"config.attn_implementation = '{new}' if fast else 'eager'\n"
    assert after["a.yaml"] == f"attn_implementation: {new}\n"
    assert after["a.sh"] == f"python x.py --attn_implementation {new}\n"


def test_a_common_name_is_many_things(tmp_path: Path) -> None:
    test = """\
        def base_model(dtype: Literal["bfloat16", "int8"]): pass
        base_model(config.dtype)
        assert args.dtype in ("bfloat16", "int8")
        """
    use = """\
        import torch
        from a import base_model
        base_model(dtype="bfloat16")
        load(dtype="bfloat16")
        load(dtype=torch.bfloat16)
        """
    said = found(tmp_path, a_py=test, b_py=use, c_yaml="dtype: bfloat16\n")
    assert said_of("b.py", said) == [Action.MANUAL, Action.REWRITE, Action.REWRITE]
    assert said_of("c.yaml", said) == [Action.REWRITE]


def test_words_are_no_dtypes(tmp_path: Path) -> None:
    test = 'assert conf.state_dtype in ("bfloat16", "int8")\n'
    said = found(tmp_path, a_py=test, b_py="import torch\nrun(state_dtype=torch.bfloat16)\n")
    assert said_of("b.py", said) == [Action.REWRITE]


def test_what_a_test_asserts(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "helpers.py").write_text('assert conf.amp_dtype in ("bfloat16", "float16")\n')
    assert said_of("c.yaml", found(tmp_path, c_yaml=CONFIG)) == [Action.REWRITE]


@pytest.mark.parametrize(
    ("test", "action"),
    [
        ('if precision == "fp8":\n    q()\nelif precision == "bfloat16":\n    x.to(torch.bfloat16)', Action.KEEP),
        ('x.to(torch.bfloat16 if conf.precision == "bfloat16" else torch.float16)', Action.KEEP),
        ('slow = precision == "bfloat16"', Action.REWRITE),
        ('if precision == "bfloat16":\n    q()', Action.REWRITE),
        ('if precision == "bf16":\n    x.to(torch.bfloat16)', Action.REWRITE),
        ('if precision == "bfloat16":\n    x.to(torch.float32)', Action.KEEP),
        ('if other == "bfloat16":\n    x.to(torch.bfloat16)', Action.REWRITE),
    ],
)
def test_a_word_that_the_project_compares(tmp_path: Path, test: str, action: Action) -> None:
    """Another word would lead past the arm in which the dtype is rewritten."""
    said = found(tmp_path, a_py=f"import torch\n{test}\n", c_yaml="precision: bfloat16\n")
    assert said_of("c.yaml", said) == [action]


def test_another_run_of_the_process_reads_the_project_anew(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "a.py").write_text('import b\ndef main(t5_precision: str = "bf16"):\n    b.check(t5_precision)\n')
    test = tmp_path / "b.py"
    test.write_text('def check(word):\n    assert word in {"bf16", "fp8"}\n')
    first = list(scan([tmp_path / "a.py"], FLOAT32, with_text=False).findings)
    test.write_text("pass\n")
    second = list(scan([tmp_path / "a.py"], FLOAT32, with_text=False).findings)
    assert [each.action for each in (*first, *second)] == [Action.MANUAL, Action.REWRITE]
