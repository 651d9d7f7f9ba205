"""Where the project lives.

OWNER stands here, and here alone, until there is an address: put the account in its place.
"""

_NOBODY = "OWNER"
OWNER = "OWNER"
HOME = f"https://github.com/{OWNER}/precision-fix"
PAGES = f"https://{OWNER}.github.io/precision-fix/"


def has_address() -> bool:
    """Whether somebody has put the account in its place, so that a link to it leads somewhere."""
    return OWNER != _NOBODY


def rule_page(code: str) -> str:
    """The address of the page of a rule."""
    return f"{PAGES}rules/{code}/"


def urls() -> dict[str, str]:
    """`project.urls` of the package."""
    return {
        "Homepage": HOME,
        "Documentation": PAGES,
        "Changelog": f"{PAGES}changelog/",
        "Issues": f"{HOME}/issues",
    }
