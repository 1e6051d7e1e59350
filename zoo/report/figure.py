"""What every picture shares: colours, type, and a figure that depends on no global state.

Figures are made and saved through matplotlib's object API on the Agg canvas. pyplot, the current backend and
the user's matplotlibrc play no part, so a picture looks the same from a notebook, a server and a test.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200
"""Twice the customary 100, for screens with fine pixels."""

INK = "#24292f"
QUIET = "#6e7781"
FAINT = "#e4e8ec"
PAPER = "#ffffff"
BLUE = "#2f6db5"
ORANGE = "#d9741c"
FONT = "DejaVu Sans"  # comes with matplotlib, so that it is there everywhere


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` x `height` inches on the Agg canvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER)
    figure.set_layout_engine("none")  # whatever the user's matplotlibrc says
    FigureCanvasAgg(figure)
    return figure


def save_png(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write the figure as a PNG, all of it or nothing, and return the path. Raises OSError."""
    with atomic_path(path) as temporary:
        # The canvas, not Figure.savefig, which would obey savefig.* of the user's matplotlibrc.
        figure.canvas.print_png(str(temporary), metadata={"Software": "zoo"})  # type: ignore[attr-defined]
    return Path(path)


def quiet_axes(axes: Axes) -> None:
    """Leave of the axes what helps reading: faint horizontal lines, and small grey numbers."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set(color=QUIET, linewidth=0.8)
    axes.set_facecolor(PAPER)
    axes.set_axisbelow(True)
    axes.grid(visible=True, which="major", axis="y", color=FAINT, linewidth=0.8, linestyle="-")
    axes.grid(visible=False, which="both", axis="x")
    axes.tick_params(axis="y", which="both", length=0, labelsize=9, labelcolor=QUIET, labelfontfamily=FONT)
    axes.tick_params(axis="x", which="both", length=3, color=QUIET, labelsize=9, labelcolor=QUIET, labelfontfamily=FONT)
