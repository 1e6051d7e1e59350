"""Finds straight lines across the paper, printed rules and frames, and removes them from the ink."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.polynomial import Polynomial
from scipy import ndimage

SIDE = 200
"""Cells: lines are looked for in a mask reduced to this. A cell is inked if any of its pixels is, so none is lost."""

STEEPEST = 0.11
"""Rise over run: lines are looked for up to this far (6 degrees) from level and from upright."""

COVERED = 0.75
"""Share of its way across the paper on which a printed line shows; strokes do not come near that."""

DENSEST = 0.6
"""Share of cells: where more than these are inked, lines cannot be told apart."""

FAINT = 0.1
"""Share of full ink: lines fainter than this do no harm."""

THICKEST = 0.05
"""Share of the picture's longer side: anything thicker is no line."""

PARTS = 16
"""A line is followed through so many parts of its length."""


class Rule(NamedTuple):
    """A line that runs across the ink (H, W) from side to side, or for the transposed ink from top to bottom."""

    rows: np.ndarray
    """Where its upper edge lies in each column (W,), whole pixels; it may lie outside."""

    thickness: int
    """Pixels."""

    upright: bool


def find_rules(ink: np.ndarray, inside: np.ndarray) -> list[Rule]:
    """Return the straight lines that run all across the paper `inside` (H, W), in the ink (H, W) on it."""
    marked = inside & (ink > _faint(ink))
    found = []
    for upright in (False, True):
        turned = ink.T if upright else ink
        for row, slope in _guesses(marked.T if upright else marked, inside.T if upright else inside):
            track = _followed(turned, row, slope)
            rule = track if track is None else _measured(turned, track, upright=upright)
            if rule is not None:
                found.append(rule)
    return found


def without(ink: np.ndarray, rules: list[Rule]) -> np.ndarray:
    """Return the ink without some lines; where a stroke crosses one, the stroke stays whole."""
    ink, faint = ink.copy(), _faint(ink)
    for rule in 2 * rules:  # the second time nothing of the other lines is left beside it
        turned = ink.T if rule.upright else ink
        beside = _rows(turned, rule, (-3, -2, rule.thickness + 1, rule.thickness + 2)).max(axis=0)
        alone = np.flatnonzero(beside <= faint)
        rows = rule.rows[alone] + np.arange(-1, rule.thickness + 1)[:, None]
        there = (rows >= 0) & (rows < len(turned))
        turned[rows[there], np.broadcast_to(alone, rows.shape)[there]] = 0
    return ink


def _faint(ink: np.ndarray) -> float:
    return FAINT * float(np.median(ink[ink > 0.5 * ink.max()]))


def _rows(ink: np.ndarray, rule: Rule, offsets: tuple[int, ...]) -> np.ndarray:
    """Return the ink so many pixels below a line's upper edge, in each column; none outside of the picture."""
    rows = rule.rows + np.array(offsets)[:, None]
    there = (rows >= 0) & (rows < len(ink))
    return np.where(there, ink[np.clip(rows, 0, len(ink) - 1), np.arange(ink.shape[1])], 0)


