"""minimind: trainer/train_pretrain.py with its own tokenizer on two lines of text, its own options but for sizes.

Replaced: nothing.
"""

import json
import os
import runpy
import sys
import tempfile
from pathlib import Path

LIBRARIES = ["transformers", "datasets"]
SMALL = "--epochs 1 --batch_size 1 --num_workers 0 --accumulation_steps 1 --hidden_size 64 --num_hidden_layers 2"


def training_step():
    os.chdir("trainer")
    folder = tempfile.mkdtemp()
    lines = [json.dumps({"text": text * 4}) for text in ("a cat that walks on the wall. ", "rain over the hills. ")]
    Path(folder, "text.jsonl").write_text("\n".join(lines))
    where = ["--data_path", f"{folder}/text.jsonl", "--save_dir", folder, "--max_seq_len", "32"]
    sys.argv = ["train_pretrain.py", *SMALL.split(), *where]
    script = runpy.run_path("train_pretrain.py", run_name="__main__")
    return {"weights": dict(script["model"].state_dict())}


PARTS = [training_step]
