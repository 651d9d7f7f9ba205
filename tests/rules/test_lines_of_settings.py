"""What is found in each line of configs and launch scripts."""

# A line, what is found in it and what becomes of it read best side by side.
# ruff: noqa: E501
from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.lines import check_lines

FILES = {
    ("a config of words", "a.yaml", "float32"): """
        dtype: bfloat16  #: PF501 rewrite dtype chooses a precision => dtype: float32
        torch_dtype: bf16  #: PF501 rewrite torch_dtype chooses a precision => torch_dtype: fp32
        precision: bf16  #: PF501 rewrite precision chooses a precision => precision: fp32
        model_precision: torch.bfloat16  #: PF501 rewrite model_precision chooses a precision => model_precision: torch.float32
        mixed_precision: bf16  #: PF502 rewrite the usual reader's word => mixed_precision: "no"
        save_precision: bf16  #: PF011 keep the precision in which
        checkpoint:
          dtype: bf16  #: PF011 keep tells how something is
        name: bf16  #: PF011 keep tells how something is
        dtype_name: bf16  #: PF011 keep tells how something is
        filled: ${oc.env:DTYPE,bfloat16}  #: PF921 manual filled in from elsewhere:
        dtype2: "{{ dtype }} bf16"
        optimizer: adamw_bf16  #: PF921 manual adamw_bf16 computes in bfloat16:
        mode: bf16  #: PF921 manual mode names bfloat16: if
        bf16: true  #: PF503 rewrite bf16 turns bfloat16 on => bf16: false
        use_bf16: yes  #: PF503 rewrite use_bf16 turns bfloat16 on => use_bf16: no
        bf16_full_eval: auto  #: PF921 manual bf16_full_eval may turn bfloat16
        store_bf16: true  #: PF011 keep tells how something is
        bf16_text: 3
        tf32: true  #: PF503 rewrite tf32 turns TF32 on => tf32: false
        is_bf16: false
        fp16: false
        """,
    ("a list of words", "b.yaml", "float32"): """
        dtypes: [bf16, fp32]  #: PF012 keep one of a list
        choices:
          dtype: [bf16]  #: PF012 keep one of a list
        enum:
          dtype: bf16  #: PF012 keep offered, not chosen
        supported:
          precision: bf16  #: PF012 keep offered, not chosen
        values: {dtype: bf16}  #: PF012 keep offered, not chosen
        options: {dtype: bf16}  #: PF012 keep offered, not chosen
        allowed: {dtype: bf16}  #: PF012 keep offered, not chosen
        examples: {dtype: bf16}  #: PF012 keep offered, not chosen
        args: [--dtype, bfloat16, --bf16, x]  #: PF922 manual --dtype of a command
        command: [python, --dtype, bfloat16]  #: PF922 manual --dtype of a command
        entrypoint: [--dtype, bf16]  #: PF922 manual --dtype of a command
        widgets_values: [bf16]  #: PF921 manual chosen in a node
        other: [--dtype, bfloat16]  #: PF012 keep one of a list
        """,
    ("what tells of bytes", "c.json", "float32"): """
        {
         "a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]},  #: PF011 keep tells how bytes are
         "b": {"dtype": "bf16", "offset": 1},  #: PF011 keep tells how bytes are
         "c": {"dtype": "bf16", "nbytes": 1},  #: PF011 keep tells how bytes are
         "d": {"dtype": "bf16", "offsets": [1]},  #: PF011 keep tells how bytes are
         "e": {"dtype": "bf16", "tflops": 312},  #: PF011 keep tells in what something
         "f": {"dtype": "bf16", "throughput": 12.5},  #: PF011 keep tells in what something
         "g": {"dtype": "bf16", "latency": 3},  #: PF011 keep tells in what something
         "measured": {"dtype": "bf16"},  #: PF011 keep tells in what something
         "h": {"dtype": "bf16", "hardware": "x"},  #: PF011 keep tells in what something
         "i": {"dtype": "bf16", "status": "x"},  #: PF011 keep tells in what something
         "j": {"dtype": "bf16", "verified": "by hand"},  #: PF011 keep tells in what something
         "results": {"dtype": "bf16"},  #: PF011 keep tells in what something
         "k": {"dtype": "bf16", "mfu": 0.5},  #: PF011 keep tells in what something
         "measurement": {"dtype": "bf16"},  #: PF011 keep tells in what something
         "shape": {"dtype": "bf16"},  #: PF011 keep tells how bytes are
         "m": {"dtype": "bf16", "verified": true},  #: PF501 rewrite dtype chooses a precision => "m": {"dtype": "fp32", "verified": true},
         "n": {"dtype": "bf16", "tflops_on": 1},  #: PF501 rewrite dtype chooses a precision => "n": {"dtype": "fp32", "tflops_on": 1},
         "l": {"dtype": "bf16", "else": 1}  #: PF501 rewrite dtype chooses a precision => "l": {"dtype": "fp32", "else": 1}
        }
        """,
    ("a record by its folder", "results/d.yaml", "float32"): """
        dtype: bf16  #: PF011 keep tells in what something
        """,
    ("the config of a model", "config.json", "float32"): """
        {
         "model_type": "x",
         "torch_dtype": "bfloat16",  #: PF920 manual says what the weights
         "dtype": "bfloat16",  #: PF920 manual says what the weights
         "params_dtype": "bfloat16",  #: PF920 manual says what the weights
         "precision": "bf16",  #: PF501 rewrite precision chooses a precision => "precision": "fp32",
         "attn_implementation": "flash_attention_2"  #: PF504 rewrite flash attention does not => "attn_implementation": "sdpa"
        }
        """,
    ("the config of a model by what it has", "e.json", "float32"): """
        {
         "architectures": ["A"],
         "precision": "bf16",  #: PF920 manual says what the weights
         "attn_implementation": "flash_attention_2"  #: PF920 manual asks for flash attention:
        }
        """,
    ("the config of a model by its shape", "f.json", "float32"): """
        {
         "model_type": "x",
         "use_cache": true,
         "tie_word_embeddings": true,
         "torch_dtype": "bfloat16",  #: PF920 manual says what the weights
         "precision": "bf16"  #: PF501 rewrite precision chooses a precision => "precision": "fp32"
        }
        """,
    ("the config of a trainer", "g.json", "float32"): """
        {
         "model_type": "x",
         "use_cache": true,
         "torch_dtype": "bfloat16"  #: PF501 rewrite torch_dtype chooses a precision => "torch_dtype": "float32"
        }
        """,
    ("what a library of models writes", "h.json", "float32"): """
        {
         "_class_name": "A",
         "_diffusers_version": "1",
         "dtype": "bfloat16"  #: PF920 manual says what the weights
        }
        """,
    ("generation", "generation_config.json", "float32"): """
        {
         "model_type": "x",
         "dtype": "bfloat16"  #: PF920 manual says what the weights
        }
        """,
    ("quantized", "quantize_config.json", "float32"): """
        {
         "model_type": "x",
         "dtype": "bfloat16"  #: PF920 manual says what the weights
        }
        """,
    ("what tells whose a mapping is", "x2.json", "float32"): """
        {
         "transformers_version": "5",
         "dtype": "bfloat16"  #: PF920 manual says what the weights
        }
        """,
    ("what tells that a mapping is of diffusers", "x3.json", "float32"): """
        {
         "diffusers_version": "5",
         "dtype": "bfloat16"  #: PF920 manual says what the weights
        }
        """,
    ("shapes of a model", "x4.json", "float32"): """
        {
         "a": {"model_type": "x", "initializer_range": 1, "max_position_embeddings": 2},
         "model_type": "y",
         "dtype": "bfloat16"  #: PF920 manual says what the weights
        }
        """,
    ("switches that stand under others", "x5.yaml", "float32"): """
        torch_autocast:
          enabled: true  #: PF503 rewrite torch_autocast.enabled turns bfloat16 on => enabled: false
          dtype: bf16  #: PF501 rewrite dtype chooses a precision => dtype: fp32
        bf16:
          enable: true  #: PF503 rewrite enable turns bfloat16 on => enable: false
        use_bf16:
          use: true  #: PF503 rewrite use turns bfloat16 on => use: false
        amp: true  #: PF503 rewrite amp turns bfloat16 on => amp: false
        amp_dtype: bf16  #: PF011 keep counts only where amp
        mixed_precision: true  #: PF503 rewrite mixed_precision turns bfloat16 on => mixed_precision: false
        mixed_precision_dtype: bf16  #: PF011 keep counts only where mixed_precision
        autocast:
          dtype: bf16  #: PF501 rewrite dtype chooses a precision => dtype: fp32
          enabled: true
        dtype:
          _target_: hydra.utils.get_object
          path: torch.bfloat16  #: PF501 rewrite path chooses a precision => path: torch.float32
        other:
          _target_: torch.bfloat16  #: PF921 manual _target_ names bfloat16: if
        """,
    ("attention in a config", "i.yaml", "float32"): """
        attn_implementation: flash_attention_2  #: PF504 rewrite flash attention does not => attn_implementation: sdpa
        model:
          attn_implementation: flash_attn  #: PF504 rewrite flash attention does not => attn_implementation: sdpa
          attention: flash_attention_2
        use_flash_attention_2: true  #: PF504 rewrite flash attention does not => use_flash_attention_2: false
        flash_attn: fa2  #: PF504 rewrite flash attention does not => flash_attn: sdpa
        use_flash_attn: false
        attn_config:
          attn_impl: flash  #: PF504 rewrite flash attention does not => attn_impl: torch
        other_impl: flash
        """,
    ("attention of packed rows", "j.yaml", "float32"): """
        packing: true
        attn_implementation: flash_attention_2  #: PF504 manual the examples are packed,
        """,
    ("attention of rows that are not packed", "k.yaml", "float32"): """
        packing: false
        padding_free: no
        attn_implementation: flash_attention_2  #: PF504 rewrite flash attention does not => attn_implementation: sdpa
        """,
    ("a command line in a config", "l.yaml", "float32"): """
        --bf16: true  #: PF922 manual --bf16 of a command
        --dtype: bf16  #: PF922 manual --dtype of a command
        --mode: bf16  #: PF922 manual --mode of a command
        --mixed_precision: bf16  #: PF502 rewrite the usual reader's word => --mixed_precision: "no"
        """,
    ("switches within", "m.yaml", "float32"): """
        bf16:
          enabled: true  #: PF503 rewrite bf16.enabled turns bfloat16 on => enabled: false
        fp16:
          enabled: false
        amp:
          dtype: bf16  #: PF501 rewrite dtype chooses a precision => dtype: fp32
          enabled: false
        trainer:
          precision: bf16-mixed  #: PF502 rewrite Lightning's word for float32 => precision: 32-true
        """,
    ("variables", ".env", "float32"): """
        DTYPE=bf16  #: PF501 rewrite DTYPE chooses a precision => DTYPE=fp32
        MODEL_DTYPE=bfloat16  #: PF501 rewrite MODEL_DTYPE chooses a precision => MODEL_DTYPE=float32
        ACCELERATE_MIXED_PRECISION=bf16  #: PF502 rewrite the usual reader's word => ACCELERATE_MIXED_PRECISION=no
        ACCELERATE_USE_BF16=true  #: PF921 manual ACCELERATE_USE_BF16 may turn bfloat16
        BF16=true  #: PF503 rewrite BF16 turns bfloat16 on => BF16=false
        NAME=bf16  #: PF011 keep tells how something is
        SAVE_DTYPE=bf16  #: PF011 keep the precision in which
        PRECISION_FILE=bf16  #: PF011 keep tells how something is
        """,
    ("variables of a script", "n.sh", "float32"): """
        export DTYPE=bf16  #: PF603 manual what reads the variable,
        export MODEL_DTYPE=bfloat16  #: PF603 manual what reads the variable,
        export ACCELERATE_MIXED_PRECISION=bf16  #: PF603 rewrite Accelerate reads it => export ACCELERATE_MIXED_PRECISION=no
        export MIXED_PRECISION=bf16  #: PF603 manual what reads the variable,
        export SAVE_DTYPE=bf16  #: PF603 keep the precision in which
        NAME=bf16
        AMP=bf16  #: PF603 manual what reads the variable,
        precision=bf16  #: PF601 manual which word for float32
        python a.py --dtype $precision
        """,
    ("launch lines", "o.sh", "float32"): """
        python a.py --dtype bfloat16  #: PF601 rewrite torch's own name of => python a.py --dtype float32
        python b.py --dtype bf16  #: PF601 manual which word for float32
        python b.py --param_dtype torch.bfloat16  #: PF601 rewrite torch's own name of => python b.py --param_dtype torch.float32
        python b.py --mode bf16  #: PF601 manual mode is given the
        python b.py --save_dtype bfloat16  #: PF011 keep the precision in which
        python b.py --out_dtype bfloat16  #: PF601 manual the precision of what
        python b.py --export-dtype bfloat16  #: PF011 keep tells how something is
        python b.py --quant_storage_dtype bfloat16  #: PF011 keep tells how something is
        python b.py --kv_cache_dtype bfloat16  #: PF601 manual the dtype of a
        vllm serve a --kv-cache-dtype bfloat16  #: PF601 rewrite `auto` follows the model's => vllm serve a --kv-cache-dtype auto
        vllm serve a --dtype bfloat16  #: PF601 rewrite the word that vLLM => vllm serve a --dtype float32
        sglang serve --kv-cache-dtype bfloat16  #: PF601 rewrite `auto` follows the model's => sglang serve --kv-cache-dtype auto
        accelerate launch --mixed_precision bf16 c.py  #: PF601 rewrite the word that Accelerate => accelerate launch --mixed_precision no c.py
        accelerate launch --mixed_precision=bf16 c.py  #: PF601 rewrite the word that Accelerate => accelerate launch --mixed_precision=no c.py
        python c.py --bf16  #: PF602 rewrite bf16 turns bfloat16 on => python c.py --bf16 False
        python c.py --bf16 True  #: PF602 rewrite bf16 turns bfloat16 on => python c.py --bf16 False
        python c.py --bf16 true --fp16 false  #: PF602 rewrite bf16 turns bfloat16 on => python c.py --bf16 false --fp16 false
        python c.py --bf16 False
        python c.py --no_bf16
        python c.py --disable-bf16
        python c.py --without_bf16
        python c.py --bf16-not
        python c.py --skip_bf16
        python c.py --allow_bf16
        python c.py --use-bf16  #: PF602 manual turns bfloat16 on: take
        python c.py --bf16-vae  #: PF602 rewrite bf16_vae turns bfloat16 on => python c.py --fp32-vae
        python c.py --fp32-vae
        python c.py --store_bf16  #: PF602 manual turns bfloat16 on: take
        python c.py --bf16 --per_device_train_batch_size 1  #: PF602 rewrite bf16 turns bfloat16 on => python c.py --bf16 False --per_device_train_batch_size 1
        python c.py --bf16 --per_device_eval_batch_size 1  #: PF602 rewrite bf16 turns bfloat16 on => python c.py --bf16 False --per_device_eval_batch_size 1
        python c.py --bf16 --save_strategy no  #: PF602 rewrite bf16 turns bfloat16 on => python c.py --bf16 False --save_strategy no
        python c.py --bf16 --eval_strategy no  #: PF602 rewrite bf16 turns bfloat16 on => python c.py --bf16 False --eval_strategy no
        python c.py --attn_implementation flash_attention_2  #: PF604 rewrite flash attention does not => python c.py --attn_implementation sdpa
        python c.py --attn_mode flash_attention_2
        python c.py --use_flash_attn  #: PF604 manual flash attention does not
        python c.py --use_flash_attn True  #: PF604 rewrite flash attention does not => python c.py --use_flash_attn False
        python c.py --use_flash_attn False
        python c.py --flash_attn fa2  #: PF604 rewrite flash attention does not => python c.py --flash_attn sdpa
        python c.py --tf32 True  #: PF602 rewrite tf32 turns TF32 on => python c.py --tf32 False
        """,
    ("packed rows of a command line", "r.sh", "float32"): """
        python c.py --attn_implementation flash_attention_2 --packing True  #: PF604 manual the examples are packed,
        """,
    ("rows of a command line", "s.sh", "float32"): """
        python c.py --attn_implementation flash_attention_2 --packing False  #: PF604 rewrite flash attention does not => python c.py --attn_implementation sdpa --packing False
        """,
    ("a packed launch of another option", "t.sh", "float32"): """
        python c.py --attn_mode flash_attention_2 --sample-packing true
        """,
    ("what follows another key", "u.json", "float32"): """
        {"bf16": {"enabled": "auto"}, "fp16": {"enabled": "auto"}, "zero_optimization": {"stage": 2}}  #: PF011 keep follows what the trainer
        """,
    ("DeepSpeed", "ds_config.json", "float32"): """
        {
         "train_micro_batch_size_per_gpu": 1,
         "zero_optimization": {"stage": 2},
         "bf16": {"enabled": true},  #: PF503 rewrite bf16.enabled turns bfloat16 on => "bf16": {"enabled": false},
         "bfloat16": {"enabled": true},  #: PF503 rewrite bfloat16.enabled turns bfloat16 on => "bfloat16": {"enabled": false},
         "data_types": {"grad_accum_dtype": "bf16"},  #: PF502 rewrite DeepSpeed's word for float32 => "data_types": {"grad_accum_dtype": "fp32"},
         "communication_data_type": "bfp16"
        }
        """,
    ("what an option of a mapping follows", "v.yaml", "float32"): """
        mixed_precision: bf16  #: PF502 rewrite the usual reader's word => mixed_precision: "no"
        distributed_type: MULTI_GPU
        fsdp_config:
          fsdp_offload_params: true
        deepspeed_config:
          zero_stage: 2
        downcast_bf16: "no"
        """,
    ("axolotl", "w.yaml", "float32"): """
        base_model: a/b
        sequence_len: 2048
        bf16: auto  #: PF503 rewrite bf16 turns bfloat16 on => bf16: false
        fp16: false
        tf32: true  #: PF503 rewrite tf32 turns TF32 on => tf32: false
        flash_attention: true  #: PF504 manual the examples are packed,
        sample_packing: true
        """,
    ("LLaMA-Factory", "x.yaml", "float32"): """
        model_name_or_path: a
        stage: sft
        finetuning_type: lora
        bf16: true  #: PF503 rewrite bf16 turns bfloat16 on => bf16: false
        pure_bf16: true  #: PF503 rewrite pure_bf16 turns bfloat16 on => pure_bf16: false
        flash_attn: fa2  #: PF504 rewrite flash attention does not => flash_attn: sdpa
        """,
    ("a switch of no known program", "y.sh", "float32"): """
        python d.py --bf16  #: PF602 manual turns bfloat16 on: take
        python d.py --bf16 yes  #: PF602 rewrite bf16 turns bfloat16 on => python d.py --bf16 no
        torchrun d.py --bf16=True  #: PF602 rewrite bf16 turns bfloat16 on => torchrun d.py --bf16=False
        python d.py --dtype=bf16 --bf16=1  #: PF601 manual which word for float32 ; PF602 rewrite bf16 turns bfloat16 on => python d.py --dtype=bf16 --bf16=0
        """,
}


@pytest.mark.parametrize(("title", "path", "to"), FILES)
def test_each_line(title: str, path: str, to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_lines(FILES[title, path, to], path=path, to=to)
