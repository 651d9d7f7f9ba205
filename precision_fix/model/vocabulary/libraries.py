"""The words of the libraries: how each names its precision in a config, on a command line, in Python.

`LIBRARIES` is data: one row a library, with the document or the file of its repository that says so. What is looked for
in files is made of it (`vocabulary.precision`, `vocabulary.needles`), and `model.library_answers` looks a setting up in
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

# bfloat16's words as most readers know them, and their words for float32 and float16.
_TORCH = {"bfloat16": ("float32", "float16"), "torch.bfloat16": ("torch.float32", "torch.float16")}
_SHORT = {"bf16": ("fp32", "fp16")}
_ANY = {**_TORCH, **_SHORT}
_LIGHTNING = {
    "bf16-mixed": ("32-true", "16-mixed"),
    "bf16-true": ("32-true", "16-true"),
    "bf16": ("32-true", "16-mixed"),
}


class Words(NamedTuple):
    """A setting that takes a word. `words` has each word for bfloat16, with those for float32 and float16.

    A word in `own` is this library's alone, and says by itself who reads it; `usual` says that whoever reads a setting
    of this name, or of one that ends in it (`train_mixed_precision`), most likely hands it on to this library. `also`
    are other words that it takes for float32, which a program may allow in the place of the first.
    """

    names: tuple[str, ...]
    """Each may be the end of a path, `bf16.enabled`; `*` stands for any name."""
    words: Mapping[str, tuple[str, str]]
    own: frozenset[str] = frozenset()
    usual: bool = False
    also: tuple[str, ...] = ()


class Switch(NamedTuple):
    """A setting that turns bfloat16 on. `also` are the words that do so beside true.

    `alike` says that each has its like for other precisions, named with `fp32` where it says `bf16`.
    """

    names: tuple[str, ...]
    also: frozenset[str] = frozenset()
    alike: bool = False


class Follows(NamedTuple):
    """A setting that stays: `why` says whom it follows, or what it stores."""

    names: tuple[str, ...]
    why: str
    values: frozenset[str] = frozenset()


class Library(NamedTuple):
    """One row. What `packages` the library comes in, and what shows that it reads a file or a command line.

    `beside` are keys of the same mapping or at the top of the file; `files` patterns of file names; `targets` what a
    `_target_`, a command or a called name of Python begins with; `callees` the last names of its functions and classes
    that people import in many ways, by which it is guessed. `alone` tells how its command lines read a switch: True
    where it stands alone, False where a word follows it, None where that is not known.
    """

    name: str
    source: str
    settings: tuple[Words | Switch | Follows, ...]
    packages: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    callees: frozenset[str] = frozenset()
    alone: bool | None = None


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


LIBRARIES: tuple[Library, ...] = (
    Library(
        "Lightning",
        "lightning/fabric/connector.py, _PRECISION_INPUT (its aliases: _PRECISION_INPUT_STR_ALIAS); docs: "
        "common/precision_basic",
        (
            Words(("trainer.precision",), _LIGHTNING, own=_set("bf16-mixed bf16-true"), usual=True, also=("32",)),
            Words(("precision",), _LIGHTNING, own=_set("bf16-mixed bf16-true"), also=("32",)),
        ),
        packages=_set("lightning pytorch-lightning lightning-fabric litgpt nemo-toolkit"),
        beside=_set(
            "accelerator devices max_epochs accumulate_grad_batches gradient_clip_val val_check_interval num_nodes"
            " limit_val_batches log_every_n_steps enable_checkpointing num_sanity_val_steps"
        ),
        targets=("lightning.", "pytorch_lightning.", "lightning_fabric.", "litgpt"),
        callees=_set("Trainer Fabric"),
    ),
    Library(
        "NeMo",
        "NeMo: nemo/utils/trainer_utils.py, resolve_trainer_cfg (_FLASH_PRECISION_ALIASES)",
        (
            Words(
                ("precision",),
                {"bf16-flash": ("32-true", "fp16-flash"), "bf16-automodel": ("32-true", "fp16-automodel")},
                own=_set("bf16-flash bf16-automodel"),
            ),
        ),
    ),
    Library(
        "Accelerate",
        "accelerate: utils/dataclasses.py, PrecisionType; commands/config/config_args.py; docs: package_reference/cli",
        (
            Words(
                ("mixed_precision", "accelerate_mixed_precision"),
                {"bf16": ("no", "fp16")},
                usual=True,
            ),
            Follows(("downcast_bf16", "accelerate_downcast_bf16"), "Accelerate reads it on a TPU only"),
        ),
        packages=_set("accelerate"),
        beside=_set("distributed_type compute_environment machine_rank num_machines main_training_function"),
        files=("default_config.y*ml", "*accelerate*.y*ml", "*accelerate*.json"),
        targets=("accelerate",),
    ),
    Library(
        "DeepSpeed",
        "DeepSpeed: runtime/precision_config.py, runtime/config.py (DtypeEnum, get_communication_data_type); "
        "docs: config-json",
        (
            Switch(
                (
                    "bf16.enabled",
                    "bfloat16.enabled",
                    "bf16.bf16_master_weights_and_grads",
                    "bf16.bf16_optimizer_states",
                ),
            ),
            Follows(
                ("bf16.enabled", "bfloat16.enabled"),
                "follows what the trainer is told (transformers and Accelerate fill in `auto`)",
                _set("auto"),
            ),
            Words(
                ("communication_data_type", "seq_parallel_communication_data_type", "grad_accum_dtype"),
                _SHORT,
            ),
        ),
        packages=_set("deepspeed"),
        beside=_set("zero_optimization train_micro_batch_size_per_gpu train_batch_size"),
        files=("ds_config*.json", "*deepspeed*.json", "*zero[0-3]*.json"),
        targets=("deepspeed",),
    ),
    Library(
        "the Trainer of transformers",
        "transformers: training_args.py, TrainingArguments; docs: main_classes/trainer; TRL: trainer/*_config.py",
        # TF32 begins where bfloat16 does, and is refused below: training_args.py, is_torch_tf32_available.
        (Switch(("bf16", "bf16_full_eval", "tf32")),),
        packages=_set("transformers trl"),
        beside=_set(
            "per_device_train_batch_size gradient_accumulation_steps lr_scheduler_type num_train_epochs output_dir"
            " gradient_checkpointing save_strategy"
        ),
        targets=("trl",),
        alone=False,
    ),
    Library(
        "transformers",
        "transformers: modeling_utils.py, from_pretrained(dtype=); TRL: trainer/model_config.py",
        (
            Words(("torch_dtype", "dtype", "model_dtype", "hf_kwargs.torch_dtype"), _TORCH),
            Words(
                ("bnb_4bit_compute_dtype", "bnb_4bit_compute_type"),
                {**_ANY, "bf16": ("float32", "float16")},
            ),
            Follows(
                ("bnb_4bit_quant_storage", "bnb_4bit_quant_storage_dtype"), "how bitsandbytes stores packed weights"
            ),
        ),
        packages=_set("transformers trl"),
        beside=_set("model_name_or_path attn_implementation"),
    ),
    Library(
        "axolotl",
        "axolotl: utils/schemas/config.py (bf16, bfloat16); utils/config/__init__.py, resolve_dtype: `auto` asks torch,"
        " which says yes below compute capability 8.0 as well",
        (Switch(("bf16", "bfloat16"), also=_set("auto full")),),
        packages=_set("axolotl"),
        beside=_set("base_model micro_batch_size adapter lora_r sequence_len val_set_size datasets chat_template"),
        targets=("axolotl",),
    ),
    Library(
        "LLaMA-Factory",
        "LLaMA-Factory: hparams/model_args.py (infer_dtype), hparams/finetuning_args.py (pure_bf16)",
        (Switch(("bf16", "pure_bf16", "bf16_full_eval")), Words(("infer_dtype",), _TORCH, own=_set("bfloat16"))),
        packages=_set("llamafactory llmtuner"),
        beside=_set("finetuning_type template stage cutoff_len lora_target"),
        targets=("llamafactory-cli",),
        alone=False,
    ),
    Library(
        "torchtune",
        "torchtune: training/precision.py, PRECISION_STR_TO_DTYPE",
        (Words(("dtype", "model_dtype", "reference_dtype"), _SHORT),),
        packages=_set("torchtune"),
        beside=_set("tokenizer checkpointer metric_logger"),
        targets=("tune",),
    ),
    Library(
        "torchtitan",
        "torchtitan: config/configs.py, Training (dtype, mixed_precision_param: bfloat16 or float32)",
        (
            Words(
                ("mixed_precision_param", "training.dtype"),
                {"bfloat16": ("float32", "float32")},
                own=_set("bfloat16"),
            ),
        ),
    ),
    Library(
        "vLLM or SGLang",
        "docs.vllm.ai: Engine Arguments, --dtype {auto,half,float16,bfloat16,float,float32}; sglang: server_args.py",
        (
            Words(("dtype",), _TORCH),
            Words(("kv_cache_dtype",), {"bfloat16": ("auto", "auto")}),
            # vllm/config/lora.py: LoRADType = Literal["auto", "float16", "bfloat16"]
            Follows(("lora_dtype",), "vLLM takes float16 and bfloat16 alone for LoRA", _set("bfloat16")),
        ),
        packages=_set("vllm sglang"),
        beside=_set(
            "gpu_memory_utilization tensor_parallel_size max_model_len max_num_seqs enforce_eager mem_fraction_static"
        ),
        targets=("vllm", "sglang"),
    ),
    Library(
        "Composer or LLM Foundry",
        "composer: core/precision.py, Precision",
        (
            Words(
                ("precision",),
                {"amp_bf16": ("fp32", "amp_fp16"), "bf16": ("fp32", "amp_fp16")},
                own=_set("amp_bf16"),
            ),
        ),
        packages=_set("mosaicml mosaicml-composer composer llm-foundry"),
        beside=_set("device_train_microbatch_size fsdp_config global_train_batch_size max_duration"),
        targets=("composer",),
    ),
    Library(
        "sd-scripts",
        "sd-scripts: library/train_util.py (--mixed_precision, --save_precision, --full_bf16)",
        (
            Words(("mixed_precision",), {"bf16": ("no", "fp16")}, usual=True),
            Follows(("save_precision",), "the precision in which a file is saved"),
            Switch(("full_bf16",)),
        ),
        beside=_set("network_dim network_module save_precision cache_latents max_train_steps"),
        alone=True,
    ),
    Library(
        "diffusion-pipe",
        "diffusion-pipe: utils/common.py, DTYPE_MAP; train.py (save_dtype)",
        (
            Words(("dtype", "transformer_dtype", "diffusion_model_dtype", "text_encoder_dtype"), _TORCH),
            Follows(("save_dtype",), "the precision in which a file is saved"),
        ),
        beside=_set("ckpt_path diffusers_path transformer_path micro_batch_size_per_gpu"),
    ),
    Library(
        "OneTrainer",
        "OneTrainer: modules/util/enum/DataType.py; modules/trainer/GenericTrainer.py (output_dtype)",
        (
            Follows(("output_dtype",), "the precision in which a file is saved"),
            Words(
                ("*",),
                {"BFLOAT_16": ("FLOAT_32", "FLOAT_16")},
                own=_set("BFLOAT_16"),
            ),
        ),
    ),
    Library(
        "GPT-NeoX",
        "gpt-neox: megatron/neox_arguments/neox_args.py, precision: Literal['fp16', 'fp32', 'bfloat16']",
        (Words(("precision",), {"bfloat16": ("fp32", "fp16")}),),
        beside=_set("pipe_parallel_size num_layers hidden_size pos_emb"),
    ),
    Library(
        "Megatron-LM",
        "Megatron-LM: megatron/training/arguments.py (--bf16, --grad-reduce-in-bf16)",
        (Switch(("bf16", "grad_reduce_in_bf16", "accumulate_allreduce_grads_in_bf16")),),
        packages=_set("megatron-core"),
        beside=_set(
            "tensor_model_parallel_size pipeline_model_parallel_size use_mcore_models transformer_impl micro_batch_size"
            " global_batch_size max_position_embeddings position_embedding_type swiglu"
        ),
        alone=True,
    ),
    Library(
        "ComfyUI",
        "ComfyUI: comfy/cli_args.py",
        (Switch(("bf16_unet", "bf16_vae", "bf16_text_enc"), alike=True),),
    ),
    Library(
        "llama.cpp",
        "llama.cpp: convert_hf_to_gguf.py (--outtype); common/arg.cpp (--cache-type-k, -ctk)",
        (Words(("outtype", "cache_type_k", "cache_type_v", "ctk", "ctv"), {"bf16": ("f32", "f16")}, usual=True),),
    ),
)
