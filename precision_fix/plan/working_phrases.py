"""How a model at work is said, the same in the terminal and on the page."""

from __future__ import annotations

from precision_fix.plan.commands import Commands
from precision_fix.plan.contents import shown
from precision_fix.plan.fit import GIB, Verdict
from precision_fix.plan.operators import Mode
from precision_fix.plan.phrases import size
from precision_fix.plan.working import CACHES, COMPUTE, PATCHED, STORAGE, UNPATCHED, Row, Setting, Working

SOURCES = {
    "counted": "an estimate: built and run by its library without memory, and counted",
    "arithmetic": "an estimate: worked out from its config, not measured",
}
Columns = tuple[tuple[str, tuple[str, ...]], ...]
#: The columns of a table of rows: the title, and the parts that are added up in it.
RUNNING = (("weights", ("weights",)), ("caches", ("caches",)), ("activations", ("activations",)))
TRAINING = (("weights", ("weights",)), ("grad+states", ("gradients", "states")), ("activations", ("activations",)))
_MEANINGS = {
    UNPATCHED: "the program as it is, bfloat16 emulated",
    PATCHED: "float32",
    COMPUTE: "products in float16 with scales, weights and their copies in 2 bytes each",
    STORAGE: "weights in 2 bytes, caches in 4",
    CACHES: "weights and caches in 2 bytes",
}


def columns(working: Working) -> Columns:
    return TRAINING if working.use.train else RUNNING


def gib(count: int) -> str:
    """GiB without their name, for a table that says them at its top."""
    return f"{count / GIB:.2f}"


def title(working: Working) -> str:
    """What the rows are for, and where their numbers come from."""
    use = working.use
    many = f"batch {use.batch}"
    if use.length:
        many += f", {use.length:,} positions"
    if use.width and use.height:
        many += f", {use.width} x {use.height} pixels"
    if use.frames:
        many += f", {use.frames} frames"
    what = {"": "Running it", "full": "Training all of it", "lora": f"Training a LoRA of rank {use.rank}"}[use.train]
    if use.train:
        many += f", AdamW of {use.bits} bits, checkpointing {'on' if use.checkpointing else 'off'}"
    return f"{what}, {many}; {SOURCES[working.source]}"


def meaning(mode: Mode) -> str:
    return _MEANINGS[mode]


def settings(working: Working) -> list[str]:
    """What one unit of each number costs, the largest that fits, and where it is set."""
    row = working.advised
    return [*(_setting(each, row) for each in working.settings if each.each), *([working.gain] if working.gain else [])]


def _setting(each: Setting, row: Row | None) -> str:
    dial = each.dial
    where = f"{dial.key} in {shown(each.file, 200)}" if dial.key else _ASKED[dial.unit]
    said = f"{where}: one more {dial.what} takes {size(each.each)}"
    if each.largest is None:
        return said
    mode = f" with {row.mode.label}" if row else ""
    if not each.largest:
        return f"{said}; not even one fits{mode}"
    largest = f"{each.largest:,}"
    if each.largest >= each.value:
        return f"{said}; here {each.value:,}, and up to {largest} fit{mode}"
    return f"{said}; here {each.value:,}, of which {largest} fit{mode}: set it to that or less"


_ASKED = {
    "length": "the prompt and its answer (max_new_tokens)",
    "batch": "the batch",
    "width": "the width of an image",
    "frames": "the frames of a video",
}


def conclusion(working: Working, commands: Commands) -> tuple[str, str]:
    """What to do, and the command; ("", "") without a GPU."""
    if not working.rows or not any(row.shares for row in working.rows):
        return "", ""
    best = working.best
    if best is not None:
        over = best.verdict is Verdict.NO
        tight = ", but tight" if best.verdict is Verdict.TIGHT else ""
        where = f" over {len(best.over)} GPUs, by layers" if over else ""
        return f"At work: {best.mode.label}{where}{tight} ({meaning(best.mode)})", working.command(best.mode, commands)
    row = working.advised
    if row is not None and working.settings:
        setting = working.settings[0]
        key = setting.dial.key or _ASKED[setting.dial.unit]
        said = f"At work nothing fits as it is; {row.mode.label} does with {key} at {row.largest[0]:,} or less"
        return said, working.command(row.mode, commands)
    return "At work it does not fit in any of these", ""


def one_card(working: Working, count: int) -> str:
    """Why several GPUs do not help, where they do not."""
    if count < 2 or working.known.spreads:
        return ""
    return "Its program has no way to spread one model over GPUs: each must hold all of it"
