"""The rules, one a file. A module here whose name begins with `pf` is a rule: nothing else needs to know of it.

The rules of Python lie in this folder, those of settings and of lines in folders below it (`AnyRule.folder`): a run
that sees no config imports none of theirs.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TypeVar

from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import shown
from precision_fix.model.rule import AnyRule, LineRule, Rule, SettingRule, StartRule, in_order

# As many suggestions as fit a line or two.
_MOST = 4
_Shape = TypeVar("_Shape", bound=AnyRule)


@cache
def _modules() -> dict[str, str]:
    """The module of each rule by its code, sorted; none of them is imported for it."""
    names = sorted(info.name for info in pkgutil.walk_packages(__path__, f"{__name__}."))
    found = {name.rpartition(".")[2].partition("_")[0].upper(): name for name in names if ".pf" in name}
    return dict(sorted(found.items()))


def codes() -> tuple[str, ...]:
    """The codes of all rules, sorted."""
    return tuple(_modules())


@cache
def _rule(code: str) -> AnyRule:
    found: AnyRule = importlib.import_module(_modules()[code]).RULE()
    return found


def rules() -> tuple[AnyRule, ...]:
    """All rules, shape by shape in the order in which they are asked."""
    return (*rules_of(Rule), *rules_of(SettingRule), *rules_of(LineRule), *rules_of(StartRule))


def rules_of(shape: type[_Shape]) -> tuple[_Shape, ...]:
    """The rules of one shape, in the order in which they are asked. Only they are imported."""
    mine = (code for code, name in _modules().items() if name.split(".")[-2] == shape.folder)
    return in_order(rule for rule in map(_rule, mine) if isinstance(rule, shape))


def rule(code: str) -> AnyRule:
    """The rule of this code. Raises PrecisionFixError, naming those that may be meant, if there is none."""
    if code.upper() not in _modules():
        near = ", ".join(f"{each} ({_rule(each).title})" for each in suggested(code))
        hint = f"; did you mean {near}?" if near else ";"
        raise PrecisionFixError(f"{shown(code)}: no such rule{hint} `precision-fix rule` lists all")
    return _rule(code.upper())


def below(prefix: str) -> tuple[str, ...]:
    """The codes that begin so: PF1 stands for all of PF101 to PF109."""
    return tuple(code for code in codes() if code.startswith(prefix.upper()))


def suggested(word: str) -> list[str]:
    """The codes that may be meant by a word that is none: those that look like it, or whose title speaks of it."""
    import difflib

    plain = word.strip().upper().replace("-", "").replace("_", "")
    plain = f"PF{plain}" if plain.isdigit() else plain
    if plain in _modules():
        return [plain]
    titled = [code for code in codes() if len(word) > 2 and word.lower() in _rule(code).title.lower()]
    return titled[:_MOST] or difflib.get_close_matches(plain, codes(), _MOST, 0.6)
