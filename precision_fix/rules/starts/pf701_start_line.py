"""PF701: a program whose dtypes are decided while it runs starts with the runtime."""

from __future__ import annotations

from precision_fix.model.finding import Verdict, manual, rewrite
from precision_fix.model.rule import StartRule
from precision_fix.model.start import Start


class RULE(StartRule):
    code = "PF701"
    title = "the program starts with the runtime"
    why = (
        "A checkpoint, its own code or a config decides dtypes that no edit can know, and the edits have made the rest "
        "float32. `import precision_fix.auto` takes care of them. Where precision-fix is not installed, the program "
        "runs on and says so in one line."
    )

    def judge(self, start: Start) -> Verdict | None:
        places = "a place is" if start.places == 1 else f"{start.places} places are"
        reason = f"{places} decided while it runs: {start.first}"
        if not start.has_room:
            return manual(f"{reason}; put `import precision_fix.auto` first: its first statements share a line")
        return rewrite(reason)
