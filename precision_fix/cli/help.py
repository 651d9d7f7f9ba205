"""What `--help` prints for one command: plain text that fits 80 columns and reads at 60."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from typer.core import TyperCommand

from precision_fix.wrapping import terminal_columns, wrap

#: A word or a command with what it does.
Row = tuple[str, str]

_WIDEST, _NARROWEST = 80, 40
# The first column of a list; what is wider stands on a line of its own.
_FIRST = 27
#: What people do with each command, as they would type it.
EXAMPLES: dict[str, tuple[Row, ...]] = {
    "patch": (
        ("precision-fix ComfyUI", "reads the GPU; below 8.0 rewrites, else changes nothing"),
        ("precision-fix --diff ComfyUI", "what would change, as a diff; writes nothing"),
        ("precision-fix --gpu t4 --check .", "for CI: a line for each place, and exit code 1"),
        ("precision-fix --check . --output-file report.html", "the same as a page to leaf through"),
    ),
    "undo": (("precision-fix undo ComfyUI", "all files of it as they were"),),
    "run": (
        ("precision-fix run main.py --listen", "in the place of python main.py --listen"),
        ("precision-fix run torchrun --nproc-per-node 2 train.py", "and the workers that it starts"),
        ("precision-fix run --storage auto main.py", "weights in 2 bytes, where 4 do not fit"),
        ("precision-fix run --audit main.py", "afterwards: what still computed in bfloat16"),
    ),
    "plan": (
        ("precision-fix plan ComfyUI/models", "for the GPU that is here"),
        ("precision-fix plan --gpu t4x2 model.safetensors", "for two T4"),
        ("precision-fix plan --gpu t4 --train lora FOLDER", "the folder of a config.json"),
    ),
    "doctor": (
        ("precision-fix doctor", "this machine, and what is installed"),
        ("precision-fix doctor --gpu t4 ComfyUI", "a card that is not here, and a project"),
    ),
    "gpus": (("precision-fix gpus", "asks the driver, nvidia-smi, and torch"),),
    "rule": (
        ("precision-fix rule PF101", "what it does and why, before and after"),
        ("precision-fix rule PF1", "all rules whose code begins so"),
        ("precision-fix rule --why train.py:12", "what was asked about a line, and said"),
    ),
}


class Command(TyperCommand):
    """A command whose help is laid out here."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write("\n".join(self._page(ctx, page_width())) + "\n")

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[OPTIONS]", *(_name(each) for each in self.get_params(ctx) if each.param_type_name == "argument")]

    def _page(self, ctx: Any, width: int) -> Iterator[str]:
        yield from wrap(f"Usage: {' '.join((ctx.command_path, *self.collect_usage_pieces(ctx)))}", width, " " * 7)
        yield ""
        yield from wrap(self.help or "", width)
        sections: dict[str, list[Row]] = {}
        for each in self.get_params(ctx):
            argument = each.param_type_name == "argument"
            title = "Arguments" if argument else getattr(each, "rich_help_panel", None) or "Options"
            sections.setdefault(title, []).append((_name(each), _told(each)))
        for title, found in sections.items():
            yield ""
            yield from wrap(f"{title}:", width)
            yield from rows(found, width)
        if self.name in EXAMPLES:
            yield ""
            yield from examples(EXAMPLES[self.name], width)
        if self.epilog:
            yield ""
            yield from wrap(self.epilog, width)


def page_width() -> int:
    """The columns of the terminal, and no more than a person reads with ease."""
    return max(_NARROWEST, min(_WIDEST, terminal_columns(_WIDEST)))


def rows(found: Iterable[Row], width: int, first: int = _FIRST) -> Iterator[str]:
    """Two columns, the second wrapped below itself. Where there is little room it begins on the next line."""
    if width < 2 * first:
        first = width // 3
    found = list(found)
    first = min(first, max((len(name) + 4 for name, _ in found), default=first))
    for name, told in found:
        fits = len(name) + 4 <= first
        if not fits:
            yield f"  {name}"
        start = f"  {name}".ljust(first) if fits else " " * first
        yield from wrap(start + told, width, " " * first) if fits else wrap(start + told, width, start)


def examples(found: Iterable[Row], width: int) -> Iterator[str]:
    """Commands, with what they do; each on a line of its own, so that it can be copied."""
    found = list(found)
    yield "Examples:"
    first = max(len(line) for line, _ in found) + 4
    if all(first + len(told) <= width for _, told in found):
        yield from rows(found, width, first)
        return
    for line, told in found:
        yield f"  {line}"
        yield from wrap(f"      {told}", width, " " * 6)


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    if parameter.secondary_opts:
        return f"--[no-]{parameter.opts[0].removeprefix('--')}"
    names = ", ".join(sorted(parameter.opts, key=len))
    return names if parameter.is_flag else f"{names} {parameter.metavar or 'N'}"


def _told(parameter: Any) -> str:
    """The help of a parameter, with its default where that says something."""
    told = str(parameter.help or "")
    default = parameter.default
    if not getattr(parameter, "show_default", False) or default in (None, False, "", ()):
        return told
    return f"{told.removesuffix('.')} (default: {'on' if default is True else default})."
