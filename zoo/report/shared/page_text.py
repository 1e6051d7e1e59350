"""HTML helpers: escaped text, formatted numbers, embedded pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import numpy as np

from zoo.report.shared.text import printable

LONGEST_SIDE = 160
"""Pixels: a larger picture is reduced to this for the page."""


def text(value: object) -> str:
    """Return `value` as text of the page: on one line, and nothing in it is markup."""
    return escape(printable(value))


def number(value: Any, digits: int = 4) -> str:
    """Return a number with a fixed number of decimals, or a dash for None."""
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "–"


def percent(value: Any, digits: int = 2) -> str:
    """Return a fraction as a percentage, or a dash for None."""
    return f"{100 * value:.{digits}f}%" if isinstance(value, int | float) else "–"


def points(value: Any) -> str:
    """Return a difference of fractions in percentage points, without the unit."""
    return number(100 * value, 2)


def interval(bounds: Sequence[Any] | None, form: Callable[[Any], str] = number) -> str:
    """Return a confidence interval as "low to high", or a dash."""
    return f"{form(bounds[0])} to {form(bounds[1])}" if bounds and bounds[0] is not None else "–"


def picture_tag(image: np.ndarray, description: str, *, side: int = LONGEST_SIDE) -> str:
    """Return an ``<img>`` that carries its picture within itself.

    Args:
        image: uint8 (H, W, C) of any number of channels.
        description: for those who cannot see it; plain text.
        side: a larger picture is reduced to this many pixels.
    """
    from PIL import Image

    from zoo.report.evaluation.predictions import picture

    shown = Image.fromarray(
        np.ascontiguousarray(picture(image)).squeeze(-1) if picture(image).shape[2] == 1 else image[..., :3]
    )
    is_small = max(shown.size) <= side
    if not is_small:
        shown.thumbnail((side, side), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    shown.save(data, "PNG", optimize=True)
    sharp = ' class="sharp"' if is_small else ""
    source = base64.b64encode(data.getvalue()).decode()
    return f'<img{sharp} src="data:image/png;base64,{source}" alt="{text(description)}" title="{text(description)}">'
