"""What a plan predicts beside what is measured, on a CPU: `python -m tests.bench.plan [NAME ...]`.

Each model is of real width and few layers, with random weights. It generates through transformers' own `generate`,
takes two training steps (peft's LoRA, AdamW), or is called as a pipeline does; a tracker counts all tensors' bytes.
Cases whose libraries are missing here are named and passed over: diffusers, peft, loralib, and with `--fish-speech
PATH` the classes of a checkout of fish-speech.

Of each: bytes measured and predicted, by arithmetic and as counted, and their ratio. The last lines say what is outside
of its bounds: 10 % for weights, caches, gradients and states, 25 % for activations, and 5 % below.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from typing import Any

import torch

from precision_fix import runtime
from precision_fix.plan.config import Config
from precision_fix.plan.counting import counted
from precision_fix.plan.known import Known, known
from precision_fix.plan.operators import Mode
from precision_fix.plan.use import Use
from precision_fix.plan.working import CACHES, PATCHED, STORAGE, parts_of
from precision_fix.runtime.storage.kept import plain
from precision_fix.runtime.tracker import Tracker

MIB = 2**20
BOUNDS = {"activations": 1.25, "busy": 1.25, "total": 1.25}
HEADS: dict[str, Any] = {"rms_norm_eps": 1e-5, "max_position_embeddings": 4096, "tie_word_embeddings": False}
#: Llama 3.2 1B, Qwen3 0.6B, Qwen2.5 0.5B and Gemma 2 2B, Whisper base, Flan-T5 small, Stable Diffusion 1.5, FLUX.1,
#: Wan 2.1 1.3B and s2-pro, by the widths of their published configs.
LLAMA = {
    **HEADS,
    "model_type": "llama",
    "hidden_size": 2048,
    "num_hidden_layers": 2,
    "num_attention_heads": 32,
    "head_dim": 64,
    "num_key_value_heads": 8,
    "intermediate_size": 8192,
    "vocab_size": 32064,
}
QWEN3 = {
    **HEADS,
    "model_type": "qwen3",
    "hidden_size": 1024,
    "num_hidden_layers": 3,
    "num_attention_heads": 16,
    "head_dim": 128,
    "num_key_value_heads": 8,
    "intermediate_size": 3072,
    "vocab_size": 32064,
}
QWEN2 = {
    **HEADS,
    "model_type": "qwen2",
    "hidden_size": 896,
    "num_hidden_layers": 4,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "intermediate_size": 4864,
    "vocab_size": 32064,
    "tie_word_embeddings": True,
}
GEMMA = {
    **HEADS,
    "model_type": "gemma2",
    "hidden_size": 2304,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "head_dim": 256,
    "num_key_value_heads": 4,
    "intermediate_size": 9216,
    "vocab_size": 32064,
    "tie_word_embeddings": True,
    "sliding_window": 4096,
}
WHISPER = {
    "model_type": "whisper",
    "d_model": 512,
    "encoder_layers": 6,
    "decoder_layers": 6,
    "vocab_size": 51865,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
    "decoder_ffn_dim": 2048,
    "num_mel_bins": 80,
    "max_source_positions": 1500,
    "max_target_positions": 448,
}
T5 = {
    "model_type": "t5",
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 1024,
    "num_layers": 8,
    "num_decoder_layers": 8,
    "num_heads": 6,
    "feed_forward_proj": "gated-gelu",
    "vocab_size": 32128,
    "tie_word_embeddings": False,
    "n_positions": 512,
    "decoder_start_token_id": 0,
}
UNET = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "norm_num_groups": 32,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
}
FLUX = {
    "_class_name": "FluxTransformer2DModel",
    "in_channels": 64,
    "num_layers": 1,
    "num_single_layers": 1,
    "attention_head_dim": 128,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "pooled_projection_dim": 768,
    "guidance_embeds": True,
    "axes_dims_rope": [16, 56, 56],
}
WAN = {
    "_class_name": "WanTransformer3DModel",
    "patch_size": [1, 2, 2],
    "num_attention_heads": 12,
    "attention_head_dim": 128,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 4096,
    "freq_dim": 256,
    "ffn_dim": 8960,
    "num_layers": 2,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
}
_BLOCK = {"dim": 2560, "n_head": 32, "n_local_heads": 8, "head_dim": 128, "intermediate_size": 9728}
DUAL_AR = {
    "model_type": "fish_qwen3_omni",
    "semantic_start_token_id": 100,
    "semantic_end_token_id": 4195,
    "text_config": {**_BLOCK, "n_layer": 2, "vocab_size": 32064, "max_seq_len": 4096, "attention_qk_norm": True},
    "audio_decoder_config": {**_BLOCK, "n_layer": 1, "vocab_size": 4096, "num_codebooks": 10},
}


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    config: dict[str, Any]
    mode: Mode
    use: Use
    needs: str = "transformers"


CASES = (
    Case("LLaMA, generating", LLAMA, PATCHED, Use(length=1024)),
    Case("LLaMA, storage, caches", LLAMA, CACHES, Use(length=1024, batch=4)),
    Case("LLaMA, LoRA", LLAMA, PATCHED, Use("lora", 1, 512), "peft"),
    Case("LLaMA, LoRA, storage", LLAMA, STORAGE, Use("lora", 1, 512), "peft"),
    Case("LLaMA, full", LLAMA, PATCHED, Use("full", 1, 256)),
    Case("Qwen3, generating", QWEN3, PATCHED, Use(length=2048)),
    Case("Qwen2, LoRA, no checkpoints", QWEN2, PATCHED, Use("lora", 2, 256, checkpointing=False), "peft"),
    Case("Qwen2, full", QWEN2, PATCHED, Use("full", 2, 256)),
    Case("Gemma 2, generating", GEMMA, PATCHED, Use(length=1024)),
    Case("Whisper, generating", WHISPER, PATCHED, Use(length=32)),
    Case("T5, full", T5, PATCHED, Use("full", 2, 256, checkpointing=False)),
    Case("SD UNet, 256 pixels", UNET, PATCHED, Use(width=256, height=256), "diffusers"),
    Case("Flux, 256 pixels", FLUX, PATCHED, Use(width=256, height=256), "diffusers"),
    Case("Wan, 240 pixels, 17 frames", WAN, PATCHED, Use(width=240, height=240, frames=17), "diffusers"),
    Case("DualAR, patched", DUAL_AR, PATCHED, Use(length=4096), "fish_speech"),
    Case("DualAR, storage, caches", DUAL_AR, CACHES, Use(length=4096), "fish_speech"),
    Case("DualAR, LoRA, storage", DUAL_AR, STORAGE, Use("lora", 1, 64), "loralib"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of names of cases")
    parser.add_argument("--fish-speech", help="a checkout of fish-speech")
    options = parser.parse_args()
    for name in ("torchvision", "torchaudio"):
        sys.modules[name] = None  # type: ignore[assignment]
    if options.fish_speech:
        sys.path.insert(0, options.fish_speech)
    outside: list[str] = []
    print(f"{'':29}{'part':12}{'measured':>10}{'arithmetic':>11}{'ratio':>7}{'counted':>10}{'ratio':>7}   (MiB)")
    for case in CASES:
        if options.names and not any(name.lower() in case.name.lower() for name in options.names):
            continue
        if importlib.util.find_spec(case.needs) is None:
            print(f"{case.name:29}needs {case.needs}")
            continue
        outside += show(case)
        gc.collect()
    print("\n".join(outside) or "all within their bounds")
    return bool(outside)


def show(case: Case) -> list[str]:
    """One case, as lines; what is outside of its bounds."""
    real = measure(case)
    config = Config(case.config)
    ways = {"arithmetic": known(config), "counted": counted(config, case.use)}
    said = {name: predicted(each, case) for name, each in ways.items() if each is not None and each.tensors}
    outside = []
    for at, (part, nbytes) in enumerate(real.items()):
        line = f"{case.name if not at else '':29}{part:12}{nbytes / MIB:10.1f}"
        for name, width in (("arithmetic", 11), ("counted", 10)):
            guess = said.get(name, {}).get(part)
            if guess is None:
                line += f"{'-':>{width}}{'':7}"
                continue
            ratio = guess / nbytes if nbytes else 1.0
            line += f"{guess / MIB:{width}.1f}{ratio:7.2f}"
            if nbytes > MIB and not 0.95 <= ratio <= BOUNDS.get(part, 1.10):
                outside.append(f"outside: {case.name}, {part}, {name}: {ratio:.2f}")
        print(line, flush=True)
    return outside


def predicted(about: Known, case: Case) -> dict[str, int]:
    use = about.at(case.use)
    parts = {part.name: part.nbytes for part in parts_of(about, use, case.mode, about.tensors, "", "")}
    parts["total"] = sum(parts.values())
    parts["busy"] = parts["activations"] + parts.get("gradients", 0)
    return parts


def measure(case: Case) -> dict[str, int]:
    """The bytes of each part at the highest moment."""
    stored = case.mode.casts
    with _runtime(stored, case.mode.caches):
        model = build(case, torch.bfloat16 if stored else torch.float32)
        tracker = Tracker([*model.parameters(), *_tables(model)])
        if case.use.train:
            return _trained(case, model, tracker)
        with torch.no_grad(), tracker:
            start = tracker.reset()
            cached = generate(case, model)
        weights = sum({each.untyped_storage()._cdata: each.nbytes for each in model.parameters()}.values())
        peak = tracker.peak - start
        rest = start - weights
        return {
            "weights": weights,
            "caches": cached,
            "activations": peak + rest - cached,
            "total": weights + peak + rest,
        }


@contextlib.contextmanager
def _runtime(stored: bool, caches: int) -> Any:
    if not stored:
        yield
        return
    os.environ["PRECISION_FIX_STORAGE_CACHES"] = "bfloat16" if caches == 2 else "float32"
    with runtime.enabled(storage="bfloat16"):
        yield


def _tables(model: Any) -> list[Any]:
    return [each for each in model.buffers() if "Kept" not in type(each).__name__]


def build(case: Case, dtype: torch.dtype) -> Any:
    torch.manual_seed(0)
    config = case.config
    if case.needs in _FISH:
        return _fish(case, dtype)
    if case.needs == "diffusers":
        library: Any = importlib.import_module("diffusers")
        return getattr(library, config["_class_name"]).from_config(config).to(dtype)
    t: Any = importlib.import_module("transformers")
    made = t.AutoConfig.for_model(**config)
    maker = {"whisper": t.AutoModelForSpeechSeq2Seq, "t5": t.AutoModelForSeq2SeqLM}
    model = maker.get(config["model_type"], t.AutoModelForCausalLM).from_config(made).to(dtype)
    if case.use.train == "lora":
        peft: Any = importlib.import_module("peft")
        every = [f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down")]
        model = peft.get_peft_model(model, peft.LoraConfig(r=case.use.rank, target_modules=every))
    if case.use.train and case.use.checkpointing:
        model.gradient_checkpointing_enable()
        model.enable_input_require_grads()
    return model


def _fish(case: Case, dtype: torch.dtype) -> Any:
    llama: Any = importlib.import_module("fish_speech.models.text2semantic.llama")
    config = llama.BaseModelArgs._from_fish_qwen3_omni(case.config)
    config.max_seq_len = case.use.length
    model = llama.DualARTransformer(config).to(dtype)
    if case.needs == "loralib":
        # Its recipe: adapters at embeddings and outputs too, made in float32, and the whole cast by Lightning.
        lora: Any = importlib.import_module("fish_speech.models.text2semantic.lora")
        lora.setup_lora(model, lora.LoraConfig(r=case.use.rank, lora_alpha=16, lora_dropout=0.01))
        return model.to(dtype)
    return model


#: What cases of fish-speech need.
_FISH = ("fish_speech", "loralib")


def generate(case: Case, model: Any) -> int:
    """Run it at its sizes; the bytes of its caches."""
    model.eval()
    use = case.use
    length = use.length or 0
    if case.needs in _FISH:
        return _speak(case, model, length)
    if case.needs == "diffusers":
        subjects: Any = importlib.import_module("precision_fix.runtime.subjects")
        subject = subjects.Diffusion(case.config, type(model))
        subject._width = 4
        run = {"batch": use.batch, "width": use.width, "height": use.height, "frames": use.frames or 1, "train": ""}
        model(**subject.inputs(model, run), return_dict=False)
        return 0
    given: dict[str, Any] = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}
    given.update(return_dict_in_generate=True, use_cache=True)
    if case.config["model_type"] == "whisper":
        given["decoder_input_ids"] = torch.ones(use.batch, 4, dtype=torch.long)
        given.update(max_new_tokens=length - 4, min_new_tokens=length - 4)
        given["input_features"] = torch.zeros(use.batch, case.config["num_mel_bins"], 3000)
        # Whisper's own `generate` copies the caches that it returns, twice; it returns none where none are asked for.
        generation: Any = importlib.import_module("transformers").GenerationMixin
        past = generation.generate(model, **given).past_key_values
        parts = [past.self_attention_cache, past.cross_attention_cache]
    else:
        past = model.generate(torch.ones(use.batch, length - 4, dtype=torch.long), **given).past_key_values
        parts = [past]
    layers = [layer for part in parts for layer in part.layers]
    return sum(plain(each).untyped_storage().nbytes() for layer in layers for each in (layer.keys, layer.values))


def _speak(case: Case, model: Any, length: int) -> int:
    """A prompt and two more tokens, as fish-speech's `generate` has them."""
    inference: Any = importlib.import_module("torch.nn.attention")
    books = model.config.num_codebooks
    with torch.device("cpu"):
        model.setup_caches(1, length, dtype=next(model.parameters()).dtype)
    prompt = torch.zeros(1, books + 1, 1020, dtype=torch.int)
    model.forward_generate(prompt, torch.arange(1020))
    for at in (1020, 1021):
        with inference.sdpa_kernel(inference.SDPBackend.MATH):
            out = model.forward_generate(prompt[:, :, :1], torch.tensor([at]))
        logits = out.logits[0, -1]
        ordered, places = torch.sort(logits, descending=True)
        sums = torch.cumsum(torch.softmax(ordered, -1), -1)
        del ordered, places, sums, logits, out
    caches = [each for name, each in model.named_buffers() if "kv_cache" in name]
    return sum(plain(each).untyped_storage().nbytes() for each in caches)


