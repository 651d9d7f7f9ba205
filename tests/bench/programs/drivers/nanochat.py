"""nanochat: a tiny GPT through its forward, one step of its trainer with its own optimizer, and its two generators.

Replaced: the tokenizer (its engine asks it for the ids of special tokens only).
"""

import torch
from drive import statement
from nanochat.engine import Engine
from nanochat.gpt import GPT, GPTConfig

LIBRARIES = ["transformers"]
PROMPT = [1, 2, 3, 4]


class Tokenizer:
    """Special tokens beyond the vocabulary: none is drawn."""

    def encode_special(self, text):
        return 1000

    def get_bos_token_id(self):
        return 1000


def gpt():
    """Made as scripts/base_train.py makes it; with random output projections, since it starts them at zero."""
    with torch.device("meta"):
        model = GPT(GPTConfig(sequence_len=16, vocab_size=64, n_layer=4, n_head=2, n_kv_head=2, n_embd=64))
    model.to_empty(device=torch.device("cuda"))
    model.init_weights()
    for block in model.transformer.h:
        torch.nn.init.normal_(block.attn.c_proj.weight, std=0.1)
        torch.nn.init.normal_(block.mlp.c_proj.weight, std=0.1)
    torch.nn.init.normal_(model.lm_head.weight, std=0.1)
    return model


def region(script):
    return statement(script, "autocast_ctx", torch=torch, device_type="cuda", nullcontext=None)


def forward():
    model = gpt()
    with torch.inference_mode(), region("scripts/base_eval.py"):
        return {"model": model, "logits": model(torch.tensor([PROMPT * 3]))}


def training_step():
    model = gpt()
    optimizer = model.setup_optimizer()
    inputs, targets = torch.randint(0, 64, (2, 2, 16)).unbind()
    with region("scripts/base_train.py"):
        loss = model(inputs, targets)
    loss.backward()
    grads = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    optimizer.step()
    return {"loss": loss.detach(), "grads": grads, "weights": model.state_dict()}


def generation():
    model = gpt()
    with region("scripts/base_eval.py"):
        slow = list(model.generate(PROMPT, max_tokens=8, temperature=0))
        fast = Engine(model, Tokenizer()).generate_batch(PROMPT, num_samples=2, max_tokens=8, temperature=1.0)
    return {"model": model, "slow": torch.tensor(slow), "fast": torch.tensor(fast[0])}


PARTS = [forward, training_step, generation]
