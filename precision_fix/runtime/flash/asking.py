"""transformers' `attn_implementation="flash_attention_2"`: below compute capability 8.0 it is `sdpa`, as by an edit."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

from precision_fix.runtime.patching import Patches

#: Where a model settles on its attention.
MODULE = "transformers.modeling_utils"

#: What transformers calls flash attention: its own words, and kernels of its hub.
_WORDS = re.compile(r"(?:paged\|)?(?:flash_attention_\d|[\w-]+/(?:vllm-)?flash-attn\d?(?:@[\w.]+)?(?::\w+)?)")


def patch(module: ModuleType, patches: Patches) -> None:
    """`module` is transformers.modeling_utils: where a model settles on its attention."""
    from precision_fix.runtime.flash import packed

    packed.patch(getattr(module, "ALL_ATTENTION_FUNCTIONS", None), patches)
    owner: Any = module.PreTrainedModel  # type: ignore[attr-defined,unused-ignore]
    if hasattr(owner, "_check_and_adjust_attn_implementation"):
        patches.wrap(owner, "_check_and_adjust_attn_implementation", _adjusted)
    else:  # before transformers 4.53
        wrapped = vars(owner).get("_autoset_attn_implementation")
        if isinstance(wrapped, classmethod):
            patches.set(owner, "_autoset_attn_implementation", classmethod(_set_by_itself(wrapped.__func__)))


def _adjusted(original: Callable[..., Any]) -> Callable[..., Any]:
    def _check_and_adjust_attn_implementation(self: Any, attn_implementation: Any, *args: Any, **kwargs: Any) -> Any:
        return original(self, _instead(type(self), attn_implementation), *args, **kwargs)

    return _check_and_adjust_attn_implementation


def _set_by_itself(original: Callable[..., Any]) -> Callable[..., Any]:
    def _autoset_attn_implementation(
        cls: Any, config: Any, use_flash_attention_2: bool = False, *args: Any, **kwargs: Any
    ) -> Any:
        asked = getattr(config, "_attn_implementation_internal", None)
        if use_flash_attention_2 or _instead(cls, asked) != asked:
            config._attn_implementation = _instead(cls, "flash_attention_2")
        return original(cls, config, False, *args, **kwargs)

    return _autoset_attn_implementation


def _instead(model: Any, asked: Any) -> Any:
    """Another attention of this class of models for the one that was asked for, if that is flash attention."""
    if not isinstance(asked, str) or not _WORDS.fullmatch(asked):
        return asked
    from precision_fix.runtime.flash import packed

    packed.note()
    return "sdpa" if getattr(model, "_supports_sdpa", False) else "eager"
