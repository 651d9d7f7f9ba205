"""What a config of transformers or diffusers describes: how it is built, what it is given, and what that takes."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import torch
from torch import nn

from precision_fix.runtime.tracker import Tracker

#: What pipelines of diffusers give: words of a prompt, and pixels of a latent.
_WORDS, _PIXELS = 512, 8


def subject(config: dict[str, Any]) -> Any:
    """What is to be built, None where no installed library knows it."""
    name = config.get("_class_name")
    if isinstance(name, str):
        cls = getattr(import_module("diffusers"), name, None)
        return Diffusion(config, cls) if inspect.isclass(cls) and hasattr(cls, "from_config") else None
    kind = config.get("model_type")
    t: Any = import_module("transformers")

    if not isinstance(kind, str) or kind not in t.CONFIG_MAPPING:
        return None
    made = t.AutoConfig.for_model(kind, **{k: v for k, v in config.items() if k not in ("model_type", "auto_map")})
    both = ((t.AutoModelForSpeechSeq2Seq, Speech), (t.AutoModelForSeq2SeqLM, Translator))
    ways = both if made.is_encoder_decoder else ((t.AutoModelForCausalLM, Causal),)
    for auto, cls in (*ways, (t.AutoModel, Subject)):
        if type(made) in auto._model_mapping:
            return cls(made, auto)
    return None


class Subject:
    """A model whose weights are counted. `sizes` are those that it has where nobody says."""

    kind = ""
    runs = False

    def __init__(self, config: Any, maker: Any) -> None:
        self.config, self.maker = config, maker
        self.sizes: dict[str, int] = {}

    def build(self, dtype: torch.dtype) -> Any:
        """The model, in one dtype."""
        self.config.dtype = dtype
        return self.maker.from_config(self.config, dtype=dtype)

    def measure(self, model: Any, run: dict[str, Any]) -> dict[str, int]:
        """Bytes: `busy` of what comes and goes at most, `gradients` of it, `trained` and `cached` numbers.

        `early` are the bytes before there is a cache, where an encoder comes first.
        """
        model.zero_grad()
        trained = [each for each in model.parameters() if each.requires_grad]
        if run["train"]:
            model.train()
            if run["checkpointing"]:
                self.checkpoint(model)
        else:
            model.eval()
        self._width = run["bytes"]
        kept = [*model.parameters(), *model.buffers()]
        tracker = Tracker(kept, casts=4 if run["cast"] else 0)
        if not run["train"]:
            with torch.no_grad(), tracker:
                start = tracker.reset()
                cached = self.run(model, run, tracker)
            return {"busy": tracker.peak - start, "gradients": 0, "trained": 0, **cached}
        with tracker:
            start = tracker.reset()
            self.loss(model, run).backward()
        grads = sum(each.grad.nbytes for each in trained if each.grad is not None)
        return {
            "busy": tracker.peak - start,
            "gradients": grads,
            "trained": sum(p.numel() for p in trained),
            "cached": 0,
        }

    def prepare(self, model: Any, run: dict[str, Any]) -> Any:
        """The model with what is to be trained in it."""
        if run["train"] == "lora":
            _adapt(model, run)
        elif not run["train"]:
            model.requires_grad_(False)
        return model

    def checkpoint(self, model: Any) -> None:
        model.gradient_checkpointing_enable()
        if hasattr(model, "enable_input_require_grads"):
            model.enable_input_require_grads()

    def run(self, model: Any, run: dict[str, Any], tracker: Tracker) -> dict[str, int]:
        raise NotImplementedError

    def loss(self, model: Any, run: dict[str, Any]) -> Any:
        raise NotImplementedError


def _ids(*shape: int) -> torch.Tensor:
    return torch.zeros(shape, dtype=torch.long)


def _cached(past: Any) -> int:
    numel = 0
    for part in [getattr(past, "self_attention_cache", past), getattr(past, "cross_attention_cache", None)]:
        for layer in getattr(part, "layers", ()):
            numel += sum(t.numel() for t in (layer.keys, layer.values) if t is not None)
    return numel


class Causal(Subject):
    """A decoder: a prompt, then one more token."""

    kind = "causal"
    runs = True

    def __init__(self, config: Any, maker: Any) -> None:
        super().__init__(config, maker)
        text = config.get_text_config()
        most = int(getattr(text, "max_position_embeddings", 4096) or 4096)
        self.sizes = {"length": min(most, 4096), "most": most}

    def run(self, model: Any, run: dict[str, Any], tracker: Tracker) -> dict[str, int]:
        out = model(input_ids=_ids(run["batch"], run["length"]), use_cache=True, logits_to_keep=1)
        past = out.past_key_values
        # In float32 for the sampler, and what that makes of it.
        chosen = out.logits[:, -1].float().clone().softmax(-1)
        del out, chosen
        numel = _cached(past)
        peak, tracker.peak = tracker.peak - numel * self._width, tracker.now
        start = tracker.now
        model(input_ids=_ids(run["batch"], 1), past_key_values=past, use_cache=True, logits_to_keep=1)
        step = tracker.peak - start
        tracker.peak = max(peak, tracker.now - _cached(past) * self._width + step)
        return {"cached": numel}

    def loss(self, model: Any, run: dict[str, Any]) -> Any:
        ids = _ids(run["batch"], run["length"])
        self._out = model(input_ids=ids, labels=ids, use_cache=False)
        return self._out.loss


class Translator(Subject):
    """An encoder and a decoder of words."""

    kind = "seq2seq"
    runs = True

    def __init__(self, config: Any, maker: Any) -> None:
        super().__init__(config, maker)
        most = int(getattr(config, "max_position_embeddings", 0) or getattr(config, "n_positions", 0) or 512)
        self.sizes = {"length": min(most, 4096), "most": most}
        if getattr(config, "decoder_start_token_id", None) is None:
            config.decoder_start_token_id = 0

    def given(self, run: dict[str, Any]) -> dict[str, torch.Tensor]:
        return {"input_ids": _ids(run["batch"], run["length"])}

    def run(self, model: Any, run: dict[str, Any], tracker: Tracker) -> dict[str, int]:
        start = tracker.now
        encoded = model.get_encoder()(**self.given(run))
        first = tracker.peak - start
        tracker.peak = tracker.now
        out = model(encoder_outputs=encoded, decoder_input_ids=_ids(run["batch"], 1), use_cache=True)
        past = out.past_key_values
        del out
        tracker.peak -= _cached(past) * self._width
        cross = sum(t.numel() for layer in past.cross_attention_cache.layers for t in (layer.keys, layer.values))
        own = (_cached(past) - cross) * run["length"]
        del encoded
        return {"cached": cross + own, "early": first}

    def loss(self, model: Any, run: dict[str, Any]) -> Any:
        length = min(run["length"], self.sizes["most"])
        self._out = model(**self.given(run), labels=_ids(run["batch"], length))
        return self._out.loss


class Speech(Translator):
    """Whisper and its kin: half a minute of sound, and the words of it."""

    kind = "speech"

    def __init__(self, config: Any, maker: Any) -> None:
        super().__init__(config, maker)
        most = int(getattr(config, "max_target_positions", 448))
        self.sizes = {"length": most, "most": most}

    def given(self, run: dict[str, Any]) -> dict[str, torch.Tensor]:
        frames = 2 * int(self.config.max_source_positions)
        dtype = torch.bfloat16 if self._width == 2 else torch.float32
        return {"input_features": torch.zeros(run["batch"], self.config.num_mel_bins, frames, dtype=dtype)}


class Diffusion(Subject):
    """A model that takes noise away, by the names of what it is given."""

    kind = "diffusion"

    def __init__(self, config: Any, maker: Any) -> None:
        super().__init__(config, maker)
        names = inspect.signature(maker.forward).parameters
        self.flat = "img_ids" in names
        self.video = maker.__name__.startswith("Wan")
        self.runs = self.flat or self.video or maker.__name__ == "UNet2DConditionModel"
        size = config.get("sample_size")
        side = size * _PIXELS if isinstance(size, int) else 1024 if self.flat else 480
        self.sizes = {"width": side, "height": side, "frames": 81 if self.video else 1}

    def build(self, dtype: torch.dtype) -> Any:
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            return self.maker.from_config({k: v for k, v in self.config.items() if k != "_diffusers_version"})
        finally:
            torch.set_default_dtype(before)

    def checkpoint(self, model: Any) -> None:
        model.enable_gradient_checkpointing()

    def inputs(self, model: Any, run: dict[str, Any]) -> dict[str, Any]:
        dtype = torch.bfloat16 if self._width == 2 else torch.float32
        config, batch = model.config, run["batch"]
        high, wide = max(1, run["height"] // _PIXELS), max(1, run["width"] // _PIXELS)

        def some(*shape: int) -> torch.Tensor:
            return torch.zeros(shape, dtype=dtype)

        if self.flat:
            rows = max(1, (high // 2) * (wide // 2))
            given: dict[str, Any] = {
                "hidden_states": some(batch, rows, config.in_channels),
                "encoder_hidden_states": some(batch, _WORDS, config.joint_attention_dim),
                "pooled_projections": some(batch, config.pooled_projection_dim),
                "timestep": some(batch),
                "img_ids": some(rows, 3),
                "txt_ids": some(_WORDS, 3),
            }
            return {**given, "guidance": some(batch)} if config.guidance_embeds else given
        if self.video:
            frames = (run["frames"] - 1) // 4 + 1
            words = some(batch, _WORDS, config.text_dim)
            sample = some(batch, config.in_channels, frames, high, wide)
            return {"hidden_states": sample, "timestep": _ids(batch), "encoder_hidden_states": words}
        # With guidance a pipeline gives the prompt and its absence at once.
        batch *= 1 if run["train"] else 2
        given = {
            "sample": some(batch, config.in_channels, high, wide),
            "timestep": torch.ones((), dtype=torch.long),
            "encoder_hidden_states": some(batch, 77, config.cross_attention_dim),
        }
        if config.addition_embed_type == "text_time":
            ids = 6 * config.addition_time_embed_dim
            pooled = config.projection_class_embeddings_input_dim - ids
            given["added_cond_kwargs"] = {"text_embeds": some(batch, pooled), "time_ids": some(batch, 6)}
        return given

    def run(self, model: Any, run: dict[str, Any], tracker: Tracker) -> dict[str, int]:
        model(**self.inputs(model, run), return_dict=False)
        return {"cached": 0}

    def loss(self, model: Any, run: dict[str, Any]) -> Any:
        (out,) = model(**self.inputs(model, run), return_dict=False)
        return nn.functional.mse_loss(out.float(), torch.zeros_like(out, dtype=torch.float32))


_NAMES = {
    "q": ("q_proj", "to_q", "q"),
    "k": ("k_proj", "to_k", "k"),
    "v": ("v_proj", "to_v", "v"),
    "o": ("o_proj", "out_proj", "to_out.0", "o"),
    "gate": ("gate_proj", "wi_0"),
    "up": ("up_proj", "fc1", "wi", "wi_1", "ff.net.0.proj", "ffn.net.0.proj"),
    "down": ("down_proj", "fc2", "wo", "ff.net.2", "ffn.net.2"),
}


class _Adapted(nn.Module):
    """A linear layer with an adapter, as peft's."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base
        self.a = nn.Linear(base.in_features, rank, bias=False)
        self.b = nn.Linear(rank, base.out_features, bias=False)

    @property
    def weight(self) -> Any:
        return self.base.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result = self.base(x)
        found: torch.Tensor = (result + self.b(self.a(x.to(self.a.weight.dtype))) * 2.0).to(result.dtype)
        return found


def _adapt(model: Any, run: dict[str, Any]) -> None:
    model.requires_grad_(False)
    wanted = run["targets"] or (("q", "k", "v", "o") if "unet" in type(model).__name__.lower() else tuple(_NAMES))
    ends = tuple(name for key in wanted for name in _NAMES[key])
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and any(path == end or path.endswith(f".{end}") for end in ends):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, _Adapted(module, run["rank"]))
