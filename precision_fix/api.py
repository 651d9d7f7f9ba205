"""The command line's jobs as functions: detect, scan, patch, undo."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from precision_fix.engine.decide import ADVICE, decide, target_named
from precision_fix.engine.patch import Written as _Written
from precision_fix.engine.patch import write as _write
from precision_fix.engine.scan import Scan as _Scan
from precision_fix.engine.scan import scan as _scan
from precision_fix.engine.settings import Chosen, Project, Settings
from precision_fix.engine.undo import UndoResult
from precision_fix.engine.undo import undo as _undo
from precision_fix.errors import PrecisionFixError
from precision_fix.gpu import detect as _detect
from precision_fix.gpu.model import Detection
from precision_fix.model.named import Pathish, check
from precision_fix.safe_path import Away


class Scan(_Scan):
    """What was found in a whole run. In a notebook it draws itself as a table."""

    def __repr__(self) -> str:
        from precision_fix.reports.run import Run

        return f"<{Run(self).headline}>"

    def _repr_html_(self) -> str:
        from precision_fix.reports.table import drawn

        return drawn(self)


@dataclass(repr=False)
class Written(_Written):
    """What was written, of which scan. In a notebook it draws itself as a table.

    Without a scan nothing was looked for, since the GPU computes in bfloat16 itself.
    """

    scan: Scan | None = None

    def __repr__(self) -> str:
        from precision_fix.reports.run import Run

        return f"<{Run(self.scan, dry=False, written=self).headline}>" if self.scan else "<Nothing to change>"

    def _repr_html_(self) -> str:
        from precision_fix.reports.table import drawn

        return drawn(self.scan, self) if self.scan else "<p>Nothing to change on this GPU.</p>"


def detect(environ: Mapping[str, str] | None = None) -> Detection:
    """The GPUs that a program would see, and who said so; never raises. See `precision_fix.gpu.detect`."""
    with Away():
        return _detect(environ)


def scan(*paths: Pathish, to: str | None = None, isolated: bool = False) -> Scan:
    """Every place of bfloat16 in files and directories, with what would be done and why. Writes nothing.

    Settings files of the project count as on the command line, unless `isolated`; without `to` and such a file,
    bfloat16 becomes float32. Raises PrecisionFixError for a path that is not there, for a precision that is not
    offered, and for wrong settings.
    """
    with Away():
        return _scan_for(paths, Project(Settings(to=to), isolated=isolated))


def _scan_for(paths: Sequence[Pathish], project: Project) -> Scan:
    check(paths)
    target = target_named(_run(paths, project).to or "float32")
    found = _scan([Path(path) for path in paths], target, with_text=True, project=project)
    return Scan(found.target, found.files, found.problems, found.looked_at, found.hidden)


def _run(paths: Sequence[Pathish], project: Project) -> Chosen:
    return project.for_run(Path(paths[0]) if paths else Path())


def patch(
    *paths: Pathish,
    gpu: str | None = None,
    to: str | None = None,
    isolated: bool = False,
    on_wait: Callable[[str], None] | None = None,
) -> Written:
    """Rewrite files and directories in place for the GPU that is named, or else the lowest visible one.

    Settings files count as for `scan`, and may name the GPU where none is there. Changes nothing at compute capability
    8.0 and above. Raises PrecisionFixError, before anything is written, for a path that is not there, without a GPU
    or a name, for a name or a precision that is not known, and for wrong settings; and when no journal can be kept.
    """
    with Away():
        check(paths)
        project = Project(Settings(to=to, gpu=gpu), isolated=isolated)
        chosen = _run(paths, project)
        decision = decide(chosen.gpu, gpu_by=chosen.gpu_by)
        if not decision.known:
            raise PrecisionFixError(ADVICE)
        if not decision.needed:
            return Written()
        found = _scan_for(paths, project)
        written = _write(found, paths, on_wait=on_wait)
        return Written(written.changed, written.problems, written.notes, found)


def undo(path: Pathish) -> UndoResult:
    """Every byte back as it was, for a file or all files below a directory. Raises PrecisionFixError."""
    if not os.fspath(path):
        check([path])  # pathlib takes it for the current directory
    with Away():
        return _undo(Path(path))


__all__ = ["detect", "patch", "scan", "undo"]
