"""Where the project lives.

OWNER stands here, and here alone, until there is an address: put the account in its place.
"""

OWNER = "OWNER"
HOME = f"https://github.com/{OWNER}/precision-fix"
PAGES = f"https://{OWNER}.github.io/precision-fix/"


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
