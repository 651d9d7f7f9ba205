"""Which reports go where, as the command line says it, and what it ends with."""

from __future__ import annotations

import gc
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from precision_fix.cli import main
from precision_fix.errors import PrecisionFixError
from precision_fix.reports.outputs import FORMATS, outputs
from tests.reports.runs import BROKEN, CAST, KEPT, MANUAL
from tests.reports.test_json import valid
from tests.test_bad_input import as_nobody
from tests.tools import REPOSITORY, command, modules_after

T4 = ("--gpu", "t4")


Ran = tuple[int, str, str]
Run = Callable[..., Ran]


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run the command line in this process: code, stdout and stderr."""
    handler = signal.getsignal(signal.SIGINT)

    def ran(*arguments: object, cwd: Path | None = None, more: dict[str, str] | None = None) -> Ran:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", ["precision-fix", *map(str, arguments)])
            patched.setattr(sys, "stdout", io.TextIOWrapper(io.FileIO(1, "wb", closefd=False), "utf-8"))
            patched.setattr(sys, "stderr", io.TextIOWrapper(io.FileIO(2, "wb", closefd=False), "utf-8"))
            patched.chdir(cwd or Path.cwd())
            for name, value in (more or {}).items():
                patched.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main()
            sys.stdout.flush()
            sys.stderr.flush()
        out, err = capfdbinary.readouterr()
        return int(ended.value.code or 0), out.decode(), err.decode()

    yield ran
    signal.signal(signal.SIGINT, handler)
    gc.enable()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    for name, text in {"cast.py": CAST, "kept.py": KEPT, "manual.py": MANUAL}.items():
        (project / name).write_text(text)
    return project


def paired(*words: str) -> list[tuple[str, str | None]]:
    """`json>a.json` as the command line would say it: a format is a word, a file begins with `>`."""
    pairs = [("file", word[1:]) if word.startswith(">") else ("format", word) for word in words]
    return [(each.format, str(each.file) if each.file else None) for each in outputs(pairs)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), []),
        (("json",), [("json", None)]),
        (("JSON",), [("json", None)]),
        (("json", ">x"), [("json", "x")]),
        (("github", "markdown", ">x"), [("github", None), ("markdown", "x")]),
        (("markdown", ">x", "github"), [("markdown", "x"), ("github", None)]),
        (("json", ">a", "sarif", ">b"), [("json", "a"), ("sarif", "b")]),
        ((">a.html", ">b.md", ">c.sarif", ">d.sarif.json", ">e.txt"), None),
        ((">a.HTM", "json"), [("html", "a.HTM"), ("json", None)]),
        # A file before its format, as people write it who have one of each.
        ((">x", "sarif"), [("sarif", "x")]),
        ((">x.json", "json"), [("json", "x.json")]),
        (("html", ">x.json"), [("html", "x.json")]),
        (("json", ">-", "text", ">x"), [("json", None), ("text", "x")]),
    ],
)
def test_a_file_belongs_to_the_format_before_it(
    words: tuple[str, ...], expected: list[tuple[str, str | None]] | None
) -> None:
    if expected is None:
        expected = [("html", "a.html"), ("markdown", "b.md"), ("sarif", "c.sarif"), ("sarif", "d.sarif.json")]
        expected.append(("text", "e.txt"))
    assert paired(*words) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("jsn",), "--output-format jsn: no such format, did you mean json? (there are text, json, sarif"),
        (("md",), "did you mean markdown?"),
        (("xml",), "no such format"),
        (("gitlba",), "did you mean gitlab?"),
        (("",), "no such format"),
        (("json", "sarif"), "json and sarif cannot both go to stdout"),
        (("json", ">-", "text"), "json and text cannot both go to stdout"),
        ((">report",), "report: its name tells no format: say --output-format (text, json"),
        (("json", ">x.json", "html", ">./x.json"), "is named for two reports"),
        (("json", f">{os.sep}"), "is a directory"),
        (("json", ">no/such/x.json"), "its directory does not exist"),
        (("json", f">{REPOSITORY}/README.md/x.json"), "its directory does not exist"),
    ],
)
def test_what_does_not_fit_together_is_one_line(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(PrecisionFixError) as error:
        paired(*words)
    assert said in str(error.value) and len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("format_", FORMATS)
def test_a_report_goes_to_stdout(run: Run, tree: Path, format_: str) -> None:
    code, out, err = run(*T4, "--check", tree, "--output-format", format_)
    assert code == 1 and out
    assert len(err.splitlines()) == 1
    assert out.startswith("Would change:\n") == (format_ == "text")


def test_several_at_once(run: Run, tree: Path, tmp_path: Path) -> None:
    files = {"a.sarif": "json", "b.html": "html", "c": "markdown", "d.txt": "text"}
    arguments = [
        word for name, format_ in files.items() for word in ("--output-format", format_, "--output-file", name)
    ]
    code, out, err = run(*T4, "--check", "project", *arguments, "--output-format=github", cwd=tmp_path)
    assert code == 1 and out.startswith("::warning file=project/manual.py")
    valid((tmp_path / "a.sarif").read_text())
    assert (tmp_path / "b.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "c").read_text().startswith("# bfloat16 in ")
    assert "cast.py:2:10: PF101 torch.bfloat16: chooses a precision" in (tmp_path / "d.txt").read_text()
    assert err.splitlines()[1:] == [
        f"precision-fix: {format_} report written to {name}" for name, format_ in files.items()
    ]


def test_a_file_comes_on_top_of_the_text(run: Run, tree: Path, tmp_path: Path) -> None:
    assert "would change" in run(*T4, "--check", tree, "--output-file", tmp_path / "r.json")[1]
    assert run(*T4, "--check", tree, "--output-file", tmp_path / "r.txt")[1] == ""


def test_with_a_diff(run: Run, tree: Path, tmp_path: Path) -> None:
    code, out, err = run(*T4, "--diff", tree, "--output-file", tmp_path / "r.json")
    assert code == 1 and out.startswith("diff --git") and "would change" in err
    valid((tmp_path / "r.json").read_text())
    code, out, err = run(*T4, "--diff", tree, "--output-format", "json")
    assert (code, out) == (2, "") and "--diff and json cannot both go to stdout" in err


def test_a_patch_reports_what_it_did(run: Run, tree: Path) -> None:
    code, out, _ = run(*T4, tree, "--output-format", "json")
    data = valid(out)
    assert code == 0 and not data["dry_run"] and data["summary"]["rewrite"] == 1
    assert "float32" in (tree / "cast.py").read_text()


def test_a_gpu_with_bfloat16_gives_an_empty_report(run: Run, tree: Path) -> None:
    code, out, _ = run("--gpu", "a100", tree, "--output-format", "json")
    assert code == 0 and not valid(out)["needed"]
    code, out, _ = run("--gpu", "a100", tree, "--output-format", "text", "--output-file", tree / "r.txt")
    assert (code, out) == (0, "")
    assert (tree / "r.txt").read_text() == "Nothing to change on this GPU.\n"


def test_a_file_that_cannot_be_written_stops_before_the_patch(run: Run, tree: Path) -> None:
    code, out, err = run(*T4, tree, "--output-file", tree / "no" / "r.json")
    assert (code, out) == (2, "") and len(err.splitlines()) == 1 and "its directory does not exist" in err
    assert (tree / "cast.py").read_text() == CAST


def test_places_that_may_not_be_written_to(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    (root / "closed").mkdir(parents=True)
    (root / "a.py").write_text(CAST)
    (root / "closed" / "old.json").touch(0o444)
    (root / "closed").chmod(0o555)
    for name, said in (("new.json", "its directory cannot be written to"), ("old.json", "permission denied")):
        done = as_nobody(root, "--gpu", "t4", "a.py", "--output-file", f"closed/{name}")
        assert done.returncode == 2
        assert done.stderr.decode().split("begin\n")[1] == f"precision-fix: --output-file closed/{name}: {said}\n"
    assert (root / "a.py").read_text() == CAST


def test_a_full_disk_is_one_line(run: Run, tree: Path) -> None:
    code, _, err = run(*T4, "--check", tree, "--output-format", "json", "--output-file", "/dev/full")
    line = "precision-fix: the json report could not be written to /dev/full: no space left on device"
    assert code == 2 and err.splitlines()[-1] == line


def test_the_summary_of_a_step_is_appended_to(run: Run, tree: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    summary.write_text("# Before\n")
    arguments = (
        *T4,
        "--check",
        tree,
        "--output-format",
        "github",
        "--output-format",
        "markdown",
        "--output-file",
        summary,
    )
    assert run(*arguments, more={"GITHUB_STEP_SUMMARY": str(summary)})[1].startswith("::warning")
    assert summary.read_text().startswith("# Before\n# bfloat16 in project\n")
    # Any other file is replaced.
    run(*arguments, more={"GITHUB_STEP_SUMMARY": ""})
    assert summary.read_text().startswith("# bfloat16 in project\n")


def test_the_summary_of_a_step_holds_a_mebibyte(run: Run, tree: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    summary.write_text("x" * (1024 * 1024 - 4096 - 300))
    arguments = (*T4, "--check", tree, "--output-format", "markdown", "--output-file", summary)
    assert run(*arguments, more={"GITHUB_STEP_SUMMARY": str(summary)})[0] == 1
    assert summary.stat().st_size <= 1024 * 1024
    assert "No room for 1 place more" in summary.read_text()


def test_statistics(run: Run, tree: Path) -> None:
    (tree / "more.py").write_text(CAST)
    code, out, _ = run(*T4, "--check", tree, "--statistics")
    assert code == 1
    assert out.splitlines() == [
        "2  PF101  rewrite  chooses a precision",
        "1  PF001  keep     compared or tested",
        "1  PF905  manual   a dtype named while the program runs",
    ]
    code, out, err = run(*T4, "--diff", tree, "--statistics")
    assert out.startswith("diff --git") and "2  PF101  rewrite" in err
    assert run(*T4, "--check", tree, "--statistics", "--output-file", tree / "r.txt")[1].startswith("2  PF101")
    assert "Would change:" in (tree / "r.txt").read_text()
    assert (
        json.loads(run(*T4, "--check", tree, "--statistics", "--output-format", "json")[1])["summary"]["rewrite"] == 2
    )


def test_exit_zero(run: Run, tree: Path) -> None:
    assert run(*T4, "--check", tree, "--exit-zero")[0] == 0
    assert run(*T4, "--diff", tree, "--exit-zero")[0] == 0
    assert run(*T4, "--check", tree, "--exit-zero", "--output-format", "nonsense")[0] == 2
    (tree / "broken.py").write_text(BROKEN)
    assert run(*T4, "--check", tree, "--exit-zero")[0] == 1


def test_a_name_that_is_no_utf_8_in_every_report(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / os.fsdecode(b"\xe9<b>\n.py")).write_text(CAST)
    wanted = [word for f in FORMATS[1:] for word in ("--output-format", f, "--output-file", f"r.{f}")]
    done = command(*T4, "--check", "tree", *wanted, cwd=tmp_path)
    assert done.returncode == 1 and b"Traceback" not in done.stderr
    for format_ in FORMATS[1:]:
        assert (tmp_path / f"r.{format_}").read_bytes().decode("utf-8")


def test_only_the_formats_that_are_asked_for_are_imported(run: Run, tree: Path) -> None:
    script = "from precision_fix.cli import main\nmain()"
    modules = {f"precision_fix.reports.{name}" for name in (*FORMATS, "hunks", "table", "address", "outputs")}
    assert modules_after(script, *T4, "--check", str(tree)) & modules == {"precision_fix.reports.text"}
    loaded = modules_after(script, *T4, "--check", str(tree), "--output-format", "github")
    assert "precision_fix.reports.github" in loaded
    assert not loaded & {f"precision_fix.reports.{name}" for name in ("json", "sarif", "markdown", "html", "hunks")}
