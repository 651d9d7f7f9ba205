"""Configs and programs within other files: here-documents, cells that write a file, strings of Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.finding import Action
from tests.project.programs import patched, said
from tests.sources.notebooks import notebook
from tests.tools import check_kept, check_not_a_site, check_reported, check_rewritten

DOCUMENTS = {
    "json": 'cat > ds.json <<EOF\n{\n  "bf16": {"enabled": true}\n}\nEOF\n',
    "json, named behind": 'cat <<EOF > ds.json\n{"bf16": {"enabled": true}}\nEOF\n',
    "json, with variables": 'cat > ds.json <<EOF\n{"batch": $N, "steps": ${S:-2}, "bf16": {"enabled": true}}\nEOF\n',
    "json, whose name is a variable": 'cat > $OUT <<EOF\n{"bf16": {"enabled": true}}\nEOF\n',
    "tee": 'tee "$DIR/ds.json" <<EOF\n{"bf16": {"enabled": true}}\nEOF\n',
    "in the middle": 'mkdir x && cat <<-EOF > x/ds.json\n\t{"bf16": {"enabled": true}}\n\tEOF\necho "\'"\n',
}


@pytest.mark.parametrize("how", DOCUMENTS)
def test_json(how: str) -> None:
    text = DOCUMENTS[how]
    check_rewritten(text, text.replace("true", "false"), code="PF503", path="run.sh")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("mixed_precision: bf16\n", "mixed_precision: 'no'\n"),
        ("a: $A\n---\n# more\ndtype: bfloat16 # of all\n---\nbf16: true\n", None),
    ],
)
def test_yaml(before: str, after: str | None) -> None:
    after = after or before.replace("bfloat16", "float32").replace("true", "false")
    head = "#!/bin/sh\ncat > acc.yaml << 'E O F'\n"
    after = after.replace("'no'", '"no"')
    check_rewritten(f"{head}{before}E O F\necho\n", f"{head}{after}E O F\necho\n", path="run.sh")


def test_toml_and_variables_of_an_environment() -> None:
    text = 'cat >> conf.toml <<EOF\n[model]\nlayers = $N\ndtype = "bfloat16"\nEOF\n'
    check_rewritten(text, text.replace("bfloat16", "float32"), code="PF502", path="run.sh")
    text = "RUN cat <<EOF > /app/.env\nMODEL_DTYPE=bfloat16\nEOF\n"
    check_rewritten(text, text.replace("bfloat16", "float32"), path="Dockerfile")


def test_a_program() -> None:
    text = "python - --x <<'EOF'\nimport torch\nx = torch.ones(2).to(torch.bfloat16)\nEOF\n"
    check_rewritten(text, text.replace("bfloat16", "float32"), code="PF101", path="run.sh")
    text = "cat > go.py <<EOF\nimport torch\nprint('$HOME', torch.ones(2).to(torch.bfloat16))\nEOF\npython go.py\n"
    check_rewritten(text, text.replace("bfloat16", "float32"), code="PF101", path="run.sh")


def test_what_cannot_be_read() -> None:
    check_reported('cat > ds.json <<EOF\n{"bf16": {"enabled": true}\nEOF\n', code="PF911", path="run.sh")
    check_not_a_site("cat > notes.md <<EOF\nbf16 is fast\nEOF\n", path="run.sh")


def test_a_comment_keeps() -> None:
    check_kept("cat > a.yaml <<EOF\nbf16: true # precision-fix: keep\nEOF\n", path="run.sh")


TABLE = "import torch\nfrom layer import run\ndef go(x, config):\n"
TABLE += "    return run(x.to({'bf16': torch.bfloat16, 'fp32': torch.float32}[config.compute_kind]))\n"
HELD = "import torch\ndef run(x):\n    assert x.dtype in (torch.float16, torch.bfloat16)\n"
WORK = "import torch\nfrom layer import run\ndef go(x, config):\n    if config.compute_kind == 'bf16':\n"
WORK += "        x = x.to(torch.bfloat16)\n    return run(x)\n"


@pytest.mark.parametrize("held", [False, True])
def test_it_is_a_member_of_its_group(tmp_path: Path, held: bool) -> None:
    layer = HELD if held else "def run(x):\n    pass\n"
    script = "cat > a.yaml <<EOF\nn: 1\ncompute_kind: bf16\nEOF\n"
    after, found = patched(tmp_path, {"run.sh": script, "work.py": WORK, "layer.py": layer})
    assert after["run.sh"] == script
    assert said(found, Action.MANUAL) == (["run.sh:3", "work.py:5"] if held else [])


@pytest.mark.parametrize("held", [False, True])
def test_another_word_only_where_nothing_holds_it(tmp_path: Path, held: bool) -> None:
    layer = HELD if held else "def run(x):\n    pass\n"
    script = "cat > a.yaml <<EOF\nn: 1\ncompute_kind: bf16\ndtype: bfloat16\nEOF\n"
    after, _ = patched(tmp_path, {"run.sh": script, "work.py": TABLE, "layer.py": layer})
    wanted = script.replace("bfloat16", "float32")
    assert after["run.sh"] == (wanted if held else wanted.replace("bf16", "fp32"))


YAML = '"""\n# of one run\nmixed_precision: bf16\n---\ndtype: bfloat16\nlayers: 2\n"""'
STRINGS = {
    "a path": f'from pathlib import Path\nPath("out", "acc.yaml").write_text({YAML})\n',
    "a constant": f'TEXT = {YAML}\ndef go():\n    with open("acc.yml", "w") as file:\n        file.write(TEXT)\n',
    "a path with a name": f'from pathlib import Path\nplace = Path("a.yaml")\nplace.write_text(data={YAML})\n',
    "read": f"import yaml\ndef go():\n    return list(yaml.load_all({YAML}, Loader=yaml.SafeLoader))\n",
}


