"""Each word of the tables of rules and settings, where it matters; see tests/test_tables.py."""

# Words and what they mean read best in one line.
# ruff: noqa: E501
from __future__ import annotations

from precision_fix.model.vocabulary import attention, precision, truth
from tests.test_tables import codes, each
from tests.tools import rewritten

# What tables of the rules name.
OTHERS = (
    "tensorrt onnx onnxruntime openvino coremltools tvm cutlass triton numpy ml_dtypes jax tensorflow mlx paddle"
    " mindspore cupy"
)
TAGS = "F64 F32 F16 I64 I32 I16 I8 U8 U16 BOOL F8_E4M3 F8_E5M2"
WITHOUT_TORCH = "keras keras_hub keras_nlp keras_cv tensorflow jax flax haiku mlx paddle mindspore"
SHAPES = "support allow valid accept permit known available compatible eligible un dis"


def test_tables_of_rules() -> None:
    assert [
        n for n in each(OTHERS) if "PF003" not in codes(f"import torch, {n}\nx.to({{{n}.b: torch.bfloat16}}[k])\n")
    ] == []
    assert "PF003" not in codes("import torch, another\nx.to({another.b: torch.bfloat16}[k])\n")
    table = "import torch\nx.to({{'{}': 1, '{}': 2, 'x': torch.bfloat16}}[k])\n"
    assert [
        tag for tag in each(TAGS) if "PF004" not in codes(table.format(tag, "F32" if tag != "F32" else "F16"))
    ] == []
    assert "PF004" not in codes(table.format("F32", "x1"))
    kept = "import torch, {0}\n{0}.make(dtype='bfloat16')\n"
    assert [n for n in each(WITHOUT_TORCH) if rewritten(kept.format(n)) != kept.format(n)] == []
    assert rewritten(kept.format("another")) != kept.format("another")
    alone = "import {0}\nmake(dtype='bfloat16')\n"
    assert [n for n in each("jax jax.numpy mlx mlx.core mlx.nn") if rewritten(alone.format(n)) != alone.format(n)] == []
    written = "import torch, {0}\nmake(dtype='bfloat16')\n"
    assert [n for n in each("tilelang cutlass helion cute") if rewritten(written.format(n)) != written.format(n)] == []
    listed = "import torch\n{} = [torch.bfloat16]\n"
    names = [f"{word}_kinds" for word in each(SHAPES)]
    assert [name for name in names if "PF002" not in codes(listed.format(name))] == []
    assert "PF002" not in codes(listed.format("my_kinds")) | codes(listed.format("fun_kinds"))
    tells = [f"{word}_dtype" for word in each("src source from orig original expected ref checkpoint ckpt file stored")]
    given = "import torch\nmake({}=torch.bfloat16)\n"
    assert [name for name in tells if rewritten(given.format(name)) != given.format(name)] == []
    assert rewritten(given.format("my_src_dtype")) != given.format("my_src_dtype")
    probed = "import torch\ndef {}():\n    torch.zeros(1).bfloat16()\n"
    probes = each("probe my_probe self_check selfcheck self_test selftest is_fast it_works works_here")
    assert [name for name in probes if "PF009" not in codes(probed.format(name))] == []
    assert "PF009" not in codes(probed.format("workshop"))
    for device in each("xpu mps hpu npu xla ipu mtia musa mlu"):
        assert codes(f"import torch\nwith torch.autocast('{device}', dtype=torch.bfloat16): pass\n") == {"PF904"}, (
            device
        )
    for word in each("support capab avail feature allow"):
        assert "PF203" in codes(f"{word}_x(bf16=True)\n") and rewritten(f"{word}_x(bf16=True)\n").count("True") == 1, (
            word
        )
    assert rewritten("use_x(bf16=True)\n").count("True") == 0


# The words of settings.
SWITCH = (
    "use enable enabled do with to in full pure half mixed precision amp autocast eval evaluate train training inference"
    " infer model compute params param weights grad grads gradient gradients reduce allreduce accumulate optimizer states"
    " unet vae clip text encoder transformer cuda torch"
)
STORED = "save saved saving store stored storage file checkpoint ckpt checkpointer export source src orig original expected from"
CALLED_SO = "name names title label id tag text help description url key str wire format suffix choices options"


