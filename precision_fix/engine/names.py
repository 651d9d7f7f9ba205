"""Which names a journal may hold: those of files of its own tree that a run may write.

They are checked where a line is read and where a change is staged, so what is noted can always be undone. What the
walk leaves out though it may be named by hand, such as site-packages, is allowed. A version control store is not: git
runs programs that are named in `.git/config` and lie in `.git/hooks`.
"""

from __future__ import annotations

import os
import re

DIRECTORY = ".precision-fix"
_STORES = frozenset((".git", ".hg", ".svn", ".bzr", ".jj", "_darcs", "git~1"))
# HFS+ drops these from a name: zero width characters, marks of direction, the byte order mark.
_DROPPED = re.compile("[\u200c-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_OF_WINDOWS = re.compile(r'[\\:<>"|?*\x01-\x1f]|[. ](/|$)')


def may_hold(name: str) -> bool:
    """May a file of this name, relative to its tree and with slashes, be noted and written?"""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        return False
    if "\0" in name or (os.name == "nt" and _OF_WINDOWS.search(name)):
        return False
    return not any(part in ("", ".", "..") or _is_closed(part) for part in name.split("/"))


def _is_closed(part: str) -> bool:
    """Is it a version control store, or a journal of anybody? As file systems see it that take `.GIT` for `.git`, for
    a tree may be copied onto one."""
    plain = part if part.isascii() else _DROPPED.sub("", part)
    plain = plain.casefold().rstrip(". ")
    return plain in _STORES or plain == DIRECTORY or plain.startswith(f"{DIRECTORY}-")
