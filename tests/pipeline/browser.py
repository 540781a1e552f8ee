"""Inspect a page in headless Chromium, at a given width."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
# The page's policy allows no scripts, so a second page inspects it in a frame.
INSPECTOR = """<!doctype html><meta charset="utf-8"><iframe srcdoc="{page}"
width="{width}" height="900" style="border:0"></iframe><pre id="facts"></pre><script>
document.querySelector("iframe").addEventListener("load", (event) => {{
  const page = event.target.contentDocument, root = page.documentElement;
  const ids = [...page.querySelectorAll("[id]")].map((node) => node.id);
  const links = [...page.querySelectorAll("a[href]")].map((node) => node.getAttribute("href"));
  const shows = (node) => node.getBoundingClientRect().width > 0;
  const drawn = [...page.querySelectorAll("svg")].filter(shows).length;
  const reach = [...page.querySelectorAll("a, summary, [tabindex='0']")].map((node) => {{
    node.focus(); return page.activeElement === node; }});
  const cut = (node) => node.scrollWidth > node.clientWidth + 1;
  const wide = [...page.querySelectorAll(".scroll")].filter(cut);
  document.getElementById("facts").textContent = JSON.stringify({{
    title: page.title, scroll: root.scrollWidth, client: root.clientWidth, ids, links, drawn,
    rows: page.querySelectorAll("tbody tr").length, reached: reach.every(Boolean),
    scrolled: wide.length, unreached: wide.filter((node) => node.tabIndex !== 0).length }});
}});
</script>"""  # fmt: skip


def inspected(page: Path, width: int, folder: Path) -> tuple[dict, list[str]]:
    """Return facts of a page at this width, and the browser's console messages."""
    around = folder / f"around_{width}.html"
    text = html.escape(page.read_text(encoding="utf-8"), quote=True)
    around.write_text(INSPECTOR.format(page=text, width=width), encoding="utf-8")
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
    facts = re.search(r'<pre id="facts">(.*?)</pre>', done.stdout, re.DOTALL)
    messages = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(facts[1])), messages
