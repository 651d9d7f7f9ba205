"""What ComfyUI and servers of models compute in on this GPU is said of files that run in them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.test_starts import CAST, LOAD, tree
from tests.tools import command

COMFY = "which computes in float16 on this GPU: what it hands to modules in float32 is cast by the runtime alone. "
NODES = {"__init__.py": "from .nodes import NODE_CLASS_MAPPINGS\n", "nodes.py": CAST, "models/unet.py": CAST}
V3 = {
    "__init__.py": "from comfy_api.latest import ComfyExtension\nasync def comfy_entrypoint():\n    pass\n",
    "nodes.py": CAST,
}
MODEL = "import torch\nfrom vllm.model_executor.layers.linear import RowParallelLinear\n" + CAST


def hosts(folder: Path, *words: str) -> list[str]:
    done = command("--gpu", *words, ".", cwd=folder)
    lines = [*done.stdout.decode().splitlines(), ""]
    told = (f"{line}{after if line.endswith(':') else ''}" for line, after in itertools.pairwise(lines))
    return [line.removesuffix(".").replace(":    ", ": ") for line in told if "computes in" in line]


@pytest.mark.parametrize("pack", [NODES, V3])
def test_nodes_of_comfyui(tmp_path: Path, pack: dict[str, str]) -> None:
    host = tree(tmp_path, {"main.py": "import nodes\n", **{f"custom_nodes/Pack/{name}": pack[name] for name in pack}})
    said = (
        f"{host}/custom_nodes/Pack holds nodes for ComfyUI, {COMFY}Start ComfyUI so: precision-fix run {host}/main.py"
    )
    assert hosts(host / "custom_nodes" / "Pack", "t4", "--check") == [said]
    assert hosts(host, "t4") == [said.replace(f"{host}/", "")]


def test_paths_are_told_as_they_were_named(tmp_path: Path) -> None:
    host = tree(
        tmp_path, {"ComfyUI/main.py": "", **{f"ComfyUI/custom_nodes/Pack/{name}": NODES[name] for name in NODES}}
    )
    for top, named in (("", "ComfyUI/custom_nodes"), (f"{host}/", f"{host}/ComfyUI/custom_nodes")):
        said, start = command("--gpu", "t4", "--check", named, cwd=host).stdout.decode().splitlines()[-2:]
        assert said.startswith(f"{top}ComfyUI/custom_nodes/Pack holds nodes for ComfyUI")
        assert said.endswith("Start ComfyUI so:") and start == f"    precision-fix run {top}ComfyUI/main.py"


def test_how_a_pack_is_started_is_said_once(tmp_path: Path) -> None:
    """Also where its places are decided while the host runs."""
    said = command("--gpu", "t4", ".", cwd=tree(tmp_path, {**NODES, "load.py": LOAD})).stdout.decode()
    assert "    precision-fix run --storage bfloat16 main.py\n" in said
    assert said.count("tart ") == 1 and "Start ComfyUI so:\n    precision-fix run main.py\n" in said, said


def test_a_host_that_imports_the_runtime_is_started_as_before(tmp_path: Path) -> None:
    """Its start is said once, in one way: with the line, and where that was left away without it."""
    files = {"main.py": "import nodes\nif __name__ == '__main__':\n    nodes.start()\n", "nodes.py": LOAD + CAST}
    for name, words in (("lined", ()), ("bare", ("--ignore", "PF701"))):
        host = tree(tmp_path / name, {**files, **{f"custom_nodes/Pack/{name}": NODES[name] for name in NODES}})
        lines = [
            line
            for line in command("--gpu", "t4", *words, ".", cwd=host).stdout.decode().splitlines()
            if "Start " in line or "main.py" in line
        ]
        starts = [line for line in lines if "precision-fix run" in line and "--storage" not in line]
        if words:
            assert starts and not any("as before" in line for line in lines)
            continue
        assert not starts and any("as before" in line for line in lines)
        assert any(line.endswith("cast by the runtime alone, which main.py imports.") for line in lines)
        # The pack that is named by itself knows the program that was patched before.
        (host / "custom_nodes/Pack/more.py").write_text(CAST)
        (said,) = hosts(host / "custom_nodes/Pack", "t4")
        assert said.endswith(f"which {host}/main.py imports")


def test_a_pack_is_not_started_as_before_where_its_host_is_not(tmp_path: Path) -> None:
    said = command("--gpu", "t4", ".", cwd=tree(tmp_path, NODES)).stdout.decode()
    assert "Start ComfyUI so:\n    precision-fix run main.py\n" in said and "as before" not in said


def test_a_file_of_nodes_and_a_host_that_is_not_there(tmp_path: Path) -> None:
    pack = tree(tmp_path, {"one.py": CAST + "NODE_CLASS_MAPPINGS = {}\n", "two.py": CAST})
    assert hosts(pack, "t4") == [f"one.py holds nodes for ComfyUI, {COMFY}Start ComfyUI so: precision-fix run main.py"]


def test_what_the_host_does_hangs_on_the_gpu(tmp_path: Path) -> None:
    """Source: should_use_fp16 of ComfyUI: not below 7.0 and not on a T1000, but on the V100."""
    pack = tree(tmp_path, NODES)
    assert len(hosts(pack, "v100", "--check")) == 1
    (said,) = hosts(pack, "p100", "--check")
    assert said == f"{pack} holds nodes for ComfyUI, which computes in float32 on this GPU as well"
    (said,) = hosts(pack, "t4", "--to", "float16", "--check")
    assert said == f"{pack} holds nodes for ComfyUI, which computes in float16 on this GPU as well"


@pytest.mark.parametrize(("package", "name"), [("vllm.model_executor", "vLLM"), ("sglang.srt", "SGLang")])
def test_a_model_for_a_server(tmp_path: Path, package: str, name: str) -> None:
    text = MODEL.replace("vllm.model_executor", package)
    project = tree(tmp_path, {"plugin/llama.py": text, "plugin/__init__.py": "", "tools.py": CAST})
    (said,) = hosts(project, "t4", "--check")
    assert said.startswith(f"plugin/llama.py holds a model for {name}, which computes in float16 on this GPU: ")
    assert said.endswith(f"Start {name} by precision-fix run, in the place of python")


def test_of_other_projects_nothing_is_said(tmp_path: Path) -> None:
    files = {"main.py": CAST, "serve.py": "import torch\nimport vllm\n" + CAST}
    assert hosts(tree(tmp_path, files), "t4", "--check") == []
