"""`precision-fix --help`: the page that a person begins with."""

from __future__ import annotations

from collections.abc import Iterator

from precision_fix import __version__
from precision_fix.cli.help import Row, examples, page_width, rows
from precision_fix.wrapping import wrap

_WHAT = (
    f"precision-fix {__version__}: projects that hard-code bfloat16 run, and run right, on GPUs without it "
    "(T4, P100, V100)."
)
GROUPS: dict[str, tuple[Row, ...]] = {
    "Change a project": (
        ("PATH...", "rewrite bfloat16 to float32 in place, by what each place means (in full: patch PATH...)"),
        ("undo PATH...", "every byte back as it was"),
    ),
    "Or leave it as it is": (("run PROGRAM ...", "start a program in float32; nothing on disk changes"),),
    "Look": (
        ("gpus", "the GPUs that are here, and whether they compute in bfloat16"),
        ("plan PATH...", "what checkpoints hold, what fits the GPU, and the command for it"),
        ("rule [CODE]", "what a rule does and why; --why FILE:LINE for a place"),
    ),
}
_OPTIONS: tuple[Row, ...] = (
    ("--diff", "write nothing; print a diff that git apply takes"),
    ("--check", "write nothing; print what would change, for CI"),
    ("--gpu NAME", "t4, p100, v100, sm_75, 7.5 (default: the GPU that is here, the lowest of several)"),
    ("--to DTYPE", "what bfloat16 becomes: float32 (the default) or float16"),
    ("-v, --verbose", "list each place that was left alone as well, with its line in a --check"),
    ("-V, --version", "print it"),
    ("-h, --help", "this page; of a command: COMMAND --help"),
)
_EXAMPLES: tuple[Row, ...] = (
    ("precision-fix ComfyUI", "rewrites, if the GPU has no bfloat16"),
    ("precision-fix --diff ComfyUI", "look first"),
    ("precision-fix undo ComfyUI", "and back"),
    ("precision-fix run main.py", "without a change on disk"),
    ("precision-fix --gpu t4 --check .", "in CI, without a GPU"),
)
_MORE = (
    "All options of a change, its reports and settings: precision-fix patch --help.",
    "The shell completes commands and options after: precision-fix --install-completion.",
    "Colours: NO_COLOR=1 for none, FORCE_COLOR=1 in a pipe as well.",
    "Exit codes: 0 done, or nothing to do; 1 a dry run found something, or a file failed; 2 usage or internal error.",
)


def page(width: int | None = None) -> Iterator[str]:
    """The lines; `width` is that of the terminal."""
    width = width or page_width()
    yield from wrap(_WHAT, width)
    yield ""
    yield "Usage: precision-fix [OPTIONS] PATH..."
    yield "       precision-fix COMMAND ..."
    for title, found in (*GROUPS.items(), ("Options of a change", _OPTIONS)):
        yield ""
        yield f"{title}:"
        yield from rows(found, width, 19)
    yield ""
    yield from examples(_EXAMPLES, width)
    yield ""
    for told in _MORE:
        yield from wrap(told, width)
