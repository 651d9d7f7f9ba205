"""PF920: the config of a checkpoint."""

from __future__ import annotations

from precision_fix.model.finding import Verdict, manual
from precision_fix.model.rule import SettingRule, Stage
from precision_fix.model.setting import Document, Form, Setting
from precision_fix.model.vocabulary.attention import needs_flash_attention

_OWN = ("architectures", "transformers_version", "diffusers_version", "class_name")
# By these alone it may as well be the config of a trainer, which has a model_type of its own.
_DTYPES = ("dtype", "torch_dtype", "params_dtype")
_FILES = ("config.json", "generation_config.json", "quantize_config.json")
# What transformers' PretrainedConfig and the models made of it write beside `model_type`, and no trainer asks for.
_SHAPE = ("tie_word_embeddings", "use_cache", "initializer_range", "max_position_embeddings")


class RULE(SettingRule):
    code = "PF920"
    title = "the config of a model's weights"
    why = (
        "The config.json of a checkpoint says in which dtype its weights are stored, and other programs trust it. A "
        "library that is not told otherwise loads the model in that dtype; the runtime casts what is loaded."
    )
    forms = frozenset({Form.KEY})
    stage = Stage.REPORTED
    runtime = True

    def judge(self, setting: Setting) -> Verdict | None:
        top = setting.document.mapping(())
        is_model = setting.document.path.endswith(".json") and (
            any(key in top for key in _OWN)
            or (setting.name in _DTYPES and "model_type" in top and setting.document.once(_describes))
        )
        if not is_model:
            return None
        if needs_flash_attention(setting.word):
            return manual("asks for flash attention: name another where the model is loaded")
        return manual("says what the weights are stored in: name the dtype where the model is loaded")


def _describes(document: Document) -> bool:
    """Whether it is called as the config of a model is, or describes one at its top or below."""
    if document.file in _FILES:
        return True
    entries = (document.mapping(keys[:-1]) for keys in document.values if keys and keys[-1] == "model_type")
    return any(sum(name in each for name in _SHAPE) >= 2 for each in entries)
