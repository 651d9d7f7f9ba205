"""Every rule has a fixture that shows what it does, and is where and what its code says."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pytest

from precision_fix.errors import PrecisionFixError
from precision_fix.model.finding import Action
from precision_fix.model.rule import AnyRule, LineRule, Rule, SettingRule, Stage, StartRule, in_order
from precision_fix.rules import codes, rules, rules_of, suggested
from precision_fix.rules import rule as by_code
from precision_fix.rules.examples import example
from tests.tools import REPOSITORY, findings, rewritten, source_of

FIXTURES = REPOSITORY / "fixtures" / "rules"
RULES = sorted(rules(), key=lambda each: each.code)
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda each: each.code)


def folder(rule: AnyRule) -> Path:
    return FIXTURES / rule.code


@every_rule
def test_the_fixture_shows_the_rule(rule: AnyRule) -> None:
    shown = example(rule.code)
    assert rule.code in {each.code for each in findings(shown.before, path=shown.name)}


@every_rule
def test_before_becomes_after(rule: AnyRule) -> None:
    shown = example(rule.code)
    assert rewritten(shown.before, path=shown.name) == shown.after
    does = {each.action for each in findings(shown.before, path=shown.name) if each.code == rule.code}
    same = shown.before == shown.after
    assert (Action.REWRITE in does) == (not same), "an `after` is for a rule that rewrites, and only for one"


@every_rule
def test_after_is_sound_with_nothing_left_to_rewrite(rule: AnyRule) -> None:
    shown = example(rule.code)
    source_of(shown.name).parse(shown.after)
    assert rewritten(shown.after, path=shown.name) == shown.after
    assert Action.REWRITE not in {each.action for each in findings(shown.after, path=shown.name)}


@every_rule
def test_the_fixture_reads_well(rule: AnyRule) -> None:
    """It is shown to people: short, whole, and what it imports comes first."""
    shown = example(rule.code)
    assert 2 <= len(shown.before.splitlines()) <= 25
    assert shown.before.endswith("\n")
    assert max(map(len, shown.before.splitlines())) <= 100
    names = {shown.name, shown.name.replace("before", "after")}
    assert {path.name for path in folder(rule).iterdir()} <= names


def test_a_rule_without_a_fixture_is_told_where_it_belongs() -> None:
    with pytest.raises(FileNotFoundError, match=r"PF999 has no fixture: .* into .*fixtures.rules.PF999"):
        example("PF999")


def test_no_fixture_without_a_rule() -> None:
    assert {path.name for path in FIXTURES.iterdir()} == {each.code for each in RULES}


@every_rule
def test_file_class_and_code_agree(rule: AnyRule) -> None:
    file = Path(inspect.getfile(type(rule)))
    assert re.fullmatch(r"PF\d{3}", rule.code)
    assert re.fullmatch(rule.code.lower() + r"_[a-z0-9_]+\.py", file.name)
    assert type(rule).__name__ == "RULE"
    assert file.parent.name == rule.folder, f"{file.name} belongs into the folder {rule.folder}: there it is asked"
    assert (ast.get_docstring(ast.parse(file.read_text())) or "").startswith(f"{rule.code}: ")


@every_rule
def test_a_rule_says_what_it_is(rule: AnyRule) -> None:
    assert rule.title.strip() and "\n" not in rule.title
    assert not rule.title.endswith(".") and len(rule.title) <= 50
    assert len(rule.why) > 40 and rule.why.endswith(".")
    assert not isinstance(rule, Rule) or rule.kinds
    assert not isinstance(rule, SettingRule) or rule.forms


@every_rule
def test_a_rule_is_found_by_its_code(rule: AnyRule) -> None:
    assert by_code(rule.code) is by_code(rule.code.lower())
    assert by_code(rule.code).code == rule.code


def test_an_unknown_code_names_those_there_are() -> None:
    with pytest.raises(PrecisionFixError, match="PF999: no such rule; did you mean PF9"):
        by_code("PF999")
    assert [suggested(word) for word in ("101", "pf-101", "1x")] == [["PF101"], ["PF101"], []]


def test_every_rule_is_of_one_shape() -> None:
    shapes = [rules_of(Rule), rules_of(SettingRule), rules_of(LineRule), rules_of(StartRule)]
    assert sorted(each.code for shape in shapes for each in shape) == list(codes())


SHAPES = (Rule, SettingRule, LineRule, StartRule)


def asked_of(rule: AnyRule) -> set[object]:
    """The kinds of place that a rule is asked about."""
    return set(getattr(rule, "kinds", ()) or getattr(rule, "forms", ()) or {getattr(rule, "lines", None)})


def declared(rules: Sequence[AnyRule]) -> set[tuple[str, str]]:
    """The pairs of rules of which the first is declared to be asked sooner, also by way of others."""
    pairs = {(one.code, two.code) for one in rules for two in rules if one.stage < two.stage}
    pairs |= {(rule.code, later) for rule in rules for later in rule.before}
    pairs |= {(sooner, rule.code) for rule in rules for sooner in rule.after}
    while more := {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs:
        pairs |= more
    return pairs


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_rules_that_may_be_asked_of_one_place_have_an_order(shape: type[AnyRule]) -> None:
    """Otherwise a new rule could be silent where it is meant to speak, and nobody would know."""
    rules = rules_of(shape)
    pairs = declared(rules)
    together = [(one.code, two.code) for one, two in combinations(rules, 2) if asked_of(one) & asked_of(two)]
    assert [pair for pair in together if pair not in pairs] == [], "say in one of each pair which comes first"


@every_rule
def test_a_rule_comes_before_and_after_others_of_its_shape(rule: AnyRule) -> None:
    shape = next(each for each in SHAPES if isinstance(rule, each))
    assert {*rule.before, *rule.after} <= {each.code for each in rules_of(shape)}


def rule_called(name: str, at: Stage = Stage.LEFT, *, first: str = "", last: str = "") -> AnyRule:
    class Made(AnyRule):
        code = name
        stage = at
        before = (last,) if last else ()
        after = (first,) if first else ()

    return Made()


def order(*rules: AnyRule) -> list[str]:
    return [each.code for each in in_order(rules)]


def test_rules_are_asked_as_they_declare() -> None:
    one, two, three = rule_called("1"), rule_called("2"), rule_called("3", Stage.STORED)
    assert order(three, two, one) == ["1", "2", "3"]
    assert order(one, two, rule_called("0", first="2")) == ["1", "2", "0"]
    assert order(one, two, rule_called("9", last="2")) == ["1", "9", "2"]
    assert order(one, two, rule_called("9", first="1", last="2")) == ["1", "9", "2"]
    assert order(one, rule_called("2", Stage.CHANGED), rule_called("9", Stage.STORED)) == ["1", "9", "2"]
    assert order(one, rule_called("2", last="of another shape")) == ["1", "2"]


@pytest.mark.parametrize(
    "rules",
    [
        (rule_called("1", last="2"), rule_called("2", last="1")),
        (rule_called("1", first="3"), rule_called("2", first="1"), rule_called("3", first="2")),
        (rule_called("1"), rule_called("2", Stage.STORED, last="1")),
        (rule_called("1", last="1"),),
    ],
)
def test_a_circle_is_named(rules: tuple[AnyRule, ...]) -> None:
    with pytest.raises(ValueError, match=r"1.*each of these is to be asked before another"):
        in_order(rules)


def test_the_most_general_rules_are_asked_last() -> None:
    """A rule that claims whatever is left must not come before one with a narrower meaning."""
    asked = [each.code for each in rules()]
    for general in ("PF101", "PF201", "PF301"):
        last = by_code(general)
        assert isinstance(last, Rule)
        others = [each.code for each in rules_of(Rule) if each.kinds & last.kinds and each.code != general]
        assert all(asked.index(code) < asked.index(general) for code in others), general
