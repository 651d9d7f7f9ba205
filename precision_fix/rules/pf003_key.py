"""PF003: keys of a map, and tables that give each dtype something, stay."""

from __future__ import annotations

import ast

from precision_fix.model.context import container, is_record
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep
from precision_fix.model.module import Module, remembered, unparsed
from precision_fix.model.parts import key_of
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site

_CHOSEN = frozenset({Fate.CHOOSES, Fate.STORED})
# What was looked up goes out of sight: as with a word, it is chosen where the key is what a person says.
_SAID = frozenset({Fate.RETURNED, Fate.HANDED})
# Libraries with dtypes of their own: a map from one of those tells what torch calls it.
_OTHERS = frozenset(
    {"tensorrt", "onnx", "onnxruntime", "openvino", "coremltools", "tvm", "cutlass", "triton", "numpy", "ml_dtypes"}
    | {"jax", "tensorflow", "mlx", "paddle", "mindspore", "cupy"}
)


class RULE(Rule):
    code = "PF003"
    title = "a key of a table"
    why = (
        "A key says which entry is meant: `{torch.float32: 4, torch.bfloat16: 2}` must keep both. The same holds "
        "for a table of cases, where a dtype stands beside the result that is expected of it, and for a map that "
        "is turned round: two names for one dtype would leave one name."
    )
    kinds = frozenset({Kind.DTYPE, Kind.TENSOR_TYPE, Kind.WORD})
    stage = Stage.LEFT
    before = ("PF002",)

    def judge(self, site: Site) -> Verdict | None:
        above = site.parent
        if isinstance(above, ast.Dict) and site.module.index(above.keys, site.node) is not None:
            return keep("a key of a map")
        if isinstance(above, ast.Subscript) and above.slice is site.node:
            return keep("names an entry that is looked up")
        if site.kind is Kind.WORD:
            return None
        if Fate.INVERTED in site.fates:
            return keep("its map is turned round elsewhere, so its values must stay apart")
        if isinstance(above, ast.Dict) and _is_of_another(site, key_of(site.module, above, site.node)):
            return keep("what torch calls another library's dtype")
        if isinstance(above, ast.Dict) and _is_code(site, key_of(site.module, above, site.node)):
            return keep("a code for the dtype: another map leads back to it")
        if _is_case(site):
            return keep("part of a record in a list" if container(site) is not None else "a case of a table")
        return None


def _is_of_another(site: Site, key: ast.expr | None) -> bool:
    """`{trt.DataType.BF16: torch.bfloat16}`: of tensors that the other library has made, or is to read."""
    name = site.module.resolve(key) if key is not None else None
    return name is not None and "." in name and name.partition(".")[0] in _OTHERS


def _is_code(site: Site, key: ast.expr | None) -> bool:
    """`{Tag.BF16: torch.bfloat16}` beside `{torch.bfloat16: Tag.BF16}`; a word stands for what it is given to."""
    if key is None or isinstance(key, ast.Constant) or site.module.dtype_name(key) is not None:
        return False
    return unparsed(site.module, key) in _codes(site.module)


@remembered
def _codes(module: Module) -> frozenset[str]:
    """What the maps of a file give for torch.bfloat16."""
    module.ensure("bfloat16")
    found = []
    for dtype in module.names.attributes_of("bfloat16"):
        table = module.parent(dtype)
        place = module.index(table.keys, dtype) if isinstance(table, ast.Dict) else None
        if isinstance(table, ast.Dict) and place is not None and module.resolve(dtype) == "torch.bfloat16":
            found.append(unparsed(module, table.values[place]))
    return frozenset(found)


def _is_case(site: Site) -> bool:
    """A record in a list, or the value of a map whose keys are not words: codes, other dtypes."""
    sequence = container(site)
    if sequence is not None:
        inner = next((a for a in site.chain if isinstance(a, ast.Tuple | ast.List)), None)
        return inner is not sequence and inner is not None and is_record(site.module, inner)
    above = site.parent
    if isinstance(above, ast.Dict):
        key = key_of(site.module, above, site.node)
        if isinstance(key, ast.Constant):
            return type(key.value) is int  # True and False are what a switch may be
        # Another kind of key, a member of an enum say, does not tell; the use does.
        if key is None or isinstance(key, ast.JoinedStr) or site.fates & _CHOSEN:
            return False
        return not (site.fates & _SAID and _stands_for_word(site.module, key))
    return False


def _stands_for_word(module: Module, key: ast.expr) -> bool:
    """`Precision.BF16`, of a class in which `BF16 = "bf16"` stands: what people type, by another name."""
    name = module.resolve(key.value) if isinstance(key, ast.Attribute) else None
    cls = module.definition(name) if name is not None and "." not in name else None
    if cls is None and name is not None:
        found = module.around.definition(module, name)
        cls = found[1] if found is not None else None
    members = cls.body if isinstance(cls, ast.ClassDef) else []
    return any(
        isinstance(each.value, ast.Constant) and isinstance(each.value.value, str)
        for each in members
        if isinstance(each, ast.Assign) and getattr(each.targets[0], "id", "") == getattr(key, "attr", None)
    )
