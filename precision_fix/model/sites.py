"""The sites of a parsed file: where bfloat16 occurs in it, or what needs it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePath

from precision_fix.model.attending import allows_flash_alone
from precision_fix.model.brought import brought
from precision_fix.model.context import receiver
from precision_fix.model.guard import refused
from precision_fix.model.module import Module, remembered
from precision_fix.model.products import products
from precision_fix.model.scope import Scope
from precision_fix.model.setting import plain
from precision_fix.model.site import Kind, Site
from precision_fix.model.syntax import called, defaults
from precision_fix.model.vocabulary import attention, precision
from precision_fix.model.vocabulary.spellings import QUIET_WORDS

_TENSOR_TYPE = re.compile(r"torch\.(?:cuda\.|cpu\.)?BFloat16(?:Tensor|Storage)")
PROBES = ("is_bf16_supported", "is_torch_bf16_gpu_available", "is_torch_bf16_available")


def sites(module: Module) -> list[Site]:
    """Every site of a module, in no particular order. All of them, before one is judged: that may parse more blocks."""
    found = (_dtypes, _calls, _words, _flags, _attention, _products, brought, _refusals)
    return [site for each in found for site in each(module)]


def _dtypes(module: Module) -> Iterator[Site]:
    for attr in ("bfloat16", "BFloat16Tensor", "BFloat16Storage"):
        for node in module.names.attributes_of(attr):
            if not isinstance(node.ctx, ast.Load):
                continue
            name = module.resolve(node)
            if name == "torch.bfloat16":
                yield Site(module, Kind.DTYPE, node, ast.unparse(node))
            elif name and _TENSOR_TYPE.fullmatch(name):
                yield Site(module, Kind.TENSOR_TYPE, node, ast.unparse(node))
            elif name == "triton.language.bfloat16":
                yield Site(module, Kind.KERNEL, node, ast.unparse(node))
            elif attr == "bfloat16":
                yield from _method(module, node, name)
    yield from _imported_dtypes(module)


def _method(module: Module, node: ast.Attribute, name: str | None) -> Iterator[Site]:
    """`x.bfloat16()`: on a value, not on an imported module (`jnp.bfloat16(...)`)."""
    call = module.parent(node)
    if not isinstance(call, ast.Call) or call.func is not node or call.args or call.keywords:
        return
    root = node.value
    while isinstance(root, ast.Attribute):
        root = root.value
    if isinstance(root, ast.Name) and name is not None and module.is_imported(root):
        return
    yield Site(module, Kind.METHOD, call, ".bfloat16()")


def _imported_dtypes(module: Module) -> Iterator[Site]:
    """`from torch import bfloat16 as bf16`: every read of the name, which may not look like bfloat16 at all."""
    for scope in [*module.names.scopes.values()]:
        for name, bound in [*scope.bindings.items()]:
            if any(isinstance(binding, ast.alias) and binding.name == "bfloat16" for binding in bound):
                module.ensure(name)
    pending = [module.names.root]
    while pending:
        scope = pending.pop()
        pending.extend(scope.children)
        for name, reads in scope.loads.items():
            owner = scope.owner(name)
            imported = owner is not None and _imports_bfloat16(module, owner, name)
            if imported or (name == "bfloat16" and owner is None):
                for node in reads:
                    if module.resolve(node) == "torch.bfloat16":
                        yield Site(module, Kind.DTYPE, node, node.id)


@remembered
def _imports_bfloat16(module: Module, owner: Scope, name: str) -> bool:
    return any(isinstance(bound, ast.alias) and bound.name == "bfloat16" for bound in owner.bindings[name])


def _calls(module: Module) -> Iterator[Site]:
    for probe in PROBES:
        for call in module.names.calls_of(probe):
            yield Site(module, Kind.PROBE, call, ast.unparse(call.func))
    for call in module.names.calls_of("getattr"):
        if len(call.args) >= 2 and module.resolve(call.args[0]) == "torch":
            yield Site(module, Kind.LOOKUP, call, "getattr")
    for call in module.names.calls_of("eval"):
        # `model.eval()` is no look-up, and pandas' `frame.eval(...)` none of a dtype.
        dtype = call.args[0] if isinstance(call.func, ast.Name) and call.args else None
        if dtype is not None and (not isinstance(dtype, ast.Constant) or dtype.value == "torch.bfloat16"):
            yield Site(module, Kind.LOOKUP, call, "eval")
    for call in module.names.calls_of("load_state_dict"):
        for keyword in call.keywords:
            if keyword.arg == "assign" and isinstance(keyword.value, ast.Constant) and keyword.value.value is True:
                yield Site(module, Kind.CHECKPOINT, call, "assign=True")


def _words(module: Module) -> Iterator[Site]:
    for node in module.names.strings:
        above = module.parent(node)
        if isinstance(above, ast.Expr | ast.JoinedStr) or not isinstance(node.value, str):
            continue
        if _TENSOR_TYPE.fullmatch(node.value) and isinstance(above, ast.Call):
            yield Site(module, Kind.TENSOR_TYPE, node, repr(node.value))
        elif precision.spelt(node.value):
            yield Site(module, Kind.WORD, node, repr(node.value))
        elif node.value in QUIET_WORDS:
            site = Site(module, Kind.WORD, node, repr(node.value))
            if precision.spelt(node.value, plain(receiver(site) or "")):
                yield site
        elif node.value == "auto" and isinstance(above, ast.keyword) and above.arg in ("torch_dtype", "dtype"):
            yield Site(module, Kind.CHECKPOINT, node, f'{above.arg}="auto"')


def is_flag(name: str) -> bool:
    """Whether a name is that of a switch for bfloat16: bf16, use_bf16, bf16_full_eval, enable_bfloat16."""
    return not name.startswith("_") and precision.is_switch(name.lstrip("-").replace("-", "_"))


def _flags(module: Module) -> Iterator[Site]:
    """Flags that are set to True, in a keyword, an attribute, an item, a map or a default."""
    for keyword in module.names.keywords:
        if keyword.arg and is_flag(keyword.arg):
            yield Site(module, Kind.FLAG, keyword, keyword.arg, keyword.value)
    for attr, nodes in module.names.attributes.items():
        if is_flag(attr):
            for node in nodes:
                yield from _assigned_flag(module, node, attr)
    for constant in module.names.strings:
        # `--bf16/--no-bf16` is one switch.
        if isinstance(constant.value, str) and is_flag(constant.value.split("/")[0]) and len(constant.value) < 40:
            yield from _flag_by_string(module, constant)
    for parameter in module.names.parameters:
        if is_flag(parameter.arg):
            arguments = module.parent(parameter)
            default = _defaults(module, arguments).get(parameter) if isinstance(arguments, ast.arguments) else None
            if default is not None:
                yield Site(module, Kind.FLAG, parameter, parameter.arg, default)
    yield from _named_flags(module)


@remembered
def _defaults(module: Module, arguments: ast.arguments) -> dict[ast.arg, ast.expr | None]:
    return dict(defaults(arguments))


def _assigned_flag(module: Module, node: ast.expr, name: str) -> Iterator[Site]:
    value = module.assigned_value(node)
    if value is not None:
        yield Site(module, Kind.FLAG, node, name, value)


def _named_flags(module: Module) -> Iterator[Site]:
    """`use_bf16 = True` and, in a dataclass, `bf16: bool = True` or `= field(default=True)`."""
    pending = [module.names.root]
    while pending:
        scope = pending.pop()
        pending.extend(scope.children)
        for name, nodes in scope.bindings.items():
            if is_flag(name):
                for node in nodes:
                    if isinstance(node, ast.Name):
                        yield from _assigned_flag(module, node, name)


def _flag_by_string(module: Module, constant: ast.Constant) -> Iterator[Site]:
    above = module.parent(constant)
    name = str(constant.value)
    if isinstance(above, ast.Dict):
        place = module.index(above.keys, constant)
        if place is not None:
            yield Site(module, Kind.FLAG, constant, repr(name), above.values[place])
    elif isinstance(above, ast.Subscript) and above.slice is constant:
        target: ast.AST = above
        outer = module.parent(above)
        if (
            isinstance(outer, ast.Subscript)
            and isinstance(outer.slice, ast.Constant)
            and outer.slice.value == "enabled"
        ):
            target = outer
        value_set = module.assigned_value(target)
        if value_set is not None:
            yield Site(module, Kind.FLAG, constant, repr(name), value_set)
    elif isinstance(above, ast.Call) and module.index(above.args, constant) is not None:
        if name.startswith("-"):
            for keyword in above.keywords:
                if keyword.arg == "default":
                    yield Site(module, Kind.FLAG, constant, repr(name), keyword.value)
        elif called(above) in ("setdefault", "setattr") and above.args[-1] is not constant:
            yield Site(module, Kind.FLAG, constant, repr(name), above.args[-1])


def _refusals(module: Module) -> Iterator[Site]:
    for attr in ("float", "float32"):
        for node in module.names.attributes_of(attr):
            compare = module.parent(node)
            if isinstance(compare, ast.Compare) and refused(module, compare) is node:
                yield Site(module, Kind.REFUSAL, node, ast.unparse(node))


def _attention(module: Module) -> Iterator[Site]:
    """Where flash attention is asked for by a word or a flag, and where its package is imported."""
    for name in ("sdpa_kernel", "sdp_kernel"):
        for call in module.names.calls_of(name):
            if allows_flash_alone(module, call):
                yield Site(module, Kind.ATTENTION, call, name)
    if "flash" not in module.text:
        return
    for node in module.names.strings:
        above = module.parent(node)
        if (
            isinstance(node.value, str)
            and attention.FLASH_WORDS.fullmatch(node.value)
            and not isinstance(above, ast.Expr)
        ):
            yield Site(module, Kind.ATTENTION, node, repr(node.value))
    for keyword in module.names.keywords:
        if keyword.arg in attention.FLAGS and _is_true(keyword.value):
            yield Site(module, Kind.ATTENTION, keyword, keyword.arg, keyword.value)
    for attr in attention.FLAGS:
        for attribute in module.names.attributes_of(attr):
            value = module.assigned_value(attribute)
            if value is not None and _is_true(value):
                yield Site(module, Kind.ATTENTION, attribute, attr, value)
    if "flash_attn" not in module.text or not attention.PACKAGES.isdisjoint(PurePath(module.path).parts):
        return  # or the package itself
    first = min(_package_imports(module), key=lambda statement: statement.lineno, default=None)
    if first is not None:
        yield Site(module, Kind.PACKAGE, first, "flash_attn")


def _products(module: Module) -> Iterator[Site]:
    """Where float8 matrices are multiplied: the first place of each function."""
    if "scaled_mm" not in module.text and "scaled_grouped_mm" not in module.text:
        return
    first: dict[ast.AST | None, ast.Call] = {}
    for call in sorted(products(module), key=lambda call: call.lineno):
        first.setdefault(module.function(call), call)
    for call in first.values():
        yield Site(module, Kind.PRODUCT, call, ast.unparse(call.func))


def _is_true(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


def _package_imports(module: Module) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in module.names.parents:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            # Its padding is plain PyTorch.
            names = [node.module or ""] if node.module != "flash_attn.bert_padding" else []
        else:
            continue
        if any(name.split(".")[0] in attention.PACKAGES for name in names):
            yield node
