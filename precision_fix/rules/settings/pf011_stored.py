"""PF011: a setting that tells how something is stored, or is no more than a name."""

from __future__ import annotations

from precision_fix.model.finding import Verdict, keep
from precision_fix.model.library_answers import answer, switch_beside
from precision_fix.model.rule import SettingRule, Stage
from precision_fix.model.setting import Form, Setting
from precision_fix.model.vocabulary import precision

# What stands beside a dtype where it tells of bytes: safetensors' header, GGUF's list of tensors.
_LAYOUT = frozenset({"data_offsets", "shape", "offset", "offsets", "nbytes"})
# What is said beside a precision in which something was measured or checked, above it, or as the folder's name.
_RECORD = frozenset(
    {"tflops", "mfu", "throughput", "latency", "measured", "measurement", "hardware", "status", "verified", "results"}
)


class RULE(SettingRule):
    code = "PF011"
    title = "a setting that chooses no precision"
    why = (
        "The precision in which a file is saved, the dtype beside a tensor's shape and offsets, a name or a text for "
        "people, a record of what was measured: nothing is computed in it. A setting that follows another stays too, "
        "and one of a program that computes without torch (JAX, TensorFlow, Keras, MLX, Paddle)."
    )
    forms = frozenset({Form.KEY, Form.OPTION, Form.VARIABLE})
    stage = Stage.LEFT

    def judge(self, setting: Setting) -> Verdict | None:
        document = setting.document
        library = document.around.without_torch(document.path, document.program)
        if library:
            return keep(f"another library's word: {library} computes here, not torch")
        if setting.value is None:
            return None  # a switch says nothing of what is stored, whatever its name has in it (`--bf16-text-enc`)
        found = answer(setting)
        if found is not None and found.value is None:
            return keep(found.why)
        switch = switch_beside(setting)
        if switch is not None and precision.says(setting.value, setting.name):
            return keep(f"counts only where {switch} is on")
        around, above = setting.keys[:-1], setting.names[:-1]
        beside = document.mapping(around)
        if any(name in beside for name in _LAYOUT) or not _LAYOUT.isdisjoint(above):
            return keep("tells how bytes are laid out")
        folder = document.path.replace("\\", "/").split("/")[-2:-1]
        parts = {part for name in (*above, *folder) for part in name.split("_")}
        # A command line asks for what is to be measured, `--log-throughput`: nothing has been yet.
        if setting.form is Form.KEY and not _RECORD.isdisjoint(parts | document.words_of_names(around)):
            return keep("tells in what something was measured")
        describes = precision.describes(setting.name, setting.names[:-1])
        return keep("tells how something is stored or called") if describes else None
