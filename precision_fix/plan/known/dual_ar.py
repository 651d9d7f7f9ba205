"""fish-speech's DualAR: a slow decoder along time, a fast one along the codebooks, both with caches of full length.

Source: `BaseModelArgs` and the classes in fish_speech/models/text2semantic/llama.py, github.com/fishaudio/fish-speech.
Its config is flat (`model_type` "dual_ar", OpenAudio S1), or nested in `text_config` and
`audio_decoder_config` ("fish_qwen3_omni", S2). `setup_caches` makes caches for `max_seq_len` positions before the first
token, whatever the request; `causal_mask` is a square of it, a byte each.
"""

from __future__ import annotations

from dataclasses import replace

from precision_fix.plan.config import Config
from precision_fix.plan.known import Dial, Known
from precision_fix.plan.ledger import Held
from precision_fix.plan.operators import Mode, Operators
from precision_fix.plan.use import Use

# docs/en/finetune.md and configs/text2semantic_finetune.yaml: max_length 4096.
_TRAINED = 4096
_PROMPT = 1024


def knows(config: Config) -> DualAr | None:
    """The flat form has `n_fast_layer` or names itself; the nested one an `audio_decoder_config` with codebooks."""
    fast = config.part("audio_decoder_config")
    text = config.part("text_config")
    if fast is not None and text is not None and "num_codebooks" in fast and "n_layer" in text:
        return DualAr(config, text, _Fast(fast, ""), fast.whole("vocab_size"))
    if config.name("model_type") == "dual_ar" and "n_layer" in config:
        return DualAr(config, config, _Fast(config, "fast_"), config.whole("codebook_size", default=160))
    return None


class _Fast:
    """The keys of the fast decoder, under their prefix; what is missing is as in the slow one."""

    def __init__(self, config: Config, prefix: str) -> None:
        self.config, self.prefix = config, prefix

    def whole(self, key: str, default: int) -> int:
        return _heads(self.config, self.prefix + key, default)

    def has(self, key: str, default: bool) -> bool:
        return self.config.has(self.prefix + key, default)

    @property
    def layers(self) -> int:
        return self.config.whole("n_fast_layer" if self.prefix else "n_layer", default=4, most=10_000)


def _heads(config: Config, key: str, default: int) -> int:
    # -1 is as many as there are heads.
    return default if config.data.get(key) == -1 else config.whole(key, default=default)


class _Block:
    """The numbers of one kind of layer."""

    def __init__(self, dim: int, heads: int, groups: int, head: int, inner: int, *, normed: bool, biased: bool) -> None:
        self.dim, self.heads, self.groups, self.head, self.inner = dim, heads, groups, head, inner
        self.normed, self.biased = normed, biased
        self.q, self.kv = heads * head, groups * head


