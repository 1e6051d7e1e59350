"""Finds out how training images were prepared, so that a user's picture can be prepared in the same way.

Drawings like MNIST's (one channel, ink on a plain background, scaled to a box and centred) need the same preparation;
other pictures are only resized. This is measured on the training images and stored with the run, so that it does not
depend on the data set's name: digits that are inverted or have a wider margin are still recognised as digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

DIGIT_DATASETS = ("mnist", "digits")
"""Data sets that hold handwritten digits, whatever the measurement says."""

MOST_PIXELS, MOST_IMAGES = 20_000_000, 1000  # in the sample that is measured
BLACK, WHITE = 32, 223  # of 255: a border is black up to the first grey level, white from the second
INK = 64  # grey levels above the background
NEARLY_ALL = 0.9  # fraction of the images that must have a property
WIDEST = 0.9  # fraction of the image's side: a box without a margin proves nothing
THICK = 0.25  # fraction of the box; MNIST's strokes are about 3 of its 20 pixels thick
LEFT = 0.1  # fraction of the ink that may lie in strokes thicker than that


@dataclass(frozen=True)
class Preprocessing:
    """How a picture is prepared for a model, to match its training images.

    `kind` is "digit" or "photo"; a photo is only resized. `ground` is the background, "black" or "white", if nearly all
    training images are grey and have such a border, else None. For a digit, `box` is the length of its longer side in
    pixels (None: 20 of 28, as in MNIST), and `centre` tells whether its centre of "mass" or its "box" is centred.
    """

    kind: str = "photo"
    ground: str | None = None
    box: int | None = None
    centre: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Rebuild it from `to_dict`. Raises `ValueError` for invalid values."""
        if not isinstance(values, Mapping):
            raise ValueError(f"its preprocessing is none: {values!r}")
        found = cls(**{name: values[name] for name in cls.__dataclass_fields__ if name in values})
        is_known = found.kind in ("digit", "photo") and found.ground in ("black", "white", None)
        if not is_known or found.centre not in ("mass", "box", None) or not (found.box is None or found.box > 0):
            raise ValueError(f"its preprocessing is none: {dict(values)!r}")
        return found

    @classmethod
    def by_name(cls, dataset: str) -> Preprocessing:
        """Return the preprocessing of older runs, which do not record it: it follows from the data set's name."""
        return {"mnist": MNIST_FORM, "digits": DIGITS_FORM}.get(dataset, cls())


MNIST_FORM = Preprocessing("digit", "black", None, "mass")
PHOTO = Preprocessing()
DIGITS_FORM = Preprocessing("digit", "black", 28, "box")


def preprocessing_of(images: np.ndarray, dataset: str = "") -> Preprocessing:
    """Measure how pictures must be prepared for a model that is trained on these images.

    Args:
        images: uint8 (N, H, W, C); of many, an evenly spaced sample is measured.
        dataset: the data set's name; those in `DIGIT_DATASETS` always count as digits.
    """
    is_known = dataset in DIGIT_DATASETS
    grey = _grey(_some(images))
    ground = None if grey is None else _ground(grey)
    if grey is None or ground is None:
        return MNIST_FORM if is_known else Preprocessing()
    found = _drawn(grey if ground == "black" else 255 - grey, any_form=is_known)
    if found:
        return Preprocessing("digit", ground, *found)
    return MNIST_FORM if is_known else Preprocessing(ground=ground)


def has_form(image: np.ndarray, form: Preprocessing) -> bool:
    """Whether an image, uint8 (H, W, C), is a drawing with the background, size and position of `form`."""
    grey = _grey(image[None])
    if grey is None or _ground(grey) != form.ground or form.box is None:
        return False
    ink = grey if form.ground == "black" else 255 - grey
    if not (ink > INK).any():
        return False
    longest, off = _places(ink)
    return abs(longest[0] - form.box) <= 1 and off[form.centre or "mass"][0] <= _tolerance(form.box)


