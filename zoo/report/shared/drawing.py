"""Draw objects on an image: boxes with labels, and masks as a tint."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.lazy import np
from zoo.report.shared.text import printable
from zoo.spec.evaluation import Annotations

COLORS = (
        (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (90, 120, 255),
        (213, 94, 0), (204, 121, 167), (150, 220, 90), (255, 130, 130), (170, 130, 250),
)  # fmt: skip
"""Bright on black, and distinguishable with most kinds of colour vision: the first seven after Okabe and Ito 2008."""
SIDE = 256
"""Pixels: a small image is magnified, by a whole number, to about this side, so that names have room."""
TINT = 0.45
NAME_SIZE = 13  # pixels


def draw_annotations(image: np.ndarray, marked: Annotations, class_names: Sequence[str]) -> np.ndarray:
    """Return the image magnified, with its annotations drawn over: uint8 (h, w, 3); see `draw_objects`."""
    return draw_objects(image, marked.boxes, class_names, mask=marked.mask, scores=marked.scores)


def draw_objects(
    image: np.ndarray,
    boxes: np.ndarray | None,
    class_names: Sequence[str],
    *,
    mask: np.ndarray | None = None,
    scores: np.ndarray | None = None,
) -> np.ndarray:
    """Return the image magnified, with true and predicted objects drawn over it: uint8 (h, w, 3).

    Args:
        image: uint8 (H, W, C), grey or RGB.
        boxes: (M, 5), rows of (class, top, left, bottom, right), edges as shares of the sides; rows whose class is
            negative are left out.
        class_names: one per class.
        mask: integers (H, W); pixels above 0 are tinted, each number in a colour of its own.
        scores: (M,), 0 to 1, shown behind the names; where boxes lie over each other, the surest is seen.
    """
    from PIL import Image, ImageDraw, ImageFont

    picture = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    if mask is not None:
        tint = np.array(COLORS)[(mask.astype(np.int64) - 1) % len(COLORS)]
        mixed = (1 - TINT) * picture + TINT * tint
        picture = np.where((mask > 0)[..., None], mixed, picture).astype(np.uint8)
    factor = max(1, round(SIDE / max(picture.shape[:2])))
    canvas = Image.fromarray(picture.repeat(factor, axis=0).repeat(factor, axis=1))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(NAME_SIZE)
    height, width = canvas.height, canvas.width
    rows = () if boxes is None else boxes
    for number in range(len(rows)) if scores is None else np.argsort(scores, kind="stable"):
        row = rows[number]
        label = int(row[0])
        if label < 0:
            continue
        color = COLORS[label % len(COLORS)]
        top, left, bottom, right = row[1] * height, row[2] * width, row[3] * height - 1, row[4] * width - 1
        pen.rectangle((left, top, max(left, right), max(top, bottom)), outline=color, width=2)
        name = printable(class_names[label]) if label < len(class_names) else str(label)
        text = name if scores is None else f"{name} {scores[number]:.2f}"
        area = pen.textbbox((left + 3, max(0, top - NAME_SIZE - 2)), text, font=font)
        pen.rectangle((area[0] - 2, area[1] - 1, area[2] + 2, area[3] + 1), fill=(0, 0, 0))
        pen.text((left + 3, max(0, top - NAME_SIZE - 2)), text, font=font, fill=color)
    return np.asarray(canvas)
