"""A prediction as text: the label, and one bar per class."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zoo.report.shared.text import display_width, pad, printable, shorten

EIGHTHS = " ▏▎▍▌▋▊▉"
BAR_WIDTH = 32
LABEL_WIDTH = 24
EVERY_CLASS = 20
"""Up to this many classes all are shown, in their own order; of more, the `MOST_LIKELY`."""
MOST_LIKELY = 10


def prediction_lines(
    name: object,
    probabilities: Sequence[float],
    class_names: Sequence[str] | None = None,
    *,
    ascii_only: bool = False,
) -> list[str]:
    """Return the lines that show one prediction.

    `name` says what was classified (a file's path), `probabilities` are floats in 0..1, one per class,
    and `class_names` their names (the class numbers when None). With more than 20 classes only the ten
    likeliest are listed. `ascii_only` draws the bars with ``#``. Raises ValueError when there is no
    class, or when the names are not as many as the probabilities.
    """
    labels = _labels(len(probabilities), class_names)
    values = [float(value) for value in probabilities]
    ranking = sorted(range(len(values)), key=lambda i: (math.isnan(values[i]), -values[i], i))
    best = ranking[0]
    shown = list(range(len(values))) if len(values) <= EVERY_CLASS else ranking[:MOST_LIKELY]
    width = max(display_width(labels[i]) for i in shown)
    lines = [f"{printable(name)}: {labels[best]} ({_percent(values[best]).strip()})"]
    for i in shown:
        bar = _bar(values[i], ascii_only)
        lines.append(f"  {pad(labels[i], width, 'right')}  {_percent(values[i])}  {bar}".rstrip())
    hidden = ranking[len(shown) :]
    if hidden:
        rest = sum(values[i] for i in hidden)
        lines.append(f"  {len(hidden):,} more classes share {_percent(rest).strip()}")
    return [_ascii(line) for line in lines] if ascii_only else lines


def _labels(count: int, class_names: Sequence[str] | None) -> list[str]:
    if count == 0:
        raise ValueError("no probabilities: a prediction needs at least one class")
    if class_names is None:
        return [str(number) for number in range(count)]
    if len(class_names) != count:
        raise ValueError(f"{count} probabilities but {len(class_names)} class names")
    return [shorten(printable(name), LABEL_WIDTH) for name in class_names]


def _percent(value: float) -> str:
    if 0.9995 <= value < 1:  # "100.0%" is kept for certainty
        return ">99.9%"
    return f"{value:6.1%}"


def _bar(value: float, ascii_only: bool) -> str:
    if math.isnan(value):
        return ""
    eighths = round(min(max(value, 0.0), 1.0) * BAR_WIDTH * 8)
    if ascii_only:
        return "#" * round(eighths / 8)
    full, part = divmod(eighths, 8)
    return "█" * full + EIGHTHS[part].strip()


def _ascii(line: str) -> str:
    return line.replace("…", "~").encode("ascii", "replace").decode("ascii")
