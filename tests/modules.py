"""Python modules made by hypothesis, out of statements whose fate is known: each as it is and as it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent

from hypothesis import strategies as st

# {t} is torch by the name it has in the module, {v} a name that nothing else in the module uses.
REWRITTEN: list[tuple[str, str]] = [
    ("{v} = x.to({t}.bfloat16)", "{v} = x.to({t}.float32)"),
    ("x . to ( {t} . bfloat16 , copy=True )", "x . to ( {t} . float32 , copy=True )"),
    ("{v} = {t}.zeros(2, dtype={t}.bfloat16)", "{v} = {t}.zeros(2, dtype={t}.float32)"),
    (
        "{v} = {t}.zeros(\n    2,  # two\n    dtype={t}.bfloat16,\n)",
        "{v} = {t}.zeros(\n    2,  # two\n    dtype={t}.float32,\n)",
    ),
    ("{v} = x.bfloat16().mul(y.bfloat16( ))", "{v} = x.float().mul(y.float( ))"),
    ("{v}['ключ'] = [1, {{'a': x.to({t}.bfloat16)}}]", "{v}['ключ'] = [1, {{'a': x.to({t}.float32)}}]"),
    ("{v} = 'é日本🙂', x.to({t}.bfloat16), 'ñ'", "{v} = 'é日本🙂', x.to({t}.float32), 'ñ'"),
    ("{v} = x.to( \\\n    {t}.bfloat16)", "{v} = x.to( \\\n    {t}.float32)"),
    ("x.to({t}.bfloat16); y.to({t}.bfloat16)", "x.to({t}.float32); y.to({t}.float32)"),
    ("{v} = lambda x: x.to({t}.bfloat16)", "{v} = lambda x: x.to({t}.float32)"),
    ("{v} = f'{{x!r:>{{w}}}}' + str(x.to({t}.bfloat16))", "{v} = f'{{x!r:>{{w}}}}' + str(x.to({t}.float32))"),
    ("{v} = {t}.bfloat16 if q else {t}.float16\nx.to({v})", "{v} = {t}.float32 if q else {t}.float16\nx.to({v})"),
    ("def {v}(x, dtype={t}.bfloat16): return x.to(dtype)", "def {v}(x, dtype={t}.float32): return x.to(dtype)"),
    (
        "with {t}.autocast('cuda', dtype={t}.bfloat16): pass",
        "with {t}.autocast('cuda', dtype={t}.float32, enabled=False): pass",
    ),
    ("with {t}.autocast('cuda', {t}.bfloat16, amp): pass", "with {t}.autocast('cuda', {t}.float32, False): pass"),
    (
        "with {t}.autocast(\n    'cuda',\n    enabled=amp,  # maybe\n    dtype={t}.bfloat16\n): pass",
        "with {t}.autocast(\n    'cuda',\n    enabled=False,  # maybe\n    dtype={t}.float32\n): pass",
    ),
    (
        "@{t}.autocast('cuda', dtype={t}.bfloat16)\ndef {v}(x): return x",
        "@{t}.autocast('cuda', dtype={t}.float32, enabled=False)\ndef {v}(x): return x",
    ),
    (
        "{v} = {{'bf16': {t}.bfloat16, 'x': {t}.half}}\nx.to({v}[k])",
        "{v} = {{'bf16': {t}.float32, 'x': {t}.half}}\nx.to({v}[k])",
    ),
    ("{v} = {t}.cuda.is_bf16_supported()", "{v} = False"),
    ("{v} = q and not({t}.cuda.is_bf16_supported())", "{v} = q and not(False)"),
    ("{v} = Auto.load('m', torch_dtype='bfloat16')", "{v} = Auto.load('m', torch_dtype='float32')"),
    ('{v} = Accelerator(mixed_precision="bf16")', '{v} = Accelerator(mixed_precision="no")'),
    ("{v} = Trainer(precision='bf16-mixed')", "{v} = Trainer(precision='32-true')"),
    ("{v} = Arguments(out, bf16=True, tf32=True)", "{v} = Arguments(out, bf16=False, tf32=False)"),
    ("class {v}:\n    use_bf16: bool = True", "class {v}:\n    use_bf16: bool = False"),
    (
        "{v} = x.to({t}.bfloat16)\nassert {v}.dtype == {t}.bfloat16, 'why'",
        "{v} = x.to({t}.float32)\nassert {v}.dtype == {t}.float32, 'why'",
    ),
    ("for {v} in [{t}.half, {t}.bfloat16]: x.to({v})", "for {v} in [{t}.half, {t}.float32]: x.to({v})"),
    ("{v} = {t}.cuda.BFloat16Tensor(3)", "{v} = {t}.cuda.FloatTensor(3)"),
]
KEPT: list[str] = [
    "if x.dtype == {t}.bfloat16: pass",
    "{v} = 2 if x.dtype in ({t}.half, {t}.bfloat16) else 4",
    "{v} = {{{t}.float32: 4, {t}.bfloat16: 2}}",
    "SUPPORTED_{v} = [{t}.float32, {t}.bfloat16]",
    "{v} = x.to({t}.bfloat16).to({t}.float32)",
    "{v} = x.bfloat16().view({t}.int16)",
    "match x.dtype:\n    case {t}.bfloat16: pass\n    case _: pass",
    "{v} = {{'F16': {t}.half, 'BF16': {t}.bfloat16}}",
    "if args.{v} == 'bf16': pass",
    "x._cast_to_bf16 = True",
    "{v} = jnp.zeros(2, dtype=jnp.bfloat16)",
    "{v} = jnp.bfloat16(1)",
    "def {v}():\n    '''x.to(torch.bfloat16), bf16=True'''",
    "'''\n# torch.bfloat16\ndef f(): pass\n'''",
    "{v} = 'x = y.to(torch.bfloat16)'",
    "# x = y.to(torch.bfloat16)",
    "{v} = getattr(torch_like, name)",
    "{v} = {t}.xpu.is_bf16_supported()",
    "for {v} in range(3): x.to({t}.half)",
    'def {v}(x):\n    """Nothing here."""\n    return [\n        x,\n]',
    "class {v}(Base):\n    def f(self): return 1\n    @property\n    def g(self): return 2\n",
    "async def {v}(*, x: int = 1): return await x",
    "{v} = (1 +\n2)",
    "{v} = '''\nclass X:\n'''",
    "try: pass\nexcept (OSError, ValueError) as {v}: raise",
]
NAMES = ["a", "_b1", "größe", "变量", "data", "𝐱", "ñ"]
HEADS = [
    "",
    '"""A module.\n\nimport torch, x.to(torch.bfloat16)\n"""\n',
    "#!/usr/bin/env python\n# bf16 all over\n",
    "from __future__ import annotations\n",
    "\f\n",
]
COMMENTS = ["", "", "", "  # why not", "  # ü 日本", "\t#torch.bfloat16", " ", "\t"]
BETWEEN = ["", "", "\n", "\n\n", "# bfloat16 is short\n", "\f\n", "  \n\t\n"]


@dataclass(frozen=True)
class Example:
    """A module as it is, and as it becomes."""

    before: str
    after: str


def _with_comment(statement: str, comment: str) -> str:
    """A comment behind a statement of one line."""
    return statement if "\n" in statement or statement.startswith("#") else statement + comment


@st.composite
def _statement(draw: st.DrawFn, torch: str, kept_by_comment: bool) -> Example:
    name = f"{draw(st.sampled_from(NAMES))}_{draw(st.integers(0, 10**9))}"
    if draw(st.booleans()):
        before, after = draw(st.sampled_from(REWRITTEN))
    else:
        before = after = draw(st.sampled_from(KEPT))
    before, after = (text.format(t=torch, v=name) for text in (before, after))
    if kept_by_comment and "\n" not in before:
        comment = draw(st.sampled_from(["  # precision-fix: keep", " # why # Precision-Fix:keep because"]))
        before = after = _with_comment(before, comment)
    else:
        comment = draw(st.sampled_from(COMMENTS))
        before, after = _with_comment(before, comment), _with_comment(after, comment)
    space = draw(st.sampled_from(BETWEEN))
    return Example(f"{space}{before}\n", f"{space}{after}\n")


def _joined(parts: list[Example]) -> Example:
    return Example("".join(part.before for part in parts), "".join(part.after for part in parts))


def _within(head: str, body: Example, margin: str) -> Example:
    return Example(*(f"{head}\n{margin}pass\n{indent(text, margin)}" for text in (body.before, body.after)))


@st.composite
def examples(draw: st.DrawFn, *, kept_by_comment: bool = False) -> Example:
    """A whole module, with line endings of one kind and an end of the file of any."""
    torch = draw(st.sampled_from(["torch", "th", "torch_π"]))
    head = draw(st.sampled_from(HEADS))
    imports = "import torch\n" if torch == "torch" else f"import torch as {torch}\n"
    imports += "import jax.numpy as jnp\n"
    blocks = ["def {}(x, q):", "class {}:", "if q_{}:", "for i_{} in y:", "with open(p) as {}:", "async def {}():"]
    margin = draw(st.sampled_from(["    ", "  ", "\t"]))
    leaves = st.lists(_statement(torch, kept_by_comment), min_size=1, max_size=3).map(_joined)
    trees = st.recursive(
        leaves,
        lambda inner: (
            st.builds(
                lambda block, number, body: _within(block.format(f"n{number}"), body, margin),
                st.sampled_from(blocks),
                st.integers(0, 10**9),
                inner,
            )
            | st.lists(inner, min_size=2, max_size=3).map(_joined)
        ),
        max_leaves=6,
    )
    body = draw(trees)
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    tail = draw(st.sampled_from(["", "\n", "# the end"]))
    whole = [f"{head}{imports}{text}{tail}".replace("\n", end) for text in (body.before, body.after)]
    if not tail and draw(st.booleans()):
        whole = [text.rstrip("\r\n") for text in whole]
    return Example(*whole)
