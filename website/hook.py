"""What mkdocs calls: the made pages join those of docs/, in the navigation too."""

from __future__ import annotations

from typing import Any

from mkdocs.structure.files import File

from precision_fix.home import HOME, PAGES
from website.pages import DOCS, in_order, made, outward


def on_config(config: Any) -> Any:
    config.site_url, config.repo_url, config.repo_name = PAGES, HOME, "Source"
    for section in config.nav:
        if "Rules" in section:
            pages = [{f"{each.code} {each.title}": f"rules/{each.code}.md"} for each in in_order()]
            section["Rules"] = ["rules/index.md", *pages]
    known = set(_named(config.nav))
    more = [f"{path.relative_to(DOCS).as_posix()}" for path in sorted(DOCS.rglob("*.md"))]
    if others := [path for path in more if path not in known]:
        config.nav.append({"More": others})
    return config


def on_files(files: Any, config: Any) -> Any:
    for path, text in made():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    return outward(page.file.src_uri, markdown)


def _named(nav: Any) -> Any:
    """The pages that a navigation names."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for each in nav.values():
            yield from _named(each)
    else:
        for each in nav:
            yield from _named(each)
