"""What becomes of a value in the end."""

from __future__ import annotations

from enum import Enum


class Fate(Enum):
    """What is done with a value at the end of its way."""

    CHOOSES = "sets the precision of what is created, cast or computed"
    COMPARED = "is compared or tested for membership"
    ASSERTED = "is asserted, by a guard that moves with it"
    AGREES = "is what something made is asserted to be of"
    ASKED = "is tested for other words"
    REFUSED = "is checked by a guard that would refuse the new precision"
    FALLS = "is tested, and without bfloat16 the test chooses float16"
    KEY = "is a key that something is looked up by"
    BYTES = "says how stored bytes are read"
    BITS = "has its bits read as integers"
    SIZE = "gives a number of bytes"
    TEXT = "is printed or put into a message"
    KERNEL = "goes to an operator that takes nothing else"
    NEVER = "goes to a kernel that does not run on this GPU"
    INVERTED = "becomes a key when its map is turned round"
    STORED = "is kept where other files can read it"
    RETURNED = "is returned to callers outside of the file"
    HANDED = "is handed to something that the project does not show"
    UNKNOWN = "goes where the file does not show"
    LOST = "goes on for longer than it is followed"

    # There is one of each, and that of Enum asks for its name.
    __hash__ = object.__hash__
