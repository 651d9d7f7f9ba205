"""What is imported when, and who may import whom."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.tools import REPOSITORY, modules_after

PACKAGE = REPOSITORY / "precision_fix"
# Each layer may import itself and those after it.
LAYERS = (
    *("notebook", "cli", "api", "reports", "engine", "project", "sources", "rules", "model"),
    *("errors", "door", "dtypes", "safe_path", "tops", "caches", "home", "wrapping"),
)
APART = ("gpu", "plan", "runtime", "drawing")
# What `import precision_fix.auto` and `precision_fix.audit` lead to; the package itself, which imports on demand.
OF_RUNTIME = ("audit", "auto")
TOP = ("__init__", "__main__")
# What a run that sees no config need not import.
OF_CONFIGS = {"json", "precision_fix.sources.config_edits", "precision_fix.rules.settings.pf501_config_word"}


def test_the_package_alone_imports_nothing_heavy() -> None:
    loaded = modules_after("import precision_fix\nassert precision_fix.__version__")
    assert "precision_fix" in loaded
    assert not loaded & {"torch", "libcst", "typer", "rich", "pynvml", "precision_fix.api"}


def test_the_jobs_come_when_they_are_asked_for() -> None:
    loaded = modules_after("from precision_fix import detect, patch, scan, undo\nassert callable(scan)")
    assert "precision_fix.api" in loaded
    assert not loaded & {"torch", "libcst", "typer", "rich"}


def test_the_version_is_told_without_what_makes_dataclasses() -> None:
    loaded = modules_after("import sys\nfrom precision_fix.cli import main\nmain()", "--version")
    assert "precision_fix.cli.streams" in loaded
    assert not loaded & {"dataclasses", "inspect", "ast", "argparse", "precision_fix.cli.job"}


def test_a_check_of_python_imports_neither_libcst_nor_rich_nor_what_configs_need(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import torch\nx = y.to(torch.bfloat16)\n")
    script = "from precision_fix.cli import main\nmain()"
    loaded = modules_after(script, "--gpu", "t4", "--check", str(tmp_path))
    assert "precision_fix.engine.scan" in loaded
    assert not loaded & {"torch", "libcst", "rich", "pynvml"}
    assert not loaded & OF_CONFIGS


def test_a_run_that_changes_something_imports_libcst_and_one_with_a_config_its_rules(tmp_path: Path) -> None:
    """So that the test above can fail."""
    (tmp_path / "a.py").write_text("import torch\nx = y.to(torch.bfloat16)\n")
    (tmp_path / "a.json").write_text('{"dtype": "bfloat16"}')
    loaded = modules_after("from precision_fix.cli import main\nmain()", "--gpu", "t4", "--diff", str(tmp_path))
    assert loaded >= {"libcst", *OF_CONFIGS}
    assert "torch" not in loaded


def test_a_program_that_needs_no_torch_is_started_without_it(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import sys\nassert 'torch' not in sys.modules\n")
    script = "from precision_fix.cli import main\nmain()"
    loaded = modules_after(script, "run", "--gpu", "t4", str(tmp_path / "main.py"))
    assert "precision_fix.runtime" in loaded and "torch" not in loaded


def test_a_plan_imports_none_of_the_codemod_and_no_torch(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    loaded = modules_after("from precision_fix.cli import main\nmain()", "plan", "--gpu", "t4", str(tmp_path))
    assert "precision_fix.plan.planning" in loaded
    assert not loaded & {"torch", "libcst", "rich", "pynvml", "precision_fix.engine", "precision_fix.runtime"}


def test_plans_need_the_standard_library_alone_and_load_no_pickle() -> None:
    known = {*sys.stdlib_module_names, "precision_fix"} - {"pickle", "marshal", "shelve", "torch"}
    plans = sorted((PACKAGE / "plan").glob("*.py"))
    assert plans
    assert {name_of(path): more for path in plans if (more := roots(path) - known)} == {}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


@functools.cache
def imports(path: Path) -> tuple[str, ...]:
    """The dotted names of what a module imports, wherever in it; relative ones made absolute."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    package = [*path.relative_to(REPOSITORY).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def layer(dotted: str) -> str:
    return dotted.split(".")[1] if dotted.startswith("precision_fix.") else ""


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def may_import(here: str) -> set[str]:
    """The layers that one of them may import."""
    if here in OF_RUNTIME:
        return {"runtime", "errors"}
    if here in APART:
        # Plans ask the detector, and the runtime both; what a notebook shows of them is drawn.
        others = {"gpu": {"drawing"}, "plan": {"gpu"}, "runtime": {"gpu", "plan", "drawing"}}.get(here, set())
        return {here, "errors", "door", "dtypes", "safe_path", "tops", "caches", "wrapping", *others}
    if here in TOP:
        return {*LAYERS, *APART}
    assert here in LAYERS, f"{here} has no place among the layers"
    # The jobs and the command line ask the detector; the command line and the notebook start the runtime.
    asked = {"cli": {"gpu", "plan", "runtime"}, "api": {"gpu", "plan", "drawing"}, "engine": {"gpu"}}
    asked["notebook"] = {"gpu", "runtime", "drawing"}
    return {*LAYERS[LAYERS.index(here) :], *asked.get(here, set())}


def test_imports_go_one_way() -> None:
    beyond = {}
    for path in modules():
        here = layer(".".join(path.relative_to(REPOSITORY).with_suffix("").parts))
        wanted = {layer(name) for name in imports(path)} & {*LAYERS, *APART}
        if more := wanted - may_import(here):
            beyond[name_of(path)] = more
    assert beyond == {}


def test_rules_and_model_read_python_with_ast_alone() -> None:
    known = {*sys.stdlib_module_names, "precision_fix"}
    read = [path for path in modules() if path.relative_to(PACKAGE).parts[0] in ("rules", "model")]
    assert {name_of(path): more for path in read if (more := roots(path) - known)} == {}


def test_torch_is_no_dependency_of_the_command_line() -> None:
    command_line = (path for path in modules() if path.relative_to(PACKAGE).parts[0] != "runtime")
    assert [path.name for path in command_line if "torch" in roots(path)] == ["torch_helper.py"]


def test_a_rule_imports_no_other_layer_than_the_model() -> None:
    beyond = {}
    for path in sorted((PACKAGE / "rules").rglob("pf*.py")):
        others = {name for name in imports(path) if layer(name) not in ("", "model")}
        if more := {name for name in others if not name.startswith("precision_fix.rules.pf")}:
            beyond[name_of(path)] = more
    assert beyond == {}
