"""transformers' caches under PRECISION_FIX_STORAGE: two bytes, whatever is generated with them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from precision_fix import runtime
from precision_fix.runtime.audit import audit
from precision_fix.runtime.storage.kept import Kept, plain
from tests.runtime.frameworks.test_storage_transformers import gemma
from tests.runtime.frameworks.test_transformers import tiny

transformers = pytest.importorskip("transformers")

TOKENS = torch.arange(1, 9).view(1, 8)
WINDOW = 4


def windowed() -> Any:
    """Every other layer has a window."""
    return gemma(sliding_window=WINDOW, layer_types=["sliding_attention", "full_attention"])


MODELS = {"llama": tiny, "gemma": windowed}


def saved(make: Any, folder: Any) -> str:
    """A checkpoint in bfloat16, as models are published."""
    torch.manual_seed(0)
    make().to(torch.bfloat16).save_pretrained(folder)
    return str(folder)


def load(folder: str, dtype: str) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


WAYS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beams": {"num_beams": 3, "num_return_sequences": 2},
    "static": {"cache_implementation": "static", "disable_compile": True},
    "sampled": {"do_sample": True, "top_k": 5, "num_return_sequences": 2},
    "lookup": {"prompt_lookup_num_tokens": 2},
    "offloaded": {"cache_implementation": "offloaded"} if torch.cuda.is_available() else {"num_beams": 2},
}


def states(cache: Any) -> list[Any]:
    """The keys and values of all layers."""
    layers = cache.layers if hasattr(cache, "layers") else []
    return [held for layer in layers for held in (layer.keys, layer.values) if held is not None]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_generate_keeps_two_bytes_and_is_closer_to_float32_than_bfloat16(make: Any, way: Any, tmp_path: Any) -> None:
    folder = saved(make, tmp_path)
    options = {"max_new_tokens": 8, "min_new_tokens": 8, "return_dict_in_generate": True, "output_logits": True, **way}

    def generate(model: Any) -> Any:
        torch.manual_seed(0)
        return model.generate(TOKENS, **options)

    expected = generate(load(folder, "float32"))
    low = generate(load(folder, "bfloat16"))
    with runtime.enabled(storage="bfloat16"):
        with audit() as seen:
            got = generate(load(folder, "bfloat16"))
        held = states(got.past_key_values)
        assert held and {type(each) for each in held} == {Kept}
        assert {plain(each).dtype for each in held} == {torch.bfloat16}
        hits = [site for site in seen.report().sites if site.computes]
        assert hits == [], seen.report().text()
    if "do_sample" in way or "num_beams" in way:  # where a token differs, so does all that follows
        assert torch.equal(got.logits[0], expected.logits[0])
        return

    def error(other: Any) -> float:
        pairs = zip(other.logits, expected.logits, strict=False)
        return max(float((a.float() - b).abs().max()) for a, b in pairs)

    if torch.equal(got.sequences, expected.sequences) and torch.equal(low.sequences, expected.sequences):
        assert 0 < error(got) < error(low)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_steps_that_are_forced_are_closer_to_float32_than_bfloat16_and_the_first_is_float32(
    make: Any, tmp_path: Any
) -> None:
    folder = saved(make, tmp_path)

    def steps(model: Any) -> list[torch.Tensor]:
        torch.manual_seed(0)
        cache, given = None, []
        with torch.no_grad():
            for token in (TOKENS, *torch.randint(0, 64, (6, 1, 1))):
                out = model(token, past_key_values=cache, use_cache=True)
                cache = out.past_key_values
                given.append(out.logits.float())
        return given

    expected, low = steps(load(folder, "float32")), steps(load(folder, "bfloat16"))
    with runtime.enabled(storage="bfloat16"):
        got = steps(load(folder, "bfloat16"))
    assert torch.equal(got[0], expected[0])

    def error(other: list[torch.Tensor]) -> float:
        return float((torch.cat(other, 1) - torch.cat(expected, 1)).pow(2).mean().sqrt())

    assert 0 < error(got) < error(low) / 2


def test_a_cache_is_reordered_cropped_repeated_copied_and_reset_as_it_is(tmp_path: Any) -> None:
    folder = saved(tiny, tmp_path)
    with runtime.enabled(storage="bfloat16"), torch.no_grad():
        model = load(folder, "bfloat16")
        cache = model(TOKENS, use_cache=True).past_key_values
        cache.batch_repeat_interleave(3)
        cache.reorder_cache(torch.tensor([2, 0, 1]))
        cache.crop(-2)
        cache.batch_select_indices(torch.tensor([0, 2]))
        other = copy.deepcopy(cache)
        for each in (cache, other):
            assert {type(held) for held in states(each)} == {Kept}
            assert states(each)[0].shape[0] == 2 and each.get_seq_length() == 6
        first = model(TOKENS[:, :2].repeat(2, 1), past_key_values=cache).logits
        assert torch.equal(first, model(TOKENS[:, :2].repeat(2, 1), past_key_values=other).logits)
        cache.reset()
        model(TOKENS, past_key_values=cache)
        assert {type(held) for held in states(cache)} == {Kept}


def test_assisted_decoding(tmp_path: Any) -> None:
    folder = saved(tiny, tmp_path)
    with runtime.enabled(storage="bfloat16"):
        model, small = load(folder, "bfloat16"), load(folder, "bfloat16")
        alone = model.generate(TOKENS, max_new_tokens=8, do_sample=False)
        helped = model.generate(TOKENS, max_new_tokens=8, do_sample=False, assistant_model=small)
    assert torch.equal(alone, helped)


def test_caches_of_other_models_and_training_are_float32(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved(tiny, tmp_path)
    with runtime.enabled(storage="bfloat16"):
        out = load(folder, "float32")(TOKENS, use_cache=True)
        assert {type(held) for held in states(out.past_key_values)} == {torch.Tensor}
        model = load(folder, "bfloat16").requires_grad_(False)
        embeds = torch.rand(1, 4, model.config.hidden_size, requires_grad=True)
        model(inputs_embeds=embeds, use_cache=True).logits.sum().backward()
        assert embeds.grad is not None and float(embeds.grad.abs().sum()) > 0
    monkeypatch.setenv("PRECISION_FIX_STORAGE_CACHES", "float32")
    with runtime.enabled(storage="bfloat16"), torch.no_grad():
        out = load(folder, "bfloat16")(TOKENS, use_cache=True)
        assert {(type(held), held.dtype) for held in states(out.past_key_values)} == {(torch.Tensor, torch.float32)}