def _trained(case: Case, model: Any, tracker: Tracker) -> dict[str, int]:
    """Two steps; what the second takes."""
    model.train()
    trained = [each for each in model.parameters() if each.requires_grad]
    # As on a GPU, where several tensors are updated at a time.
    optimizer = torch.optim.AdamW(trained, lr=1e-5, foreach=True)
    batch, length = case.use.batch, case.use.length or 0
    highest, at_highest = 0, (0, 0)
    states = 0
    with tracker:
        for _ in range(2):
            start = tracker.reset() - states
            _loss(case, model, batch, length)
            gradients = sum(each.grad.nbytes for each in trained if each.grad is not None)
            before = tracker.peak - start
            tracker.reset()
            optimizer.step()
            states = sum(v.nbytes for s in optimizer.state.values() for v in s.values() if v.numel() > 1)
            highest, at_highest = before - states, (gradients, tracker.peak - start - states)
            optimizer.zero_grad()
    weights = start
    gradients, step = at_highest
    peak = max(highest, step)
    # The step's own temporaries are the highest where much is trained.
    apart = {"gradients": gradients, "activations": step - gradients}
    said = {"busy": highest} if step <= highest else apart
    return {"weights": weights, **said, "states": states, "total": weights + peak + states}


def _loss(case: Case, model: Any, batch: int, length: int) -> None:
    if case.needs in _FISH:
        books = model.config.num_codebooks
        inp = torch.full((batch, books + 1, length), 100, dtype=torch.long)
        inp[:, 1:] = 1
        mask = torch.zeros(batch, length, dtype=torch.bool)
        out = model(inp=inp, labels=inp, key_padding_mask=mask)
        words = torch.nn.functional.cross_entropy(
            out.token_logits.view(-1, out.token_logits.size(-1)), inp[:, 0].view(-1)
        )
        codes = out.codebook_logits.reshape(-1, out.codebook_logits.size(-1))
        loss: Any = words + torch.nn.functional.cross_entropy(codes, torch.ones(len(codes), dtype=torch.long))
        loss.backward()
        return
    ids = torch.ones(batch, length, dtype=torch.long)
    given = {"use_cache": False} if case.config["model_type"] != "t5" else {}
    out = model(input_ids=ids, labels=ids, **given)
    out.loss.backward()


if __name__ == "__main__":
    sys.exit(main())