def _guesses(marked: np.ndarray, inside: np.ndarray) -> list[tuple[float, float]]:
    """Return (row in the middle column, slope) of every line across, by the Hough transform."""
    cell = -(-max(marked.shape) // SIDE)
    cells, paper = _cells(marked, cell), _cells(inside, cell)
    height, width = cells.shape
    if cells.mean() > DENSEST:
        return []
    slopes = np.arange(-STEEPEST, STEEPEST, 1 / width)
    slopes -= slopes[np.abs(slopes).argmin()]  # level is one of them
    shift = np.rint(slopes[:, None] * (np.arange(width) - width / 2)).astype(int)
    margin = int(np.abs(shift).max())
    inked = _along(ndimage.binary_dilation(cells, np.ones((3, 1))), shift, margin)  # a line may be bent a little
    best = (inked + 0.001 * _along(cells, shift, margin)).argmax(axis=0)  # the slope for each place
    places = np.flatnonzero(inked.max(axis=0) >= 0.5 * COVERED * width)
    rows = places[:, None] - margin + shift[best[places]]
    there = (paper[np.clip(rows, 0, height - 1), np.arange(width)] & (rows >= 0) & (rows < height)).sum(axis=1)
    share = np.where(there >= 0.5 * width, inked[best[places], places] / np.maximum(there, 1), 0)
    share += 0.001 * _along(cells, shift, margin)[best[places], places] / width
    found: list[int] = []
    for index in np.argsort(-share):
        if share[index] >= COVERED and all(abs(places[index] - places[other]) > 2 for other in found):
            found.append(int(index))
    return [((places[index] - margin + 0.5) * cell - 0.5, float(slopes[best[places[index]]])) for index in found]


def _cells(mask: np.ndarray, cell: int) -> np.ndarray:
    padded = np.pad(mask, [(0, -side % cell) for side in mask.shape])
    return np.asarray(padded.reshape(padded.shape[0] // cell, cell, -1, cell).any(axis=(1, 3)))


def _along(cells: np.ndarray, shift: np.ndarray, margin: int) -> np.ndarray:
    """Count the marked cells along every line: (slopes, rows), a row for each place in the middle column."""
    rows, columns = np.nonzero(cells)
    size = len(cells) + 2 * margin
    place = rows - shift[:, columns] + margin + size * np.arange(len(shift))[:, None]
    return np.bincount(place.ravel(), minlength=size * len(shift)).reshape(len(shift), size)


def _followed(ink: np.ndarray, row: float, slope: float) -> np.ndarray | None:
    """Return the row of a line's middle in each column (W,) from a guess, on bent paper too; None if it is none."""
    width = ink.shape[1]
    columns = np.arange(width)
    reach = 3 + 2 * (max(ink.shape) // SIDE)
    track = row + slope * (columns - width / 2)
    parts = min(PARTS, width)
    for degree in (1, 2):
        band = _band(ink, track, reach)[:, : width // parts * parts]
        profile = np.median(band.reshape(len(band), parts, -1), axis=2)
        profile = np.where(profile > 0.5 * profile.max(axis=0), profile, 0)
        shown = profile.sum(axis=0) > 0
        if shown.sum() < 4:
            return None
        middles = (np.arange(parts)[shown] + 0.5) * (width // parts)
        offsets = np.arange(-reach, reach + 1) @ profile[:, shown] / profile[:, shown].sum(axis=0)
        kept = np.abs(offsets - np.median(offsets)) <= max(1.0, reach / 2)
        track = track + Polynomial.fit(middles[kept], offsets[kept], min(degree, int(kept.sum()) - 1))(columns)
    return track


def _measured(ink: np.ndarray, track: np.ndarray, *, upright: bool) -> Rule | None:
    """Return the line on a track with its thickness; None where it has gaps or is as thick as strokes are."""
    limit = round(THICKEST * max(ink.shape)) + 2
    reach = limit + 3
    within = (np.rint(track) >= 0) & (np.rint(track) < len(ink))
    if not within.any():
        return None
    band = _band(ink, track, reach)[:, within]
    profile = np.median(band, axis=1)
    middle = slice(reach - 1, reach + 2)
    peak = profile[middle].max()
    if peak <= 0 or np.mean(band[middle].max(axis=0) > 0.3 * peak) < COVERED:
        return None
    first = last = reach - 1 + int(profile[middle].argmax())
    while first > 0 and profile[first - 1] > 0.15 * peak:
        first -= 1
    while last < 2 * reach and profile[last + 1] > 0.15 * peak:
        last += 1
    if last - first + 1 > limit:
        return None
    return Rule(np.rint(track).astype(int) + first - reach, last - first + 1, upright)


def _band(ink: np.ndarray, track: np.ndarray, reach: int) -> np.ndarray:
    """Return what lies up to `reach` pixels above and below a track: (2 reach + 1, W); no ink outside."""
    rows = np.clip(np.rint(track).astype(int), -reach, len(ink) - 1 + reach) + np.arange(-reach, reach + 1)[:, None]
    there = (rows >= 0) & (rows < len(ink))
    return np.where(there, ink[np.clip(rows, 0, len(ink) - 1), np.arange(len(track))], 0)