@pytest.mark.parametrize("how", STRINGS)
def test_a_string_of_python(how: str) -> None:
    text = STRINGS[how]
    check_rewritten(text, text.replace("bf16", '"no"').replace("bfloat16", "float32"))


@pytest.mark.parametrize(
    "text",
    [
        f"def go():\n    {YAML}\n",
        f"print({YAML})\n",
        f'from pathlib import Path\nPath("notes.md").write_text({YAML})\n',
        f"text = {YAML}\n",
        'with open("a.yaml", "w") as file:\n    file.write("""\n  a: {\ndtype: bfloat16\n""")\n',
    ],
)
def test_strings_that_are_no_configs(text: str) -> None:
    check_not_a_site(text)


def test_toml_and_json_in_strings() -> None:
    text = "import tomllib\nX = tomllib.loads('''\n[model]\ndtype = \"bfloat16\"\n''')\n"
    check_rewritten(text, text.replace("bfloat16", "float32"))
    text = 'import json\ndef go():\n    return """{\n  "bf16": {\n    "enabled": true\n  }\n}"""\n'
    check_rewritten(text, text.replace("true", "false"))


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("several", [False, True])
def test_a_word_of_a_string_is_a_member(tmp_path: Path, held: bool, several: bool) -> None:
    """That its arm stays is told, whatever else the string holds."""
    layer = HELD if held else "def run(x):\n    pass\n"
    more = "dtype: bfloat16\n" if several else "n: 1\n"
    main = f'from pathlib import Path\nPath("a.yaml").write_text("""compute_kind: bf16\n{more}""")\n'
    after, found = patched(tmp_path, {"main.py": main, "work.py": WORK, "layer.py": layer})
    assert after["main.py"] == main.replace("bfloat16", "float32")
    assert said(found, Action.MANUAL) == (["main.py:2", "work.py:5"] if held else [])


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize(
    "cell", ["%%writefile a.yaml\nn: 1\ncompute_kind: bf16\n", "!python main.py compute_kind=bf16\n"]
)
def test_a_cell_of_a_notebook_is_a_member(tmp_path: Path, held: bool, cell: str) -> None:
    before = notebook("x = 1", cell)
    files = {"main.py": "import work\n", "work.py": TABLE, "layer.py": HELD if held else "def run(x):\n    pass\n"}
    after, found = patched(tmp_path, {"a.ipynb": before, **files})
    assert after["a.ipynb"] == (before if held else before.replace("bf16", "fp32"))
    assert any(each.path.endswith(".ipynb") for each in found.findings)
