"""The command: what it prints where, as text, JSON and a page, and the code it ends with."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import precision_fix
from precision_fix.plan.commands import Commands, broken
from precision_fix.plan.fit import GIB
from precision_fix.plan.html import page
from precision_fix.plan.planning import make_plan
from precision_fix.plan.text import lines
from tests.plan.files import Entries, sparse
from tests.plan.test_known import LLAMA, S2
from tests.tools import command, environment

BLIND = environment(CUDA_VISIBLE_DEVICES="")
SIX: Entries = {
    "wte.weight": ("BF16", [50_400, 4096]),
    **{f"h.{at}.{name}": ("BF16", [4096, 16384]) for at in range(28) for name in "abc"},
}
SMALL: Entries = {"a.weight": ("F32", [1000, 1000]), "b.weight": ("F8_E4M3", [64, 64])}


def run(*arguments: object, cwd: Path | None = None) -> tuple[int, str, str]:
    result = command("plan", *arguments, cwd=cwd, env=BLIND)
    out, err = result.stdout.decode(), result.stderr.decode()
    assert "Traceback" not in out + err and "internal error" not in out + err
    assert "\x1b" not in out + err, "no colours in a pipe"
    return result.returncode, out, err


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    sparse(tmp_path / "six.safetensors", SIX)
    sparse(tmp_path / "vae" / "small.safetensors", SMALL)
    (tmp_path / "main.py").write_text("import torch\nmodel = AutoModel.from_pretrained('.')\n")
    return tmp_path


def test_one_checkpoint(tree: Path) -> None:
    code, out, err = run("--gpu", "t4", "six.safetensors", cwd=tree)
    assert (code, err) == (0, "")
    assert out.isascii()
    assert out.startswith(
        "Tesla T4, compute capability 7.5, no bfloat16 units: 15.0 GiB, of which programs can fill 14.3 GiB\n"
    )
    assert "six.safetensors: 5.8 B parameters, 10.9 GiB\n  safetensors, 85 tensors: bfloat16 5.8 B\n" in out
    rows = [line.split("[")[0].split() for line in out.splitlines() if line.endswith("]")]
    assert rows == [
        ["float32", "21.8", "GiB", "does", "not", "fit", "7.5", "GiB", "too", "much"],
        ["float16", "10.9", "GiB", "fits", "3.4", "GiB", "left"],
        [">", "bfloat16", "storage", "10.9", "GiB", "fits", "2.6", "GiB", "left"],
    ]
    assert out.endswith("Best here: bfloat16 storage\n  precision-fix run --storage bfloat16 PROGRAM\n")


def test_a_project(tree: Path) -> None:
    """Its program and its path stand in the commands, and all its models are added up."""
    code, out, _ = run("--gpu", "t4x2", ".", cwd=tree)
    assert code == 0
    assert "2 x Tesla T4" in out and "All 2 models at once: 5.8 B parameters" in out
    assert "over 2 GPUs, by layers:" in out
    assert "float32          precision-fix .\n" in out and 'device_map="auto"' in out
    assert out.rstrip().splitlines()[-3:-1] == [
        "  precision-fix run --storage bfloat16 main.py",
        "",
    ]
    assert "Note: 1.0 M parameters of vae/small.safetensors are float32 in the file" in out


def test_a_name_with_blanks_can_be_pasted(tmp_path: Path) -> None:
    sparse(tmp_path / "my models" / "a.safetensors", SMALL)
    (tmp_path / "my models" / "app.py").touch()
    _, out, _ = run("--gpu", "t4", "my models", cwd=tmp_path)
    assert "precision-fix 'my models'\n" in out and "run --storage bfloat16 'my models/app.py'" in out


def test_without_a_gpu(tree: Path) -> None:
    code, out, err = run("six.safetensors", cwd=tree)
    assert (code, err) == (0, "")
    assert "float32            21.8 GiB\n" in out
    assert "fits" not in out.split("Note:")[0]
    assert "Note: no GPU found: name one to see what fits, with --gpu t4, t4x2, p100\n" in out


def test_nothing_here(tmp_path: Path) -> None:
    assert run("--gpu", "t4", tmp_path)[0] == 0
    assert "no checkpoints here" in run("--gpu", "t4", tmp_path)[2]


def test_the_others_are_done(tree: Path) -> None:
    (tree / "bad.safetensors").write_bytes((1 << 63).to_bytes(8, "little") + b"{}")
    code, out, err = run("--gpu", "t4", ".", cwd=tree)
    assert (code, err) == (1, "")
    assert "six.safetensors: 5.8 B" in out
    end = out.splitlines()[-2:]
    assert end[0] == "Not read:"
    assert end[1].startswith(
        "  bad.safetensors: no safetensors file: its first bytes ask for a header of 9223372036854775808"
    )


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--gpu", "nonsense", "."], "unknown GPU 'nonsense'"),
        (["--gpu", "7.5", "."], "add --memory GIB"),
        (["--gpu", "t4", "--gpus", "99", "."], "choose a number from 1 to 16"),
        (["--gpus", "2", "."], "no GPU is visible here: name them with --gpu"),
        (["--gpu", "t4", "--html", "no/such/folder/a.html", "."], "cannot be written: no such file or directory"),
    ],
)
def test_usage_errors(tree: Path, arguments: list[str], what: str) -> None:
    code, out, err = run(*arguments, cwd=tree)
    assert (code, out) == (2, "")
    assert err.startswith("precision-fix: ") and what in err and len(err.splitlines()) == 1


def test_other_arguments_that_are_none(tree: Path) -> None:
    assert run("--gpu", "t4")[0] == 2
    assert run("--memory", "much", ".", cwd=tree)[0] == 2


KEYS = {
    "": {"version", "gpus", "models", "total", "problems", "left_out", "notes"},
    "gpus": {"name", "compute_capability", "native_bfloat16", "memory_bytes", "usable_bytes", "source"},
    "models": {
        *("name", "files", "format", "tensors", "parameters", "bytes", "dtypes", "largest_tensor", "optimizer_bytes"),
        *("notes", "options", "recommended", "working"),
    },
    "total": {"parameters", "bytes", "options", "recommended", "working"},
    "working": {"kind", "source", "use", "modes", "settings"},
    "use": {
        *("train", "batch", "length", "width", "height", "frames", "rank", "targets", "optimizer_bits"),
        "checkpointing",
    },
    "modes": {
        *("mode", "parts", "total_bytes", "verdict", "left_bytes", "over_gpus", "largest", "refused", "recommended"),
    },
    "parts": {"part", "bytes", "source"},
    "over_gpus": {"parts", "left_bytes"},
    "settings": {"key", "file", "unit", "value", "bytes_each", "largest"},
    "problems": {"path", "message"},
    "options": {
        *("storage", "compute", "gpus", "weights_bytes", "cast_copy_bytes", "left_bytes", "verdict", "recommended"),
        *("command", "condition", "cards"),
    },
    "dtypes": {"dtype", "tensors", "parameters", "bytes"},
    "largest_tensor": {"name", "dtype", "parameters", "bytes"},
    "cards": {"weights_bytes", "cast_copy_bytes", "left_bytes"},
}


def check_keys(value: Any, name: str = "") -> None:
    if isinstance(value, dict):
        assert set(value) == KEYS[name], name
        for key, below in value.items():
            check_keys(below, key)
    elif isinstance(value, list):
        for each in value:
            check_keys(each, name)


def test_json(tree: Path) -> None:
    (tree / "bad.pt").write_bytes(b"nothing")
    code, out, _ = run("--json", "--gpu", "t4x2", ".", cwd=tree)
    found = json.loads(out)
    assert code == 1 and found["version"] == 1
    check_keys(found)
    six, small = found["models"]
    assert six["parameters"] * 2 == six["bytes"] and six["largest_tensor"]["name"] == "wte.weight"
    assert six["dtypes"] == [
        {"dtype": "bfloat16", "tensors": 85, "parameters": six["parameters"], "bytes": six["bytes"]}
    ]
    assert [(each["storage"], each["gpus"], each["verdict"]) for each in six["options"]] == [
        *(("float32", 1, "does not fit"), ("float16", 1, "fits"), ("bfloat16", 1, "fits")),
        *(("float32", 2, "fits"), ("float16", 2, "fits"), ("bfloat16", 2, "fits")),
    ]
    assert six["recommended"] == "precision-fix run --storage bfloat16 main.py"
    assert [each["dtype"] for each in small["dtypes"]] == ["float32", "float8_e4m3fn"]
    assert found["gpus"][0]["memory_bytes"] == 15 * GIB and len(found["gpus"]) == 2
    assert found["total"]["bytes"] == six["bytes"] + small["bytes"]
    assert [each["path"] for each in found["problems"]] == ["bad.pt"]


def test_json_without_a_gpu(tree: Path) -> None:
    found = json.loads(run("--json", "six.safetensors", cwd=tree)[1])
    check_keys(found)
    assert found["gpus"] == [] and found["total"] is None
    assert {each["verdict"] for each in found["models"][0]["options"]} == {None}


class Page(HTMLParser):
    """What a browser would see: the tags that are open, every attribute, the text."""

    VOID = frozenset(("meta", "link", "br", "img", "input", "hr"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


EVIL = "<script>alert(1)</script>&\"'\u202e.safetensors"


def test_the_page(tree: Path) -> None:
    code, out, err = run("--gpu", "t4x2", "--html", "plan.html", ".", cwd=tree)
    assert code == 0 and "Best here" in out and err == "precision-fix: wrote plan.html\n"
    text = (tree / "plan.html").read_text(encoding="utf-8")
    seen = Page(text)
    assert text.startswith("<!doctype html>\n")
    assert not re.search(r"(https?:)?//|url\(|@import|javascript:|\son\w+=", text)
    assert {tag for tag, _ in seen.tags}.isdisjoint({"script", "iframe", "img", "link", "object", "embed"})
    assert ("html", {"lang": "en"}) in seen.tags
    assert "prefers-color-scheme: dark" in text and "default-src 'none'" in text
    for words in (
        "six.safetensors",
        "Over 2 GPUs, by layers",
        "does not fit",
        "precision-fix run --storage bfloat16 main.py",
    ):
        assert words in seen.text
    # Every bar of a card says in words what it shows.
    labels = [attributes["aria-label"] for tag, attributes in seen.tags if attributes.get("role") == "img"]
    assert len(labels) == 3 * 3 * 3 and "10.9 GiB of weights and 787.5 MiB of a cast copy in 14.3 GiB" in labels


def test_names_are_escaped_everywhere(tmp_path: Path) -> None:
    name = EVIL.replace("/", "\u2215")
    sparse(tmp_path / name, {"<img src=x onerror=alert(1)>": ("BF16", [2])})
    (tmp_path / ("bad" + name)).write_bytes(b"<b>")
    found = make_plan([str(tmp_path)], gpu="t4", program="<i>&.py", project='"><u>')
    text = page(found)
    seen = Page(text)
    assert {tag for tag, _ in seen.tags}.isdisjoint({"script", "img", "b>", "i", "u"} - {"i"})
    assert "\u202e" not in text and "<img src=x onerror=alert(1)>" in seen.text and "<script>alert(1)" in seen.text
    assert all(line.isprintable() for _, line in lines(found, unicode=True))


def test_a_notebook_draws_it(tree: Path) -> None:
    html = make_plan([str(tree)], gpu="t4")._repr_html_()
    seen = Page(html)
    assert seen.tags[0] == ("div", {"class": "pf-plan"})
    assert "six.safetensors" in seen.text
    # Of the notebook around it nothing is restyled.
    style = html[html.index("<style>") + 7 : html.index("</style>")]
    selectors = re.findall(r"(?:^|[{}])\s*([^{}@]+?)\s*\{", re.sub(r"@media[^{]*\{", "", style))
    assert selectors and all(part.strip().startswith(".pf-plan") for each in selectors for part in each.split(","))


@pytest.mark.parametrize("width", [20, 60, 80, 100, 200])
@pytest.mark.parametrize("unicode", [True, False])
def test_bars_fill_what_the_numbers_leave(tree: Path, width: int, unicode: bool) -> None:
    for gpu in ("t4", "t4x2", "t4x8"):
        found = make_plan([str(tree)], gpu=gpu)
        for _, line in lines(found, unicode=unicode, width=width):
            assert unicode or line.isascii()
            if line.endswith("]") and gpu == "t4":
                assert len(line) <= max(width, 76), line


def on_a_terminal(cwd: Path, *arguments: str, **more: str) -> str:
    """What the command writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "precision_fix", "plan", *arguments],
        cwd=cwd,
        env={**BLIND, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", "COLUMNS": "100", **more},
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(theirs)
        text = b""
        while True:
            try:
                text += os.read(ours, 65536)
            except OSError:
                break
        os.close(ours)
        process.wait()
    return text.decode()


def test_a_terminal(tree: Path) -> None:
    coloured = on_a_terminal(tree, "--gpu", "t4", "six.safetensors")
    assert "\x1b[32m" in coloured and "█" in coloured and "▒" in coloured
    plain = on_a_terminal(tree, "--gpu", "t4", "six.safetensors", NO_COLOR="1")
    assert "\x1b" not in plain and "█" in plain
    ascii_only = on_a_terminal(tree, "--gpu", "t4", "six.safetensors", NO_COLOR="1", PYTHONIOENCODING="ascii")
    assert ascii_only.isascii() and "[####" in ascii_only


def test_help() -> None:
    code, out, _ = run("--help")
    assert code == 0 and all(option in out for option in ("--gpu", "--gpus", "--memory", "--json", "--html"))
    assert "plan" in command("--help", env=BLIND).stdout.decode()


#: Programs, and whether there is a place for a device_map in them.
PROGRAMS = {
    "sd = load_torch_file(path)\ntokenizer = tokenizer_class.from_pretrained(name)\n": False,
    "scheduler = DDPMScheduler.from_pretrained(name)\nconfig = AutoConfig.from_pretrained(name)\n": False,
    "model = load_checkpoint_and_dispatch(model, name, device_map=infer(model))\n": True,
    "pipe = DiffusionPipeline.from_pretrained(name)\n": True,
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_advice_that_the_program_cannot_follow(tmp_path: Path, program: str) -> None:
    sparse(tmp_path / "large.safetensors", {f"w{i}": ("BF16", [30_000, 30_000]) for i in range(12)})
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "loading.py").write_text(program)
    (tmp_path / "main.py").write_text("import deep.loading\n")
    for gpus in ("t4", "t4x2"):
        _, out, _ = run("--gpu", gpus, ".", cwd=tmp_path)
        assert ("device_map=" in out) is PROGRAMS[program]
        assert ("takes no device_map" in out) is not PROGRAMS[program]
    assert ("over 2 GPUs" in out) is PROGRAMS[program]


@pytest.mark.parametrize(
    ("gpu", "said"),
    [
        ("t4", "products on a Tesla T4: 4.2 TFLOP/s in float32, 42 in float16 and 2 in bfloat16 (emulated)"),
        ("p100", "float32 does not, and is no slower here"),
        ("sm_70", "float16 overflows above 65504"),
        ("a100", ""),
    ],
)
def test_float16_has_its_speed_and_its_danger_beside_it(tree: Path, gpu: str, said: str) -> None:
    out = run("--gpu", gpu, "--memory", "16", "six.safetensors", cwd=tree)[1]
    assert said in out and ("overflows above 65504" in out) is bool(said)


def test_a_patched_tree_is_seen_in_the_commands(tree: Path) -> None:
    (tree / "main.py").write_text("import torch\nx = torch.zeros(3, dtype=torch.bfloat16)\n")
    precision_fix.patch(tree, gpu="t4")
    # The key of the journal is where this test has it.
    done = command("plan", "--gpu", "t4", ".", cwd=tree)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert f"precision-fix: {tree}: patched" in err
    assert "float32          python main.py\n" in out
    assert f"float16          precision-fix undo {tree} && precision-fix --to float16 .\n" in out
    assert f"precision-fix undo {tree} && precision-fix run --storage bfloat16 main.py\n" in out
    assert f"precision-fix undo {tree}" in precision_fix.make_plan(tree, gpu="t4").commands.stored()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("gpu", ["t4", "t4x2", "t4x4"])
def test_no_row_is_wider_than_the_terminal(tmp_path: Path, width: int, gpu: str) -> None:
    config = tmp_path / "s2" / "config.json"
    config.parent.mkdir()
    config.write_text(json.dumps(S2))
    llama = tmp_path / "llama" / "config.json"
    llama.parent.mkdir()
    llama.write_text(json.dumps(LLAMA))
    sparse(tmp_path / "six.safetensors", SIX)
    for paths in (["s2"], ["llama"], ["six.safetensors"]):
        plan = make_plan([str(tmp_path / path) for path in paths], gpu=gpu, build=False)
        told = [line for _, line in lines(plan, unicode=True, width=width)]
        assert [line for line in told if len(line) > width and str(tmp_path) not in line] == []
        assert any("does not fit" in line or "too much" in line for line in told) or paths == ["llama"]


def test_a_command_that_is_too_wide_is_broken_as_a_shell_takes_it() -> None:
    command = Commands(program="main.py").stored("float32")
    assert broken(command, None) == [command] == broken(command, 200)
    assert broken(command, 60) == [
        "PRECISION_FIX_STORAGE_CACHES=float32 \\",
        "  precision-fix run --storage bfloat16 main.py",
    ]
