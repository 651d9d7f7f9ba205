"""nanotron: the dtype of its smallest example's config, its float32 gradient accumulator and its optimizer, two steps.

Replaced: the model (two layers); its Llama needs flash-attn.
"""

import torch
from nanotron.config import get_config_from_file
from nanotron.optim.gradient_accumulator import FP32GradientAccumulator
from nanotron.optim.named_optimizer import NamedOptimizer
from nanotron.optim.optimizer_from_gradient_accumulator import OptimizerFromGradientAccumulator
from nanotron.parallel.parameters import NanotronParameter

LIBRARIES = ["transformers", "datasets"]
SOURCES = ["src"]
ABSENT = ["flash_attn", "datatrove", "triton"]


def accumulator():
    config = get_config_from_file("examples/config_tiny_llama.yaml")
    assert config.optimizer.accumulate_grad_in_fp32
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Linear(16, 4))
    model.to(device="cuda", dtype=config.model.dtype)
    for layer in (model[0], model[2]):
        layer.weight, layer.bias = NanotronParameter(layer.weight), NanotronParameter(layer.bias)
    optimizer = OptimizerFromGradientAccumulator(
        gradient_accumulator_builder=FP32GradientAccumulator,
        named_params_or_groups=model.named_parameters(),
        optimizer_builder=lambda groups: NamedOptimizer(groups, lambda params: torch.optim.AdamW(params, lr=0.01)),
    )
    losses = []
    for _ in range(2):
        for _ in range(2):
            loss = model(torch.randn(5, 8, device="cuda").to(config.model.dtype)).float().square().mean()
            optimizer.gradient_accumulator.backward(loss)
            losses.append(loss.detach())
        optimizer.step()
        optimizer.zero_grad()
    return {"weights": dict(model.state_dict()), "losses": losses}


PARTS = [accumulator]
