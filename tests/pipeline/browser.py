"""A page in headless Chromium: what it says of itself, at a given width."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
# The page's own policy allows no script, so a second page looks at it in a frame.
LOOK = """<!doctype html><meta charset="utf-8"><iframe srcdoc="{page}"
width="{width}" height="900" style="border:0"></iframe><pre id="found"></pre><script>
document.querySelector("iframe").addEventListener("load", (event) => {{
  const page = event.target.contentDocument, root = page.documentElement;
  const ids = [...page.querySelectorAll("[id]")].map((one) => one.id);
  const links = [...page.querySelectorAll("a[href]")].map((one) => one.getAttribute("href"));
  const shows = (one) => one.getBoundingClientRect().width > 0;
  const drawn = [...page.querySelectorAll("svg")].filter(shows).length;
  const reach = [...page.querySelectorAll("a, summary, [tabindex='0']")].map((one) => {{
    one.focus(); return page.activeElement === one; }});
  const cut = (one) => one.scrollWidth > one.clientWidth + 1;
  const wide = [...page.querySelectorAll(".scroll")].filter(cut);
  document.getElementById("found").textContent = JSON.stringify({{
    title: page.title, scroll: root.scrollWidth, client: root.clientWidth, ids, links, drawn,
    rows: page.querySelectorAll("tbody tr").length, reached: reach.every(Boolean),
    scrolled: wide.length, unreached: wide.filter((one) => one.tabIndex !== 0).length }});
}});
</script>"""  # fmt: skip


def looked_at(page: Path, width: int, folder: Path) -> tuple[dict, list[str]]:
    """Return what a page of this width is like, and what the browser complained of."""
    around = folder / f"around_{width}.html"
    text = html.escape(page.read_text(encoding="utf-8"), quote=True)
    around.write_text(LOOK.format(page=text, width=width), encoding="utf-8")
    done = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            f"--user-data-dir={folder / 'profile'}",
            "--virtual-time-budget=10000",
            "--dump-dom",
            around.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(found[1])), said
