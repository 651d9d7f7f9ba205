"""The HTML report in a real browser: that nothing of it is wider than its window, from a phone to a wide screen.

It also clicks: a link unfolds what it leads to, the filter leaves what is asked for. And it opens a page of 1,250
places, all unfolded, and says how long that took.

`python -m tests.bench.page PATH` makes the report of a project with every part unfolded and asks Chromium (Debian's
`chromium`, or what CHROMIUM names) how wide it came out in frames of several widths, in light and in dark. With
`--pictures FOLDER` it also leaves a picture of each there, to be looked at.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from html import escape, unescape
from pathlib import Path

from precision_fix.engine.decide import decide
from precision_fix.engine.scan import scan
from precision_fix.model.target import FLOAT32
from precision_fix.reports.html import render
from precision_fix.reports.run import Run

WIDTHS = (320, 360, 480, 800, 1280, 1920)
_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
# A clock that jumps ahead: not for what is to be timed.
_AT_ONCE = "--virtual-time-budget=20000"
# What is wider than its frame, or scrolls sideways within it, by tag.
_ASK = """
const wide = [];
for (const frame of document.querySelectorAll("iframe")) {
  const page = frame.contentDocument.documentElement;
  const parts = [...page.querySelectorAll("body *")].filter(each => each.scrollWidth > each.clientWidth + 1
    && getComputedStyle(each).display !== "inline");
  wide.push([frame.clientWidth, page.scrollWidth, [...new Set(parts.map(each => each.tagName))]]);
}
document.getElementById("said").textContent = JSON.stringify(wide);
"""


def browser(folder: Path, page: Path, *arguments: str) -> str:
    """What Chromium prints for a page."""
    command = [os.environ.get("CHROMIUM", "chromium"), *_QUIET, f"--user-data-dir={folder / 'profile'}", *arguments]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=300, check=True)
    return done.stdout


def widths(folder: Path, page: str, scheme: int) -> list[tuple[int, int, list[str]]]:
    """For each width of a frame: that, the width of the page in it, and the tags of what is wider than it should be."""
    frames = "".join(f'<iframe style="width:{w}px;border:0" srcdoc="{escape(page)}"></iframe>' for w in WIDTHS)
    outer = folder / "frames.html"
    script = f"addEventListener('load', () => {{ {_ASK} }})"
    outer.write_text(f'<!doctype html><meta charset="utf-8">{frames}<p id="said"></p><script>{script}</script>')
    found = re.search(r'<p id="said">(.+?)</p>', browser(folder, outer, _AT_ONCE, _scheme(scheme), "--dump-dom"))
    assert found, "the browser said nothing"
    return [(frame, page_width, tags) for frame, page_width, tags in json.loads(found[1])]


# A folded part with an address in it, and the rule that the filter is set to.
_CLICK = """
const target = [...document.querySelectorAll("details:not([open]) [id^=p]")].pop();
const said = {folded: Boolean(target)};
if (target) { location.hash = target.id; dispatchEvent(new HashChangeEvent("hashchange")); }
said.unfolded = !target || !target.closest("details:not([open])");
const rule = document.querySelector("[name=rule]");
rule.value = rule.options[rule.options.length - 1].value;
rule.dispatchEvent(new Event("input", {bubbles: true}));
const items = [...document.querySelectorAll("[data-action]")];
said.wrong = items.filter(each => each.hidden === each.dataset.rules.split(" ").includes(rule.value)).length;
said.left = items.filter(each => !each.hidden).length;
said.output = document.querySelector("output").textContent;
document.title = JSON.stringify(said);
"""
_TIME = """
const height = document.body.offsetHeight;
const parts = document.querySelectorAll("*").length;
document.title = JSON.stringify({ms: Math.round(performance.now()), parts, height});
"""


def asked(folder: Path, page: str, script: str, *arguments: str) -> dict[str, object]:
    """What a script says of a page when it is there; without its policy, which keeps all scripts but its own out."""
    free = re.sub("<meta http-equiv[^>]*>", "", page)
    whole = f"{free}<script>addEventListener('load', () => {{ {script} }})</script>"
    (folder / "asked.html").write_text(whole)
    found = re.search("<title>(.+?)</title>", browser(folder, folder / "asked.html", "--dump-dom", *arguments))
    assert found, "the browser said nothing"
    return dict(json.loads(unescape(found[1])))


def many() -> Run:
    """1,250 places in 25 files, which are all unfolded."""
    body = "def f(x):\n    a = x + 1\n    b = a.to(torch.bfloat16)\n    c = b * 2\n    d = c - 1\n    return d\n\n\n"
    with tempfile.TemporaryDirectory() as name:
        for number in range(25):
            (Path(name) / f"m{number}.py").write_text(f"import torch\n{body * 50}")
        return Run(scan([Path(name)], FLOAT32, with_text=True), [Path(name)], decide("t4"))


def _scheme(number: int) -> str:
    return f"--blink-settings=preferredColorScheme={number}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("path", type=Path)
    parser.add_argument("--pictures", type=Path)
    given = parser.parse_args()
    run = Run(scan([given.path], FLOAT32, with_text=True), [given.path], decide("t4"))
    page = render(run)
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clicked = asked(folder, page, _CLICK)
        wrong += bool(clicked["wrong"]) or not clicked["unfolded"] or not clicked["left"]
        print(f"links and filter: {clicked}")
        print(f"1,250 places, unfolded: {asked(folder, render(many()), _TIME)}")
        for scheme, called in ((1, "light"), (0, "dark")):
            for frame, width, tags in widths(
                folder, re.sub(r"<details\b(?! open| [^>]* open)", "<details open", page), scheme
            ):
                fits = width <= frame and not tags
                wrong += not fits
                print(f"{called:<5} {frame:>5} px: page {width} px {'' if fits else f'too wide: {tags}'}")
            if given.pictures:
                given.pictures.mkdir(parents=True, exist_ok=True)
                (folder / "page.html").write_text(page)
                picture = given.pictures.resolve() / f"{called}.png"
                size = "--window-size=1100,3000"
                browser(folder, folder / "page.html", _AT_ONCE, _scheme(scheme), size, f"--screenshot={picture}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