class DualAr(Known):
    """The model; `slow` and `fast` are its blocks."""

    def __init__(self, config: Config, text: Config, fast: _Fast, codes: int) -> None:
        super().__init__(config, "dual_ar")
        self.dim = text.whole("dim", default=4096)
        self.layers = text.whole("n_layer", most=10_000)
        heads = text.whole("n_head", default=32)
        groups = _heads(text, "n_local_heads", heads)
        head = text.whole("head_dim", default=max(1, self.dim // heads) if text is not config else 64)
        inner = text.whole("intermediate_size", default=-(-(8 * self.dim // 3) // 256) * 256)
        normed, biased = text.has("attention_qk_norm"), text.has("attention_qkv_bias")
        self.slow = _Block(self.dim, heads, groups, head, inner, normed=normed, biased=biased)
        self.fast = _Block(
            fast.whole("dim", self.dim),
            fast.whole("n_head", heads),
            fast.whole("n_local_heads", groups),
            fast.whole("head_dim", head),
            fast.whole("intermediate_size", inner),
            normed=fast.has("attention_qk_norm", normed),
            biased=fast.has("attention_qkv_bias", biased),
        )
        self.fast_layers = fast.layers
        self.words = text.whole("vocab_size", default=32000)
        self.codes = codes
        self.books = fast.config.whole("num_codebooks", default=4, most=1024)
        self.tied = text.has("tie_word_embeddings", True)
        self.positions = text.whole("max_seq_len", default=2048)
        self.dials = (Dial("length", "position", f"{text.where}max_seq_len", self.positions),)
        self._weigh()

    def _weigh(self) -> None:
        self.weight("embeddings.weight", self.words, self.dim)
        self.weight("codebook_embeddings.weight", self.codes * self.books, self.dim)
        for name, block, count in (("layers", self.slow, self.layers), ("fast_layers", self.fast, self.fast_layers)):
            for at in range(count):
                self._block(f"{name}.{at}", block)
        self.weight("norm.weight", self.dim)
        if not self.tied:
            self.weight("output.weight", self.words, self.dim)
        if self.fast.dim != self.dim:
            self.weight("fast_project_in.weight", self.fast.dim, self.dim)
        self.weight("fast_embeddings.weight", self.codes, self.fast.dim)
        self.weight("fast_norm.weight", self.fast.dim)
        self.weight("fast_output.weight", self.codes, self.fast.dim)

    def _block(self, name: str, block: _Block) -> None:
        self.weight(f"{name}.attention.wqkv.weight", block.q + 2 * block.kv, block.dim)
        if block.biased:
            self.weight(f"{name}.attention.wqkv.bias", block.q + 2 * block.kv)
        self.weight(f"{name}.attention.wo.weight", block.dim, block.q)
        if block.normed:
            self.weight(f"{name}.attention.qk_norm.weight", 2, block.head)
        for number in (1, 2, 3):
            self.weight(f"{name}.feed_forward.w{number}.weight", block.inner, block.dim)
        self.weight(f"{name}.norms", 2, block.dim)

    def dials_of(self, use: Use) -> tuple[Dial, ...]:
        # Training takes its own length, and a batch; generating has a batch of 1.
        recipe = "fish_speech/configs/text2semantic_finetune.yaml"
        training = (
            Dial("length", "position", "max_length", file=recipe),
            Dial("batch", "sequence", "data.batch_size", file=recipe),
        )
        return training if use.train else self.dials

    def at(self, use: Use) -> Use:
        usual = min(self.positions, _TRAINED) if use.train else self.positions
        return replace(use, length=use.length or usual)

    def cached(self, use: Use) -> int:
        if use.train:
            return 0
        # `find_multiple(max_seq_len, 8)`; the batch is always 1.
        length = -(-(use.length or 1) // 8) * 8
        slow = 2 * self.layers * self.slow.kv * length
        return slow + 2 * self.fast_layers * self.fast.kv * self.books

    def kept(self, use: Use) -> int:
        # Training gives its own max_length to the model; the rotary table is bfloat16 in both.
        length = use.length or 1
        return length * length + 2 * length * self.slow.head

    def trained(self, use: Use) -> int:
        if use.train != "lora":
            return super().trained(use)
        return sum(use.rank * (inside + outside) for inside, outside in self._adapted(use))

    def _adapted(self, use: Use) -> list[tuple[int, int]]:
        """Sizes of the pairs of adapters: of both decoders' layers and, as its recipe has it, tables and outputs."""
        every = not use.targets
        pairs = []
        for block, count in ((self.slow, self.layers), (self.fast, self.fast_layers)):
            attention = [(block.dim, block.q + 2 * block.kv), (block.q, block.dim)]
            feed = [(block.dim, block.inner)] * 3
            pairs += (attention if every or {"q", "k", "v", "o"} & {*use.targets} else []) * count
            pairs += (feed if every or {"gate", "up", "down"} & {*use.targets} else []) * count
        if every:
            output = (self.codes, self.fast.dim)
            pairs += [(self.words, self.dim), (self.codes * self.books, self.dim), output, output]
            pairs += [] if self.tied else [(self.words, self.dim)]
        return pairs

    def busy(self, use: Use, mode: Mode) -> tuple[int, int]:
        if use.train:
            return self._training(use, mode)
        peaks = []
        length = use.length or 1
        for rows, plain in ((min(length, _PROMPT), False), (1, True)):
            ops = Operators.of(use, mode)
            # What each codebook adds stays until the end of the call, and so do their sum and what comes of it.
            embeds = ops.hold(rows * self.dim * (self.books + 2))
            x = ops.hold(rows * self.dim)
            mask = ops.hold(rows * length, 1)
            x = self._layer(ops, x, rows, self.slow, length, plain=plain)
            del mask
            last = ops.rms_norm(x, self.dim, self.dim)
            logits = ops.linear(last, 1, self.dim, self.words)
            # Sorted, its positions, the running sums of its softmax, and twice what is left of them.
            more = [ops.hold(logits.numel, width) for width in (mode.width, 8, mode.width, mode.width, mode.width)]
            del more, last, logits, x, embeds
            peaks.append(ops.ledger.peak)
        return max(peaks), 0

    def _layer(self, ops: Operators, x: Held, rows: int, block: _Block, length: int, *, plain: bool) -> Held:
        """`length`: the positions of the caches, 0 in training; `plain`: attention that keeps its scores."""
        dim, q_dim, kv_dim = block.dim, block.q, block.kv
        h = ops.rms_norm(x, rows * dim, dim)
        qkv = ops.linear(h, rows, dim, q_dim + 2 * kv_dim, "q")
        q, k = self._turned(ops, qkv, rows * q_dim, block), self._turned(ops, qkv, rows * kv_dim, block)
        k, v = self._seen(ops, k, qkv, rows, block, length)
        # A mask of yes and no becomes one of numbers.
        scale = self._scored(ops, q, k, v, rows, block, length) if plain else [ops.hold(rows * length)]
        out = ops.attention(q, k, v, rows * q_dim)
        scale.clear()
        out = ops.linear(out, rows, q_dim, dim, "o")
        del q, k, v, qkv, h
        x = ops.plus(x, out)
        del out
        h = ops.rms_norm(x, rows * dim, dim)
        out = ops.gated(h, rows, dim, block.inner)
        return ops.plus(x, out)

    def _turned(self, ops: Operators, qkv: Held, numel: int, block: _Block) -> Held:
        """Normed, cast to float32, turned by halves, stacked, and cast back."""
        op = ops.ledger.op
        x = op([qkv], numel, saves=[qkv]) if block.normed else qkv
        if ops.mode.width != 4 or not block.normed:
            x = op([x], numel, width=4)
        parts = [op([x], numel // 2, width=4) for _ in range(3)]
        real = op(parts, numel // 2, width=4)
        both = op([real, *parts], numel, width=4)
        parts.clear()
        return both if ops.mode.width == 4 else op([both], numel)

    def _seen(self, ops: Operators, k: Held, v: Held, rows: int, block: _Block, length: int) -> tuple[Held, Held]:
        """Keys and values of all positions, once for each head, through a wide copy of a cache of two bytes."""
        narrow = length and ops.mode.caches != ops.mode.width
        pair = []
        for each in (k, v):
            wide = ops.hold(length * block.kv) if narrow else None
            pair.append(ops.ledger.op([each], (length or rows) * block.q))
            del wide
        return pair[0], pair[1]

    def _scored(self, ops: Operators, q: Held, k: Held, v: Held, rows: int, block: _Block, length: int) -> list[Held]:
        """PyTorch's plain attention: keys times their scale, the scores, their softmax; in float32 by copies."""
        seen = length or rows
        copies = [ops.hold(k.numel, 4), ops.hold(v.numel, 4)] if ops.mode.width != 4 else []
        return [*copies, ops.hold(k.numel, 4), *(ops.hold(rows * seen * block.heads, 4) for _ in range(3))]

    def _training(self, use: Use, mode: Mode) -> tuple[int, int]:
        ends = () if use.targets else ("codes",) if self.tied else ("words", "codes")
        ops = Operators.of(use, mode, ends, within=use.train == "lora")
        length = use.length or 1
        rows = use.batch * length
        x = ops.embedding(rows * self.dim, self.words * self.dim)
        for _ in range(self.layers):
            x = ops.layer(x, lambda start: self._layer(ops, start, rows, self.slow, 0, plain=False))
        slow = ops.rms_norm(x, rows * self.dim, self.dim)
        if "words" in ends:
            logits = ops.linear(slow, rows, self.dim, self.words, "words")
        else:
            logits = ops.output(slow, rows, self.dim, self.words, shared=self.tied)
        # Each position is a row of the fast decoder, of as many steps as there are codebooks.
        steps = rows * self.books
        y = ops.ledger.op([slow], steps * self.fast.dim)
        for _ in range(self.fast_layers):
            y = ops.layer(y, lambda start: self._fast(ops, start, rows))
        last = ops.rms_norm(y, steps * self.fast.dim, self.fast.dim)
        codes = ops.linear(last, steps, self.fast.dim, self.codes, "codes")
        del last, y
        losses = [ops.cross_entropy(logits), ops.cross_entropy(codes)]
        ops.ledger.backward(ops.ledger.op(losses, 1))
        return ops.ledger.peak, ops.ledger.gradients_at_peak

    def _fast(self, ops: Operators, x: Held, rows: int) -> Held:
        """A layer of the fast decoder, whose attention keeps its scores: of a few codebooks each."""
        return self._layer(ops, x, rows * self.books, self.fast, 0, plain=False)
