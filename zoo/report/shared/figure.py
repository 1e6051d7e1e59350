"""Colours, fonts and figures shared by all plots, independent of matplotlib's global state.

Figures are made and saved through matplotlib's object API on the Agg canvas. pyplot, the current backend and
the user's matplotlibrc play no part, so a picture looks the same from a notebook, a server and a test.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import ImageError
from zoo.utils.files import atomic_path

if TYPE_CHECKING:
    import numpy as np
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
VARIABLES = {
    INK: "--ink",
    QUIET: "--quiet",
    FAINT: "--faint",
    PAPER: "--paper",
    BLUE: "--blue",
    ORANGE: "--orange",
}
"""What each colour is called in a page, which has others in the dark."""
FONT = "DejaVu Sans"  # comes with matplotlib, so that it is there everywhere


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` x `height` inches on the Agg canvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER)
    figure.set_layout_engine("none")  # whatever the user's matplotlibrc says
    FigureCanvasAgg(figure)
    return figure


def lay_under(figure: Figure, sheet: np.ndarray) -> None:
    """Put an image of the figure's very size under everything else: every pixel of it stays a pixel.

    Matplotlib's own images are resampled, also where nothing changes, which for a whole page takes most of a second.

    Args:
        sheet: uint8 (height, width, 3), top row first.
    """
    import numpy as np
    from matplotlib.artist import Artist

    class Sheet(Artist):
        def draw(self, renderer: Any) -> None:
            opaque = np.full(sheet.shape[:2], 255, np.uint8)
            renderer.draw_image(renderer.new_gc(), 0, 0, np.dstack([sheet, opaque])[::-1])

    artist = Sheet()
    artist.set_zorder(-1)
    figure.add_artist(artist)


def save_png(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write the figure as a PNG, all of it or nothing, and return the path. Raises OSError."""
    with atomic_path(path) as temporary, _any_script():
        # The canvas, not Figure.savefig, which would obey savefig.* of the user's matplotlibrc.
        figure.canvas.print_png(str(temporary), metadata={"Software": "zoo"})  # type: ignore[attr-defined]
    return Path(path)


def check_kind(path: str | os.PathLike[str]) -> str:
    """Return how the picture's name ends: .png or .svg.

    Raises:
        ImageError: it ends otherwise.
    """
    kind = Path(path).suffix.lower()
    if kind not in (".png", ".svg"):
        raise ImageError(f"a picture is a .png or an .svg, received '{path}'. Change the end of its name.")
    return kind


def save_picture(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write the figure as what the file's name ends in, PNG or SVG, and return the path.

    Raises:
        ImageError: the name ends otherwise.
        OSError: the file cannot be written.
    """
    if check_kind(path) == ".png":
        return save_png(figure, path)

    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    with atomic_path(path) as temporary, matplotlib.rc_context({"svg.fonttype": "path"}), _any_script():
        FigureCanvasSVG(figure).print_svg(str(temporary), metadata={"Date": None, "Creator": "zoo"})
    return Path(path)


def svg(figure: Figure, *, description: str) -> str:
    """Return the figure as an ``<svg>`` element to stand in an HTML page.

    Text stays text, so that the reader's browser brings the fonts, and colours become the variables of
    `VARIABLES`, so that the page decides what they are. `description` is what a screen reader says.
    """
    from html import escape

    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    text = io.StringIO()
    canvas = figure.canvas
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.image_inline": True}), _any_script():
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})
    figure.set_canvas(canvas)
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    head, _, body = drawing.partition(">")
    box = re.search(r'viewBox="[^"]*"', head)
    body = re.sub(r"(fill|stroke): (#[0-9a-f]{6})", _variable, body)
    width = figure.get_size_inches()[0]
    return (
        f'<svg {box[0] if box else ""} role="img" aria-label="{escape(description)}" '
        f'style="max-width:{width:.1f}in;min-width:{0.62 * width:.1f}in">{body.strip()}'
    )


def _variable(match: re.Match[str]) -> str:
    name = VARIABLES.get(match[2])
    return f"{match[1]}: var({name})" if name else match[0]


class _any_script(warnings.catch_warnings):  # noqa: N801 (used like a function)
    """No warnings about characters that the font lacks: a class may be named in any script."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.filterwarnings("ignore", message="Glyph .* missing from")


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
