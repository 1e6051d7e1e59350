"""Separates the ink of a digit from everything else in a picture."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from zoo.errors import ImageError
from zoo.imaging.paper import NotPaperError, Paper, find_papers
from zoo.imaging.rules import Rule, find_rules, without
from zoo.imaging.strokes import extent, only_digit, stroke_thickness, strong

FAINTEST = 8.0
"""Grey levels: less contrast than this is none."""

PLAIN = 60.0
"""Grey levels: so much contrast is enough however uneven the paper is, as around a digit that fills its picture."""

NOISIEST = 1 / 12
"""Share of the ink's contrast: with more noise than this the picture is reduced to half, which averages it away."""

COARSEST = 100
"""Pixels: pictures with a shorter side are not reduced for the sake of noise."""

WIDEST = 0.25
"""Share of the picture's longer side: what is wider than this is no ink, be it brighter or darker than the paper."""


def digit_ink(grey: np.ndarray) -> np.ndarray:
    """Return how much ink of the digit each pixel holds, 0..1, from a grey picture (H, W), 0..255.

    A noisy picture is reduced first; then the result is smaller, too.

    Raises:
        ImageError: every pixel is the same, nothing stands out from the background, what does is no digit, or there
            are several.
    """
    if grey.min() == grey.max():
        raise ImageError("no digit found: every pixel is the same. Draw a digit on a plain background.")
    refused = None
    for paper in find_papers(grey):
        ink, noise = _ink(grey, paper)
        if min(grey.shape) >= COARSEST and noise > NOISIEST * ink.max() and ink.max() >= FAINTEST:
            return digit_ink(np.asarray(Image.fromarray(grey.astype(np.float32)).reduce(2), dtype=np.float64))
        try:
            _check_contrast(ink, noise)
            return only_digit(_without_rules(np.clip(ink - 3 * noise, 0, None), paper.inside), paper.inside)
        except NotPaperError as error:
            refused = refused or error
    raise refused or ImageError("no digit found: there is no paper. Photograph the digit from nearer by.")


def _ink(grey: np.ndarray, paper: Paper) -> tuple[np.ndarray, float]:
    """Return how much darker (or brighter) than the paper each pixel is, and the noise, both in grey levels.

    Ink is what differs from the paper, to whichever side strokes differ more: what is much wider than strokes, the
    reflection of a lamp or a hand, has no say in it. The noise is 1.4826 times the median absolute deviation on the
    paper, which is the standard deviation of normal noise.
    """
    difference = np.where(paper.inside, grey - paper.light, 0)
    on_paper = difference[paper.even]
    noise = float(1.4826 * np.median(np.abs(on_paper - np.median(on_paper))))
    bright, dark = np.clip(difference, 0, None), np.clip(-difference, 0, None)
    return (bright if _narrow(bright) >= _narrow(dark) else dark), noise


def _narrow(ink: np.ndarray) -> float:
    """Return the sum of the squares of all ink that is narrower than `WIDEST`, and a little of the rest."""
    coarse = np.asarray(Image.fromarray(ink.astype(np.float32)).reduce(-(-max(ink.shape) // 64)))
    wide = ndimage.grey_opening(coarse, size=(round(WIDEST * max(coarse.shape)) + 1,) * 2)
    return float(np.square(coarse - wide).sum() + 0.01 * np.square(coarse).sum())


def _check_contrast(ink: np.ndarray, noise: float) -> None:
    if ink.max() < max(FAINTEST, min(6 * noise, PLAIN)):
        raise NotPaperError(
            "no digit found: nothing stands out from the background "
            f"(at most {ink.max():.0f} of 255 grey levels). Draw it with more contrast."
        )


def _without_rules(ink: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Take printed lines and frames from the ink; a single line that is all there is may be a 1."""
    rules = find_rules(ink, inside)
    if not rules:
        return ink
    rest = without(ink, rules)
    if rest.max() > 0.3 * ink.max():
        drawn = strong(rest)
        kept = [rule for rule in rules if _is_printed(rule, drawn)]
        return rest if len(kept) == len(rules) else without(ink, kept)
    if len(rules) == 1:
        return ink
    raise NotPaperError("no digit found: there are only straight lines. Photograph the digit from nearer by.")


def _is_printed(rule: Rule, drawn: np.ndarray) -> bool:
    """Whether a line is no stroke of the digit, as the bar of a 7 is that fills a picture to its edges.

    It is longer than the digit by far, or finer than its strokes.
    """
    along = extent(drawn)[0 if rule.upright else 1]
    length = drawn.shape[0 if rule.upright else 1]
    return along.stop - along.start < 0.6 * length or rule.thickness <= 0.6 * stroke_thickness(drawn) + 1
