"""Twice the file is twice the work, counted in calls, which a noisy machine does not change; `make bench-growth` times.

A scan that walks again for each place what stands around all of them costs the square: it was 25 s for 320 casts.
"""

from __future__ import annotations

import cProfile

import pytest

from precision_fix.engine.scan import scan_bytes
from precision_fix.model import worklist
from precision_fix.model.target import FLOAT32
from precision_fix.sources import format_of
from tests.bench.growth import BY_DEPTH, PROMISED, REPORTED, SHAPES, Shape, do_all

# Where up to 50 of a thing are told apart, more of it is no more work.
_COUNT = 30
# Shapes whose cost lies in following values (model/flow.py), which goes every way anew for each site: they are bounded
# by what a file may cost, and a line says so.
FOLLOWED = frozenset(
    {
        "a name cast anew in one scope",
        "... at the margin",
        "a name bound and used",
        "... and compared",
        "... in a loop",
        "two names that swap",
        "a ring of functions",
        "a ring of tensors",
        "a chain of defaults",
        "... that call each other",
        "an attribute set and read",
        "classes",
        "buffers",
        "... of what was cast",
        "tries",
        "one long try",
        "look-ups",
        "functions of one name",
        "equality assertions",
        "assertions",
        "bits",
    }
)
LEFT_OUT = BY_DEPTH | FOLLOWED


def scanned(shape: Shape, count: int) -> None:
    format_ = format_of(shape.file)
    assert format_ is not None
    scan_bytes(shape.file, shape.make(count).encode(), FLOAT32, True, format_)


def calls(shape: Shape, count: int, *, reported: bool = False) -> int:
    """How many calls a scan makes, those of functions in C and the steps of generators too."""
    profile = cProfile.Profile()
    profile.enable()
    try:
        do_all(shape, count) if reported else scanned(shape, count)
    finally:
        profile.disable()
    return sum(entry.callcount for entry in profile.getstats())


def growth(shape: Shape, *, reported: bool = False) -> float:
    """How many times as many calls twice the repetitions take, beyond what a file of one costs."""
    calls(shape, 2, reported=reported)  # what is imported and compiled the first time
    alone, once, twice = (calls(shape, count, reported=reported) for count in (1, _COUNT, 2 * _COUNT))
    return (twice - alone) / max(once - alone, 1)


@pytest.mark.parametrize("shape", [each for each in SHAPES if each.name not in LEFT_OUT], ids=Shape.id)
def test_a_scan_grows_with_the_file(shape: Shape) -> None:
    assert growth(shape) <= PROMISED


@pytest.mark.parametrize(
    "shape", [each for each in SHAPES if each.name in REPORTED and each.name not in LEFT_OUT], ids=Shape.id
)
def test_reports_grow_with_the_findings(shape: Shape) -> None:
    assert growth(shape, reported=True) <= PROMISED


@pytest.mark.parametrize("shape", [each for each in SHAPES if each.name == "a ring of functions"], ids=Shape.id)
def test_values_that_go_too_many_ways_end_in_a_line(shape: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worklist, "_MOST_OF_A_FILE", 1_000)
    format_ = format_of(shape.file)
    assert format_ is not None
    found = scan_bytes(shape.file, shape.make(100).encode(), FLOAT32, True, format_)
    assert found is not None and found.problem is not None and not found.findings
    assert found.problem.path == shape.file
    assert found.problem.message == "its values go more ways than are followed: split it, or change it by hand"


@pytest.mark.parametrize("name", ["a sum", "calls on calls"])
def test_what_lies_too_deep_ends_in_a_line(name: str) -> None:
    shape = next(each for each in SHAPES if each.name == name)
    format_ = format_of(shape.file)
    assert format_ is not None
    found = scan_bytes(shape.file, shape.make(700).encode(), FLOAT32, True, format_)
    assert found is not None and found.problem is not None and not found.findings
    assert found.problem.message == "the expression on line 2 is nested too deeply to be judged: cut it into several"


def test_a_square_is_seen() -> None:
    """So that the tests above can fail."""
    shape = next(each for each in SHAPES if each.name == "many names")
    assert growth(Shape(shape.name, shape.file, lambda count: shape.make(count * count // 8))) > PROMISED
