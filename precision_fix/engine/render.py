"""From a text to the text with its edits made, checked before anybody sees it."""

from __future__ import annotations

from precision_fix.model.target import Target
from precision_fix.sources.python import Analysis, Unparsable, analyse, parse


class CannotEdit(ValueError):
    """The edits would not give a sound file, which is therefore left as it is; the message says why, in one line."""


def render(path: str, text: str, analysis: Analysis, target: Target) -> str:
    """The edited text. Raises CannotEdit where it would not parse, or where something would be left to edit."""
    # libcst takes a fifth of a second to import, which a run that changes nothing need not pay.
    from libcst import ParserSyntaxError

    from precision_fix.engine.edit import apply

    try:
        edited = apply(text, analysis.edits)
        parse(edited)
        left = analyse(path, edited, target).edits
    except (ParserSyntaxError, Unparsable, ValueError, AssertionError) as error:
        raise CannotEdit(f"cannot be edited safely, left as it is ({error})") from error
    if left:
        raise CannotEdit(f"cannot be edited safely, left as it is ({len(left)} edits would be left to make)")
    return edited
