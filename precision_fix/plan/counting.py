"""Models that transformers and diffusers know, built without memory by another process, and counted there.

This one imports neither, nor torch. What a config names is never downloaded, and no code of a repository is run: only
classes of the installed libraries are built.
"""

from __future__ import annotations

from precision_fix.plan.config import Config
from precision_fix.plan.known import Known
from precision_fix.plan.use import Use


def counted(config: Config, use: Use) -> Known | None:
    """What the libraries say of a model, None where they are not installed or do not know it."""
    return None
