"""Calls that bring tensors, or code, from outside: what they bring has a dtype of its own."""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from collections.abc import Collection, Iterator

from precision_fix.model.blocks import long_strings, occurrences
from precision_fix.model.module import Module
from precision_fix.model.site import Kind, Site
from precision_fix.model.syntax import called

#: Parts of the calls below, by which a text is found that may hold one.
NEEDLES = (
    *("from_pretrained(", "trust_remote_code", "pipeline(", "LLM(", "SentenceTransformer("),
    *("load_file(", "safe_open(", "torch.load(", "hub.load"),
)
#: Models that take the dtype of their checkpoint where none is named: transformers from 5.0 on, and what loads by it
#: (PreTrainedModel.from_pretrained, `dtype="auto"` by default); vLLM (ModelConfig, `dtype="auto"`).
_MODELS = ("transformers.", "peft.Auto", "sentence_transformers.SentenceTransformer", "vllm.LLM")
_NAME = re.compile(r"(\w+)\.$")
_LONGEST_NAME = 80
_IS_ON = re.compile(r"trust_remote_code[ \t]*=[ \t]*True")
_LOADERS = frozenset({"from_pretrained", "pipeline", "LLM", "SentenceTransformer"})
# What is loaded beside a model, and holds no weights.
_OTHERS = ("Tokenizer", "Processor", "Config", "Extractor")
#: What gives the tensors of a file as they are.
FILES = frozenset(
    (
        *("safetensors.torch.load_file", "safetensors.torch.load", "safetensors.safe_open"),
        *("torch.load", "torch.hub.load", "torch.hub.load_state_dict_from_url"),
    )
)


def calls(text: str, needles: Collection[str] = NEEDLES) -> set[int]:
    """Where a text may bring something, outside of its documentation; it holds none but these of the needles."""
    found = {place for place in occurrences(text, needles) if _may_bring(text, place)}
    hidden = long_strings(text) if found else []
    return {place for place in found if not bisect_right(hidden, place) % 2}


def _may_bring(text: str, place: int) -> bool:
    if text.startswith("from_pretrained(", place):
        # A class is called by its name, which begins with a capital letter; `cls` is one of the file's own.
        name = _NAME.search(text, max(place - _LONGEST_NAME, 0), place)
        return name is not None and name[1][:1].isupper()
    return not text.startswith("trust_remote_code", place) or _IS_ON.match(text, place) is not None


def brought(module: Module) -> Iterator[Site]:
    """The calls of a module that bring something from outside."""
    for name in (*_LOADERS, "load_file", "safe_open", "load", "load_state_dict_from_url"):
        for call in module.names.calls_of(name):
            if loads_a_model(module, call) or module.resolve(call.func) in FILES or brings_code(call):
                yield Site(module, Kind.BROUGHT, call, called(call))
    if "trust_remote_code" in module.text:
        for name, calls in [*module.names.calls.items()]:
            yield from (Site(module, Kind.BROUGHT, each, name) for each in calls if brings_code(each) and _is_new(each))


def _is_new(call: ast.Call) -> bool:
    return called(call) not in _LOADERS


def loads_a_model(module: Module, call: ast.Call) -> bool:
    """Whether a call gives a model whose dtype its checkpoint decides, unless one is named."""
    name = module.resolve(call.func) or ""
    return called(call) in _LOADERS and name.startswith(_MODELS) and not any(each in name for each in _OTHERS)


def names_a_dtype(call: ast.Call) -> bool:
    """Whether a call names a dtype, or may: `**options` can hold one."""
    return any(keyword.arg in (None, "dtype", "torch_dtype") for keyword in call.keywords)


def keeps_to_the_cpu(call: ast.Call) -> bool:
    """Whether a pipeline, which gives texts, labels and pictures, is put on the CPU: `pipeline(..., device="cpu")`."""
    if called(call) != "pipeline":
        return False
    devices = [keyword.value for keyword in call.keywords if keyword.arg == "device"]
    if len(devices) == 1 and isinstance(devices[0], ast.Call) and called(devices[0]) == "device":
        devices = devices[0].args[:1]
    return len(devices) == 1 and ast.unparse(devices[0]) in ("'cpu'", "-1")


