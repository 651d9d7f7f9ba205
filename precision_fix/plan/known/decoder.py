"""Decoders as transformers has them: LLaMA, Mistral, Qwen, Gemma, Phi, GPT and their kin, by their config's keys."""

from __future__ import annotations

from dataclasses import replace

from precision_fix.plan.config import Config
from precision_fix.plan.known import Dial, Known
from precision_fix.plan.ledger import Held
from precision_fix.plan.operators import Mode, Operators
from precision_fix.plan.use import Use

#: What a prompt and its answer are taken to have where nobody says.
USUAL = 4096
_CLOSE = 64


def knows(config: Config) -> Decoder | None:
    """A decoder has words, layers and heads, and no encoder."""
    text = config.part("text_config") or config
    said = any(key in text for key in ("num_attention_heads", "n_head")) and "vocab_size" in text
    layers = "num_hidden_layers" in text or "n_layer" in text
    other = any(key in config for key in ("encoder_layers", "num_decoder_layers", "audio_decoder_config"))
    if not (said and layers) or other or config.has("is_encoder_decoder") or text.name("model_type") == "fish_qwen3":
        return None
    return Decoder(config, text)


class Decoder(Known):
    """Numbers as transformers names them; `gated` is told by RMSNorm, which came with gates."""

    def __init__(self, config: Config, text: Config) -> None:
        super().__init__(config, "decoder", spreads=True)
        self.dim = text.whole("hidden_size", "n_embd", "d_model")
        self.layers = text.whole("num_hidden_layers", "n_layer", most=10_000)
        self.heads = text.whole("num_attention_heads", "n_head")
        self.groups = text.whole("num_key_value_heads", "num_kv_heads", default=self.heads)
        self.head = text.whole("head_dim", default=max(1, self.dim // self.heads))
        self.inner = text.whole("intermediate_size", "n_inner", "ffn_dim", default=4 * self.dim)
        self.words = text.whole("vocab_size")
        self.positions = text.whole("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", default=USUAL)
        self.gated = "rms_norm_eps" in text
        self.experts = text.whole("num_local_experts", "num_experts", "n_routed_experts", default=0, least=0)
        self.chosen = text.whole("num_experts_per_tok", default=1) if self.experts else 1
        self.expert = text.whole("moe_intermediate_size", default=self.inner) if self.experts else self.inner
        self.tied = text.has("tie_word_embeddings", config.has("tie_word_embeddings"))
        # transformers runs a model whose scores are capped without a kernel.
        self.capped = bool(text.data.get("attn_logit_softcapping", text.name("model_type") == "gemma2"))
        self.window = self._window(text)
        where = text.where
        key = next((k for k in ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len") if k in text), "")
        self.dials = (
            Dial("length", "position", where + key if key else "", self.positions if key else None),
            Dial("batch", "sequence"),
        )
        self._weigh()
        if "tie_word_embeddings" not in text and "tie_word_embeddings" not in config:
            self.notes = ("its config does not say whether words share their table with the output: counted as two",)

    def _window(self, text: Config) -> tuple[int, ...]:
        """How far each layer looks back; 0 is all the way."""
        width = text.whole("sliding_window", default=0, least=0)
        kinds = text.data.get("layer_types")
        if isinstance(kinds, list) and len(kinds) == self.layers:
            return tuple(width if kind == "sliding_attention" else 0 for kind in kinds)
        if width and "use_sliding_window" in text and not text.has("use_sliding_window"):
            width = 0
        every = text.whole("sliding_window_pattern", default=1)
        return tuple(0 if every > 1 and (at + 1) % every == 0 else width for at in range(self.layers))

    def _weigh(self) -> None:
        dim, q, kv = self.dim, self.heads * self.head, self.groups * self.head
        self.weight("model.embed_tokens.weight", self.words, dim)
        for at in range(self.layers):
            name = f"model.layers.{at}"
            for part, shape in (("q", (q, dim)), ("k", (kv, dim)), ("v", (kv, dim)), ("o", (dim, q))):
                self.weight(f"{name}.self_attn.{part}_proj.weight", *shape)
            self.weight(f"{name}.norms", 2, dim)
            each = 3 if self.gated else 2
            for number in range(each):
                self.weight(f"{name}.mlp.{number}.weight", max(1, self.experts), self.expert, dim)
        if not self.tied:
            self.weight("lm_head.weight", self.words, dim)

    def at(self, use: Use) -> Use:
        return replace(use, length=use.length or min(self.positions, USUAL))

    def cached(self, use: Use) -> int:
        if use.train:
            return 0
        length = use.length or 1
        seen = sum(min(length, window) if window else length for window in self.window)
        return 2 * use.batch * self.groups * self.head * seen

    def trained(self, use: Use) -> int:
        if use.train != "lora":
            return super().trained(use)
        q, kv, dim, rank = self.heads * self.head, self.groups * self.head, self.dim, use.rank
        sizes = {"q": dim + q, "k": dim + kv, "v": dim + kv, "o": dim + q}
        sizes.update(dict.fromkeys(("gate", "up", "down"), dim + self.expert))
        wanted = use.targets or tuple(sizes)
        return self.layers * rank * sum(sizes[name] for name in wanted if self.gated or name != "gate")

    def busy(self, use: Use, mode: Mode) -> tuple[int, int]:
        if use.train:
            return self._training(use, mode)
        peaks = []
        for rows in (use.length or 1, 1):
            ops = Operators.of(use, mode)
            self._generating(ops, use, rows)
            peaks.append(ops.ledger.peak)
        return max(peaks), 0

    def _generating(self, ops: Operators, use: Use, rows: int) -> None:
        """A prompt of `rows` positions, or one more token."""
        count = use.batch * rows
        x = ops.hold(count * self.dim)
        embeds = x
        tables = [ops.hold(2 * rows * self.head)]
        if self.capped:
            # Masks, of which there is one for each kind of layer.
            tables += [ops.hold(use.batch * rows * rows) for _ in set(self.window)]
        for _ in range(min(2, self.layers)):
            x = self._layer(ops, x, count, use if rows == 1 else None)
        x = ops.rms_norm(x, count * self.dim, self.dim)
        logits = ops.linear(x, use.batch, self.dim, self.words)
        # The last position's, again in float32, and what a sampler makes of them.
        more = [ops.hold(logits.numel, 4) for _ in range(3)]
        del more, embeds, tables

    def _layer(self, ops: Operators, x: Held, count: int, decoding: Use | None) -> Held:
        dim, q_dim, kv_dim = self.dim, self.heads * self.head, self.groups * self.head
        h = ops.rms_norm(x, count * dim, dim) if self.gated else ops.layer_norm(x, count * dim, dim)
        q = ops.linear(h, count, dim, q_dim, "q")
        k = ops.linear(h, count, dim, kv_dim, "k")
        v = ops.linear(h, count, dim, kv_dim, "v")
        if self.gated:
            q = ops.rotary(q, q.numel)
            k = ops.rotary(k, k.numel)
        extra = self._grown(ops, decoding) if decoding else None
        scores = None
        if self.capped:
            seen = (ops.use.length or 1) * count * self.heads
            out, scores = ops.eager_attention(q, k, v, count * q_dim, seen, shared=kv_dim < q_dim)
        else:
            out = ops.attention(q, k, v, count * q_dim)
        if not ops.use.train:
            del extra
        out = ops.linear(out, count, q_dim, dim, "o")
        del q, k, v, h
        x = ops.plus(x, out)
        del out
        h = ops.rms_norm(x, count * dim, dim) if self.gated else ops.layer_norm(x, count * dim, dim)
        out = self._feed(ops, h, count)
        # The layer's frame holds its scores to its end.
        del scores
        return ops.plus(x, out)

    def _feed(self, ops: Operators, h: Held, count: int) -> Held:
        run = ops.gated if self.gated else ops.plain
        if not self.experts:
            return run(h, count, self.dim, self.inner)
        share = count * self.chosen
        given = ops.ledger.op([h], share * self.dim)
        return ops.ledger.op([run(given, share, self.dim, self.expert)], count * self.dim)

    def _grown(self, ops: Operators, use: Use) -> list[Held]:
        """A layer's keys and values, joined to the new ones, and read wide where they are kept in two bytes."""
        numel = use.batch * self.groups * self.head * (use.length or 1)
        ops.ledger.hold(numel, ops.mode.caches)
        if ops.mode.caches == ops.mode.width:
            return []
        return [ops.hold(numel), ops.hold(numel)]

    def _training(self, use: Use, mode: Mode) -> tuple[int, int]:
        few = min(self.layers, _CLOSE)
        peak, gradients = self._steps(use, mode, few)
        if self.layers > few:
            before, less = self._steps(use, mode, few - 1)
            peak += (self.layers - few) * (peak - before)
            gradients += (self.layers - few) * (gradients - less)
        return peak, gradients

    def _steps(self, use: Use, mode: Mode, layers: int) -> tuple[int, int]:
        ops = Operators.of(use, mode)
        count = use.batch * (use.length or 1)
        table = self.words * self.dim
        x = ops.embedding(count * self.dim, table)
        tables = ops.hold(2 * (use.length or 1) * self.head)
        for _ in range(layers):
            x = ops.layer(x, lambda start: self._layer(ops, start, count, None))
        x = ops.rms_norm(x, count * self.dim, self.dim)
        logits = ops.output(x, count, self.dim, self.words, shared=self.tied)
        del x
        ops.ledger.backward(ops.cross_entropy(logits))
        del tables
        return ops.ledger.peak, ops.ledger.gradients_at_peak
