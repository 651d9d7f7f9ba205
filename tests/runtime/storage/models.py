"""A model with one of every layer whose weights are stored, and what it gives in float32."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any, cast

import torch
from torch import nn

BF16 = torch.bfloat16
F = nn.functional


class OwnNorm(nn.Module):
    """A norm as transformers, fish-speech and others write it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype)


class OwnLinear(nn.Linear):
    """A subclass that does not go through its parent's forward."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight.t()).view(*x.shape[:-1], -1)


class Every(nn.Module):
    """Tied embeddings, a parameter of its own, and weights that it reads out of its children."""

    own: torch.Tensor

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, width)
        self.bag = nn.EmbeddingBag(10, width)
        self.encoder = nn.TransformerEncoderLayer(width, 2, 32, batch_first=True)
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(2 * width, width)
        self.cell = nn.GRUCell(width, width)
        self.conv1, self.conv2, self.conv3 = (
            nn.Conv1d(width, width, 3, padding=1),
            nn.Conv2d(1, 1, 3),
            nn.Conv3d(1, 1, 1),
        )
        self.turned1, self.turned2 = nn.ConvTranspose1d(width, width, 3, padding=1), nn.ConvTranspose2d(1, 1, 3)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.RMSNorm(width), OwnNorm(width)])
        self.group, self.batch, self.instance = (
            nn.GroupNorm(4, width),
            nn.BatchNorm1d(width),
            nn.InstanceNorm1d(width, affine=True),
        )
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True, add_bias_kv=True)
        self.bilinear, self.linear, self.prelu = nn.Bilinear(width, width, width), OwnLinear(width, width), nn.PReLU()
        self.head = nn.Linear(width, 10)
        self.head.weight = self.embedding.weight
        self.own = nn.Parameter(torch.rand(width))
        self.register_buffer("scale", torch.rand(width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.encoder(self.embedding(tokens))
        x = self.gru(self.lstm(x)[0])[0]
        x = self.instance(self.group(self.batch(self.conv1(x.mT))))
        x = self.turned2(self.conv2(self.turned1(x)[:, None]))
        x = self.conv3(x[:, None])[:, 0, 0].mT
        for norm in self.norms:
            x = norm(x) + 0.5 * x
        x = x * self.own + self.scale
        x = x + self.attention(x, x, x)[0]
        x = self.prelu(self.linear(self.bilinear(x.contiguous(), x.contiguous()))) + self.bag(tokens)[:, None]
        y = self.cell(x[:, 0])
        logits = self.head(x) + F.linear(y, self.embedding.weight)[:, None]
        return cast(torch.Tensor, logits + (y @ self.embedding.weight.T)[:, None])


TOKENS = torch.tensor([[1, 2, 3, 4, 5], [9, 8, 7, 6, 5]])
#: The parameters of `Every` that are nobody's weights.
LEFT = ("own",)


def rounded(model: Any) -> Any:
    """A copy in float32, its numbers rounded to bfloat16 but for those of `LEFT`."""
    made = copy.deepcopy(model).float()
    for name, parameter in made.named_parameters():
        if name not in LEFT:
            parameter.data = parameter.data.to(BF16).float()
    return made


def outputs(model: Any, train: bool = False, grad: bool = False) -> torch.Tensor:
    """What it gives for `TOKENS`, with the same dropout each time."""
    torch.manual_seed(3)
    model.train(train)
    with torch.set_grad_enabled(grad):
        made = model(TOKENS)
    assert isinstance(made, torch.Tensor)
    return made


def dtypes(model: nn.Module) -> Counter[torch.dtype]:
    """How many parameters have which dtype."""
    return Counter(parameter.dtype for parameter in model.parameters())