def ground_of(image: np.ndarray) -> str | None:
    """Return the background of an image, uint8 (H, W, C): "black" or "white"; None if it is neither, or coloured."""
    grey = _grey(image[None])
    return None if grey is None else _ground(grey)


def _some(images: np.ndarray) -> np.ndarray:
    most = max(1, min(MOST_IMAGES, MOST_PIXELS // int(np.prod(images.shape[1:]))))
    return images[np.unique(np.linspace(0, len(images) - 1, min(most, len(images))).astype(int))]


def _grey(images: np.ndarray) -> np.ndarray | None:
    """Return (N, H, W), or None for coloured images."""
    first = images[..., 0]
    return first if (images == first[..., None]).all() else None


def _ground(grey: np.ndarray) -> str | None:
    frame = np.ones(grey.shape[1:], dtype=bool)
    frame[1:-1, 1:-1] = False
    border = np.median(grey[:, frame], axis=1)
    if _nearly_all(border <= BLACK):
        return "black"
    return "white" if _nearly_all(border >= WHITE) else None


def _drawn(ink: np.ndarray, *, any_form: bool) -> tuple[int, str] | None:
    """Return the box of the drawings and which centre is used; None if these are not drawings.

    Args:
        ink: uint8 (N, H, W), bright on black.
        any_form: accept drawings that differ in size and position.
    """
    ink = ink[(ink > INK).any(axis=(1, 2))]
    if not len(ink):
        return None
    longest, off = _places(ink)
    box = int(np.median(longest))
    centre = min(off, key=lambda name: float(np.median(off[name])))
    is_boxed = box <= WIDEST * min(ink.shape[1:]) and _nearly_all(np.abs(longest - box) <= _tolerance(box))
    centred = {name: _nearly_all(distances <= _tolerance(box)) for name, distances in off.items()}
    # Centred by mass and not by box: only MNIST's preparation does this. Many images are centred by box.
    is_drawn = (centred["mass"] and not centred["box"]) or (
        centred[centre] and _nearly_all(_thick(ink > INK, box) <= LEFT)
    )
    return (box, centre) if (is_boxed and is_drawn) or any_form else None


def _nearly_all(found: np.ndarray) -> bool:
    return bool(found.mean() >= NEARLY_ALL)


def _tolerance(box: int) -> float:
    return max(1.0, 0.05 * box)  # pixels


def _places(ink: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the longer side of each drawing, and the distance of its centres from the image's, in pixels.

    A centre of mass counts pixels from 0, as in MNIST: its target is index 14 of 28, half a pixel off the middle.
    """
    inked = np.asarray(ink > INK)
    edges = [extent(np.asarray(inked.any(axis=axis))) for axis in (2, 1)]
    middles = np.array(ink.shape[1:])[:, None] / 2
    weights = ink.astype(np.float64)
    mass = weights.sum(axis=(1, 2))
    across = [weights.sum(axis=axis) @ np.arange(ink.shape[3 - axis]) / mass for axis in (2, 1)]
    off = {"mass": np.array(across), "box": np.array([(first + last) / 2 for first, last in edges])}
    longest = np.maximum(*(last - first for first, last in edges))
    return longest, {name: np.abs(centres - middles).max(axis=0) for name, centres in off.items()}


def extent(inked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first index of ink in each row of bool (N, L), and the one after the last."""
    return inked.argmax(axis=1), inked.shape[1] - inked[:, ::-1].argmax(axis=1)


def _thick(inked: np.ndarray, box: int) -> np.ndarray:
    """Return the fraction of each image's ink in strokes thicker than `THICK` of the box."""
    from scipy import ndimage

    size = max(2, round(THICK * box))
    core = ndimage.binary_erosion(inked, np.ones((1, size, size), dtype=bool))
    return core.sum(axis=(1, 2)) / inked.sum(axis=(1, 2))
