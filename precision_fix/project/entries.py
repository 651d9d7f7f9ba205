"""The programs of a project, and which of its files each imports: found in bytes and commands; nothing is run."""

# Asked of every file of a project.
# ruff: noqa: PTH110, PTH118, PTH119, PTH120, PTH206
from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property

from precision_fix import door
from precision_fix.model.entry_points import usual
from precision_fix.project.facts import NOTHING, Facts, facts_of
from precision_fix.project.imports import MOST_BYTES, Imports, look_at
from precision_fix.project.loaded import Loaded
from precision_fix.project.names import Names, is_test
from precision_fix.project.scripts import does

# What a program speaks of that computes on a GPU, and how it says that it does not.
_GPU = re.compile(r"(?i)cuda|gpu|device|accelerat|\bdev\b|\bxpu\b|\bmps\b")
_CPU = re.compile(r"(?:torch\.)?\bdevice\(\s*[\"']cpu[\"']\s*\)|\b(?:map_location|device)\s*=\s*[\"']cpu[\"']")
# What reads, writes and shows, and takes nothing to a GPU by itself.
_PLAIN = sys.stdlib_module_names | {
    "torch",
    "numpy",
    "safetensors",
    "gguf",
    "tqdm",
    "huggingface_hub",
    "yaml",
    "omegaconf",
}
_INSTALLERS = frozenset({"setup.py", "conftest.py", "install.py"})
# What other programs load by its name.
_LOADED = _INSTALLERS | {"__init__.py", "hubconf.py", "noxfile.py", "conf.py", "sitecustomize.py"}
# A command that starts a program: `python train.py`, `torchrun --nproc 2 train.py`, `accelerate launch -m pkg.train`.
_COMMAND = re.compile(r"(?:\bpython[\d.]*|\btorchrun|\blaunch|\bdeepspeed|\brun)\b(?P<rest>[^\n|&;#]*)")
_SCRIPT = re.compile(r"(?:^|[\s\"'=(/])((?:[\w.-]+/)*[\w.-]+\.py)\b")
# What loads a file of Python by a name: `importlib.import_module("plugins." + name)`, `runpy.run_path("config.py")`.
_LOADER = re.compile(r"\bimport_module\b|\bimportlib\.(?:util|machinery)\b|\b__import__\(|\brunpy\b|\bexec\(")
_STRING = re.compile(r"\"([^\"\n\\]*)\"|'([^'\n\\]*)'")
_WORD = re.compile(r"[A-Za-z_][\w-]*")
_MODULE = re.compile(r"(?:^|\s)-m\s+([A-Za-z_][\w.]*)")
_SCRIPTS = re.compile(r"(?ms)^\[(?:project\.(?:gui-)?scripts|tool\.poetry\.scripts)\]\s*$(.*?)(?=^\[|\Z)")
_CONSOLE = re.compile(r"console_scripts[\"']?\s*[:=]?\s*(.*?)(?:\]|\n\s*\n|\Z)", re.DOTALL)
_ENTRY = re.compile(r"=\s*[\"']?([A-Za-z_][\w.]*):[A-Za-z_]")


