"""PF205: a model is asked for flash attention."""

from __future__ import annotations

import ast
import re

from precision_fix.model.context import container, receiver, tests_around
from precision_fix.model.eager import eager_alone
from precision_fix.model.edit import Replace, Respell
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep, manual, rewrite
from precision_fix.model.given import offered
from precision_fix.model.held import End
from precision_fix.model.module import unparsed
from precision_fix.model.readings import known
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site
from precision_fix.model.syntax import called
from precision_fix.model.vocabulary.attention import ADVICE, PACKED, TAKES_SDPA, instead

_DECLARES = frozenset({"add_argument", "option", "add_option"})
# A name for flash attention itself, an entry of a table of names, what a test looks for.
_NAMES_IT = re.compile(r"flash|fa[23]|expected|supported|legacy")
# Several examples in one row are told apart by flash attention alone.
_PACKED = re.compile(r"packing|packed|padding_free|varlen|ring_attn|multipack")
# The file hands a word on to transformers, or knows the other one.
_SPEAKS_TRANSFORMERS = re.compile(r"[\"']sdpa[\"']|\battn_implementation\s*=")


class RULE(Rule):
    code = "PF205"
    title = "flash attention is asked for"
    why = (
        '`attn_implementation="flash_attention_2"` needs compute capability 8.0 and a half precision, and so does '
        '`use_flash_attention_2=True`. "sdpa", PyTorch\'s own attention, runs on any GPU and in float32. A test, a key '
        "or a menu that only names it stays."
    )
    kinds = frozenset({Kind.ATTENTION})
    stage = Stage.CHANGED

    def judge(self, site: Site) -> Verdict | None:
        if site.value is not None:
            return rewrite("flash attention needs compute capability 8.0", Replace(site.value, "False"))
        if isinstance(site.node, ast.Call):
            return _of_region(site)
        assert isinstance(site.node, ast.Constant)
        if any(isinstance(above, ast.Compare | ast.Assert) for above in site.chain):
            return keep("part of a test")
        is_told = bool({Fate.COMPARED, Fate.INVERTED} & site.fates) or container(site) is not None
        if is_told or not _is_in_each_table(site):
            return keep("compared, offered or looked up by")
        name = _option(site) or receiver(site)
        led = _is_led_to_sdpa(site) if not _names_or_tries_it(site, name) else False
        if led is None and (name is None or not TAKES_SDPA.search(name.lower())):
            return manual(
                f"flash attention needs compute capability 8.0, and not all that read the word show: {ADVICE}"
            )
        if led:
            name = "attn_implementation"
        if name is None or _NAMES_IT.search(name.lower()) or (site.fates and site.fates <= {Fate.TEXT}):
            return keep("a word whose reader the file does not show")
        if any(_PACKED.search(unparsed(site.module, test)) for test in tests_around(site)):
            return manual(PACKED)
        if TAKES_SDPA.search(name.lower()):
            return _to_sdpa(site)
        if "attn" in name.lower() or "attention" in name.lower():
            if _SPEAKS_TRANSFORMERS.search(site.module.text):
                return _to_sdpa(site)
            return manual(f"flash attention needs compute capability 8.0: {ADVICE}")
        return keep("a word whose reader the file does not show")


def _names_or_tries_it(site: Site, name: str | None) -> bool:
    """Whether the name says flash attention itself, or the program goes on where it fails: it is what it asks for."""
    tried = any(isinstance(above, ast.Try) and above.handlers for above in site.module.ancestors(site.node))
    return tried or (name is not None and _NAMES_IT.search(name.lower()) is not None)


def _is_led_to_sdpa(site: Site) -> bool | None:
    """Whether all that is seen to take the word take it as transformers' own, under whatever name the program has it.

    None where something else takes it as well.
    """
    takes = [(end, _name_of(end)) for end in site.ends if end.fate in (Fate.CHOOSES, Fate.STORED)]
    ours = [end for end, name in takes if name is not None and TAKES_SDPA.search(name.lower())]
    others = {end.fate for end in site.ends if end not in ours and not _is_where_it_failed(end)}
    others -= {Fate.TEXT, Fate.STORED, Fate.RETURNED}
    return None if ours and others else bool(ours)


def _is_where_it_failed(end: End) -> bool:
    """`except Exception: if attn == "flash_attention_2": ...`: asked where what took the word has failed with it."""
    handlers = (above for above in end.module.ancestors(end.node) if isinstance(above, ast.ExceptHandler))
    return end.fate is Fate.ASKED and any(handlers)


def _name_of(end: End) -> str | None:
    """The keyword that a callee is given it by, the attribute or the key that it is kept under."""
    node = end.node
    if isinstance(node, ast.Subscript):
        return str(node.slice.value) if isinstance(node.slice, ast.Constant) else None
    return node.attr if isinstance(node, ast.Attribute) else end.under


def _of_region(site: Site) -> Verdict:
    """`with sdpa_kernel(SDPBackend.FLASH_ATTENTION)`: what the author asks before it is no business of ours."""
    if any("capability" in unparsed(site.module, test) for test in tests_around(site)):
        return keep("asked for where the GPU has it")
    return manual("allows kernels for compute capability 8.0 alone: allow SDPBackend.MATH as well")


def _to_sdpa(site: Site) -> Verdict:
    assert isinstance(site.node, ast.Constant)
    reason = eager_alone(site.module.around) or "flash attention needs compute capability 8.0"
    other = _other(site)
    if other is None:
        return manual(f"flash attention does not run here, and the program offers no sdpa: {ADVICE}")
    return rewrite(reason, Respell(site.node, site.word, other))


def _other(site: Site) -> str | None:
    """The word for an attention that this GPU has, and the model; None where the option takes none."""
    words = offered(site)
    if eager_alone(site.module.around):
        return "eager" if words is None or "eager" in words else None
    return instead(words)


def _is_in_each_table(site: Site) -> bool:
    """Whether the other word is in each table of classes that the word is looked up in: `CLASSES[config.attn]`; not
    for a key of such a table.
    """
    tables = [end for end in site.ends if end.fate is Fate.KEY]
    return all(end.node not in site.chain and _other(site) in known([end]) for end in tables)


def _option(site: Site) -> str | None:
    """`add_argument("--attn_implementation", default="flash_attention_2")`: the option that it is the default of."""
    call = site.module.parent(site.parent) if isinstance(site.parent, ast.keyword) else None
    if not isinstance(call, ast.Call) or site.parent.arg != "default" or called(call) not in _DECLARES:  # type: ignore[union-attr]
        return None
    names = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    return next((name.lstrip("-").replace("-", "_") for name in names if name.startswith("--")), None)
