"""The plan as JSON. Keys are never renamed; `VERSION` goes up if one must change its meaning."""

from __future__ import annotations

from typing import Any

from precision_fix.gpu import Gpu
from precision_fix.plan.contents import Model, Problem
from precision_fix.plan.fit import usable
from precision_fix.plan.planning import DEVICE_MAP, Option, Plan, Sheet
from precision_fix.plan.working import Part, Row, Working

VERSION = 1


def data(plan: Plan) -> dict[str, Any]:
    """Sizes are bytes. Verdicts and what is left are null where no GPU is known."""
    return {
        "version": VERSION,
        "gpus": [_gpu(gpu, plan.cards.source) for gpu in plan.cards.gpus],
        "models": [{**_model(sheet.model), **_options(sheet)} for sheet in plan.sheets if sheet.model is not None],
        "total": {"parameters": plan.total.numel, "bytes": plan.total.nbytes, **_options(plan.total)}
        if plan.total
        else None,
        "problems": _problems(plan.problems),
        "left_out": _problems(plan.left_out),
        "notes": list(plan.cards.notes),
    }


def _gpu(gpu: Gpu, source: str) -> dict[str, Any]:
    return {
        "name": gpu.name,
        "compute_capability": str(gpu.capability),
        "native_bfloat16": gpu.native_bfloat16,
        "memory_bytes": gpu.memory,
        "usable_bytes": usable(gpu.memory or 0),
        "source": source,
    }


def _model(model: Model) -> dict[str, Any]:
    largest = model.largest
    return {
        "name": model.name,
        "files": list(model.files),
        "format": model.format,
        "tensors": len(model.tensors),
        "parameters": model.numel,
        "bytes": model.nbytes,
        "dtypes": [
            {"dtype": each.dtype.name, "tensors": each.tensors, "parameters": each.numel, "bytes": each.nbytes}
            for each in model.counts
        ],
        "largest_tensor": None
        if largest is None
        else {
            "name": largest.name,
            "dtype": largest.dtype.name,
            "parameters": largest.numel,
            "bytes": largest.nbytes,
        },
        "optimizer_bytes": model.apart,
        "notes": list(model.notes),
    }


def _options(sheet: Sheet) -> dict[str, Any]:
    best = sheet.best
    options = [*sheet.single, *sheet.spread]
    return {
        "working": _working(sheet.working) if sheet.working else None,
        "options": [_option(option, is_best=option is best) for option in options],
        "recommended": best.command if best else None,
    }


def _option(option: Option, *, is_best: bool) -> dict[str, Any]:
    several = len(option.cards) > 1
    return {
        "storage": option.storage,
        "compute": option.compute,
        "gpus": len(option.cards) or 1,
        "weights_bytes": option.load.weights,
        "cast_copy_bytes": option.load.copy,
        "left_bytes": option.left,
        "verdict": option.verdict.value if option.verdict else None,
        "recommended": is_best,
        "command": option.command,
        "condition": DEVICE_MAP if several else None,
        "cards": [
            {"weights_bytes": card.load.weights, "cast_copy_bytes": card.load.copy, "left_bytes": card.left}
            for card in option.cards
        ],
    }


def _working(working: Working) -> dict[str, Any]:
    use = working.use
    best = working.best
    return {
        "kind": working.known.kind,
        "source": working.source,
        "use": {
            **{name: getattr(use, name) for name in ("train", "batch", "length", "width", "height", "frames")},
            "rank": use.rank,
            "targets": list(use.targets),
            "optimizer_bits": use.bits,
            "checkpointing": use.checkpointing,
        },
        "modes": [_mode(row, is_best=row is best) for row in working.rows],
        "gain": working.gain or None,
        "settings": [
            {
                "key": each.dial.key or None,
                "file": each.file,
                "unit": each.dial.what,
                "value": each.value,
                "bytes_each": each.each,
                "largest": each.largest,
            }
            for each in working.settings
        ],
    }


def _mode(row: Row, *, is_best: bool) -> dict[str, Any]:
    return {
        "mode": row.mode.label,
        "parts": _shares(row.parts),
        "total_bytes": row.total,
        "verdict": row.verdict.value if row.verdict else None,
        "left_bytes": row.shares[0].left if row.shares else None,
        "over_gpus": [{"parts": _shares(share.parts), "left_bytes": share.left} for share in row.over],
        "largest": list(row.largest),
        "refused": row.refused or None,
        "recommended": is_best,
    }


def _shares(parts: tuple[Part, ...]) -> list[dict[str, Any]]:
    return [{"part": part.name, "bytes": part.nbytes, "source": part.source} for part in parts]


def _problems(problems: tuple[Problem, ...]) -> list[dict[str, str]]:
    return [{"path": problem.path, "message": problem.message} for problem in problems]
