"""What becomes of the words and switches of each library, in its configs and on its command lines."""

# A line, what is found in it and what becomes of it read best side by side.
# ruff: noqa: E501
from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.lines import check_lines

FILES = {
    ("Lightning", "a.yaml", "float32"): """
        devices: 1
        max_epochs: 1
        precision: bf16  #: PF502 rewrite Lightning's word for float32 => precision: 32-true
        trainer:
          precision: bf16-true  #: PF502 rewrite Lightning's word for float32 => precision: 32-true
        other:
          precision: bf16-mixed  #: PF502 rewrite Lightning's word for float32 => precision: 32-true
        """,
    ("Lightning, to float16", "a.yaml", "float16"): """
        devices: 1
        max_epochs: 1
        precision: bf16  #: PF502 rewrite Lightning's word for float16 => precision: 16-mixed
        trainer:
          precision: bf16-true  #: PF502 rewrite Lightning's word for float16 => precision: 16-true
        other:
          precision: bf16-mixed  #: PF502 rewrite Lightning's word for float16 => precision: 16-mixed
        """,
    ("NeMo", "a.yaml", "float32"): """
        precision: bf16-flash  #: PF502 rewrite NeMo's word for float32 => precision: 32-true
        trainer:
          precision: bf16-automodel  #: PF502 rewrite NeMo's word for float32 => precision: 32-true
        """,
    ("NeMo, to float16", "a.yaml", "float16"): """
        precision: bf16-flash  #: PF502 rewrite NeMo's word for float16 => precision: fp16-flash
        trainer:
          precision: bf16-automodel  #: PF502 rewrite NeMo's word for float16 => precision: fp16-automodel
        """,
    ("Accelerate", "a.yaml", "float32"): """
        distributed_type: NO
        machine_rank: 0
        mixed_precision: bf16  #: PF502 rewrite Accelerate's word for float32 => mixed_precision: "no"
        downcast_bf16: true  #: PF011 keep Accelerate reads it on
        train_mixed_precision: bf16  #: PF502 rewrite Accelerate's word for float32 => train_mixed_precision: "no"
        """,
    ("Accelerate, to float16", "a.yaml", "float16"): """
        distributed_type: NO
        machine_rank: 0
        mixed_precision: bf16  #: PF502 rewrite Accelerate's word for float16 => mixed_precision: fp16
        """,
    ("Accelerate by variables", ".env", "float32"): """
        ACCELERATE_MIXED_PRECISION=bf16  #: PF502 rewrite the usual reader's word => ACCELERATE_MIXED_PRECISION=no
        ACCELERATE_DOWNCAST_BF16=true  #: PF011 keep Accelerate reads it on
        """,
    ("DeepSpeed", "a.json", "float32"): """
        {
         "zero_optimization": {},
         "train_batch_size": 1,
         "bf16": {"enabled": true},  #: PF503 rewrite bf16.enabled turns bfloat16 on => "bf16": {"enabled": false},
         "bfloat16": {"enabled": true},  #: PF503 rewrite bfloat16.enabled turns bfloat16 on => "bfloat16": {"enabled": false},
         "a": {"bf16": {"bf16_master_weights_and_grads": true}},  #: PF503 rewrite bf16_master_weights_and_grads turns bfloat16 on => "a": {"bf16": {"bf16_master_weights_and_grads": false}},
         "b": {"bf16": {"bf16_optimizer_states": true}},  #: PF503 rewrite bf16_optimizer_states turns bfloat16 on => "b": {"bf16": {"bf16_optimizer_states": false}},
         "c": {"bf16": {"enabled": "auto"}},  #: PF011 keep follows what the trainer
         "d": {"bfloat16": {"enabled": "auto"}},  #: PF011 keep follows what the trainer
         "communication_data_type": "bf16",  #: PF501 rewrite communication_data_type chooses a precision => "communication_data_type": "fp32",
         "seq_parallel_communication_data_type": "bf16",  #: PF501 rewrite seq_parallel_communication_data_type chooses a precision => "seq_parallel_communication_data_type": "fp32",
         "data_types": {"grad_accum_dtype": "bf16"}  #: PF501 rewrite grad_accum_dtype chooses a precision => "data_types": {"grad_accum_dtype": "fp32"}
        }
        """,
    ("the Trainer of transformers", "a.yaml", "float32"): """
        output_dir: a
        num_train_epochs: 1
        bf16: true  #: PF503 rewrite bf16 turns bfloat16 on => bf16: false
        bf16_full_eval: true  #: PF503 rewrite bf16_full_eval turns bfloat16 on => bf16_full_eval: false
        tf32: true  #: PF503 rewrite tf32 turns TF32 on => tf32: false
        """,
    ("transformers", "a.yaml", "float32"): """
        model_name_or_path: a
        attn_implementation: sdpa
        torch_dtype: bfloat16  #: PF502 rewrite transformers's word for float32 => torch_dtype: float32
        dtype: torch.bfloat16  #: PF502 rewrite transformers's word for float32 => dtype: torch.float32
        model_dtype: bfloat16  #: PF502 rewrite transformers's word for float32 => model_dtype: float32
        hf_kwargs:
          torch_dtype: bfloat16  #: PF502 rewrite transformers's word for float32 => torch_dtype: float32
        bnb_4bit_compute_dtype: bf16  #: PF502 rewrite transformers's word for float32 => bnb_4bit_compute_dtype: float32
        bnb_4bit_compute_type: bf16  #: PF502 rewrite transformers's word for float32 => bnb_4bit_compute_type: float32
        quantization:
          bnb_4bit_compute_dtype: bfloat16  #: PF502 rewrite transformers's word for float32 => bnb_4bit_compute_dtype: float32
          bnb_4bit_compute_type: torch.bfloat16  #: PF502 rewrite transformers's word for float32 => bnb_4bit_compute_type: torch.float32
        bnb_4bit_quant_storage: bfloat16  #: PF011 keep how bitsandbytes stores packed
        bnb_4bit_quant_storage_dtype: bfloat16  #: PF011 keep how bitsandbytes stores packed
        """,
    ("transformers, to float16", "a.yaml", "float16"): """
        model_name_or_path: a
        attn_implementation: sdpa
        torch_dtype: bfloat16  #: PF502 rewrite transformers's word for float16 => torch_dtype: float16
        dtype: torch.bfloat16  #: PF502 rewrite transformers's word for float16 => dtype: torch.float16
        bnb_4bit_compute_dtype: bf16  #: PF502 rewrite transformers's word for float16 => bnb_4bit_compute_dtype: float16
        bnb_4bit_compute_type: bfloat16  #: PF502 rewrite transformers's word for float16 => bnb_4bit_compute_type: float16
        """,
    ("axolotl", "a.yaml", "float32"): """
        base_model: a
        adapter: lora
        bf16: auto  #: PF503 rewrite bf16 turns bfloat16 on => bf16: false
        bfloat16: full  #: PF503 rewrite bfloat16 turns bfloat16 on => bfloat16: false
        """,
    ("LLaMA-Factory", "a.yaml", "float32"): """
        stage: sft
        template: a
        bf16: true  #: PF503 rewrite bf16 turns bfloat16 on => bf16: false
        pure_bf16: true  #: PF503 rewrite pure_bf16 turns bfloat16 on => pure_bf16: false
        bf16_full_eval: true  #: PF503 rewrite bf16_full_eval turns bfloat16 on => bf16_full_eval: false
        infer_dtype: bfloat16  #: PF502 rewrite LLaMA-Factory's word for float32 => infer_dtype: float32
        """,
    ("torchtune", "a.yaml", "float32"): """
        tokenizer: a
        checkpointer: b
        dtype: bf16  #: PF502 rewrite torchtune's word for float32 => dtype: fp32
        model_dtype: bf16  #: PF502 rewrite torchtune's word for float32 => model_dtype: fp32
        reference_dtype: bf16  #: PF502 rewrite torchtune's word for float32 => reference_dtype: fp32
        """,
    ("torchtitan", "a.toml", "float32"): """
        mixed_precision_param = "bfloat16"  #: PF502 rewrite torchtitan's word for float32 => mixed_precision_param = "float32"
        [training]
        dtype = "bfloat16"  #: PF502 rewrite torchtitan's word for float32 => dtype = "float32"
        """,
    ("torchtitan, to float16", "a.toml", "float16"): """
        mixed_precision_param = "bfloat16"  #: PF502 rewrite torchtitan's word for float16 => mixed_precision_param = "float32"
        [training]
        dtype = "bfloat16"  #: PF502 rewrite torchtitan's word for float16 => dtype = "float32"
        """,
    ("vLLM", "a.yaml", "float32"): """
        max_model_len: 1
        enforce_eager: true
        dtype: bfloat16  #: PF502 rewrite vLLM or SGLang's word => dtype: float32
        kv_cache_dtype: bfloat16  #: PF502 rewrite vLLM or SGLang's word => kv_cache_dtype: auto
        lora_dtype: bfloat16  #: PF011 keep vLLM takes float16 and
        """,
    ("vLLM, to float16", "a.yaml", "float16"): """
        max_model_len: 1
        enforce_eager: true
        dtype: bfloat16  #: PF502 rewrite vLLM or SGLang's word => dtype: float16
        kv_cache_dtype: bfloat16  #: PF502 rewrite vLLM or SGLang's word => kv_cache_dtype: auto
        """,
    ("Composer", "a.yaml", "float32"): """
        max_duration: 1
        fsdp_config: {}
        precision: amp_bf16  #: PF502 rewrite Composer or LLM Foundry's => precision: fp32
        other:
          precision: bf16  #: PF501 rewrite precision chooses a precision => precision: fp32
        """,
    ("Composer, to float16", "a.yaml", "float16"): """
        max_duration: 1
        fsdp_config: {a: 1}
        precision: amp_bf16  #: PF502 rewrite Composer or LLM Foundry's => precision: amp_fp16
        other:
          precision: bf16  #: PF502 rewrite Composer or LLM Foundry's => precision: amp_fp16
        """,
    ("sd-scripts", "a.toml", "float32"): """
        network_dim = 1
        network_module = "a"
        mixed_precision = "bf16"  #: PF502 rewrite sd-scripts's word for float32 => mixed_precision = "no"
        save_precision = "bf16"  #: PF011 keep the precision in which
        full_bf16 = true  #: PF503 rewrite full_bf16 turns bfloat16 on => full_bf16 = false
        """,
    ("diffusion-pipe", "a.toml", "float32"): """
        ckpt_path = "a"
        diffusers_path = "b"
        save_dtype = "bfloat16"  #: PF011 keep the precision in which
        dtype = "bfloat16"  #: PF502 rewrite diffusion-pipe's word for float32 => dtype = "float32"
        transformer_dtype = "bfloat16"  #: PF502 rewrite diffusion-pipe's word for float32 => transformer_dtype = "float32"
        diffusion_model_dtype = "bfloat16"  #: PF502 rewrite diffusion-pipe's word for float32 => diffusion_model_dtype = "float32"
        text_encoder_dtype = "bfloat16"  #: PF502 rewrite diffusion-pipe's word for float32 => text_encoder_dtype = "float32"
        """,
    ("OneTrainer", "a.json", "float32"): """
        {
         "output_dtype": "BFLOAT_16",  #: PF011 keep the precision in which
         "train_dtype": "BFLOAT_16",  #: PF502 rewrite OneTrainer's word for float32 => "train_dtype": "FLOAT_32",
         "unet": {"weight_dtype": "BFLOAT_16"}  #: PF502 rewrite OneTrainer's word for float32 => "unet": {"weight_dtype": "FLOAT_32"}
        }
        """,
    ("OneTrainer, to float16", "a.json", "float16"): """
        {
         "train_dtype": "BFLOAT_16"  #: PF502 rewrite OneTrainer's word for float16 => "train_dtype": "FLOAT_16"
        }
        """,
    ("GPT-NeoX", "a.yaml", "float32"): """
        num_layers: 1
        hidden_size: 1
        precision: bfloat16  #: PF502 rewrite GPT-NeoX's word for float32 => precision: fp32
        """,
    ("GPT-NeoX, to float16", "a.yaml", "float16"): """
        num_layers: 1
        hidden_size: 1
        precision: bfloat16  #: PF502 rewrite GPT-NeoX's word for float16 => precision: fp16
        """,
    ("Megatron-LM", "a.yaml", "float32"): """
        swiglu: true
        micro_batch_size: 1
        bf16: true  #: PF503 rewrite bf16 turns bfloat16 on => bf16: false
        grad_reduce_in_bf16: true  #: PF503 rewrite grad_reduce_in_bf16 turns bfloat16 on => grad_reduce_in_bf16: false
        accumulate_allreduce_grads_in_bf16: true  #: PF503 rewrite accumulate_allreduce_grads_in_bf16 turns bfloat16 on => accumulate_allreduce_grads_in_bf16: false
        """,
    ("commands of libraries", "a.sh", "float32"): """
        accelerate launch --mixed_precision bf16 t.py  #: PF601 rewrite the word that Accelerate => accelerate launch --mixed_precision no t.py
        accelerate launch --downcast_bf16 t.py
        litgpt finetune --precision bf16  #: PF601 rewrite the word that Lightning => litgpt finetune --precision 32-true
        deepspeed t.py --communication_data_type bf16  #: PF601 manual which word for float32
        trl sft --bf16  #: PF602 rewrite bf16 turns bfloat16 on => trl sft --bf16 False
        trl sft --bf16 True --tf32 True  #: PF602 rewrite bf16 turns bfloat16 on ; PF602 rewrite tf32 turns TF32 on => trl sft --bf16 False --tf32 False
        trl sft --bf16_full_eval  #: PF602 rewrite bf16_full_eval turns bfloat16 on => trl sft --bf16_full_eval False
        axolotl train a.yaml --bf16 auto  #: PF602 manual turns bfloat16 on: take
        llamafactory-cli train --bf16  #: PF602 rewrite bf16 turns bfloat16 on => llamafactory-cli train --bf16 False
        llamafactory-cli train --pure_bf16  #: PF602 rewrite pure_bf16 turns bfloat16 on => llamafactory-cli train --pure_bf16 False
        llamafactory-cli train --infer_dtype bfloat16  #: PF601 rewrite the word that LLaMA-Factory => llamafactory-cli train --infer_dtype float32
        tune run full --dtype bf16  #: PF601 rewrite the word that torchtune => tune run full --dtype fp32
        vllm serve a --dtype bfloat16  #: PF601 rewrite the word that vLLM => vllm serve a --dtype float32
        vllm serve a --lora-dtype bfloat16  #: PF011 keep vLLM takes float16 and
        sglang serve --dtype bfloat16  #: PF601 rewrite the word that vLLM => sglang serve --dtype float32
        composer t.py --precision bf16  #: PF601 manual which word for float32
        python sd.py --network_dim 1 --network_module a --full_bf16  #: PF602 rewrite full_bf16 turns bfloat16 on => python sd.py --network_dim 1 --network_module a
        python sd.py --network_dim 1 --network_module a --save_precision bf16  #: PF011 keep the precision in which
        python m.py --swiglu --micro-batch-size 1 --bf16  #: PF602 rewrite bf16 turns bfloat16 on => python m.py --swiglu --micro-batch-size 1
        python m.py --swiglu --micro-batch-size 1 --grad-reduce-in-bf16  #: PF602 rewrite grad_reduce_in_bf16 turns bfloat16 on => python m.py --swiglu --micro-batch-size 1
        python main.py --bf16-unet  #: PF602 rewrite bf16_unet turns bfloat16 on => python main.py --fp32-unet
        python main.py --bf16-vae --bf16-text-enc  #: PF602 rewrite bf16_text_enc turns bfloat16 on ; PF602 rewrite bf16_vae turns bfloat16 on => python main.py --fp32-vae --fp32-text-enc
        python convert_hf_to_gguf.py --outtype bf16  #: PF601 rewrite the word that the => python convert_hf_to_gguf.py --outtype f32
        llama-server -ctk bf16 -ctv bf16  #: PF601 rewrite the word that the ; PF601 rewrite the word that the => llama-server -ctk f32 -ctv f32
        llama-server --cache-type-k bf16 --cache-type-v bf16  #: PF601 rewrite the word that the ; PF601 rewrite the word that the => llama-server --cache-type-k f32 --cache-type-v f32
        """,
    ("commands of libraries, to float16", "a.sh", "float16"): """
        accelerate launch --mixed_precision bf16 t.py  #: PF601 rewrite the word that Accelerate => accelerate launch --mixed_precision fp16 t.py
        python main.py --bf16-unet  #: PF602 rewrite bf16_unet turns bfloat16 on => python main.py --fp16-unet
        python convert_hf_to_gguf.py --outtype bf16  #: PF601 rewrite the word that the => python convert_hf_to_gguf.py --outtype f16
        llama-server -ctk bf16  #: PF601 rewrite the word that the => llama-server -ctk f16
        vllm serve a --kv-cache-dtype bfloat16  #: PF601 rewrite `auto` follows the model's => vllm serve a --kv-cache-dtype auto
        """,
}


@pytest.mark.parametrize(("title", "path", "to"), FILES)
def test_each_line(title: str, path: str, to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_lines(FILES[title, path, to], path=path, to=to)
