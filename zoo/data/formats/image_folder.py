"""Recognises folders of images, one per class, and tells the user how to convert them to arrays."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from zoo.data.formats.coco_files import WORDS
from zoo.data.formats.found import Format
from zoo.data.progress import Announce
from zoo.errors import DataError

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
LOOKED_AT = 50  # entries of a folder, before it is said to hold no pictures


def _refuse(path: Path, _name: str, _announce: Announce) -> None:
    """Raise `DataError` for pictures: it says how they become arrays."""
    if not path.is_dir():
        return
    sides = {folder.name.lower(): folder for folder in path.iterdir() if folder.is_dir()}
    train = next((sides[word] for word in WORDS["train"] if word in sides), None)
    test = next((sides[word] for word in WORDS["test"] if word in sides), None)
    classes = [folder.name for folder in sorted((train or path).iterdir()) if _holds_pictures(folder)]
    if not classes and not _holds_pictures(path):
        return
    if not classes:
        raise DataError(
            f"The data folder {path} holds pictures and does not say what they show. Put them into arrays, each with a "
            "label: np.savez('own.npz', x_train=..., y_train=...)."
        )
    halves = {"train": train or path} | ({"test": test} if train and test else {})
    read = "lambda folder: map(np.stack, zip(*keras.utils.image_dataset_from_directory(folder, image_size=(28, 28), "
    read += "color_mode='grayscale', batch_size=None, shuffle=False).as_numpy_iterator()))"
    steps = [f"x_{side}, y_{side} = read({str(folder)!r})" for side, folder in halves.items()]
    named = ", ".join(f"x_{side}=x_{side}, y_{side}=y_{side}" for side in halves)
    raise DataError(
        f"The data folder {path} holds pictures in folders by class ({', '.join(classes[:5])}): such are not read yet. "
        "Put them into arrays, in the size and colours that you want, and give own.npz: "
        f"import keras, numpy as np; read = {read}; {'; '.join(steps)}; np.savez('own.npz', {named})"
    )


def _holds_pictures(folder: Path) -> bool:
    return folder.is_dir() and any(file.suffix.lower() in PICTURES for file in islice(folder.iterdir(), LOOKED_AT))


IMAGE_FOLDER = Format(60, _refuse)
