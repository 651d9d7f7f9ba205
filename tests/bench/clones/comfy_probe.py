"""Run inside a copy of ComfyUI: is dtype_size right, and what dtypes does it choose on a GPU like a T4?"""

import logging
import sys
from types import SimpleNamespace

import torch


def main() -> None:
    sys.argv = ["probe", "--cpu"]
    import comfy.options

    comfy.options.enable_args_parsing()  # before the modules that read the arguments when they are imported
    logging.disable()
    import comfy.model_management as management
    import comfy.supported_models

    dtypes = {value for value in vars(torch).values() if isinstance(value, torch.dtype)}
    right = [d for d in dtypes if management.dtype_size(d) == torch.empty((), dtype=d).element_size()]
    print("dtype_size, right", len(right), "of", len(dtypes), sep="\t")

    # A card of capability 7.5 with 15 GiB, as torch reports it: bfloat16 is «supported», because it is emulated.
    management.cpu_state = management.CPUState.GPU
    torch.version.cuda = "13.0"
    torch.cuda.get_device_properties = lambda _=None: SimpleNamespace(major=7, minor=5, name="Tesla T4")
    torch.cuda.is_bf16_supported = lambda *_, **__: True
    management.get_total_memory = management.get_free_memory = lambda *_, **__: 15 << 30
    gpu = torch.device("cuda", 0)
    chosen = [management.vae_dtype(gpu, [torch.bfloat16, torch.float32])]
    for model in comfy.supported_models.models:
        for parameters in (10**8, 10**9, 2 * 10**10):
            for stored in (None, torch.bfloat16, torch.float16):
                weights = management.unet_dtype(gpu, parameters, model.supported_inference_dtypes, stored)
                chosen += [weights, management.unet_manual_cast(weights, gpu, model.supported_inference_dtypes)]
    print("bfloat16 chosen on a simulated T4", chosen.count(torch.bfloat16), "of", len(chosen), sep="\t")


main()
