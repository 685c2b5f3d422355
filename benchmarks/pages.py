"""Figures that a command writes into a page, between two markers that name them."""

from __future__ import annotations

import re

BEGIN, END = "<!-- figures: {name} -->", "<!-- end -->"


def with_figures(page: str, name: str, figures: str) -> str:
    """The page with these figures between the markers of this name. Raises ValueError where there are none."""
    begin = BEGIN.format(name=name)
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(END)}", re.S)
    if not pattern.search(page):
        raise ValueError(f"the page has no markers for {name}")
    return pattern.sub(lambda _: f"{begin}\n{figures}\n{END}", page)
