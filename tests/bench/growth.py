"""How time grows with the size of a file, over shapes of each kind that is read: `make bench-growth`.

Each shape is a file of so many repetitions, which is scanned, rendered, parsed again and compared, as `--diff` does;
some are told of in every report as well. Time may double, and a little more, when the file does.
"""

from __future__ import annotations

import gc
import json
import math
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType

from precision_fix.engine.diff import unified
from precision_fix.engine.scan import Scan, scan_bytes
from precision_fix.model.target import FLOAT32
from precision_fix.reports import github, html, markdown, sarif, text
from precision_fix.reports import json as json_report
from precision_fix.reports.run import Run
from precision_fix.sources import format_of

SIZES = (1_000, 2_000, 4_000, 8_000, 16_000)
# Twice the size, this much more time at most.
PROMISED = 2.3
_MOST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of file: `make(n)` is its text with n repetitions."""

    name: str
    file: str
    make: Callable[[int], str]

    def id(self) -> str:
        return f"{self.file}: {self.name}"


def _lines(head: str, line: str, tail: str = "") -> Callable[[int], str]:
    """A text of lines; `@` in a line is its number, `<` that of the line before, `>` of the one behind, in a ring."""

    def make(count: int) -> str:
        numbered = (
            line.replace("@", str(i)).replace("<", str((i - 1) % count)).replace(">", str((i + 1) % count))
            for i in range(count)
        )
        return f"{head}{''.join(numbered)}{tail.replace('@', str(count - 1))}"

    return make


def _cells(code: str, *, in_one: bool = False) -> Callable[[int], str]:
    """A notebook; the code of each cell has a `@` for its number, and the lines of one cell too."""

    def make(count: int) -> str:
        codes = [code.replace("@", str(i)) for i in range(count)]
        sources = [["import torch\n", *codes]] if in_one else [["import torch\n"], *([each] for each in codes)]
        cells: list[dict[str, object]] = [
            {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source}
            for source in sources
        ]
        return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)

    return make


_T = "import torch\n"
_F = f"{_T}def f(x, y, flag, dtype):\n"
SHAPES = (
    # Names.
    Shape("a name cast anew in one scope", "a.py", _lines(_F, "    x = x.to(torch.bfloat16)\n", "    return x\n")),
    Shape("... at the margin", "a.py", _lines(_T, "x = x.to(torch.bfloat16)\n")),
    Shape("a name bound and used", "a.py", _lines(_F, "    d = torch.bfloat16\n    x = x.to(d)\n", "    return x\n")),
    Shape("... at the margin", "a.py", _lines(_T, "d = torch.bfloat16\nx = x.to(d)\n")),
    Shape("... and compared", "a.py", _lines(_F, "    d = torch.bfloat16\n    y(x.dtype == d)\n")),
    Shape(
        "... in a loop", "a.py", _lines(f"{_F}    for _ in x:\n", "        d = torch.bfloat16\n        x = x.to(d)\n")
    ),
    Shape("many names", "a.py", _lines(_T, "d@ = torch.bfloat16\nx@ = y.to(d@)\n")),
    Shape("many readers of one name", "a.py", _lines(f"{_T}d = torch.bfloat16\n", "x@ = y.to(d)\n")),
    Shape("... in functions", "a.py", _lines(f"{_T}d = torch.bfloat16\n", "def f@(y):\n    return y.to(d)\n")),
    Shape("a chain of names", "a.py", _lines(f"{_T}d0 = torch.bfloat16\n", "d> = d@\n", "y.to(d@)\n")),
    Shape("a name imported", "a.py", _lines("from torch import bfloat16 as b\n", "x@ = y.to(b)\n")),
    Shape("two names that swap", "a.py", _lines(_F, "    x, y = y, x.to(torch.bfloat16)\n", "    return x\n")),
    # Functions.
    Shape("a ring of functions", "a.py", _lines(_T, "def f@(d=torch.bfloat16):\n    return f>(d)\n")),
    Shape(
        "a ring of tensors",
        "a.py",
        _lines(_T, "def f@(x):\n    x = f<(x).to(torch.bfloat16)\n    return f>(x)\n"),
    ),
    Shape("a chain of defaults", "a.py", _lines(_T, "def f@(x, d=torch.bfloat16):\n    return f>(x, d=d)\n")),
    Shape("calls of one function", "a.py", _lines(f"{_T}def f(d):\n    return x.to(d)\n", "f(torch.bfloat16)\n")),
    Shape("... that returns it", "a.py", _lines(f"{_T}def f():\n    return torch.bfloat16\n", "x@ = y.to(f())\n")),
    Shape("functions of one name", "a.py", _lines(_T, "def f(d=torch.bfloat16):\n    return f(d)\n")),
    Shape("returns of one function", "a.py", _lines(_F, "    if x == @: return torch.bfloat16\n", "f(x)\n")),
    Shape("parameters of one function", "a.py", _lines(f"{_T}def f(\n", "d@=torch.bfloat16,\n", "): return d0\n")),
    Shape(
        "decorators", "a.py", lambda n: _T + "".join(f"@d(torch.bfloat16)\ndef f{i}(x): return x\n" for i in range(n))
    ),
    Shape("decorators of one function", "a.py", lambda n: _T + "@d(torch.bfloat16)\n" * n + "def f(x): return x\n"),
    Shape("lambdas", "a.py", _lines(_T, "f@ = lambda x, d=torch.bfloat16: x.to(d)\n")),
    # Classes.
    Shape(
        "a class of methods",
        "a.py",
        _lines(f"{_T}class A:\n", "    def f@(self, x):\n        return x.to(torch.bfloat16)\n"),
    ),
    Shape(
        "... that call each other",
        "a.py",
        _lines(f"{_T}class A:\n", "    def f@(self, d=torch.bfloat16):\n        return self.f>(d)\n"),
    ),
    Shape(
        "an attribute set and read",
        "a.py",
        _lines(
            f"{_T}class A:\n", "    def f@(self, x):\n        self.d = torch.bfloat16\n        return x.to(self.d)\n"
        ),
    ),
    Shape("attributes of a class", "a.py", _lines(f"{_T}class A:\n", "    a@ = torch.bfloat16\n")),
    Shape(
        "classes",
        "a.py",
        _lines(_T, "class A@(A<):\n    d = torch.bfloat16\n    def f(self, x): return x.to(self.d)\n"),
    ),
    Shape("buffers", "a.py", _lines(f"{_T}class A:\n    def f(self, x):\n", "        self.x = self.x.bfloat16()\n")),
    # Containers.
    Shape("a dict of dtypes", "a.py", _lines(f"{_T}D = {{\n", "    'k@': torch.bfloat16,\n", "}\ny.to(D[k])\n")),
    Shape("... as keys", "a.py", _lines(f"{_T}D = {{\n", "    torch.bfloat16: @,\n", "}\nD[k]\n")),
    Shape("... by members", "a.py", _lines(f"{_T}D = {{\n", "    K.k@: torch.bfloat16,\n", "}\n")),
    Shape("a list of dtypes", "a.py", _lines(f"{_T}D = [\n", "    torch.bfloat16,\n", "]\nfor d in D: y.to(d)\n")),
    Shape(
        "... that is compared", "a.py", _lines(f"{_T}D = (\n", "    torch.bfloat16,\n", ")\nif x.dtype in D: pass\n")
    ),
    Shape("a list of records", "a.py", _lines(f"{_T}D = [\n", "    ('k', torch.bfloat16, @),\n", "]\n")),
    Shape("a list of words", "a.py", _lines("D = [\n", "    'bf16',\n", "]\n")),
    Shape("a list of options", "a.py", _lines("run(['python', 'train.py',\n", "    '--bf16',\n", "])\n")),
    Shape("... with values", "a.py", _lines("run(['python', 'train.py',\n", "    '--dtype', 'bf16',\n", "])\n")),
    Shape("dicts within dicts", "a.py", _lines(f"{_T}D = {{\n", "    'k@': {'bf16': {'enabled': True}},\n", "}\n")),
    Shape("flags of one dict", "a.py", _lines("D = {\n", "    'bf16': True,\n", "}\n")),
    Shape("keywords of one call", "a.py", _lines(f"{_T}f(\n", "    d@=torch.bfloat16,\n", ")\n")),
    Shape("arguments of one call", "a.py", _lines(f"{_T}f(\n", "    torch.bfloat16,\n", ")\n")),
    Shape("words of one call", "a.py", _lines(f"{_T}f(\n", "    dtype@='bfloat16',\n", ")\n")),
    Shape("targets of one value", "a.py", _lines(_T, "x@ = ", "torch.bfloat16\n")),
    # Conditions.
    Shape("ifs on a dtype", "a.py", _lines(_F, "    if dtype == torch.bfloat16: x = x.to(torch.bfloat16)\n")),
    Shape("membership", "a.py", _lines(_F, "    if dtype in (torch.float16, torch.bfloat16): y(x)\n")),
    Shape("assertions", "a.py", _lines(_F, "    assert x.dtype == torch.bfloat16\n")),
    Shape("... of what was cast", "a.py", _lines(_F, "    x = x.bfloat16()\n    assert x.dtype == torch.bfloat16\n")),
    Shape("equality assertions", "a.py", _lines(_F, "    self.assertEqual(x.dtype, torch.bfloat16)\n")),
    Shape("a branch of casts", "a.py", _lines(f"{_F}    if flag:\n", "        x@ = y.to(torch.bfloat16)\n")),
    Shape(
        "a tuple that a test holds",
        "a.py",
        _lines(f"{_F}    if dtype in (\n", "        torch.bfloat16,\n", "    ): y()\n"),
    ),
    Shape(
        "an or of comparisons",
        "a.py",
        _lines(f"{_F}    if (y\n", "        or dtype == torch.bfloat16\n", "    ): y()\n"),
    ),
    Shape("a match", "a.py", _lines(f"{_F}    match dtype:\n", "        case torch.bfloat16: y(@)\n")),
    Shape("tries", "a.py", _lines(_F, "    try: x = x.to(torch.bfloat16)\n    except E: pass\n")),
    Shape(
        "one long try", "a.py", _lines(f"{_F}    try:\n", "        x = x.to(torch.bfloat16)\n", "    except E: pass\n")
    ),
    Shape("probes", "a.py", _lines(_F, "    if torch.cuda.is_bf16_supported(): x = y\n")),
    Shape("autocast regions", "a.py", _lines(_F, "    with torch.autocast('cuda', torch.bfloat16): x = y(x)\n")),
    Shape("look-ups", "a.py", _lines(_F, "    d = getattr(torch, 'bfloat16')\n    x = x.to(d)\n")),
    Shape("bytes", "a.py", _lines(_F, "    x = y.view(torch.bfloat16)\n")),
    Shape("... from a buffer", "a.py", _lines(_F, "    x = torch.frombuffer(y, dtype=torch.bfloat16)\n    y = x\n")),
    Shape("bits", "a.py", _lines(_F, "    x = y.to(torch.bfloat16)\n    y = x.view(torch.int16)\n")),
    Shape("outputs", "a.py", _lines(_F, "    x@ = torch.empty(2, dtype=torch.bfloat16)\n    y(x@)\n")),
    # Text.
    Shape("comments", "a.py", _lines(f"{_T}y.to(torch.bfloat16)\n", "# bfloat16 is said\n")),
    Shape("comments above one line", "a.py", _lines(_T, "# bfloat16\n", "y.to(torch.bfloat16)\n")),
    Shape("comments that keep", "a.py", _lines(_T, "y.to(torch.bfloat16)  # precision-fix: keep\n")),
    Shape("long strings", "a.py", _lines(_T, 'def f@():\n    """bfloat16"""\ny.to(torch.bfloat16)\n')),
    Shape("a long string", "a.py", _lines(f'{_T}y.to(torch.bfloat16)\nx = """\n', "bfloat16\n", '"""\n')),
    Shape("f-strings", "a.py", _lines(_T, "x@ = f'{torch.bfloat16}'\n")),
    Shape("one f-string", "a.py", _lines(f"{_T}x = f'''\n", "{torch.bfloat16}\n", "'''\n")),
    Shape("launch lines in strings", "a.py", _lines("", "run('python train.py --bf16')\n")),
    Shape("one launch line", "a.py", _lines('run("""python train.py', " \\\\\n  --bf16", '""")\n')),
    Shape("JSON in a string", "a.py", _lines("x = '''{\"k\": [0\n", ', {"bf16": {"enabled": true}}\n', "]}'''\n")),
    Shape("one long line", "a.py", _lines(f"{_T}x = [", "torch.bfloat16, ", "]\n")),
    Shape("statements of one line", "a.py", _lines(f"{_T}x = 0", "; y.to(torch.bfloat16)")),
    Shape("a sum", "a.py", _lines(f"{_T}x = 0", " + y.to(torch.bfloat16)", "\n")),
    Shape("calls on calls", "a.py", _lines(f"{_T}x = y", ".to(torch.bfloat16)", "\n")),
    Shape("attributes of attributes", "a.py", _lines(f"{_T}y.to(torch.bfloat16)\nx = y", ".a", "\n")),
    Shape("imports", "a.py", _lines("", "from torch import bfloat16\nx = y.to(bfloat16)\n")),
    Shape("other words", "a.py", _lines(_T, "x@ = f(torch_dtype='bfloat16', bf16=True)\n")),
    Shape("options declared", "a.py", _lines("", "p.add_argument('--d@', default='bf16', choices=['bf16', 'fp32'])\n")),
    Shape("attention", "a.py", _lines("", "f(attn_implementation='flash_attention_2', use_flash_attn=True)\n")),
    # Configs.
    Shape("YAML keys", "a.yaml", _lines("", "k@:\n  torch_dtype: bfloat16\n")),
    Shape("YAML of one name", "a.yaml", _lines("k:\n", "- torch_dtype: bfloat16\n  bf16: true\n")),
    Shape("YAML of one mapping", "a.yaml", _lines("k:\n", "  dtype@: bfloat16\n")),
    Shape("YAML documents", "a.yaml", _lines("", "---\ntorch_dtype: bfloat16\n")),
    Shape("YAML anchors", "a.yaml", _lines("", "k@: &a@\n  torch_dtype: bfloat16\nl@: *a@\n")),
    Shape("YAML blocks", "a.yaml", _lines("", "k@:\n  fp16: true\n  bf16: true\n  x: |\n    python a.py --bf16\n")),
    Shape("YAML in one line", "a.yaml", _lines("k: [", "{dtype: bfloat16}, ", "]\n")),
    Shape("YAML comments that keep", "a.yaml", _lines("", "k@:\n  torch_dtype: bfloat16  # precision-fix: keep\n")),
    Shape("JSON of one list", "a.json", _lines('{"k": [0', ',\n{"torch_dtype": "bfloat16"}', "]}\n")),
    Shape("JSON of one mapping", "a.json", _lines('{"k": 0', ',\n"dtype@": "bfloat16"', "}\n")),
    Shape("JSON in one line", "a.json", _lines('{"k": [0', ', {"bf16": {"enabled": true}}', "]}\n")),
    Shape(
        "JSON comments that keep", "a.json", _lines('{"k": [0', ',\n{"bf16": true} // precision-fix: keep', "\n]}\n")
    ),
    Shape("TOML tables", "a.toml", _lines("", "[k@]\ndtype = 'bfloat16'\n")),
    Shape("TOML tables of one name", "a.toml", _lines("", "[[k]]\ndtype = 'bfloat16'\nbf16 = true\n")),
    Shape("TOML of one table", "a.toml", _lines("[k]\n", "dtype@ = 'bfloat16'\n")),
    Shape("TOML comments that keep", "a.toml", _lines("", "[k@]\ndtype = 'bfloat16'  # precision-fix: keep\n")),
    Shape("TOML words in comments", "a.toml", _lines("", "[k@]\ndtype = 'bfloat16' # 'bfloat16'\n")),
    Shape("INI sections", "a.ini", _lines("", "[k@]\ndtype = bfloat16\n")),
    Shape("variables of .env", "a.env", _lines("", "MIXED_PRECISION@=bf16\n")),
    # Launch lines.
    Shape("options of one line", "a.sh", _lines("python train.py", " --bf16")),
    Shape("... with values", "a.sh", _lines("python train.py", " --dtype@ bf16")),
    Shape("... continued", "a.sh", _lines("python train.py", " \\\n  --mixed_precision bf16")),
    Shape("... of one string", "a.sh", _lines('bash -c "python train.py', " --bf16", '"\n')),
    Shape("launch lines", "a.sh", _lines("", "accelerate launch --mixed_precision bf16 train.py --bf16\n")),
    Shape("variables", "a.sh", _lines("", "D@=bf16\npython train.py --dtype $D@\n")),
    Shape("one variable", "a.sh", _lines("", "D=bf16\npython train.py --dtype $D\n")),
    Shape("a chain of variables", "a.sh", _lines("D0=bf16\n", "D>=$D@\n", "python train.py --dtype $D@\n")),
    Shape("words of a variable", "a.sh", _lines("", 'A@="--bf16 --x @"\npython train.py $A@\n')),
    Shape("... of one variable", "a.sh", _lines('A="', " --bf16", '"\npython train.py $A\n')),
    Shape("an array", "a.sh", _lines("A=(\n", "  --bf16\n", ')\npython train.py "${A[@]}"\n')),
    Shape(
        "arrays that hold arrays",
        "a.sh",
        _lines("A0=(--bf16)\n", 'A>=("${A@[@]}" --dtype bf16)\n', 'python a.py "${A@[@]}"\n'),
    ),
    Shape("one array that grows", "a.sh", _lines("", "A+=(--bf16)\npython train.py ${A[@]}\n")),
    Shape("loops", "a.sh", _lines("", "for d in bf16 fp32; do python train.py --dtype $d; done\n")),
    Shape("one loop", "a.sh", _lines("for d in", " bf16", "; do python train.py --dtype $d; done\n")),
    Shape("here-documents", "a.sh", _lines("", "cat > a.yaml <<E@\ndtype: bfloat16\nE@\n")),
    Shape("one here-document", "a.sh", _lines("cat > a.yaml <<E\n", "dtype: bfloat16\n", "E\n")),
    Shape("here-documents of one line", "a.sh", lambda n: "cat" + " <<E" * n + "\n" + "bf16\nE\n" * n),
    Shape("substitutions", "a.sh", _lines("", "X=$(python train.py --bf16)\n")),
    Shape("comments of a script", "a.sh", _lines("", "# python train.py --bf16\n", "python train.py --bf16\n")),
    Shape("... that keep", "a.sh", _lines("", "python train.py --bf16  # precision-fix: keep\n")),
    Shape("one long word", "a.sh", _lines("python train.py --x=", "bf16,", " --bf16\n")),
    Shape("... of settings", "a.sh", _lines("python train.py --model_args a=b", ",dtype=bf16", "\n")),
    Shape("... of brackets", "a.sh", _lines("python train.py --bf16 x", "(", ")\n")),
    Shape("a Makefile", "Makefile", _lines("", "D@ = bf16\nt@:\n\tpython train.py --dtype $(D@)\n")),
    Shape("a Dockerfile", "Dockerfile", _lines("", "ENV D@=bf16\nRUN python train.py --bf16\n")),
    Shape("... of one instruction", "Dockerfile", _lines("RUN x", " && \\\n    python train.py --bf16", "\n")),
    Shape("a batch file", "a.bat", _lines("", "set D@=bf16\npython train.py --dtype %D@%\n")),
    Shape("PowerShell", "a.ps1", _lines("", '$D@ = "bf16"\npython train.py --dtype $D@\n')),
    # Notebooks.
    Shape("cells", "a.ipynb", _cells("x@ = y.to(torch.bfloat16)\n")),
    Shape("lines of one cell", "a.ipynb", _cells("x@ = y.to(torch.bfloat16)\n", in_one=True)),
    Shape("commands", "a.ipynb", _cells("!python train.py --bf16\n")),
    Shape("commands of one cell", "a.ipynb", _cells("!python train.py --bf16\n", in_one=True)),
    Shape("magics", "a.ipynb", _cells("%%bash\npython train.py --bf16\n")),
    Shape("files", "a.ipynb", _cells("%%writefile a@.yaml\ntorch_dtype: bfloat16\n")),
    Shape("cells that do not parse", "a.ipynb", _cells("x = = torch.bfloat16\n")),
    Shape("cells that keep", "a.ipynb", _cells("y.to(torch.bfloat16)  # precision-fix: keep\n")),
    # Kernels.
    Shape("a kernel", "a.cu", _lines("", "__global__ void f@(__nv_bfloat16* x) {}\n")),
    Shape("... that keeps", "a.cu", _lines("", "__nv_bfloat16 x@; // precision-fix: keep\n")),
)

# Each place costs as much as it lies deep, which is bounded: beyond 500 expressions around it, a line says so.
BY_DEPTH = frozenset({"a sum", "calls on calls", "attributes of attributes"})
# Reports tell of findings of any kind by the same code, and take longer than the scan.
REPORTED = ("a name bound and used", "a dict of dtypes", "one long line", "YAML of one mapping", "... continued")
FOLDER = Path("growth")


def do_all(shape: Shape, count: int) -> int:
    """Scan a file of this shape, render and compare it, and for some shapes make every report.

    Gives the number of its findings; less than 0 where a line says why there are none.
    """
    format_ = format_of(shape.file)
    assert format_ is not None
    found = scan_bytes(str(FOLDER / shape.file), shape.make(count).encode(), FLOAT32, True, format_)
    if found is None:
        return 0
    found.tree = str(FOLDER)
    problems = [found.problem] if found.problem is not None else []
    scan = Scan(FLOAT32, [found], problems, 1)
    sum(map(len, unified(scan)))
    if shape.name in REPORTED:
        for report in (text, json_report, sarif, github, markdown, html):
            report.render(Run(scan, [FOLDER], verbose=True))
    return len(found.findings) or -len(problems)


class _TooLong(BaseException):
    """No Exception: nothing that is measured catches it."""


def _give_up(signum: int, frame: FrameType | None) -> None:
    raise _TooLong


def seconds(shape: Shape, count: int, most: float = _MOST_SECONDS) -> float:
    """The median processor time of three runs, or of one that takes long; infinite where that is more than `most`."""
    taken: list[float] = []
    signal.signal(signal.SIGVTALRM, _give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, most)
    try:
        while len(taken) < 3 and sum(taken) < most / 6:
            gc.collect()
            start = time.process_time()
            do_all(shape, count)
            taken.append(time.process_time() - start)
    except _TooLong:
        return math.inf
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return statistics.median(taken)


def row(shape: Shape, sizes: Iterable[int] = SIZES) -> tuple[list[float], list[float]]:
    """The times of a shape, and how much longer each takes than the one before; no more of them than are finite."""
    times: list[float] = []
    for size in sizes:
        times.append(seconds(shape, size))
        if math.isinf(times[-1]):
            break
    return times, [after / before for before, after in pairwise(times)]


def main(words: list[str]) -> int:
    """0 when every shape kept the promise, 1 otherwise. Words choose the shapes whose names hold one of them."""
    do_all(SHAPES[0], 10)
    print(f"{'shape':31}{'file':12}{''.join(f'{size:>9,}' for size in SIZES)} s   times per doubling")
    slow = 0
    for shape in SHAPES:
        if not words or any(word in f"{shape.name} {shape.file}" for word in words):
            times, ratios = row(shape)
            said = "".join(f"{each:9.2f}" for each in times) + " " * 9 * (len(SIZES) - len(times))
            kept = len(times) == len(SIZES) and max(ratios) <= PROMISED
            slow += not kept
            grown = " ".join(f"{ratio:4.2f}" for ratio in ratios)
            print(f"{shape.name:31}{shape.file:12}{said}     {grown}{'' if kept else '  <'}", flush=True)
    print(f"{slow} of the shapes take more than {PROMISED} times as long for twice the size")
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
