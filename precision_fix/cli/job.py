"""What `precision-fix PATH...` does, once its command line is read. It needs nothing that reads command lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from precision_fix.cli import stdin
from precision_fix.cli.meant import check as check_paths
from precision_fix.cli.meant import taken_for_a_path
from precision_fix.cli.streams import DONE
from precision_fix.cli.terminal import emit, progress, say
from precision_fix.errors import PrecisionFixError
from precision_fix.wrapping import columns

if TYPE_CHECKING:
    from precision_fix.engine.scan import Scan
    from precision_fix.engine.settings import Project
    from precision_fix.model.target import Target
    from precision_fix.reports.outputs import Output
    from precision_fix.reports.run import Run


def patch(
    paths: Sequence[str],
    *,
    diff: bool = False,
    check: bool = False,
    gpu: str | None = None,
    to: str | None = None,
    select: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    extend_exclude: Sequence[str] | None = None,
    force_exclude: bool = False,
    config: Path | None = None,
    isolated: bool = False,
    no_cache: bool = False,
    stdin_filename: Path | None = None,
    verbose: bool = False,
    asked: Sequence[tuple[str, str]] = (),
    statistics: bool = False,
    exit_zero: bool = False,
) -> int:
    """Rewrite, or show what would be; the code to end with. `asked` are `--output-format` and `--output-file` as given.

    Raises PrecisionFixError where nothing can be done.
    """
    from precision_fix.engine.decide import ADVICE, decide, target_named
    from precision_fix.engine.scan import Scan
    from precision_fix.reports.run import Run

    dry = diff or check
    from_stdin = stdin.asked_for(paths, stdin_filename)
    if not from_stdin:
        check_paths(paths)
    fixes = from_stdin and not dry
    wanted = _wanted(asked)
    _check_stdout(wanted, "--diff" if diff else "the text" if fixes else "")
    project = _project(
        to=to,
        gpu=gpu,
        select=select,
        ignore=ignore,
        extend_exclude=extend_exclude,
        force_exclude=force_exclude,
        config=config,
        isolated=isolated,
    )
    decided = project.for_run((stdin_filename or Path()) if from_stdin else Path(paths[0]))
    target = target_named(decided.to or "float32")
    decision = decide(decided.gpu, gpu_by=decided.gpu_by, to_by=decided.to_by)
    if not decision.known and not dry:
        raise PrecisionFixError(ADVICE)
    say(decision.line(target))
    if not dry and decision.needed and (line := taken_for_a_path(paths)):
        say(line)
    data = stdin.read() if from_stdin else b""
    run = Run(Scan(target), [Path(path) for path in paths], decision, dry=dry or from_stdin, verbose=verbose)
    if decision.needed:
        name = str(stdin_filename or stdin.NAME) if from_stdin else None
        with_text = diff or not check or verbose or any(output.needs_text for output in wanted)
        run.scan = _scanned(run.paths, target, project, name, data, with_text=with_text, recalls=not no_cache)
        for line in project.remarks(decided):
            say(line)
        if not run.dry:
            _write_files(run)
            run.memory = _memory(run)
    found = dry and run.says_something and not exit_zero
    failed = (2 if from_stdin else 1) if run.problems else 0
    DONE.code = failed or int(found)
    if fixes:
        stdin.give_fixed(run.scan, data)
    whole = _report(run, wanted, diff=diff, statistics=statistics, quiet=fixes)
    return DONE.code if whole else 2


def _memory(run: Run) -> list[tuple[str, bool]]:
    """What a change that was made costs; whatever is wrong with a checkpoint, the change is made."""
    from precision_fix.cli.memory import lines

    try:
        return [*lines(run)]
    except Exception:
        return []


def _write_files(run: Run) -> None:
    """Make the changes, and keep what was done for the last line of the run."""
    from precision_fix.engine.patch import Written, write
    from precision_fix.reports.paste import undone

    run.written = Written()
    DONE.under_way = True
    try:
        write(run.scan, run.paths, on_wait=say, into=run.written)
    except PrecisionFixError:
        DONE.under_way = False
        raise
    finally:
        number = len(run.written.changed)
        if number:
            was = "file was" if number == 1 else "files were"
            DONE.words = f"{number:,} {was} changed (taken back by: {undone(run.paths)})"
    DONE.under_way = False


def _check_stdout(wanted: list[Output], taken: str) -> None:
    printed = next((output.format for output in wanted if output.file is None), None)
    if taken and printed is not None and not (taken == "--diff" and printed == "text"):
        raise PrecisionFixError(f"{taken} and {printed} cannot both go to stdout: give {printed} an --output-file")


def _scanned(
    paths: Sequence[Path],
    target: Target,
    project: Project,
    name: str | None,
    data: bytes,
    *,
    with_text: bool,
    recalls: bool,
) -> Scan:
    """Scan the paths, or a text of that name."""
    from precision_fix.engine.scan import scan, scan_text

    if target.dtype == "float16":
        say(
            "float16 overflows above 65504: models that were trained in bfloat16 may give inf and NaN; float32 does not"
        )
    if name is not None:
        return scan_text(name, data, target, project)
    with progress() as told:
        return scan(paths, target, with_text=with_text, progress=told, project=project, recalls=recalls)


def _wanted(asked: Sequence[tuple[str, str]]) -> list[Output]:
    """The reports that are asked for. Most runs ask for none, and need not import what makes them."""
    if not asked:
        return []
    from precision_fix.reports.outputs import outputs

    return outputs(asked)


def _report(run: Run, wanted: list[Output], *, diff: bool, statistics: bool, quiet: bool) -> bool:
    """The reports in files first: a reader of stdout may go away early. `quiet` leaves out what nobody asked for.

    Whether all of them could be written. Raises Lost for those on stdout.
    """
    whole = True
    files = [output for output in wanted if output.file is not None]
    printed = [output for output in wanted if output.file is None and output.format != "text"]
    if files:
        try:
            _write(run, files)
        except PrecisionFixError as error:
            say(DONE.before(str(error)))
            whole = False
    if run.needed and diff:
        from precision_fix.cli import diff as on_stdout
        from precision_fix.engine.diff import unified

        on_stdout.give(unified(run.scan))
        run.forget()
    # The text comes on top of files, unless one of them is the text, and was written, or another report has stdout.
    in_file = whole and any(output.format == "text" for output in files) and len(files) == len(wanted)
    if run.needed and not printed and not quiet and (statistics or not in_file):
        from precision_fix.reports import guarded, text

        stream = sys.stderr if diff else sys.stdout
        whole_text = partial(text.lines, width=columns(stream), each=run.dry and not diff)
        emit(stream, guarded.guarded(run, text.statistics if statistics else whole_text))
    if printed:
        _write(run, printed)
    return whole


def _write(run: Run, wanted: list[Output]) -> None:
    from precision_fix.reports.outputs import write

    write(run, wanted, say=say)


def _project(
    *,
    to: str | None,
    gpu: str | None,
    select: Sequence[str] | None,
    ignore: Sequence[str] | None,
    extend_exclude: Sequence[str] | None,
    force_exclude: bool,
    config: Path | None,
    isolated: bool,
) -> Project:
    """The settings of this run. Raises PrecisionFixError for a code that no rule has, or a file that cannot be read."""
    from precision_fix.engine.settings import Project, Settings

    codes: dict[str, tuple[str, ...]] = {}
    if select or ignore:
        from precision_fix.engine.settings_file import option_codes

        codes = {
            name: option_codes(f"--{name}", values)
            for name, values in (("select", select), ("ignore", ignore))
            if values
        }
    options = Settings(
        select=codes.get("select"),
        ignore=codes.get("ignore", ()),
        extend_exclude=tuple(
            pattern.removeprefix("./") for each in extend_exclude or () for pattern in each.split(",") if pattern
        ),
        force_exclude=force_exclude,
        to=to,
        gpu=gpu,
    )
    return Project(options, config=config, isolated=isolated)
