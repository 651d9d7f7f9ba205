"""openvla: two steps of its VLA training, through its DDP strategy with the strategy's own defaults and its metrics.

Replaced: the VLM (two layers and a head, in its place in the strategy); DDP, by a module that passes calls on; the
tokenizer. TensorFlow, dlimp and wandb are imported by the project and not used here.
"""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch
from prismatic.training import VLAMetrics
from prismatic.training.strategies import ddp
from prismatic.util.data_utils import PaddedCollatorForActionPrediction
from prismatic.vla.action_tokenizer import ActionTokenizer

LIBRARIES = ["transformers", "timm"]
ABSENT = ["tensorflow", "tensorflow_datasets", "tensorflow_graphics", "dlimp", "wandb"]
VOCABULARY = 300


class Model(torch.nn.Module):
    """What the strategy asks of a VLM."""

    all_module_keys = trainable_module_keys = ("body", "head")

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(VOCABULARY, 16)
        self.vision = torch.nn.Linear(12, 16)
        self.body, self.head = torch.nn.Linear(16, 16), torch.nn.Linear(16, VOCABULARY)
        self.llm_backbone = SimpleNamespace(transformer_layer_cls=torch.nn.Linear)
        self.vision_backbone = SimpleNamespace(num_patches=1)

    def forward(self, input_ids, attention_mask, pixel_values, labels):
        words = torch.cat([self.vision(pixel_values)[:, None], self.embed(input_ids)], dim=1)
        logits = self.head(torch.relu(self.body(words)))
        flat = logits[:, 1:-1].flatten(0, 1).float()
        loss = torch.nn.functional.cross_entropy(flat, labels[:, 1:].flatten(), ignore_index=-100)
        return SimpleNamespace(loss=loss, logits=logits)


class Batches(torch.utils.data.IterableDataset):
    def __len__(self):
        return 4

    def __iter__(self):
        for _ in range(4):
            ids = torch.randint(100, VOCABULARY, (6,))
            yield {"input_ids": ids, "labels": ids.clone(), "pixel_values": torch.randn(12), "dataset_name": b"toy"}


def vla_training():
    ddp.DDP = lambda model, **_: model
    model = Model()
    strategy = ddp.DDPStrategy(
        model, device_id=0, stage="vla-train", epochs=1, max_steps=None, global_batch_size=2,
        per_device_batch_size=2, learning_rate=0.01, weight_decay=0.0, max_grad_norm=1.0,
        lr_scheduler_type="constant", warmup_ratio=0.0, enable_gradient_checkpointing=False,
    )  # fmt: skip
    folder = Path(tempfile.mkdtemp())
    strategy.run_setup(folder, n_train_examples=4)
    metrics = VLAMetrics(("jsonl",), "run", folder, {})
    collator = PaddedCollatorForActionPrediction(model_max_length=32, pad_token_id=0)
    actions = ActionTokenizer(SimpleNamespace(vocab_size=VOCABULARY))
    strategy.run_vla_training(Batches(), collator, actions, metrics)
    return {"weights": dict(model.state_dict()), "loss": list(metrics.state["loss"])}


PARTS = [vla_training]
