"""The HTML document around a page's sections: style, script, content security policy."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from string import Template

from zoo.report.shared.page_text import text


def whole_page(title: str, headline: str, sections: Mapping[str, str], headings: Mapping[str, str]) -> str:
    """Return a page that needs nothing else: no network, no other file, no font.

    Args:
        title: plain text, for the window.
        headline: HTML of what stands above the links to the sections.
        sections: HTML by name; those that are empty are left out.
        headings: HTML of each section's heading, by the same names.
    """
    folder = resources.files("zoo.report.shared")
    script = (folder / "report.js").read_text(encoding="utf-8")
    present = {name: content for name, content in sections.items() if content}
    links = "".join(f'<a href="#{name}">{headings[name]}</a>' for name in present)
    body = [
        f"<header>{headline}",
        f'<nav aria-label="Contents">{links}</nav></header>',
        *(
            f'<section id="{name}" aria-labelledby="{name}-title">'
            f'<h2 id="{name}-title">{headings[name]}</h2>{content}</section>'
            for name, content in present.items()
        ),
    ]
    return Template((folder / "report.html").read_text(encoding="utf-8")).substitute(
        title=text(title),
        script=script,
        script_digest="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        body="\n".join(body),
    )
