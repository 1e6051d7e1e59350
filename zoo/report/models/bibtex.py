"""Format a paper as BibTeX."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

CONFERENCES = (
    "AAAI", "Advances in", "BMVC", "CVPR", "Conference", "ECCV", "ICCV", "ICLR", "ICML", "IJCAI", "MICCAI", "NIPS",
    "NeurIPS", "Symposium", "WACV", "Workshop",
)  # fmt: skip
SMALL_WORDS = ("a", "an", "the", "on", "of", "for")
SPECIAL = str.maketrans({
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
})  # fmt: skip


def bibtex(paper: Mapping[str, Any]) -> str:
    """Return an entry for a paper's facts: `title`, `authors` ("A. Uthor, B. Uthor"), `year`, `venue`, `url`.

    Fields that are not known are left out. A year that the venue ends in (``CVPR 2016``) is the entry's; a journal's
    ``86(11)`` is its volume and number. Capitals of the title are kept by a second pair of braces.
    """
    authors = [name.strip() for name in paper["authors"].split(",") if name.strip()]
    venue, dated = split_venue(paper["venue"])
    year = dated or str(paper["year"] or "")
    at_conference = any(word in venue for word in CONFERENCES)
    kind = "inproceedings" if at_conference else "article" if venue else "misc"
    issue = re.fullmatch(r"(.*?) (\d+)(?:\((\d+)\))?", venue) if not at_conference else None
    journal, volume, number = issue.groups() if issue else (venue, None, None)
    fields = {
        "title": f"{{{_escaped(paper['title'])}}}",
        "author": " and ".join(map(_escaped, authors)),
        "booktitle" if at_conference else "journal": _escaped(venue if at_conference else journal),
        "volume": volume,
        "number": number,
        "year": year,
        "url": paper["url"],
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{_key(paper['title'], authors, year)},", *lines, "}"])


def split_venue(venue: str) -> tuple[str, str]:
    """Return ``CVPR 2016`` as its name and its year; the year is empty where the venue ends in none."""
    found = re.fullmatch(r"(.*) (\d{4})", venue)
    return (found[1], found[2]) if found else (venue, "")


def _key(title: str, authors: list[str], year: str) -> str:
    """``krizhevsky2012imagenet``: first author, year, first word of the title that says something."""
    family = authors[0].split()[-1] if authors else "anonymous"
    words = [word for word in re.findall(r"\w+", title) if word.lower() not in SMALL_WORDS]
    key = unicodedata.normalize("NFKD", f"{family}{year}{words[0] if words else ''}")
    return re.sub(r"[^a-z0-9]", "", key.lower())


def _escaped(text: str) -> str:
    return text.translate(SPECIAL)
