"""What the tests of the codemod share: a text in, what is said of it and what becomes of it out."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import dedent

from precision_fix.engine.render import render
from precision_fix.model.around import ALONE, Around
from precision_fix.model.finding import Action, Finding
from precision_fix.model.target import TARGETS
from precision_fix.project.index import Project
from precision_fix.sources import Source, format_of
from precision_fix.sources.analysis import Analysis
from precision_fix.tops import top_of
from tests.launcher import REPOSITORY as REPOSITORY
from tests.launcher import Ran, command_line, needs_a_start
from tests.launcher import environment as environment

NOBODY = 65534


def findings(source: str, *, path: str = "example.py", to: str = "float32") -> list[Finding]:
    """What is said of each place in a text."""
    return analyse(path, dedent(source), to=to).findings


def rewritten(source: str, *, path: str = "example.py", to: str = "float32") -> str:
    """The text with its places rewritten, by the way that a run takes."""
    text = dedent(source)
    analysis, source_ = analyse(path, text, to=to), source_of(path)
    around = around_(path, to)
    return render(source_, path, text, analysis, TARGETS[to], around=around) if analysis.edits else text


def around_(path: str, to: str) -> Around:
    """The project of a file; without a folder it is alone."""
    return Project(top_of(Path(path).parent), TARGETS[to]) if Path(path).is_absolute() else ALONE


def source_of(path: str) -> Source:
    """What reads a file of this name."""
    found = format_of(path)
    assert found is not None, f"nothing reads {path}"
    return found.source()


def analyse(path: str, text: str, *, to: str = "float32") -> Analysis:
    """What the source for a file of this name says of a text."""
    return source_of(path).analyse(path, text, TARGETS[to], around=around_(path, to))


def codes(source: str, action: Action | None = None, *, path: str = "example.py") -> list[str]:
    """The rules that spoke, by place, or those that decided on one action."""
    return [each.code for each in findings(source, path=path) if action is None or each.action is action]


def check_rewritten(before: str, after: str, *, code: str = "", path: str = "example.py", to: str = "float32") -> None:
    """`before` becomes `after`, to the character; `code` is among the rules that did it."""
    assert rewritten(before, path=path, to=to) == dedent(after)
    done = {each.code for each in findings(before, path=path, to=to) if each.action is Action.REWRITE}
    assert not code or code in done, f"{code} did nothing: {done}"


def check_kept(source: str, *, code: str = "", path: str = "example.py", to: str = "float32") -> None:
    """Nothing is rewritten, nothing needs a hand, and every place that was found is kept on purpose."""
    found = findings(source, path=path, to=to)
    assert [each for each in found if each.action is not Action.KEEP] == []
    assert not code or code in {each.code for each in found}, f"{code} said nothing: {found}"


def check_not_a_site(source: str, *, path: str = "example.py") -> None:
    """Nothing is said at all."""
    assert findings(source, path=path) == []


def check_reported(source: str, *, code: str = "", path: str = "example.py", to: str = "float32") -> None:
    """Nothing is rewritten, and a person is told of a place."""
    found = findings(source, path=path, to=to)
    assert [each for each in found if each.action is Action.REWRITE] == []
    told = {each.code for each in found if each.action is Action.MANUAL}
    assert told, f"nothing was reported: {found}"
    assert not code or code in told, f"{code} reported nothing: {told}"


def let_others_in(path: Path) -> None:
    """Open the way to a directory for every user: pytest keeps its own for their owner alone."""
    top = Path(tempfile.gettempdir())
    for directory in (path, *path.parents):
        if directory in (top, *top.parents):
            return
        directory.chmod(directory.stat().st_mode | 0o055)


def command(
    *arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m precision_fix` with these arguments; stdout and stderr as bytes."""
    env = env or environment()
    words = [_plain(argument) for argument in arguments]
    # A program that is run wants an interpreter of its own.
    if "run" not in words and not needs_a_start(env):
        ran = command_line().run(*words, cwd=cwd or Path.cwd(), env=env, timeout=timeout)
        return subprocess.CompletedProcess(words, ran.code, ran.out, ran.err)
    return subprocess.run(
        [sys.executable, "-m", "precision_fix", *words],
        cwd=cwd,
        env=env,
        capture_output=True,
        timeout=timeout,
        check=False,
    )


def command_into(*words: object, cwd: Path, out: str = "open", err: str = "open", **more: str) -> Ran:
    """The same with streams of any kind (see `Ran`), no stdin, and no GPU."""
    env = environment(CUDA_VISIBLE_DEVICES="", **more)
    return command_line().run(*words, cwd=cwd, env=env, out=out, err=err, stdin=False)


def modules_after(script: str, *arguments: str, cwd: Path | None = None) -> set[str]:
    """The modules that are loaded when a script ends; it may end by sys.exit."""
    whole = f"import atexit, sys\natexit.register(lambda: print('\\n', *sys.modules, file=sys.stderr))\n{script}"
    result = subprocess.run(
        [sys.executable, "-c", whole, *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=cwd,
        check=False,
    )
    assert "Traceback" not in result.stderr, result.stderr
    return set(result.stderr.splitlines()[-1].split())


def plant(root: Path, tree: dict[str, bytes]) -> Path:
    """Write files below a directory, by their names; gives the directory."""
    for name, data in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def _plain(argument: object) -> str:
    return os.fspath(argument) if isinstance(argument, Path) else str(argument)
