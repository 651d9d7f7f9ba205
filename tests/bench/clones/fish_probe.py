"""Run inside a copy of fish-speech: import its modules, or run tiny models with random weights and save what comes out.

Usage: fish_probe.py imports | fish_probe.py asis|float32|rounded|stored FILE

float32: the unpatched code made to run in float32. Its rotary tables went through bfloat16 all the same; so,
rounded: the patched code with its tables rounded that way;
stored: the unpatched code with its weights kept in bfloat16 by the runtime, and such tables.
The last three must agree bit for bit.
"""

import contextlib
import importlib
import inspect
import sys
import tempfile
import warnings
from pathlib import Path

import numpy
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

rounding = contextlib.nullcontext
SKIP = {"fish_speech.i18n.scan"}  # it rewrites the tree's files when it is imported


def imports() -> None:
    files = [file.with_suffix("") for folder in ("fish_speech", "tools") for file in Path(folder).rglob("*.py")]
    names = sorted({".".join(file.parts).removesuffix(".__init__") for file in files} - SKIP)
    failed = []
    for name in names:
        OmegaConf.clear_resolvers()  # train.py and extract_vq.py both register one
        try:
            importlib.import_module(name)
        except Exception:
            failed.append(name)
    print("modules imported", f"{len(names) - len(failed)} of {len(names)}, not {', '.join(failed)}", sep="\t")


def dtypes(model: torch.nn.Module, *tensors: torch.Tensor) -> str:
    every = [*model.parameters(), *model.buffers(), *tensors]
    return ", ".join(sorted({str(t.dtype).removeprefix("torch.") for t in every if t.is_floating_point()}))


def adjust(model: torch.nn.Module, how: str) -> None:
    if how == "float32":
        model.float()
    for name, buffer in model.named_buffers():
        if how in ("rounded", "stored") and "freqs_cis" in name:
            with rounding():
                buffer.copy_(buffer.bfloat16().float())


def dual_ar(how: str, folder: str) -> dict[str, torch.Tensor]:
    """Through the project's own command, from a checkpoint in bfloat16 to codes; then the logits of one prompt."""
    from fish_speech.models.text2semantic import inference, llama
    from fish_speech.tokenizer import ALL_SPECIAL_TOKENS
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate([*ALL_SPECIAL_TOKENS, "?"])}, "?"))
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?").save_pretrained(folder)
    shape = {"dim": 64, "head_dim": 16, "n_head": 4, "n_local_heads": 2, "n_layer": 2, "n_fast_layer": 2}
    sizes = {"vocab_size": 4352, "num_codebooks": 10, "codebook_size": 1024, "max_seq_len": 2304}
    config = llama.DualARModelArgs(**shape, **sizes, initializer_range=0.2)
    config.save(f"{folder}/config.json")
    torch.manual_seed(0)
    weights = llama.DualARTransformer(config).state_dict()
    torch.save({name: value.bfloat16() for name, value in weights.items()}, f"{folder}/model.pth")
    made, init_model = [], inference.init_model

    def spy(*args: object, **options: object) -> object:
        made.append(init_model(*args, **options))
        adjust(made[0][0], how)
        return made[0]

    inference.init_model = spy
    command = f"--checkpoint-path {folder} --device cpu --text <|speaker:0|>a --max-new-tokens 8 --output-dir {folder}"
    inference.main.main(command.split(), standalone_mode=False)
    model = made[0][0]
    prompt = torch.randint(0, 1000, (1, 11, 12), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        slow = model.forward_generate(prompt, torch.arange(12))
        fast = model.forward_generate_fast(slow.hidden_states, torch.tensor([0]))
    print("tiny DualAR", dtypes(model, slow.logits, fast), sep="\t")
    codes = torch.from_numpy(numpy.load(f"{folder}/codes_0.npy"))
    return {"codes": codes, "slow logits": slow.logits, "fast logits": fast}


def dac(how: str) -> dict[str, torch.Tensor]:
    from fish_speech.models.text2semantic.inference import load_codec_model

    config = OmegaConf.load("fish_speech/configs/modded_dac_vq.yaml")
    config.encoder_dim, config.decoder_dim, config.quantizer.input_dim = 8, 64, 128
    config.encoder_transformer_layers = [0, 0, 0, 1]
    for part in (config.quantizer.pre_module, config.quantizer.post_module):
        part.input_dim = 128
        part.config.update(dim=128, n_head=2, n_layer=1, intermediate_size=256)
    torch.manual_seed(0)
    default = inspect.signature(load_codec_model).parameters["precision"].default
    precision = torch.float32 if how == "float32" else default
    codec = instantiate(config).eval()
    with torch.no_grad(), rounding():  # as if its file held bfloat16, in every one of the runs
        for parameter in codec.parameters():
            parameter.copy_(parameter.bfloat16().float())
    codec.to(precision)
    adjust(codec, how)
    sound = torch.randn(1, 1, 8192, generator=torch.Generator().manual_seed(2)).to(precision)
    with torch.inference_mode():
        indices, _ = codec.encode(sound)
        audio = codec.from_indices(indices)
    print("tiny DAC", dtypes(codec, audio), sep="\t")
    return {"indices": indices, "audio": audio}


def int4() -> str:
    from tools.llama.quantize import group_quantize_tensor

    try:
        return str(group_quantize_tensor(torch.randn(8, 64), 4, 32)[1].dtype).removeprefix("torch.")
    except AssertionError:
        return "AssertionError"


warnings.simplefilter("ignore")
if sys.argv[1] == "imports":
    imports()
elif sys.argv[1] == "stored":
    sys.path.append(str(Path(__file__).resolve().parents[3]))
    from precision_fix import runtime
    from precision_fix.runtime.audit import audit
    from precision_fix.runtime.storage.storing import storing

    rounding = storing
    with tempfile.TemporaryDirectory() as scratch, runtime.enabled(storage="bfloat16"), audit() as seen:
        torch.save(dual_ar("stored", scratch) | dac("stored"), sys.argv[2])
    print(seen.report().text(), file=sys.stderr)
    print("computed in bfloat16", seen.report().hits, sep="\t")
else:
    with tempfile.TemporaryDirectory() as scratch:
        torch.save(dual_ar(sys.argv[1], scratch) | dac(sys.argv[1]), sys.argv[2])
    print("int4 scales of quantize.py", int4(), sep="\t")
