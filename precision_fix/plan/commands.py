"""The commands of a plan: what a person types to get each way."""

from __future__ import annotations

from dataclasses import dataclass

#: What stands for a project and a program that were not named.
PROJECT, PROGRAM = "PROJECT", "PROGRAM"


@dataclass(frozen=True, slots=True)
class Commands:
    """`project` and `program` are as a shell takes them; `native`: the GPU computes in bfloat16. `undone` is the path
    that an undo takes, where the project was patched on disk: "" where it is as it came."""

    project: str = PROJECT
    program: str = PROGRAM
    native: bool = False
    undone: str = ""

    @property
    def as_it_is(self) -> str:
        return self._before(f"python {self.program}")

    def changed(self, to: str = "float32") -> str:
        """With the project rewritten; on a GPU with bfloat16 the tool changes nothing unless it is told to."""
        other = "" if to == "float32" else f"--to {to} "
        if self.native:
            return self._before(f"PRECISION_FIX=force precision-fix run {other}{self.program}")
        if self.undone and not other:
            return f"python {self.program}"  # it is by now
        return self._before(f"precision-fix {other}{self.project}")

    def stored(self, caches: str = "bfloat16") -> str:
        """With weights in two bytes, and caches unless they are float32."""
        before = "PRECISION_FIX_STORAGE_CACHES=float32 " if caches == "float32" else ""
        return self._before(f"{before}precision-fix run --storage bfloat16 {self.program}")

    def held_in(self, storage: str) -> str:
        """What holds the weights in a dtype."""
        if storage != "bfloat16":
            return self.changed(storage)
        return self.as_it_is if self.native else self.stored()

    def _before(self, command: str) -> str:
        return f"precision-fix undo {self.undone} && {command}" if self.undone else command


def broken(command: str, width: int | None) -> list[str]:
    """A command in lines that a shell takes as one, where it is wider than `width`: broken before the tool's name, if a
    variable or another command stands in front of it."""
    if width is None or len(command) <= width:
        return [command]
    before, name, rest = command.rpartition("precision-fix run ")
    if not before.strip():
        return [command]
    return [f"{before.rstrip()} \\", f"  {name}{rest}"]