def test_names_of_settings() -> None:
    assert [word for word in each(SWITCH) if not precision.is_switch(f"{word}_bf16")] == []
    assert [word for word in each("is store has other") if precision.is_switch(f"{word}_bf16")] == []
    assert (
        precision.is_switch("bfloat16") and precision.is_switch("USE_BF16") and not precision.is_switch("use 16 bf16")
    )
    assert [word for word in each(STORED) if not precision.describes(f"{word}_dtype")] == []
    assert [word for word in each(STORED) if not precision.describes("dtype", (f"{word}_it",))] == []
    assert [word for word in each(CALLED_SO) if not precision.describes(f"dtype_{word}")] == []
    assert not precision.describes("model_dtype", ("model",)) and not precision.describes("name_dtype")
    names = each("dtype torch_dtype precision data_type torch_type compute_type weight_type amp_type")
    assert [name for name in names if not precision.is_precision(name)] == []
    assert not precision.is_precision("type")
    assert all(precision.is_mixed(name) for name in each("mixed_precision amp autocast train_amp use_autocast"))
    assert not precision.is_mixed("precision") and not precision.is_mixed("lamp")
    assert all(precision.is_optimizer(name, "adamw_bf16") for name in each("optimizer optimizer_type optim"))
    assert not precision.is_optimizer("optimizer", "adamw") and not precision.is_optimizer("other", "adamw_bf16")
    assert precision.is_optimizer("optim", "adamw-bf16") and not precision.is_optimizer("optim", "a bf16")
    assert precision.turned_on("use_tf32") == "TF32" and precision.turned_on("bf16") == "bfloat16"
    assert all(map(precision.is_filled_in, ("${a}", " {{ a }} ", "$A"))) and not precision.is_filled_in("a$A")
    assert (
        precision.is_default("${A:-bf16}")
        and not precision.is_default("${A:-xbf16x}")
        and not precision.is_default("bf16")
    )


def test_true_and_false() -> None:
    pairs = {"true": "false", "yes": "no", "on": "off", "1": "0", "y": "n", "t": "f", "auto": "false", "full": "false"}
    assert {word: truth.off_like(word) for word in pairs} == pairs
    assert truth.off_like("TRUE") == "FALSE" and truth.off_like("Yes") == "No" and truth.off_like("Y") == "N"
    assert sorted(truth.TRUE) == sorted(each("true yes on 1 y t"))
    assert sorted(truth.TRUTH) == sorted(each("true yes on 1 y t false no off 0 n f"))
    assert sorted(truth.ON) == sorted(each("true yes on 1 auto full"))


FLASH_WORDS = (
    "flash_attention_2 flash_attention_3 kernels-community/flash-attn kernels-community/flash-attn2"
    " kernels-community/vllm-flash-attn3 kernels-community/flash-attn@main kernels-community/flash-attn:f flash_attn"
    " flash_attn_2 flash_attn_3 fa2 fa3 FLASH_ATTN FLASH_ATTN_VLLM_V1 flash flash2 flashattention2 FlashAttention flashattn3"
)


def test_words_of_attention() -> None:
    assert [word for word in each(FLASH_WORDS) if not attention.needs_flash_attention(word)] == []
    assert [
        word
        for word in each("sdpa eager flash_attention flashy fa4 FLASHINFER x_fa2")
        if attention.needs_flash_attention(word)
    ] == []
    takes = each(
        "attn_impl attn_implementation my_attn_impl _attn_implementation attn_implementation_internal attention_implementation"
    )
    assert [name for name in takes if not attention.TAKES_SDPA.search(name)] == []
    assert [name for name in each("xattn_impl attn_impl_x attention") if attention.TAKES_SDPA.search(name)] == []
    switches = each(
        "flash_attn flash_attention use_flash_attn enable_flash_attention use_custom_flash_attn flashattention2 use_flash_attn_2"
    )
    assert [name for name in switches if not attention.SWITCH.fullmatch(name)] == []
    packs = each("packing padding_free packing_samples sample_packing eval_sample_packing")
    assert [name for name in packs if not attention.packed({("a", name): True})] == []
    assert attention.packed({("a",): "x padding_free"}) and not attention.packed(
        {("packing",): False, ("other",): True}
    )
    chooses = each(
        "attn_impl attn_implementation attention_backend attention_implementation attention_type flash_attn attn_type attn_backend"
    )
    assert [name for name in chooses if not attention.CHOOSES.fullmatch(name)] == []
    for flag in each("use_flash_attention_2 use_flash_attention use_flash_attn use_flash_attn_2"):
        assert rewritten(f"load({flag}=True)\n") == f"load({flag}=False)\n"
    for package in each("flash_attn flash_attn_interface flash_attn_2_cuda flash_attn_3"):
        assert "PF912" in codes(f"import {package}\n"), package
