"""Real projects to measure on: wheels from the package index, and repositories at a given commit.

Everything lands in `.trees/`, once. A repository that is on the machine already is taken from there: COMFYUI=/path,
FISH_SPEECH=/path, WAN2_1=/path. What cannot be had is skipped, and said.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(".trees")
WHEELS = {
    "accelerate": "accelerate==1.15.0",
    "diffusers": "diffusers==0.42.1",
    "f5_tts": "f5-tts==1.1.22",
    "fish_speech": "fish-speech==0.1.0",
    "gguf": "gguf==0.19.0",
    "lightning": "lightning==2.6.6",
    "litgpt": "litgpt==0.5.13",
    "sglang": "sglang==0.5.23",
    "transformers": "transformers==5.23.0",
    "unsloth": "unsloth==2026.10.9",
}
REPOSITORIES = {
    "ACE-Step": ("ace-step/ACE-Step", "d612523f50e252c0e138e68ae75b06223f96e934"),
    "ao": ("pytorch/ao", "36027d82d1ad9949597ea16002ff4940374b1b94"),
    "axolotl": ("axolotl-ai-cloud/axolotl", "067b021c8b87a9e5e380b9173c704cf7340e30f5"),
    "CogVideo": ("THUDM/CogVideo", "e519eced782c08db81f45e5eb40baa45958087ae"),
    "ComfyUI": ("Comfy-Org/ComfyUI", "a125cd84b054a57729b5eecab930ca9408719832"),
    "compressed-tensors": ("neuralmagic/compressed-tensors", "52792be02ec09e59f3517104e755a02d0e003fbb"),
    "CosyVoice": ("FunAudioLLM/CosyVoice", "ace7c47f41bbd303aa6bf1ea80e6f9fbd595cd40"),
    "DeepSeek-V3": ("deepseek-ai/DeepSeek-V3", "9b4e9788e4a3a731f7567338ed15d3ec549ce03b"),
    "DeepSpeed": ("deepspeedai/DeepSpeed", "38327e07f6cd39b63418f60cedd1651b0be3e7c3"),
    "DiffSynth-Studio": ("modelscope/DiffSynth-Studio", "fed7b18fac2ed4cb802796eec91970e7659bccde"),
    "exllamav2": ("turboderp-org/exllamav2", "da07facd10b5c7f35b03664c41a3090c9f093de5"),
    "fish-speech": ("fishaudio/fish-speech", "3dd1f85c402ee6f0a17c2971d3b0dd8d881ca139"),
    "flux": ("black-forest-labs/flux", "802fb4713906133fcbd0d8dc5351620ca4773036"),
    "gpt-neox": ("EleutherAI/gpt-neox", "ea7aefd8f8e183256992d9fede4d7c71a46d67a5"),
    "gpt-oss": ("openai/gpt-oss", "7b583341fe16729127f6d5b94a7b09ccae97e1a1"),
    "hivemind": ("learning-at-home/hivemind", "4bd43b77895019b20d18d81d0d0c1a5ab9a10847"),
    "hqq": ("mobiusml/hqq", "e0b1d00e095653359da9de1d7dbb35a994aa6b96"),
    "InternVL": ("OpenGVLab/InternVL", "2410d1dbf208f0e799459aff9376e5747dbf41a2"),
    "lingua": ("facebookresearch/lingua", "437d680e521873bb5971067148a69587790da853"),
    "lit-llama": ("Lightning-AI/lit-llama", "2a464de2a1d2f266614d15091d3d7f30330c3ede"),
    "LLaMA-Factory": ("hiyouga/LLaMA-Factory", "ff6d4d12eeb035d6ce06805a5733dd7b29f2ac30"),
    "llama3": ("meta-llama/llama3", "a0940f9cf7065d45bb6675660f80d305c041a754"),
    "LLaVA": ("haotian-liu/LLaVA", "c121f0432da27facab705978f83c4ada465e46fd"),
    "llm-foundry": ("mosaicml/llm-foundry", "8c8dd48f72168c5d51e2f7b151595892a8fba43d"),
    "llm.c": ("karpathy/llm.c", "f1e2ace651495b74ae22d45d1723443fd00ecd3a"),
    "mamba": ("state-spaces/mamba", "e9594ce1c732d97440f0332fdc43170a2294dbfa"),
    "Megatron-LM": ("NVIDIA/Megatron-LM", "d98e8a64ddf34856e74b24714e3bedb2f5a39553"),
    "minimind": ("jingyaogong/minimind", "d65ef2c00ebc6082f9df11541e1b191655eddb00"),
    "mochi": ("genmoai/mochi", "0c86aebf386e6622deadfb47ff1996878cefc0ac"),
    "musubi-tuner": ("kohya-ss/musubi-tuner", "30c658c4f4b0bf05038b3346eff9670259b10fc7"),
    "nanochat": ("karpathy/nanochat", "752abc836e7075d3a799e2af8f82bdb2456c60cc"),
    "nanoGPT": ("karpathy/nanoGPT", "3adf61e154c3fe3fca428ad6bc3818b27a3b8291"),
    "nanotron": ("huggingface/nanotron", "2411b022a75fb7f7561a1bb4166706da5e1b76de"),
    "OmniGen": ("VectorSpaceLab/OmniGen", "d4752019ae16741dc3801fd4989432aad4c81a4f"),
    "Open-Sora": ("hpcaitech/Open-Sora", "7ad6a96a135feb81f755c84fb391818718f6beb2"),
    "openvla": ("openvla/openvla", "c8f03f48af692657d3060c19588038c7220e9af9"),
    "RWKV-LM": ("BlinkDL/RWKV-LM", "524481d5099b38d9bc8ef1e89209161b86c8011b"),
    "safetensors": ("huggingface/safetensors", "24b0b2857fef49be734b9ab72ce97c09bb25f5b9"),
    "sd-scripts": ("kohya-ss/sd-scripts", "48d368fa557731ad0488c07304dfeba8c07910eb"),
    "Step1X-Edit": ("stepfun-ai/Step1X-Edit", "570eba6ebda0c45c013983a483afbf2fd12bfcbc"),
    "tensorizer": ("coreweave/tensorizer", "79c5063786ef26b527f1c0151e88edf87cfe16ee"),
    "Wan2.1": ("Wan-Video/Wan2.1", "9737cba9c1c3c4d04b33fcad41c111989865d315"),
}


def tree(name: str) -> Path | None:
    """The folder of a project, fetched if it is not there yet; None, with a line on stderr, if it cannot be had."""
    folder = ROOT / name
    if folder.is_dir():
        return folder
    partial = ROOT / f"{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        if name in WHEELS:
            _wheel(WHEELS[name], partial)
        else:
            _repository(name, partial)
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"{name}: cannot be had, left out ({error})", file=sys.stderr)
        shutil.rmtree(partial)
        return None
    return partial.rename(folder)


def _wheel(requirement: str, folder: Path) -> None:
    # sglang's wheel is for one Python version; only its text is read, so any version's will do.
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    downloads = folder / "wheel"
    subprocess.run([*download, "--dest", str(downloads), requirement], check=True)
    for wheel in downloads.glob("*.whl"):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(folder)
    shutil.rmtree(downloads)


def _repository(name: str, folder: Path) -> None:
    at_hand = os.environ.get(re.sub(r"\W", "_", name.upper()))
    slug, commit = REPOSITORIES[name]
    if at_hand:
        shutil.copytree(at_hand, folder, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git"))
        return
    git = ["git", "-C", str(folder)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "fetch", "--quiet", "--depth=1", f"https://github.com/{slug}", commit], check=True)
    subprocess.run([*git, "checkout", "--quiet", "FETCH_HEAD"], check=True)


if __name__ == "__main__":
    found = [tree(name) for name in sys.argv[1:]]
    sys.exit(2 if None in found else 0)
