"""Whether a project can spread a model over GPUs: by a `device_map`, which transformers and diffusers take.

A program that reads its checkpoints itself, as ComfyUI does, has no place to put one, and advice to do so is none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from precision_fix import door

# from_pretrained of what is no model takes none.
_MAPPED = re.compile(rb"\bdevice_map\b")
_LOADED = re.compile(rb"\b(\w+)\.from_pretrained\s*\(")
_NO_MODEL = re.compile(rb"(?i)tokenizer|processor|config|extractor|scheduler")
# What is looked through at most: a file, and how many.
_MOST_BYTES = 1 << 20
_MOST_FILES = 5_000


def takes_device_map(project: str) -> bool:
    """Whether a file of Python in it names a device_map, or loads a model that takes one."""
    for path in _python_below(project):
        try:
            data = door.start(path, _MOST_BYTES)
        except OSError:
            continue
        if _MAPPED.search(data) or any(not _NO_MODEL.search(found[1]) for found in _LOADED.finditer(data)):
            return True
    return False


def _python_below(project: str) -> Iterator[str]:
    count = 0
    for folder, folders, files in os.walk(project):
        if "pyvenv.cfg" in files:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "node_modules")
        for name in sorted(files):
            if name.endswith(".py"):
                count += 1
                if count > _MOST_FILES:
                    return
                yield f"{folder}{os.sep}{name}"
