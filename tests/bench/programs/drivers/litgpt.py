"""litgpt: `generate` from a bfloat16 checkpoint, and two steps of `pretrain`, each with its default precision.

Run as on a CPU: on a GPU that says it has no bfloat16 litgpt's own default is float16. Replaced: nothing; its tokenizer
has a hundred words, its data are random.
"""

import sys
import tempfile
from pathlib import Path

import torch
from drive import as_bfloat16
from litgpt import GPT, Config, pretrain
from litgpt.args import EvalArgs, TrainArgs
from litgpt.data import DataModule
from litgpt.generate import base
from litgpt.utils import save_config
from tokenizers import Tokenizer, models, pre_tokenizers

LIBRARIES = ["lightning", "torchmetrics", "transformers"]
DEVICE = ["cpu"]
CONFIG = Config(
    name="tiny", block_size=32, vocab_size=100, padded_vocab_size=128, n_layer=2, n_head=4, n_query_groups=2, n_embd=32,
    rotary_percentage=1.0, norm_class_name="RMSNorm", mlp_class_name="LLaMAMLP", intermediate_size=64, bias=False,
)  # fmt: skip


def generation():
    folder = Path(tempfile.mkdtemp())
    save_config(CONFIG, folder)
    torch.save(as_bfloat16(GPT(CONFIG).state_dict()), folder / "lit_model.pth")
    words = Tokenizer(models.WordLevel({"?": 0} | {f"w{at}": at for at in range(1, 100)}, "?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        '{"bos_token": "w1", "eos_token": "w2", "add_bos_token": false,"tokenizer_class": "PreTrainedTokenizerFast"}'
    )
    seen, real = [], base.generate

    def generate(model, *found, **more):
        seen.append((model, real(model, *found, **more)))
        return seen[-1][1]

    base.generate = generate
    base.main(folder, prompt="w3 w4 w5", max_new_tokens=8)
    with torch.inference_mode():
        return {"model": seen[0][0], "tokens": seen[0][1], "logits": seen[0][0](seen[0][1][None, :1], torch.arange(1))}


class Data(DataModule):
    def connect(self, **_):
        pass

    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.randint(0, 100, (8, 17)), batch_size=2)

    val_dataloader = train_dataloader


def pretraining():
    folder = Path(tempfile.mkdtemp())
    sys.argv = ["litgpt", "pretrain", "tiny"]  # it is read again where the options are saved
    pretrain.setup(
        "tiny", CONFIG, folder, data=Data(), logger_name="csv", devices=1, eval=EvalArgs(interval=1000, max_iters=1),
        train=TrainArgs(
            save_interval=None, global_batch_size=2, micro_batch_size=2, max_tokens=64, max_norm=1.0, min_lr=4e-5,
            lr_warmup_steps=1, tie_embeddings=False, max_seq_length=16,
        ),
    )  # fmt: skip
    return {"weights": torch.load(folder / "final/lit_model.pth", weights_only=False)["model"]}


PARTS = [generation, pretraining]
