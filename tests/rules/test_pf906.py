"""PF906: the checkpoint decides."""

from __future__ import annotations

import pytest

from tests.tools import check_not_a_site, check_reported


@pytest.mark.parametrize(
    "line",
    [
        'm = load(x, torch_dtype="auto")',
        "m = load(x, dtype='auto')",
        "m.load_state_dict(sd, strict=False, assign=True)",
    ],
)
def test_pf906_the_checkpoint_decides(line: str) -> None:
    check_reported(line + "\n", code="PF906")


@pytest.mark.parametrize(
    "text",
    [
        "model.load_state_dict(sd, assign=True)\nmodel = model.to(device=device, dtype=precision)\n",
        "model.load_state_dict(sd, assign=True)\nmodel.type(dtype)\n",
        "self.net.load_state_dict(sd, strict=False, assign=True)\nself.net.eval().to(dtype)\n",
        "with torch.no_grad():\n    m.load_state_dict(read(f), assign=True)\nm.float()\n",
        "s = read(f)\nfor k, v in s.items():\n    v = v.to(dtype)\n    s[k] = v\nm.load_state_dict(s, assign=True)\n",
        "sd = {k: v.to(dtype) for k, v in read(f).items()}\nm.load_state_dict(sd, assign=True)\n",
        "m.load_state_dict({k: v.float() for k, v in sd.items()}, assign=True)\n",
    ],
)
def test_pf906_the_program_casts_by_itself(text: str) -> None:
    check_not_a_site(f"import torch\n{text}")


@pytest.mark.parametrize(
    "text",
    [
        "model.load_state_dict(sd, assign=True)\nmodel = model.to(device)\n",
        "model.load_state_dict(sd, assign=True)\nother.to(dtype=precision)\n",
        "model.to(dtype)\nmodel.load_state_dict(sd, assign=True)\n",
        "model.load_state_dict(sd, assign=True)\nif half:\n    model.half()\n",
        "def f(model):\n    model.load_state_dict(sd, assign=True)\ndef g(model):\n    model.float()\n",
        "sd = {k: v.to(device) for k, v in read(f).items()}\nm.load_state_dict(sd, assign=True)\n",
        "sd = load_file(f)\nfor k, v in sd.items():\n    sd[k] = v.contiguous()\nm.load_state_dict(sd, assign=True)\n",
    ],
)
def test_pf906_the_program_does_not_cast(text: str) -> None:
    check_reported(f"import torch\n{text}", code="PF906")


@pytest.mark.parametrize("line", ['m = load(x, device="auto")', "m.load_state_dict(sd, assign=False)"])
def test_pf906_nothing_to_say(line: str) -> None:
    check_not_a_site(line + "\n")
