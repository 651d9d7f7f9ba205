"""A tree of notebooks and configs, beside ripgrep and the parsing of what mentions bfloat16: `make bench-configs`.

What is allowed is twice ripgrep's time and once that of a process of Python that parses the files which ripgrep names,
as their libraries do: `nbformat.read`, `yaml.safe_load`, `json.load`, `tomllib.load`. A second line compares with the
fastest parsers there are for the same files (`json` for notebooks, libyaml), whose process ends before the command line
has started. All run in turn, after one run that is not counted; medians over the rounds.
"""

from __future__ import annotations

import base64
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench.speed import OURS, run

FILES = 2_000
MENTIONS = 8  # one file in so many
ROUNDS = 9

_IMPORTS = [
    "import os",
    "import torch",
    "import numpy as np",
    "from datasets import load_dataset",
    "%matplotlib inline",
]
_BLOCK = """\
class Block(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = torch.nn.LayerNorm(width)
        self.linear = torch.nn.Linear(width, width)

    def forward(self, x):
        return x + self.linear(self.norm(x))
"""
_CODE = [
    "!pip install -q transformers accelerate\n!nvidia-smi",
    "data = load_dataset('imdb', split='train')\nprint(data[0]['text'][:200])",
    "def collate(batch):\n    texts = [item['text'] for item in batch]\n    return tokenizer(texts, padding=True)\n",
    _BLOCK,
    "for batch in loader:\n    loss = model(**batch).loss\n    loss.backward()\n    optimizer.step()\n",
    "plt.plot(losses)\nplt.title('loss');",
    "%%time\noutputs = model.generate(**inputs, max_new_tokens=64)\ntokenizer.batch_decode(outputs)",
]
_MENTIONING = [
    "model = AutoModelForCausalLM.from_pretrained(name, torch_dtype=torch.bfloat16, device_map='auto')",
    "args = TrainingArguments('out', bf16=True, per_device_train_batch_size=4, learning_rate=2e-5)",
    "with torch.autocast('cuda', dtype=torch.bfloat16):\n    logits = model(x).logits",
    "!accelerate launch --mixed_precision bf16 train.py --epochs 3",
]
_TEXT = "the model reads a batch of text and gives back a loss which we plot for every step of the training"
_WORDS = _TEXT.split(" ")


def notebook(chance: random.Random, mention: bool) -> tuple[str, str]:
    """Some twenty cells, with text, pictures and prints, as Jupyter writes them."""
    sources = [*_IMPORTS, *chance.choices(_CODE, k=12)]
    if mention:
        sources.insert(chance.randrange(6, len(sources)), chance.choice(_MENTIONING))
    cells: list[object] = []
    for number, source in enumerate(sources):
        text = " ".join(chance.choices(_WORDS, k=60))
        cells.append({"cell_type": "markdown", "id": f"m{number}", "metadata": {}, "source": [f"## {number}\n", text]})
        outputs = _outputs(chance)
        lines = source.splitlines(keepends=True)
        code = {"cell_type": "code", "execution_count": number, "id": f"c{number}", "metadata": {}, "outputs": outputs}
        cells.append({**code, "source": lines})
    metadata = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    whole = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return ".ipynb", json.dumps(whole, indent=1) + "\n"


def _outputs(chance: random.Random) -> list[object]:
    kind = chance.random()
    if kind < 0.15:
        data = base64.encodebytes(chance.randbytes(chance.randrange(5_000, 40_000))).decode()
        return [
            {"output_type": "display_data", "metadata": {}, "data": {"image/png": data, "text/plain": ["<Figure>"]}}
        ]
    if kind < 0.6:
        lines = [f"step {step}: loss {chance.random():.4f}\n" for step in range(chance.randrange(1, 60))]
        return [{"output_type": "stream", "name": "stdout", "text": lines}]
    return []