class Entries:
    """The Python files of a tree, by their real paths, and the files that may hold commands."""

    def __init__(self, top: str, files: Iterable[str], scripts: Iterable[str], imports: Imports) -> None:
        self._top = top
        self._files = dict.fromkeys(files)
        self._scripts = [*scripts]
        self._imports = imports
        self._names = Names(top, self._files)
        self._edges: dict[str, tuple[str, ...]] = {}
        self._by_name: dict[str, set[str]] = {}
        self._started: set[str] = set()
        self.is_node_pack = False
        for path in self._files:
            # What lies in no folder that is looked through is asked by itself.
            facts = imports.files.get(path) or look_at(path) or NOTHING
            if facts.is_started:
                self._started.add(path)
            self.is_node_pack |= facts.is_node_pack

    def programs(self) -> list[str]:
        """The files that people start: a `__main__` block says so, a command, or a console script. The best come first:
        named by a command, near the top, with a usual name.
        """
        commands = {*self._of_commands(), *self._of_consoles()}
        found = self._started | commands
        wanted = (path for path in found if os.path.basename(path) not in _INSTALLERS)
        return sorted(
            (path for path in wanted if not is_test(os.path.relpath(path, self._top))),
            key=lambda path: (path not in commands, path.count(os.sep), usual(os.path.basename(path)), path),
        )

    def scripts(self, lines: Mapping[str, Collection[int]]) -> list[str]:
        """Of these files those that people start though no `__main__` block says so: what stands on these lines is done
        as such a file is started, it belongs to no package, and nothing of the project imports it.
        """
        programs = {*self.programs()}
        return [path for path in sorted(lines) if path not in programs and self._is_script(path, lines[path])]

    def _is_script(self, path: str, lines: Collection[int]) -> bool:
        folder, name = os.path.split(path)
        facts = self._imports.files.get(path) or look_at(path) or NOTHING
        if facts.is_started or facts.is_node_pack or name in _LOADED or is_test(os.path.relpath(path, self._top)):
            return False
        parts = path.removesuffix(".py").split(os.sep)
        if any(os.sep.join(parts[start:]) in self._brought for start in range(len(parts))):
            return False
        return (
            not os.path.exists(os.path.join(folder, "__init__.py"))
            and does(_text(path), lines)
            and not self._is_loaded(path)
        )

    def _is_loaded(self, path: str) -> bool:
        """Whether a file that loads others by their names says this one's, what that begins with, or its folder's."""
        folder, name = os.path.split(os.path.relpath(path, self._top))
        stem, folders = name.removesuffix(".py"), {*folder.split(os.sep)} - {""}
        words = {word for file, found in self._loads.items() if file != path for word in found}
        return any(word in folders or word == stem or (word[-1:] in "_-" and stem.startswith(word)) for word in words)

    @cached_property
    def _loads(self) -> dict[str, set[str]]:
        """By the files that load others by their names, the words of their strings."""
        texts = {path: _text(path) for path in self._files}
        loaders = {path: text for path, text in texts.items() if _LOADER.search(text)}
        return {
            path: {word for each in _STRING.finditer(text) for word in _WORD.findall(each[0])}
            for path, text in loaders.items()
        }

    @cached_property
    def _brought(self) -> set[str]:
        """What the path of a module ends in that something of the project imports, wherever Python looks for it."""
        files = self._imports.files.values()
        dotted = {name for each in files for name in (*(found.brings for found in each.imports), *each.stars)}
        names = (name.lstrip(".").split(".") for name in dotted)
        return {os.sep.join(parts[:end]) for parts in names for end in range(1, len(parts) + 1)}

    def reached(self, program: str, *, loading: bool = False) -> set[str]:
        """The files of the project that a program imports, itself among them, and those that they import; with
        `loading` those as well that are loaded by names, as far as strings tell.
        """
        seen, pending = {program}, [program]
        for path in pending:
            for found in (self._imported(path), self._loaded(path) if loading else ()):
                further = [each for each in found if each not in seen]
                seen.update(further)
                pending += further
        return seen

    def keeps_to_the_cpu(self, program: str) -> bool:
        """Whether a program, and what it imports of the project, only reads and writes: no word of a GPU, nor a library
        that may go there by itself.
        """
        reached = self.reached(program)
        facts = [self._imports.files.get(path) or look_at(path) or NOTHING for path in reached]
        brought = {name for each in facts for name in (*(found.brings for found in each.imports), *each.stars)}
        own = {part.removesuffix(".py") for path in reached for part in os.path.relpath(path, self._top).split(os.sep)}
        if any(each.loads for each in facts) or not {name.partition(".")[0] for name in brought} <= _PLAIN | own | {""}:
            return False
        return not any(_GPU.search(_CPU.sub("", _text(path))) for path in reached)

    def _loaded(self, path: str) -> set[str]:
        facts = self._imports.files.get(path)
        if facts is None or not facts.loads:
            return set()
        if path not in self._by_name:
            self._by_name[path] = self._loading.by(path, _text(path))
        return self._by_name[path]

    @cached_property
    def _loading(self) -> Loaded:
        return Loaded(self._top, self._files)

    def reached_by(self, path: str, code: bytes) -> set[str]:
        """The files of the project that code at a path imports which is no Python file (a notebook), and so on."""
        self._edges[path] = self._imported_by(path, facts_of(code))
        return self.reached(path)

    def _imported(self, path: str) -> tuple[str, ...]:
        if path not in self._edges:
            self._edges[path] = self._imported_by(path, self._imports.files.get(path))
        return self._edges[path]

    def _imported_by(self, path: str, facts: Facts | None) -> tuple[str, ...]:
        brought = [*(each.brings for each in facts.imports), *facts.stars] if facts is not None else ()
        dotted = {name for name in brought if name.startswith(".") or name.partition(".")[0] in self._known}
        found = (self._names.locate(path, name) for name in dotted)
        return tuple({each[0] for each in found if each is not None})

    @cached_property
    def _known(self) -> set[str]:
        """What an import of something of this tree may begin with."""
        return {part.removesuffix(".py") for path in self._files for part in path.split(os.sep)}

    def _of_commands(self) -> Iterator[str]:
        for file in self._scripts:
            text = _text(file)
            if ".py" not in text and " -m " not in text:
                continue
            text = text.replace("\\\r\n", " ").replace("\\\n", " ")
            for command in _COMMAND.finditer(text):
                rest = command["rest"]
                script, module = _SCRIPT.search(rest), _MODULE.search(rest)
                if module is not None and (script is None or module.start() < script.start()):
                    yield from self._module(module[1])
                elif script is not None:
                    yield from self._file(os.path.dirname(file), script[1])

    def _of_consoles(self) -> Iterator[str]:
        toml = "".join(_SCRIPTS.findall(_text(os.path.join(self._top, "pyproject.toml"))))
        setups = (_text(os.path.join(self._top, name)) for name in ("setup.py", "setup.cfg"))
        for text in (toml, *("".join(_CONSOLE.findall(each)) for each in setups)):
            for module in _ENTRY.findall(text):
                yield from self._module(module)

    def _file(self, folder: str, name: str) -> Iterator[str]:
        for base in (folder, self._top):
            path = os.path.normpath(os.path.join(base, name))
            if path in self._files:
                yield path
                return

    def _module(self, dotted: str) -> Iterator[str]:
        parts = dotted.split(".")
        for base in (self._top, os.path.join(self._top, "src"), *self._homes(parts[0])):
            place = os.path.join(base, *parts)
            for path in (f"{place}.py", os.path.join(place, "__main__.py"), os.path.join(place, "__init__.py")):
                if path in self._files:
                    yield path
                    return

    def _homes(self, package: str) -> list[str]:
        """The folders within that a package of this name lies in, the nearest first: one of several in a repository."""
        inits = os.path.join(os.sep, package, "__init__.py")
        homes = [path.removesuffix(inits) for path in self._files if path.endswith(inits)]
        return sorted((each for each in homes if os.path.join(each, "__init__.py") not in self._files), key=len)


def _text(path: str) -> str:
    try:
        return door.start(path, MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def readmes(folder: str) -> list[str]:
    """What a project says of itself at its top."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted(os.path.join(folder, name) for name in names if name.lower().startswith("readme"))
