"""What torchao's `quantize_` is given: weights in eight bits move, those in four and what does not show are told."""

from __future__ import annotations

import pytest

from precision_fix.model.finding import Action
from tests.tools import findings, rewritten

# Above the function, and the call in it; `{}` is the config.
SEEN = {
    "an argument": ("", "quantize_(model, {})"),
    "a keyword": ("", "quantize_(model, config={})"),
    "a name": ("KIND = {}", "quantize_(model, KIND)"),
    "a name of two values": ("KIND = Int8WeightOnlyConfig()\nif BIG:\n    KIND = {}", "quantize_(model, KIND)"),
    "an arm": ("KIND = Int8WeightOnlyConfig() if BIG else {}", "quantize_(model, KIND)"),
    "the other arm": ("KIND = {} if BIG else Int8WeightOnlyConfig()", "quantize_(model, KIND)"),
    "a table": ("KINDS = {{'a': Int8WeightOnlyConfig(), 'b': {}}}", "quantize_(model, KINDS[name])"),
    "a table of names": ("KIND = {}\nKINDS = {{'b': KIND}}", "quantize_(model, KINDS[name])"),
    "an attribute": ("class A:\n    def __init__(self):\n        self.kind = {}", "quantize_(model, name.kind)"),
    "one of a table": (
        "KINDS = {{'b': {}}}\nclass A:\n    def __init__(self, n):\n        self.kind = KINDS[n]",
        "quantize_(model, name.kind)",
    ),
}
UNSEEN = {
    "an attribute of something else": ("name.kind = {}", "quantize_(model, name.kind)"),
    "a table that is not written out": ("KINDS = dict(b={})", "quantize_(model, KINDS[name])"),
    "a table that is bound twice": ("KINDS = {{'b': {}}}\nKINDS = more(KINDS)", "quantize_(model, KINDS[name])"),
    "a table of a table": ("KINDS = {{'b': {}}}", "quantize_(model, KINDS[name][0])"),
    "six names": ("A = {}\nB = A\nC = B\nD = C\nE = D\nF = E", "quantize_(model, F)"),
    "a circle": ("A = {}\nif BIG:\n    A = B\nB = A", "quantize_(model, A)"),
    "nothing": ("{}", "quantize_(model)"),
}
PROGRAM = """\
import torch
from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig, quantize_
{}

def load(name):
    model = Model.load("a", torch_dtype=torch.bfloat16)
    {}
    return model
"""


def becomes(way: tuple[str, str], config: str) -> str:
    """ "moved", or the beginning of what is told."""
    text = PROGRAM.format(*(part.format(config) for part in way))
    told = [each.reason for each in findings(text) if each.action is Action.MANUAL]
    return " ".join(told[0].split()[:5]) if told else "moved" if "bfloat16" not in rewritten(text) else ""


@pytest.mark.parametrize("way", SEEN)
def test_a_config_that_shows(way: str) -> None:
    assert becomes(SEEN[way], "Int8WeightOnlyConfig()") == "moved"
    assert becomes(SEEN[way], "Int4WeightOnlyConfig()") == "the tensor goes to an"
    assert becomes(SEEN[way], "made()") == "what torchao makes of it"


@pytest.mark.parametrize("way", UNSEEN)
def test_a_config_that_does_not_show(way: str) -> None:
    for config in ("Int8WeightOnlyConfig()", "made()"):
        assert becomes(UNSEEN[way], config) == "what torchao makes of it"
