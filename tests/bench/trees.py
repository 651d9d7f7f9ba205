"""Real projects to measure on: wheels from the package index, and two repositories at a given commit.

Everything lands in `.trees/`, once. A repository that is on the machine already is taken from there: COMFYUI=/path,
FISH_SPEECH=/path. What cannot be had is skipped, and said.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(".trees")
WHEELS = {
    "accelerate": "accelerate==1.15.0",
    "diffusers": "diffusers==0.42.1",
    "f5_tts": "f5-tts==1.1.22",
    "fish_speech": "fish-speech==0.1.0",
    "gguf": "gguf==0.19.0",
    "lightning": "lightning==2.6.6",
    "litgpt": "litgpt==0.5.13",
    "sglang": "sglang==0.5.23",
    "transformers": "transformers==5.23.0",
    "unsloth": "unsloth==2026.10.9",
}
REPOSITORIES = {
    "ComfyUI": ("Comfy-Org/ComfyUI", "a125cd84b054a57729b5eecab930ca9408719832"),
    "fish-speech": ("fishaudio/fish-speech", "3dd1f85c402ee6f0a17c2971d3b0dd8d881ca139"),
}


def tree(name: str) -> Path | None:
    """The folder of a project, fetched if it is not there yet; None, with a line on stderr, if it cannot be had."""
    folder = ROOT / name
    if folder.is_dir():
        return folder
    partial = ROOT / f"{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        if name in WHEELS:
            _wheel(WHEELS[name], partial)
        else:
            _repository(name, partial)
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"{name}: cannot be had, left out ({error})", file=sys.stderr)
        shutil.rmtree(partial)
        return None
    return partial.rename(folder)


def _wheel(requirement: str, folder: Path) -> None:
    # sglang's wheel is for one Python version; only its text is read, so any version's will do.
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    downloads = folder / "wheel"
    subprocess.run([*download, "--dest", str(downloads), requirement], check=True)
    for wheel in downloads.glob("*.whl"):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(folder)
    shutil.rmtree(downloads)


def _repository(name: str, folder: Path) -> None:
    at_hand = os.environ.get(name.upper().replace("-", "_"))
    slug, commit = REPOSITORIES[name]
    if at_hand:
        shutil.copytree(at_hand, folder, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git"))
        return
    git = ["git", "-C", str(folder)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "fetch", "--quiet", "--depth=1", f"https://github.com/{slug}", commit], check=True)
    subprocess.run([*git, "checkout", "--quiet", "FETCH_HEAD"], check=True)


if __name__ == "__main__":
    sys.exit(0 if all([tree(name) for name in sys.argv[1:]]) else 2)
