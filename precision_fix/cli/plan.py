"""`precision-fix plan PATH...`: what is in checkpoints, what fits the GPU, and the command that gives it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from precision_fix import door
from precision_fix.cli.app import HELP, app, say
from precision_fix.cli.meant import check
from precision_fix.cli.streams import DONE
from precision_fix.cli.terminal import emit, put_json
from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import reason, shown
from precision_fix.wrapping import terminal_columns

_USE = "What it is for (models with a config.json)"
_EPILOG = "Exit codes: 0 everything was read, whether it fits or not; 1 a file could not be read; 2 usage error."


@app.command("plan", epilog=_EPILOG, context_settings=HELP)
def plan(
    paths: Annotated[
        list[str],
        typer.Argument(help="Checkpoints, their folders, and the project that loads them.", metavar="PATH..."),
    ],
    gpu: Annotated[
        str | None,
        typer.Option(
            "--gpu", help="Plan for this GPU: t4, t4x2, p100, 7.5 (default: those that are here).", metavar="NAME"
        ),
    ] = None,
    gpus: Annotated[
        int | None, typer.Option("--gpus", help="How many of them (default: 1 of a GPU that is named).", metavar="N")
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(
            "--memory", help="The memory of one GPU in GiB (default: what it says, or is known to have).", metavar="GIB"
        ),
    ] = None,
    train: Annotated[
        str,
        typer.Option(
            "--train",
            help="Plan for training: lora or full (default: for running it).",
            metavar="HOW",
            rich_help_panel=_USE,
        ),
    ] = "",
    batch: Annotated[
        int, typer.Option("--batch", help="Sequences or images at a time.", metavar="N", rich_help_panel=_USE)
    ] = 1,
    length: Annotated[
        int | None,
        typer.Option(
            "--length",
            help="Positions of a sequence, prompt and answer (default: as the config has it, or a usual one).",
            metavar="N",
            rich_help_panel=_USE,
        ),
    ] = None,
    image: Annotated[
        str | None, typer.Option("--image", help="Pixels, as 1024x768.", metavar="WxH", rich_help_panel=_USE)
    ] = None,
    frames: Annotated[
        int | None, typer.Option("--frames", help="Frames of a video.", metavar="N", rich_help_panel=_USE)
    ] = None,
    rank: Annotated[int, typer.Option("--rank", help="The rank of a LoRA.", metavar="N", rich_help_panel=_USE)] = 8,
    targets: Annotated[
        str | None,
        typer.Option(
            "--targets", help="Where a LoRA adapts: q,k,v,o,gate,up,down.", metavar="NAMES", rich_help_panel=_USE
        ),
    ] = None,
    bits: Annotated[
        int,
        typer.Option(
            "--optimizer-bits",
            help="Of a state of AdamW: 32, or 8 as bitsandbytes has it.",
            metavar="N",
            rich_help_panel=_USE,
        ),
    ] = 32,
    checkpointing: Annotated[
        bool,
        typer.Option(
            "--checkpointing/--no-checkpointing",
            help="Compute activations again, in the place of keeping them.",
            rich_help_panel=_USE,
        ),
    ] = True,
    build: Annotated[
        bool,
        typer.Option(
            "--build/--no-build",
            help="Have installed transformers and diffusers build the model, to count.",
            rich_help_panel=_USE,
        ),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write it as a page.", metavar="FILE")] = None,
) -> None:
    """Show what checkpoints hold and what fits the GPU, in float32, float16 and bfloat16; only headers are read."""
    check(paths, "plan")
    from precision_fix.model.entry_points import program_in
    from precision_fix.plan.find import is_project
    from precision_fix.plan.planning import make_plan
    from precision_fix.plan.use import Use
    from precision_fix.plan.use import image as pixels

    width, height = pixels(image) if image else (None, None)
    named = tuple(name.strip() for name in (targets or "").split(",") if name.strip())
    use = Use(train, batch, length, width, height, frames, rank, named, bits, checkpointing)
    projects = [path for path in paths if is_project(path)]
    patched = _patched(projects[0]) if projects else None
    found = make_plan(
        paths,
        gpu=gpu,
        gpus=gpus,
        memory=memory,
        project=projects[0] if projects else "PROJECT",
        program=str(program_in(projects) or "PROGRAM"),
        undone=str(patched or ""),
        use=use,
        build=build,
    )
    if html is not None:
        from precision_fix.plan.html import page

        try:
            door.put(html, page(found).encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise PrecisionFixError(f"--html {shown(str(html))}: cannot be written: {reason(error)}") from error
        say(f"wrote {html}")
    if patched is not None:
        say(f"{shown(str(patched))}: patched: what needs it as it came begins with an undo")
    DONE.code = 1 if found.problems else 0
    if as_json:
        put_json(found.to_dict())
    else:
        from precision_fix.plan.text import lines

        if not found.sheets and not found.problems:
            say("no checkpoints here (safetensors, GGUF, .pt, .pth, .ckpt, .bin), and no config.json of a model")
        unicode, width = _terminal()
        emit(sys.stdout, lines(found, unicode=unicode, width=width))
    raise typer.Exit(DONE.code)


def _patched(project: str) -> Path | None:
    """The root of a tree that was changed on disk."""
    from precision_fix.engine.patched import patched_root

    return patched_root(Path(project))


def _terminal() -> tuple[bool, int | None]:
    """Does stdout take more than ASCII, and how many columns has it? What is no terminal gets ASCII, unwrapped."""
    if not sys.stdout.isatty():
        return False, None
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return unicode, terminal_columns(100)
