"""From a text to the text with its edits made, checked before anybody sees it."""

from __future__ import annotations

from precision_fix.model.around import ALONE, Around
from precision_fix.model.edit import spliced
from precision_fix.model.selection import ALL, Selection
from precision_fix.model.target import Target
from precision_fix.sources import Source
from precision_fix.sources.analysis import Analysis


class CannotEdit(ValueError):
    """The edits would not give a sound file, which is therefore left as it is; the message says why, in one line."""


def render(
    source: Source,
    path: str,
    text: str,
    analysis: Analysis,
    target: Target,
    selection: Selection = ALL,
    around: Around = ALONE,
    some_stay: bool = False,
) -> str:
    """The edited text. Raises CannotEdit where it would not parse, or where something would be left to edit.

    `some_stay` says that places are left because they move with those of other files, which this one does not show.
    """
    try:
        splices = [*analysis.splices]
        for stretch in analysis.stretches:
            # libcst takes a fifth of a second to import, which a run that changes no Python need not pay.
            from precision_fix.engine import edit

            splices += stretch.place(edit.splices(stretch.code, stretch.edits))
        edited = spliced(text, splices)
        source.parse(edited)
        left = source.analyse(path, edited, target, selection, around).edits if not some_stay else []
    except (ValueError, AssertionError) as error:
        # What libcst says goes over several lines.
        what = " ".join(str(error).split()[:30])
        raise CannotEdit(f"cannot be edited safely, left as it is ({what})") from error
    if left:
        raise CannotEdit(f"cannot be edited safely, left as it is ({len(left)} edits would be left to make)")
    return edited
