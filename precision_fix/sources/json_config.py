"""JSON, with comments too: configs of DeepSpeed, Accelerate, transformers, workflows of ComfyUI."""

from __future__ import annotations

from precision_fix.model.around import ALONE, Around
from precision_fix.model.selection import ALL, Selection
from precision_fix.model.target import Target
from precision_fix.sources import config_edits
from precision_fix.sources.analysis import Analysis, Left
from precision_fix.sources.comments import Keeps
from precision_fix.sources.jsontext import scalars
from precision_fix.sources.spelling import in_quotes_or_false


def analyse(
    path: str,
    text: str,
    target: Target,
    selection: Selection = ALL,
    around: Around = ALONE,
    left: Left | None = None,
) -> Analysis:
    """Find the settings of a text and judge them. Raises Unparsable."""
    if not config_edits.may_speak(text, comment="//"):
        return Analysis()
    document = list(scalars(text, comments=True))
    keeps = Keeps(text, [(each.start, each.end) for each in document])
    return config_edits.judge(
        path, text, [document], keeps, in_quotes_or_false, target, selection, around=around, left=left
    )


def parse(text: str) -> object:
    """The scalars. Raises Unparsable."""
    return list(scalars(text, comments=True))
