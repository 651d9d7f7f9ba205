"""How sizes and numbers are said, the same in the terminal and on the page."""

from __future__ import annotations

import shlex

from precision_fix.gpu import Gpu
from precision_fix.plan.commands import PROJECT
from precision_fix.plan.fit import GIB, MIB, Verdict, usable
from precision_fix.plan.planning import Option, Plan, Sheet
from precision_fix.plan.speed import beside

RULE = "fits: a tenth of the parameters, and at least 1 GiB, is left for activations; tight: less. Training needs more."


def size(count: int) -> str:
    """Bytes in GiB, or what is smaller: "14.3 GiB"."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (1024, "KiB")):
        # What would be rounded up to the next unit is said in it.
        if count >= 0.9995 * unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"


def number(count: int) -> str:
    """Parameters: "11.9 B", "94.5 M"."""
    for unit, name in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= 0.9995 * unit:
            return f"{count / unit:.1f} {name}"
    return str(count)


def plural(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def gpus(plan: Plan) -> list[str]:
    """One line for each kind of GPU, with how many there are of it."""
    kinds: dict[Gpu, int] = {}
    for gpu in plan.cards.gpus:
        # The index and UUID tell equal cards apart, and here they must not.
        kind = Gpu(gpu.name, gpu.capability, gpu.memory)
        kinds[kind] = kinds.get(kind, 0) + 1
    lines = []
    for gpu, count in kinds.items():
        memory = gpu.memory or 0
        many, each = (f"{count} x ", " each") if count > 1 else ("", "")
        units = "computes in bfloat16 itself" if gpu.native_bfloat16 else "no bfloat16 units"
        room = f"{size(memory)}{each}, of which programs can fill {size(usable(memory))}"
        lines.append(f"{many}{gpu.name}, compute capability {gpu.capability}, {units}: {room}")
    return lines


def left(option: Option) -> str:
    amount = option.left
    if amount is None:
        return ""
    return f"{size(amount)} left" if amount >= 0 else f"{size(-amount)} too much"


def headline(plan: Plan) -> str:
    """The plan in a few words: the models, the GPUs, and what is best."""
    from precision_fix.plan.working_phrases import conclusion

    gpus = f"{len(plan.cards.gpus)} x {plan.cards.gpus[0].name}" if plan.cards.gpus else "no GPU"
    said = f"{plural(len(plan.sheets), 'model')}, {gpus}"
    sheet = plan.conclusion
    if sheet is None or not plan.cards.gpus:
        return said
    if sheet.working is not None:
        return f"{said}: {conclusion(sheet.working, plan.commands)[0]}"
    return f"{said}: {best(sheet.best) if sheet.best else 'too large'}"


def advice(plan: Plan, sheet: Sheet) -> str:
    """What to do where nothing fits."""
    if sheet is plan.total:
        if all(_goes(one.single) for one in plan.sheets):
            how = ", in diffusers with pipe.enable_model_cpu_offload()" if _takes_device_map(plan) else ""
            return f"All at once they do not fit, each alone does: keep one on the GPU at a time{how}."
        if all(_goes(one.single) or _goes(one.spread) for one in plan.sheets):
            return (
                f"All at once they do not fit, each alone does, some over {len(plan.cards.gpus)} GPUs: load one, use "
                "it, delete it, and load the next (first the text encoder, then the model that it conditions)."
            )
    smaller = "Too large in any of these: take a quantised checkpoint (GGUF, fp8), or leave a part in the memory of"
    if not _takes_device_map(plan):
        return f"{smaller} the machine, where the program has an option for it: it takes no device_map."
    how = 'with device_map="auto" (transformers) or pipe.enable_sequential_cpu_offload() (diffusers).'
    return f"{smaller} the machine, {how}"


def _takes_device_map(plan: Plan) -> bool:
    """What is advised of one must be something that the program can follow."""
    from precision_fix.plan.spreading import takes_device_map

    project = plan.commands.project
    return project == PROJECT or takes_device_map(shlex.split(project)[0])


def one_gpu(plan: Plan) -> str:
    """Why several GPUs do not help, where the project has no place to say so; "" where it has, or needs none."""
    if plan.spreads or len(plan.cards.gpus) < 2:
        return ""
    return f"{plan.commands.project} takes no device_map: one GPU must hold all that it loads"


def float16(plan: Plan) -> list[str]:
    """How fast float16 is on these GPUs, and what it risks: where it is offered."""
    return [told for told in dict.fromkeys(map(beside, plan.cards.gpus)) if told]


def _goes(options: tuple[Option, ...]) -> bool:
    return any(option.verdict in (Verdict.FITS, Verdict.TIGHT) for option in options)


def best(option: Option) -> str:
    """What is best here: "bfloat16 storage on 2 GPUs, but tight: …"."""
    where = f" on {len(option.cards)} GPUs" if len(option.cards) > 1 else ""
    tight = ", but tight: keep batches and images small" if option.verdict is Verdict.TIGHT else ""
    return f"{option.label}{where}{tight}"


def commands(plan: Plan) -> list[tuple[str, str]]:
    """What gives each storage: its label and the command."""
    sheet = plan.conclusion
    if sheet is not None and sheet.working is not None:
        working = sheet.working
        rows = [row for row in working.rows if not row.refused]
        return [(row.mode.label, working.command(row.mode, plan.commands)) for row in rows]
    return [(option.label, option.command) for option in sheet.single] if sheet else []


def remarks(plan: Plan) -> list[str]:
    """What a person should know of these numbers, and has not been told by them."""
    lines = [*plan.cards.notes, *([one_gpu(plan)] if one_gpu(plan) else [])]
    for sheet in plan.sheets:
        if sheet.working is not None:
            lines += sheet.working.known.notes_of(sheet.working.use)
    models = [sheet.model for sheet in plan.sheets if sheet.model is not None]
    for model in models:
        singles = sum(count.numel for count in model.counts if count.dtype.name == "float32")
        if singles and singles * 100 > model.numel:
            lines.append(
                f"{number(singles)} parameters of {model.name} are float32 in the file: they take 2 bytes only "
                "where the program casts the model to bfloat16 (or float16), and are rounded then"
            )
        if model.apart:
            lines.append(f"{model.name} holds {size(model.apart)} of an optimizer's state as well: not counted")
        lines.extend(f"{model.name}: {note}" for note in model.notes)
    return lines
