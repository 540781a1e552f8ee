"""Fill a template of this folder."""

from __future__ import annotations

from pathlib import Path

import jinja2


def render(name: str, **context: object) -> str:
    """Return a page.

    Args:
        name: of the template, without its ending: `report` for report.html.j2.
        context: what the template names. Texts are escaped.

    Raises:
        jinja2.UndefinedError: the template names something that is not there.
    """
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
    )
    return pages.get_template(f"{name}.html.j2").render(**context)
