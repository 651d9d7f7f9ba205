"""PF911: a file or program that a script holds in a here-document or, put together as it runs, in a string."""

from __future__ import annotations

import re

from precision_fix.model.finding import Verdict, manual
from precision_fix.model.rule import LineRule, Lines, Stage
from precision_fix.model.vocabulary.precision import WORD
from precision_fix.model.vocabulary.spellings import CORE

_CHOOSES = re.compile(
    rf"torch\.bfloat16|\.bfloat16\(\)|[\"']?\b\w*{CORE}\w*[\"']?\s*[:=]\s*(?:\{{[^}}]*)?[\"']?(?:enabled[\"']?\s*:\s*)?"
    r"(?:true|True|auto|yes|on)\b"
    rf"|\b(?:\w*dtype|\w*precision)\b[\"']?\s*[:=]\s*[\"']?(?:{WORD.pattern})\b"
)


class RULE(LineRule):
    code = "PF911"
    title = "a file that a script writes"
    why = (
        "`cat > config.json <<EOF` holds a config, `python - <<EOF` a program, with the shell's variables in it: it is "
        "no launch line, and is what it will be only when the script runs. So is a program in a string of Python that "
        "is none before something is put into it. Change it by hand."
    )
    lines = Lines.WRITTEN
    stage = Stage.REPORTED

    def judge(self, line: str) -> Verdict | None:
        return (
            manual("chooses bfloat16 in a text that a script writes or runs: change it by hand")
            if _CHOOSES.search(line)
            else None
        )