def brings_code(call: ast.Call) -> bool:
    """Whether a call lets code run that comes with a checkpoint."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    value = given.get("trust_remote_code")
    name = ast.unparse(call.func) if value is not None else ""
    is_on = isinstance(value, ast.Constant) and value.value is True
    return is_on and not any(each in name for each in _OTHERS)


_LOOKED_AT = ast.Expr | ast.Compare | ast.Delete | ast.If | ast.Assert | ast.JoinedStr | ast.FormattedValue
# What a tensor, or a map of some, is asked for without being computed with.
_ASKED = frozenset({"keys", "metadata", "get_slice", "shape", "dtype", "device", "numel", "size", "dim", "ndim"})
_CASTS = frozenset({"float", "half", "double", "to"})
_LOOKS = frozenset({"len", "print", "isinstance", "type", "sorted", "set", "list"})
_MOST_STEPS = 40


def is_used_as_it_is(module: Module, call: ast.Call) -> bool:
    """Whether a tensor of a file may become a parameter or an operand in the dtype that the file has.

    What goes into `load_state_dict` is copied into tensors that are there, whatever their dtype.
    """
    pending: list[tuple[ast.expr, bool]] = [(call, False)]
    # `state = state["model"]` is read where it is made.
    seen: set[tuple[ast.expr, bool]] = set()
    while pending and len(seen) < _MOST_STEPS:
        if (step := pending.pop()) in seen:
            continue
        seen.add(step)
        further = _further(module, step[0], is_item=step[1])
        if further is None:
            return True
        pending += further
    return bool(pending)


def _further(module: Module, node: ast.expr, *, is_item: bool) -> list[tuple[ast.expr, bool]] | None:
    """Where a value goes on from an expression; None where it is used as it is. `is_item`: it was one of many."""
    above = module.parent(node)
    if isinstance(above, ast.keyword):
        above = module.parent(above)
    if isinstance(above, ast.Attribute):
        outer = module.parent(above)
        if above.attr in _ASKED or (above.attr in _CASTS and isinstance(outer, ast.Call) and outer.func is above):
            return []
        if above.attr in ("get", "pop", "get_tensor") and isinstance(outer, ast.Call):
            return [(outer, True)]
        if above.attr in ("items", "values") and isinstance(outer, ast.Call):
            return _one_by_one(module, outer, above.attr)
        return [] if is_item else None
    if isinstance(above, ast.Subscript) and above.value is node:
        return [(above, True)]
    if isinstance(above, ast.Assign) and len(above.targets) == 1 and isinstance(above.targets[0], ast.Name):
        return [(read, is_item) for read in module.readers(above.targets[0])]
    if isinstance(above, ast.withitem):
        name = above.optional_vars
        return [(read, is_item) for read in module.readers(name)] if isinstance(name, ast.Name) else None
    if isinstance(above, ast.Assign) and isinstance(above.targets[0], ast.Subscript) and not is_item:
        return _filled(module, above.targets)
    if isinstance(above, ast.DictComp) and node is above.value and not is_item:
        return [(above, False)]
    return _ending(module, above, node, is_item=is_item)


def _one_by_one(module: Module, items: ast.Call, method: str) -> list[tuple[ast.expr, bool]] | None:
    """Where the tensors of a map go on that are walked: `for key, value in state.items()`."""
    above = module.parent(items)
    target = above.target if isinstance(above, ast.For | ast.comprehension) and above.iter is items else None
    if method == "items":
        target = target.elts[1] if isinstance(target, ast.Tuple) and len(target.elts) == 2 else None
    return [(read, False) for read in module.readers(target)] if isinstance(target, ast.Name) else None


def _filled(module: Module, targets: list[ast.expr]) -> list[tuple[ast.expr, bool]] | None:
    """The reads of a map of the program's own that is given a tensor: `renamed[key] = value`."""
    holder = targets[0].value if len(targets) == 1 and isinstance(targets[0], ast.Subscript) else None
    if not isinstance(holder, ast.Name) or module.scope_of(holder).owner(holder.id) is None:
        return None
    return [(read, False) for read in module.readers(holder) if read is not holder]


def _ending(
    module: Module, above: ast.AST | None, node: ast.expr, *, is_item: bool
) -> list[tuple[ast.expr, bool]] | None:
    if isinstance(above, _LOOKED_AT):
        return []
    if isinstance(above, ast.Call):
        name = called(above)
        if name in ("load_state_dict", *_LOOKS):
            return []
        # `checkpoint["epoch"]` is handed around as well: an item counts where a tensor is made of it, or computed with.
        is_torch = (module.resolve(above.func) or "").startswith("torch.")
        return None if not is_item or name == "Parameter" or is_torch else []
    if isinstance(above, ast.BinOp):
        return None if isinstance(above.op, ast.MatMult) or not is_item else []
    return [] if is_item and not _is_kept(above) else None


def _is_kept(above: ast.AST | None) -> bool:
    """`module.weight.data = item`, `module.weight = item`."""
    targets = above.targets if isinstance(above, ast.Assign) else []
    return any(isinstance(each, ast.Attribute) and each.attr in ("data", "weight", "bias") for each in targets)
