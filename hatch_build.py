"""The addresses in the package's metadata, from the one place that knows them."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Urls(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        # By its path: where a package is built, nothing of it can be imported.
        metadata["urls"] = runpy.run_path(str(Path(self.root, "precision_fix", "home.py")))["urls"]()
