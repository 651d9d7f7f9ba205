"""The notebooks of examples/, executed: `python -m tests.bench.examples [NAME...]`.

What is real in them: Jupyter, precision-fix, its detection of a T4 (through the fake driver library of tests/gpu), what
it edits, runs and takes back. What stands in: git and pip, which would need a network, the programs that are cloned,
which say in which dtype they are, and the tunnel.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from tests.gpu import cards
from tests.plan.test_known import S2
from tests.tools import REPOSITORY, plant

EXAMPLES = REPOSITORY / "examples"
DRIVERS = REPOSITORY / "tests" / "gpu"
# One dtype that a file names, one that only the running program knows, and one that must stay.
_SAYS = """\
import sys
import torch

CHOSEN = torch.bfloat16
SIZES = {torch.float32: 4, torch.bfloat16: 2}


def say(name):
    asked = getattr(torch, "bfloat" + str(16))
    print(name, torch.zeros(1, dtype=CHOSEN).dtype, torch.zeros(1, dtype=asked).dtype, len(SIZES), *sys.argv[1:])
"""
_SERVES = """

if __name__ == "__main__":
    import http.server
    say("server")
    sys.stdout.flush()
    http.server.HTTPServer(("127.0.0.1", PORT), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
_TRAINS = (
    _SAYS
    + """

def main():
    from pathlib import Path
    say("train")
    folder = Path("results/mine/checkpoints")
    folder.mkdir(parents=True)
    (folder / "step_200.ckpt").touch()


if __name__ == "__main__":
    main()
"""
)


def says(name: str) -> str:
    return f"{_SAYS}\n\nif __name__ == '__main__':\n    say({name!r})\n"


def clones(port: int) -> dict[str, str]:
    """What `git clone` brings, by the name of the repository."""
    serves = _SERVES.replace("PORT", str(port))
    fish = {
        "pyproject.toml": "[project]\nname = 'fish-speech'\n",
        "fish_speech/__init__.py": "",
        "fish_speech/models/text2semantic/inference.py": says("inference"),
        "fish_speech/models/dac/inference.py": says("codec"),
        "fish_speech/train.py": _TRAINS,
        "tools/run_webui.py": _SAYS + serves,
        "tools/vqgan/extract_vq.py": says("extract_vq"),
        "tools/llama/build_dataset.py": says("build_dataset"),
        "tools/llama/merge_lora.py": says("merge_lora"),
    }
    node = "import sys\n\nsys.path.insert(0, 'custom_nodes/ComfyUI-HunyuanVideoWrapper')\nfrom nodes import say\n"
    comfyui = {"main.py": node + serves, "requirements.txt": "", "custom_nodes/example_node.py.example": ""}
    trees = {"fish-speech": fish, "ComfyUI": comfyui, "ComfyUI-HunyuanVideoWrapper": {"nodes.py": _SAYS}}
    return {f"{tree}/{name}": text for tree, files in trees.items() for name, text in files.items()}


#: Libraries that the programs import, as far as they are asked for anything.
_LIBRARIES = {
    "transformers.py": """\
import torch


class AutoTokenizer:
    @staticmethod
    def from_pretrained(name):
        return lambda text: {"input_ids": [1, 2]}


class AutoModelForCausalLM:
    @staticmethod
    def from_pretrained(name, torch_dtype, attn_implementation):
        print("attention is", attn_implementation)
        return torch.nn.Linear(2, 2, dtype=torch_dtype)


class TrainingArguments:
    def __init__(self, folder, bf16, tf32, **more):
        print("bf16 is", bf16, "and tf32", tf32)


class Trainer:
    def __init__(self, *given, **more): ...
    def train(self): ...
""",
}
#: Programs that would need a network, a package manager, or several GPUs.
_PROGRAMS = {
    "git": 'for last; do case "$last" in http*) name=${last##*/}; to=$name;; *) to=$last;; esac; done\n'
    'mkdir -p "$to" && cp -r "$CLONES/$name/." "$to"',
    "pip": 'echo "pip $*"',
    "apt-get": 'echo "apt-get $*"',
    "unzip": "mkdir -p precision-fix",
    "hf": 'mkdir -p "$4" && cp "$CLONES/config.json" "$4"',
    "wget": 'printf "#!/bin/sh\\necho https://four-words.trycloudflare.com >&2\\nexec sleep 60\\n" > "$3"',
    "accelerate": 'echo "accelerate $*"; for last; do :; done; exec python "$last"',
    "python": 'exec "$PYTHON" "$@"',
    "precision-fix": 'exec "$PYTHON" -m precision_fix "$@"',
}
#: What the cells of a notebook must have printed.
SAYS = {
    "kaggle-comfyui.ipynb": [
        "Tesla T4",
        "precision-fix: no CUDA device is there to measure on",
        "custom_nodes/ComfyUI-HunyuanVideoWrapper/nodes.py: 1 place",
        "It runs.",
        "Open https://four-words.trycloudflare.com",
        "restored",
    ],
    "kaggle-fish-speech.ipynb": [
        "inference torch.float32 torch.float32 2 --text Hello from a T4.",
        "codec torch.float32 torch.float32 2 -i output/codes_0.npy",
        "It runs.",
        "Open https://four-words.trycloudflare.com",
        "Training a LoRA of rank 8, batch 1, 512 positions",
        "> storage 8.57 0.14 3.32 12.02 fits",
        "train torch.float32 torch.float32 2 --config-name text2semantic_finetune",
        "--lora-weight results/mine/checkpoints/step_200.ckpt",
        "fish-speech/fish_speech/train.py:",
        "restored",
    ],
    "colab-trainer.ipynb": [
        "Tesla T4",
        '+        NAME, torch_dtype=torch.float32, attn_implementation="sdpa"',
        "accelerate launch --mixed_precision no project/train.py",
        "attention is sdpa",
        "bf16 is False and tf32 False",
        "parameters are torch.float32",
        "accelerate launch --mixed_precision bf16 project/train.py",
    ],
}
#: And what a file that it leaves behind says.
LEAVES = {"kaggle-comfyui.ipynb": ("comfyui.log", "server torch.float32 torch.float32 2 --port ")}


def machine(folder: Path, port: int) -> dict[str, str]:
    """The environment of a kernel on a machine with two T4s, and with the stand-ins before everything else."""
    programs, libraries, drivers = folder / "bin", folder / "lib", folder / "drivers"
    plant(
        folder / "clones",
        {name: text.encode() for name, text in clones(port).items()} | {"config.json": json.dumps(S2).encode()},
    )
    plant(libraries, {name: text.encode() for name, text in _LIBRARIES.items()})
    for name, text in _PROGRAMS.items():
        plant(programs, {name: f"#!/bin/bash\n{text}\n".encode()})
        (programs / name).chmod(0o755)
    drivers.mkdir()
    compiler = shutil.which("cc")
    assert compiler, "it takes a C compiler, for the fake driver library"
    build = [compiler, str(DRIVERS / "fake_nvml.c"), "-shared", "-fPIC", "-o", str(drivers / "libnvidia-ml.so.1")]
    subprocess.run(build, check=True)
    # So that a real driver of the machine stays out of it.
    (drivers / "libcuda.so.1").write_bytes(b"")
    return {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join((str(libraries), str(REPOSITORY))),
        "LD_LIBRARY_PATH": str(drivers),
        "PYTHON": sys.executable,
        "CLONES": str(folder / "clones"),
        "IPYTHONDIR": str(folder / "ipython"),
        "HOME": str(folder),
        "FAKE_NVML_DEVICES": f"{cards.T4};{cards.T4_SECOND}",
        "FAKE_NVML_LOG": str(folder / "nvml.log"),
    }


def executed(path: Path, folder: Path, port: int) -> str:
    """What all cells print, and what is left behind in the folder."""
    book: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(book)
    for cell in book.cells:
        cell.source = cell.source.replace("/kaggle/working", str(folder)).replace("PORT = ", f"PORT = {port} or ")
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    parts = []
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error", output
            parts.append(str(output.get("text") or output.get("data", {}).get("text/plain", "")))
    return "".join(parts)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def check(name: str) -> str:
    """What a notebook printed. Raises AssertionError where it did not say what it must."""
    with tempfile.TemporaryDirectory() as scratch:
        work, port = Path(scratch, "work"), free_port()
        work.mkdir()
        kept = dict(os.environ)
        os.environ.update(machine(Path(scratch), port))
        try:
            printed = executed(EXAMPLES / name, work, port)
        finally:
            os.environ.clear()
            os.environ.update(kept)
        # The width of a table and where a line is broken are another test's.
        plain = " ".join(re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", printed).split())
        for said in SAYS[name]:
            assert " ".join(said.split()) in plain, f"{name} did not say {said!r}:\n{printed}"
        if name in LEAVES:
            file, said = LEAVES[name]
            left = (work / file).read_text()
            assert said in left, f"{file} of {name} does not say {said!r}:\n{left}"
        clone, brought = clones(port), {}
        for path in work.rglob("*"):
            relative = path.relative_to(work).as_posix().replace("ComfyUI/custom_nodes/ComfyUI-", "ComfyUI-")
            if relative in clone:
                brought[relative] = path.read_text()
        assert all(text == clone[file] for file, text in brought.items()), f"{name} did not take all of it back"
        assert len(brought) >= 3 or name.startswith("colab"), f"{name} cloned nothing"
    return printed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", default=sorted(SAYS))
    parser.add_argument("-v", "--verbose", action="store_true", help="print what they print")
    given = parser.parse_args()
    assert {path.name for path in EXAMPLES.glob("*.ipynb")} == set(SAYS), "each notebook has its line in SAYS"
    for name in given.names:
        start = time.perf_counter()
        printed = check(name)
        print(f"{name}: {time.perf_counter() - start:.1f} s", flush=True)
        if given.verbose:
            print(printed)


if __name__ == "__main__":
    main()
