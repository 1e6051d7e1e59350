"""Turns the arrays found in a user's files into a data set, and reports how they were interpreted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zoo.data.dataset import SIDES, Names, RawArrays, require_small
from zoo.data.formats.class_labels import to_labels
from zoo.data.formats.pixels import to_pixels
from zoo.data.progress import Announce
from zoo.errors import DataError

TEST_SHARE = 5  # one image in so many is tested on, where the files do not say which
SEED = 0  # of the draw


@dataclass(frozen=True, eq=False)
class Found(RawArrays):
    """Arrays as the user's files hold them: not all of them need be there, nor be images of uint8 and labels from 0.

    `written` is what numbers in the labels stand for, where a file says so; `transposed`, whether rows and columns of
    the images are exchanged; `notes`, what the reader has understood.
    """

    written: Mapping[int, str] = field(default_factory=dict)
    transposed: bool = False
    notes: tuple[str, ...] = ()

    def understood(self, class_names: Names | None, announce: Announce) -> RawArrays:
        """Return images as uint8 and labels as numbers from 0, and announce what that took, if anything.

        Without test images, a fifth of each class is set aside as such: the same one each time.

        Raises:
            DataError: something can be meant in several ways; the message says what to do.
        """
        complete, notes = self._complete()
        require_small(sum(array.nbytes for array in complete.values()), self.origin)
        images, of_images = to_pixels(*self._side_by_side(complete, "images"), transposed=self.transposed)
        labels, names, of_labels = to_labels(
            *self._side_by_side(complete, "labels"), class_names=class_names or self.class_names, written=self.written
        )
        self._check_pairs(images, labels)
        notes += of_images + of_labels
        if "test" not in images:
            images, labels = _hold_out(images, labels, self.origin)
            notes.append(
                f"there are no test images, so a fifth of each class, drawn by seed {SEED}, is set aside as such"
            )
        if "validation" in images:
            notes.append(
                f"its {len(labels['validation']):,} validation images are used where validation_split asks for some, "
                "and no training images are held out then"
            )
        origin = f"{self.origin} ({'; '.join(notes)})" if notes else self.origin
        if notes:
            counts = f"{len(labels['train']):,} training and {len(labels['test']):,} test images"
            announce(f"{self.origin}: {counts}; {'; '.join(notes)}.")
        arrays = {f"{side}_images": array for side, array in images.items()}
        arrays |= {f"{side}_labels": array for side, array in labels.items()}
        return RawArrays(arrays, origin, {key: self.files.get(key, self.origin) for key in arrays}, names)

    def _side_by_side(
        self, arrays: Mapping[str, np.ndarray], kind: str
    ) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return the images or the labels of each side, and the file of each."""
        sides = [side for side in SIDES if f"{side}_{kind}" in arrays]
        return {side: arrays[f"{side}_{kind}"] for side in sides}, {
            side: self.files[f"{side}_{kind}"] for side in sides
        }

    def _complete(self) -> tuple[dict[str, np.ndarray], list[str]]:
        """Return the sides that have images and labels; a test side without labels is left out, with a note."""
        kept, notes = dict(self.arrays), list(self.notes)
        for side in ("test", "validation"):
            halves = [f"{side}_{kind}" for kind in ("images", "labels")]
            if sum(half in kept for half in halves) == 1:
                here, missing = halves if halves[0] in kept else halves[::-1]
                notes.append(f"{self.files[here]} is not used, since it has no {missing.partition('_')[2]}")
                del kept[here]
        return kept, notes

    def _check_pairs(self, images: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]) -> None:
        for side, array in labels.items():
            shape = images[side].shape
            if len(array) != shape[0]:
                last = " Convert them: x = np.moveaxis(x, -1, 0)." if shape[-1] == len(array) else ""
                raise DataError(
                    f"{self.files[f'{side}_labels']} holds {len(array)} labels and {self.files[f'{side}_images']} "
                    f"{shape[0]} images. Give files that belong together, one label per image.{last}"
                )


@dataclass(frozen=True)
class Format:
    """A form in which people keep images: how it is recognised and read.

    `read` is given a file or a folder, the data set's name, which chooses among several, and whom to tell. It returns
    what it read, None where nothing is there in this form, and raises `DataError` where there is but cannot be read.
    Of several formats in one folder, the one of the lowest `order` is read. `what` names its files, for the message
    about a folder that holds nothing; a format that nobody is advised to use has none.
    """

    order: int
    read: Callable[[Path, str, Announce], RawArrays | None]
    what: str = ""


def letters(name: str) -> str:
    """Return a name's letters and digits alone, in small letters: what is compared to find a data set's own files."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _hold_out(
    images: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], origin: str
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Set a fifth of the images aside, of each class alike, and none that is its class' only one.

    Both sides stay in the order of the file.
    """
    classes = labels["train"]
    rows = np.random.default_rng(SEED).permutation(len(classes))
    rows = rows[np.argsort(classes[rows], kind="stable")]
    rows = rows[np.bincount(classes)[classes[rows]] > 1]
    is_test = np.zeros(len(classes), bool)
    is_test[rows[::TEST_SHARE]] = True
    if not is_test.any():
        raise DataError(f"{origin} holds no test images, and no class has two images to set one aside. Add images.")
    halves = {"train": ~is_test, "test": is_test}
    return (
        {**images, **{side: images["train"][rows] for side, rows in halves.items()}},
        {**labels, **{side: classes[rows] for side, rows in halves.items()}},
    )
