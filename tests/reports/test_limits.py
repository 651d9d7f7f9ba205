"""The findings of a scan by the limit that they meet."""

from __future__ import annotations

from precision_fix.model.finding import Action, Finding
from precision_fix.reports.limits import limits

FINDINGS = [
    Finding("a.py", 9, 1, "PF101", Action.REWRITE, "torch.bfloat16"),
    Finding("a.py", 3, 1, "PF913", Action.MANUAL, "from_pretrained", runtime=True),
    Finding("b.py", 1, 1, "PF901", Action.MANUAL, "torch.bfloat16"),
    Finding("b.py", 2, 1, "PF001", Action.KEEP, "torch.bfloat16"),
    Finding("a.py", 1, 1, "PF701", Action.REWRITE, "import precision_fix.auto"),
    Finding("run.sh", 4, 1, "PF602", Action.REWRITE, "--tf32"),
    Finding("a.py", 8, 1, "PF915", Action.KEEP, "load_file", runtime=True),
    Finding("c.py", 5, 1, "PF912", Action.MANUAL, "flash_attn", runtime=True),
    Finding("f.py", 7, 1, "PF916", Action.MANUAL, "torch._scaled_mm"),
    Finding("k.cu", 6, 1, "PF910", Action.MANUAL, "nv_bfloat16"),
]


def test_each_place_that_is_not_kept_counts_for_one_limit() -> None:
    found = {each.name: each for each in limits(FINDINGS)}
    counts = {name: (len(each.edited), len(each.running), len(each.left)) for name, each in found.items()}
    assert counts == {
        "bfloat16": (1, 2, 1),
        "TF32": (1, 0, 0),
        "flash attention": (0, 1, 0),
        "float8": (0, 0, 1),
        "kernels": (0, 0, 1),
    }
    assert found["bfloat16"].files == {"a.py": [3, 8, 9], "b.py": [1]}
    assert limits(FINDINGS[3:5]) == []
