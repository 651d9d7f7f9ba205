"""C++ and CUDA: read line by line and reported, never edited."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from precision_fix.model import hearing, newlines
from precision_fix.model.around import ALONE, Around
from precision_fix.model.finding import Finding, keep
from precision_fix.model.rule import Lines
from precision_fix.model.selection import ALL, Selection
from precision_fix.model.target import Target
from precision_fix.rules import rule
from precision_fix.sources.analysis import Analysis, Left
from precision_fix.sources.asking import about_line
from precision_fix.sources.comments import Keeps

# A file that is one large kernel would say the same on every line of it.
_MOST = 8
_TOKEN = re.compile(
    r"//(?:[^\n\\]|\\.)*|/\*.*?(?:\*/|\Z)|R\"([^(\s\"\\)]{0,16})\(.*?\)\1\"|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)+'",
    re.DOTALL,
)
# An instruction of PTX stands in a string of inline assembly.
_ASSEMBLY = re.compile(r"\b(?:mma|wgmma|wmma|tcgen05)\b[\w.:]*\.bf16")
_SITE = re.compile(
    r"\b(?:__)?(?:nv|hip)_bfloat16\d*\b|\b__\w*bfloat16\w*(?=\s*\()|\b(?:at|c10|torch|cutlass|cute|wmma)::(?:[\w:]*::)?"
    r"(?:BFloat16|kBFloat16|bfloat16_t)\b|\bkBFloat16\b|\bbfloat16_t\b|\bmma_\w*bf16\w*|\b(?:mma|wgmma|wmma|tcgen05)\b[\w.:]*\.bf16"
)
_GPU = re.compile(
    r"__nv_bfloat16|nv_bfloat16|hip_bfloat16|cuda_bf16|hip_bf16|__global__|__device__|cutlass|<<<|cuda_runtime|CUDAStream"
)


def analyse(
    path: str,
    text: str,
    target: Target,
    selection: Selection = ALL,
    around: Around = ALONE,
    left: Left | None = None,
) -> Analysis:
    """Find the lines that speak of bfloat16 and say what they need. It has no edits, whatever the target is."""
    analysis = Analysis()
    # What runs on the CPU has its own bfloat16, which works.
    if not path.lower().endswith((".cu", ".cuh", ".hip")) and not _GPU.search(text):
        return analysis
    code = _TOKEN.sub(_blanked, text)
    keeps = Keeps(text, [])
    per_reason: Counter[tuple[str, str]] = Counter()
    found: list[Finding] = []
    every = newlines.split(code)
    plain = {"".join(line.split()) for line in every}
    for number, line in enumerate(every, start=1):
        site = _SITE.search(line)
        answer = about_line(line, Lines.NATIVE) if site else None
        if site and "".join(_SITE.sub("float", line).split()) in plain:
            answer = rule("PF013"), keep("the same stands beside it for float")
        if site is None or answer is None:
            continue
        code, verdict = answer[0].code, keeps.heed(answer[1], answer[0].code, [number])
        if not selection.takes(code):
            continue
        per_reason[code, verdict.reason] += 1
        if per_reason[code, verdict.reason] <= _MOST:
            finding = Finding(path, number, site.start() + 1, code, verdict.action, site[0].strip(), verdict.reason)
            found.append(hearing.heard(finding, hearing.of(line)))
    analysis.findings = [_with_count(each, per_reason[each.code, each.reason]) for each in found]
    analysis.unused_keeps = keeps.unused
    return analysis


def parse(text: str) -> object:
    """Anything goes: nothing is edited."""
    return text


def _blanked(match: re.Match[str]) -> str:
    if match[0][0] in '"R' and _ASSEMBLY.search(match[0]):
        return match[0]
    return re.sub(r"[^\r\n]", " ", match[0])


def _with_count(finding: Finding, count: int) -> Finding:
    if count <= _MOST:
        return finding
    reason = f"{finding.reason} ({count} lines of the file, of which the first {_MOST} are named)"
    return replace(finding, reason=reason)