def _settings(chance: random.Random, mention: bool) -> dict[str, object]:
    numbers = {f"{a}_{b}": chance.randrange(1000) for a in ("train", "eval", "data", "model") for b in _WORDS[:8]}
    precision: dict[str, object] = {"bf16": True, "torch_dtype": "bfloat16"} if mention else {"fp16": True}
    return {"output_dir": "out", "learning_rate": 2e-5, "per_device_train_batch_size": 4, **numbers, **precision}


def yaml(chance: random.Random, mention: bool) -> tuple[str, str]:
    lines = [f"{key}: {json.dumps(value)}" for key, value in _settings(chance, mention).items()]
    return ".yaml", "\n".join(["# How it is trained", *lines, "callbacks:", "  - name: save", "    every: 100", ""])


def jsons(chance: random.Random, mention: bool) -> tuple[str, str]:
    return ".json", json.dumps(_settings(chance, mention), indent=2)


def toml(chance: random.Random, mention: bool) -> tuple[str, str]:
    return ".toml", "\n".join(f"{key} = {json.dumps(value)}" for key, value in _settings(chance, mention).items())


_KINDS: tuple[Callable[[random.Random, bool], tuple[str, str]], ...] = (notebook, yaml, jsons, toml)
_SHARES = (0.5, 0.25, 0.2, 0.05)


def plant(folder: Path) -> int:
    """Write the tree; its size in bytes. The same for every run."""
    chance, size = random.Random(4), 0
    for number in range(FILES):
        place = folder / f"project_{number // 50}"
        place.mkdir(exist_ok=True)
        (make,) = chance.choices(_KINDS, _SHARES)
        suffix, text = make(chance, number % MENTIONS == 0)
        (place / f"file_{number}{suffix}").write_text(text)
        size += len(text)
    return size


_PARSE = """
import json, sys, yaml
fast = sys.argv[1] == "fast"
try:
    import tomllib
except ImportError:
    import tomli as tomllib
if not fast:
    import nbformat
for path in sys.argv[2:]:
    with open(path, encoding="utf-8") as file:
        if path.endswith(".yaml"):
            yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if fast else yaml.safe_load(file)
        elif path.endswith(".toml"):
            tomllib.loads(file.read())
        elif path.endswith(".ipynb") and not fast:
            nbformat.read(file, as_version=nbformat.NO_CONVERT)
        else:
            json.load(file)
"""


def main() -> int:
    """0 when the promise was kept, 1 otherwise."""
    with tempfile.TemporaryDirectory() as scratch:
        size = plant(Path(scratch))
        search = ["rg", "--files-with-matches", "-i", "bfloat16|bf16", scratch]
        mentioning = subprocess.run(search, capture_output=True, text=True, check=True).stdout.split()
        parse = [sys.executable, "-c", _PARSE]
        print(f"{FILES} files, {size / 2**20:.0f} MiB; {len(mentioning)} mention bfloat16")
        commands = ([*OURS, scratch], search, [*parse, "usual", *mentioning], [*parse, "fast", *mentioning])
        for command in commands:
            run(command)
        rounds = [[run(command) for command in commands] for _ in range(ROUNDS)]
    times = [[each[column][0] for each in rounds] for column in range(len(commands))]
    for name, column in zip(("precision-fix", "ripgrep", "parsing", "fastest parsing"), times, strict=True):
        print(f"{name:18}{statistics.median(column):8.3f} s")
    print(f"{'memory':18}{max(each[0][1] for each in rounds):8.0f} MiB")
    usual, fast = (
        statistics.median(us / (2 * rg + parsing) for us, rg, parsing in zip(*times[:2], column, strict=True))
        for column in times[2:]
    )
    print(f"precision-fix / (2 ripgrep + parsing) = {usual:.2f}, at most 1 is promised; {fast:.2f} with the fastest")
    return 0 if usual <= 1 else 1


if __name__ == "__main__":
    if shutil.which("rg") is None:
        sys.exit("ripgrep is not installed here: apt-get install ripgrep")
    sys.exit(main())
