"""README, its translations and docs/: commands that exist, links that lead somewhere, a page of each rule."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nbformat
import pytest
import typer
import yaml

from precision_fix import home
from precision_fix.cli import app as commands
from precision_fix.cli.meant import COMMANDS
from precision_fix.engine.settings_file import parse
from precision_fix.rules import codes, rules
from precision_fix.rules.examples import example
from tests.tools import REPOSITORY, command
from website.pages import OF_THE_TOP, made, outward

README = REPOSITORY / "README.md"
TRANSLATIONS = sorted(REPOSITORY.glob("README.*.md"))
PAGES = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md"))]
NOTEBOOKS = sorted((REPOSITORY / "examples").glob("*.ipynb"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)[^)]*\)")
every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())


@cache
def pages_made() -> dict[str, str]:
    return dict(made())


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# README and its translations


def test_the_readme_is_short() -> None:
    for path in (README, *TRANSLATIONS):
        assert len(text_of(path).splitlines()) <= 150


def test_there_are_translations() -> None:
    assert [path.name for path in TRANSLATIONS] == ["README.ja.md", "README.zh-CN.md"]


@pytest.mark.parametrize("path", TRANSLATIONS, ids=lambda path: path.name)
def test_a_translation_is_in_step(path: Path) -> None:
    """The same headings, code, links, pictures, rows of tables and figures."""
    ours, theirs = text_of(README), text_of(path)
    assert headings(theirs) == headings(ours)
    assert blocks(theirs) == blocks(ours)
    assert inline(theirs) == inline(ours)
    assert links(theirs) == links(ours)
    assert theirs.count("\n|") == ours.count("\n|")
    assert figures(theirs) == figures(ours)


def headings(text: str) -> list[str]:
    return re.findall(r"^(#+) ", FENCE.sub("", text), re.MULTILINE)


def blocks(text: str) -> list[list[str]]:
    """The code of each block; what a comment says in it may be in any language."""
    return [[re.sub(r"\s+# .*", "", line) for line in code.splitlines()] for _, code in FENCE.findall(text)]


def inline(text: str) -> list[str]:
    """The pieces of code in the text: each language has its own order of words."""
    return sorted(re.findall(r"`([^`\n]+)`", FENCE.sub("", text)))


def links(text: str) -> list[str]:
    """What is linked to, but for the other languages."""
    return sorted(link for link in LINK.findall(text) if not link.startswith("README"))


def figures(text: str) -> set[str]:
    """Those of two digits and more: the smaller ones are words in one language and numbers in another."""
    return set(re.findall(r"\d[\d.]*\d", re.sub(r"`[^`]*`|\]\([^)]*\)", "", FENCE.sub("", text)))) - {"10"}


# Links and addresses


@every_page
def test_links_lead_to_something(path: Path) -> None:
    here = path.relative_to(REPOSITORY)
    pages = {f"docs/{name}" for name in pages_made()}
    for link in LINK.findall(FENCE.sub("", text_of(path))):
        target = (path.parent / unquote(link)).resolve()
        assert target.exists() or target.relative_to(REPOSITORY).as_posix() in pages, f"{here}: {link}"


def test_links_out_of_docs_go_to_the_repository() -> None:
    assert outward("a/b.md", "[x](../../LICENSE)") == f"[x]({home.HOME}/blob/main/LICENSE)"
    assert outward("a/b.md", "[x](../../SECURITY.md#how)") == "[x](../security.md#how)"
    assert (
        outward("a.md", "[x](plan.md) [y](https://a.b/c) `OWNER`") == f"[x](plan.md) [y](https://a.b/c) `{home.OWNER}`"
    )
    with pytest.raises(FileNotFoundError, match=r"docs/a\.md: the link \.\./nothing leads to nothing"):
        outward("a.md", "[x](../nothing)")


def test_the_address_is_in_one_place() -> None:
    """In docs/ OWNER is filled in; elsewhere nothing spells the address."""
    kinds = {".py", ".toml", ".yml", ".yaml", ".md", ".json"}
    top = [path for path in REPOSITORY.iterdir() if path.is_file() and path.suffix in kinds]
    below = [path for name in ("precision_fix", "website", ".github") for path in (REPOSITORY / name).rglob("*")]
    for path in (*top, *below):
        if path.suffix in kinds and path != REPOSITORY / "precision_fix" / "home.py":
            assert not re.search(
                r"\bOWNER/|\w+\.github\.io/precision-fix|github\.com/\w+/precision-fix", text_of(path)
            ), path


def test_the_package_names_it() -> None:
    namespace = runpy.run_path(str(REPOSITORY / "precision_fix" / "home.py"))
    assert namespace["urls"]()["Homepage"] == home.HOME
    project = text_of(REPOSITORY / "pyproject.toml")
    assert '"urls"' in project and "[tool.hatch.metadata.hooks.custom]" in project


# What is shown works


@every_page
def test_commands_exist(path: Path) -> None:
    for _, code in FENCE.findall(text_of(path)):
        for line in code.splitlines():
            check_command(line)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_valid_and_its_commands_exist(path: Path) -> None:
    book: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(book)
    lines = [line for cell in book.cells if cell.cell_type == "code" for line in cell.source.splitlines()]
    assert [line for line in lines if check_command(line.removeprefix("!"))]
    assert not any(cell.get("outputs") for cell in book.cells), "saved without what it printed"


def test_a_command_that_does_not_exist_is_seen() -> None:
    with pytest.raises(AssertionError, match="--gpus"):
        check_command("precision-fix --gpus t4 .")
    with pytest.raises(AssertionError, match="--store"):
        check_command("precision-fix run --store bfloat16 main.py --anything")


def check_command(line: str) -> bool:
    """Whether a line is a command of ours; then its options are among those that the command has."""
    words = shlex.split(line.partition(" > ")[0].rstrip("\\"), comments=True)
    words = [word for word in words if "=" not in word or word.startswith("-")]
    if not words or words[0].rpartition("/")[2] != "precision-fix":
        return False
    name = words[1] if words[1:] and words[1] in COMMANDS else "patch"
    given = words[1:] if name == "patch" and words[1:2] != ["patch"] else words[2:]
    for option in options_of(name, given):
        assert option.partition("=")[0] in known(name), f"{line}: {option}"
    return True


def options_of(name: str, words: list[str]) -> Iterator[str]:
    """The options among the words; those behind the program of `run` are its own."""
    waits = False
    for word in words:
        if word.startswith("-") and word != "-":
            yield word
            waits = known(name).get(word, False)
        elif name == "run" and not waits:
            return
        else:
            waits = False


@cache
def known(name: str) -> dict[str, bool]:
    """The options of a command, and whether each takes a value."""
    commands._load(name)
    group: Any = typer.main.get_command(commands.app)
    more = ("--help", "-h", "--install-completion", "--show-completion", "--version", "-V")
    params = group.commands[name].params
    each = {
        spelling: not param.is_flag for param in params if param.param_type_name == "option" for spelling in param.opts
    }
    off = {spelling: False for param in params for spelling in param.secondary_opts}
    return dict.fromkeys(more, False) | each | off


def test_settings_that_are_shown_are_read() -> None:
    (code,) = (code for kind, code in FENCE.findall(text_of(REPOSITORY / "docs/settings.md")) if kind == "toml")
    found = parse("pyproject.toml", code.encode(), ".", plain=False)
    assert found is not None and found.gpu == "t4"


def test_variables_that_are_named_are_read() -> None:
    code = "".join(text_of(path) for path in (REPOSITORY / "precision_fix").rglob("*.py"))
    inside = {"PRECISION_FIX_RUN", "PRECISION_FIX_COMPLETE", "PRECISION_FIX_DEBUG"}
    read = {name for name in re.findall(r"\bPRECISION_FIX_[A-Z_]*[A-Z]\b", code) if not re.search("SAID|WRONG", name)}
    named = set(re.findall(r"\bPRECISION_FIX_[A-Z_]*[A-Z]\b", "".join(map(text_of, PAGES))))
    assert named <= read and read - inside <= named


# Pages that are made


def test_each_rule_has_a_page() -> None:
    pages = pages_made()
    assert {f"rules/{code}.md" for code in codes()} <= set(pages)
    for rule in rules():
        page, shown = pages[f"rules/{rule.code}.md"], example(rule.code)
        assert page.startswith(f"# {rule.code}: {rule.title}\n")
        assert shown.before.strip() in page and shown.after.strip() in page
        assert ("## After" in page) == (shown.before != shown.after)
        assert f"[{rule.code}]({rule.code}.md)" in pages["rules/index.md"]


def test_the_program_names_the_page() -> None:
    page = f"Its page: {home.rule_page('PF101')}\n"
    assert (page in command("rule", "pf101").stdout.decode()) is home.has_address()


def test_pages_of_the_top_keep_their_links() -> None:
    pages = pages_made()
    assert set(OF_THE_TOP) <= set(pages)
    assert "(architecture.md)" in pages["contributing.md"]
    assert "(promises.md)" in pages["security.md"]


def test_the_navigation_names_pages_that_are_there() -> None:
    """One that it does not name is put under More."""
    nav = yaml.safe_load(text_of(REPOSITORY / "mkdocs.yml"))["nav"]
    named = re.findall(r"[\w/-]+\.md", str(nav))
    written = {path.relative_to(REPOSITORY / "docs").as_posix() for path in (REPOSITORY / "docs").rglob("*.md")}
    assert len(named) == len(set(named))
    assert set(named) <= written | set(pages_made())
