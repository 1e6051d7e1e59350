"""Draw a network: its feature maps from image to logits, and the layers between them."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.report.shared.figure import BLUE, FONT, INK, ORANGE, PAPER, QUIET, new_figure
from zoo.report.shared.numbers import significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Document = Mapping[str, Any]

WORDS = {
    "Conv2D": "conv",
    "DepthwiseConv2D": "depthwise conv",
    "SeparableConv2D": "separable conv",
    "Conv2DTranspose": "transposed conv",
    "MaxPooling2D": "max pool",
    "MaxPoolingWithPositions": "max pool",
    "Unpooling": "unpool",
    "UpSampling2D": "enlarged",
    "AveragePooling2D": "average pool",
    "GlobalAveragePooling2D": "mean of map",
    "GlobalMaxPooling2D": "maximum of map",
    "Dense": "dense",
    "Flatten": "flatten",
    "Add": "sum",
    "Concatenate": "concat",
    "L2Normalization": "L2 norm",
    "LocalResponseNormalization": "local norm",
    "MovedViews": "moved views",
    "MeanOfViews": "mean of views",
}
"""The layers worth a word; what only changes values, such as an activation, has none."""

MOST_LINES = 7
TALLEST, SMALLEST = 2.1, 0.16  # inches of a map's side
GAP = 0.55


@dataclass(frozen=True)
class _Stage:
    """Layers in a row whose outputs are of one size."""

    shape: tuple[int, ...]  # (height, width, channels), (units,), or (boxes, values) of a detector
    lines: tuple[str, ...]  # what the layers do, in words

    @property
    def is_flat(self) -> bool:
        """Whether it is no map, but a vector or a list."""
        return len(self.shape) < 3


def architecture_figure(model: Document) -> Figure:
    """Draw a model's document (`name`, `input_shape`, `anatomy` with its `layers`) from left to right.

    A block stands for a stretch of layers with maps of one size: as high as the maps are wide and as thick as there are
    channels, both on a scale that grows slower than they do. Below it stand the shape, and the kinds of layers.
    """
    anatomy = model["anatomy"]
    stages = [_Stage(tuple(model["input_shape"]), ("image",)), *_stages(anatomy["layers"])]
    widths = [max(_thickness(stage) + _side(stage, stages) * 0.35, 0.95) for stage in stages]
    width = sum(widths) + GAP * (len(stages) - 1) + 0.6
    lines = max(len(stage.lines) for stage in stages)
    height = 1.05 + TALLEST * 1.35 + 0.5 + 0.17 * lines
    figure = new_figure(max(width, 5.0), height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, max(width, 5.0)), ylim=(-height + 1.05 + TALLEST * 1.35, 1.05 + TALLEST * 1.35))
    axes.set_axis_off()
    top = TALLEST * 1.35
    axes.text(0.3, top + 0.72, model["name"], fontsize=15, fontweight="bold", color=INK, family=FONT)
    facts = f"{anatomy['params']:,} parameters, {significant(anatomy['macs'] / 1e6, 3)} million MACs"
    axes.text(0.3, top + 0.45, facts, fontsize=9.5, color=QUIET, family=FONT)
    x = 0.3
    for number, (stage, room) in enumerate(zip(stages, widths, strict=True)):
        _draw(axes, stage, stages, x, room)
        if number:
            arrow = {"arrowstyle": "-|>", "color": QUIET, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", (x - 0.08, TALLEST / 2), (x - GAP + 0.1, TALLEST / 2), arrowprops=arrow)
        x += room + GAP
    return figure


def _stages(layers: Sequence[Document]) -> Iterator[_Stage]:
    """Put layers that have a word, and outputs of one size, together, in the table's order."""
    told = [row for row in layers if row["output_shape"] and _word(row)]
    for _, group in itertools.groupby(told, key=_size):
        rows = list(group)
        steps = [_word(row) for row in rows]
        largest = max((tuple(row["output_shape"]) for row in rows), key=lambda shape: shape[-1])
        yield _Stage(largest, tuple(_counted(steps)))


def _size(row: Document) -> tuple[int, ...]:
    """Height and width; of vectors their length, so that each dense layer is a stage."""
    shape = tuple(row["output_shape"])
    return shape[:-1] if len(shape) > 1 else shape


def _word(row: Document) -> str:
    word = WORDS.get(row["kind"], "" if not row["params"] or row["kind"] == "BatchNormalization" else row["kind"])
    return f"{word} {'×'.join(map(str, row['window']))}" if word and row["window"] else word


def _counted(steps: Sequence[str]) -> list[str]:
    """``conv 3×3, relu, conv 3×3`` is ``2 × conv 3×3, relu``: what is there, in the order of its first appearance."""
    lines = [word if times == 1 else f"{times} × {word}" for word, times in Counter(steps).items()]
    return lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 1], f"and {len(lines) - MOST_LINES + 1} more"]


def _side(stage: _Stage, stages: Sequence[_Stage]) -> float:
    """Inches: by the square root of the map's size, so that 7 pixels can still be seen beside 224."""
    if stage.is_flat:
        return SMALLEST
    largest = max(each.shape[0] for each in stages if not each.is_flat)
    return max(SMALLEST, TALLEST * math.sqrt(stage.shape[0] / largest))


def _thickness(stage: _Stage) -> float:
    """Inches: by the logarithm of the channels; of a vector or a list nothing but its length shows, as height."""
    return 0.12 if stage.is_flat else 0.06 + 0.07 * math.log2(stage.shape[-1] + 1)


def _draw(axes: Axes, stage: _Stage, stages: Sequence[_Stage], x: float, room: float) -> None:
    from matplotlib.patches import Polygon

    flat = stage.is_flat
    side, depth = _side(stage, stages), _thickness(stage)
    height = 0.35 + 0.13 * math.log2(stage.shape[0] + 1) if flat else side
    colour = QUIET if stage.lines == ("image",) else ORANGE if flat else BLUE
    skew = 0.35 * (0.0 if flat else side)
    left, bottom = x + (room - depth - skew) / 2, TALLEST / 2 - height / 2
    right, up = left + depth, bottom + height
    faces = (
        ([(left, bottom), (right, bottom), (right, up), (left, up)], 0.95),
        ([(left, up), (right, up), (right + skew, up + skew), (left + skew, up + skew)], 0.55),
        ([(right, bottom), (right + skew, bottom + skew), (right + skew, up + skew), (right, up)], 0.75),
    )
    for corners, strength in faces if not flat else faces[:1]:
        axes.add_patch(
            Polygon(corners, closed=True, facecolor=_mixed(colour, strength), edgecolor=PAPER, linewidth=0.8)
        )
    middle = x + room / 2
    axes.text(middle, -0.36, "×".join(map(str, stage.shape)), ha="center", fontsize=9.5, color=INK, family=FONT)
    for number, line in enumerate(stage.lines):
        axes.text(middle, -0.58 - 0.17 * number, line, ha="center", fontsize=8, color=QUIET, family=FONT)


def _mixed(colour: str, strength: float) -> str:
    """The colour on paper, from nothing (0) to itself (1)."""
    parts = [(int(colour[i : i + 2], 16), int(PAPER[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(paper + strength * (ink - paper)):02x}" for ink, paper in parts)
