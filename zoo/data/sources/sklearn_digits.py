"""The digits of scikit-learn, enlarged to MNIST's format: a data set that needs no download.

E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998
(its test set): 1,797 images of 8x8 pixels, values 0..16.
"""

from __future__ import annotations

import importlib.util

import numpy as np

from zoo.data.dataset import RawArrays
from zoo.data.sources.source import DatasetInfo, Entry, Job, Source
from zoo.errors import DataError

SIDE = 28
HIGHEST = 16  # the largest value in the 8x8 images
TEST_EVERY = 5


def status() -> tuple[bool, str]:
    """Return whether scikit-learn is installed."""
    found = importlib.util.find_spec("sklearn") is not None
    return found, "comes with scikit-learn" if found else "scikit-learn is not installed"


def fetch(_: Job) -> RawArrays:
    """Return 1,437 training and 360 test images, uint8 (N, 28, 28). Raises `DataError`.

    The split is not random: of the digits sorted by class, in the order they were collected, every fifth is a test
    image. So each class, and each writer, is in both splits in the same proportion.
    """
    available, detail = status()
    if not available:
        raise DataError(detail)
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.stack([_enlarged(image) for image in found.images])
    by_class = np.argsort(found.target, kind="stable")
    test = by_class[::TEST_EVERY]
    train = np.setdiff1d(by_class, test)
    arrays = {
        "train_images": images[train],
        "train_labels": found.target[train],
        "test_images": images[test],
        "test_labels": found.target[test],
    }
    return RawArrays.of_one_file(arrays, "scikit-learn's digits")


def _enlarged(image: np.ndarray) -> np.ndarray:
    """Resize one 8x8 image of 0..16 to 28x28 of 0..255, by bilinear interpolation."""
    from PIL import Image

    scaled = Image.fromarray((image * (255 / HIGHEST)).astype(np.float32))
    enlarged = np.asarray(scaled.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return np.rint(enlarged).clip(0, 255).astype(np.uint8)


DIGITS = Entry(
    info=DatasetInfo(
        name="digits",
        description="Small handwritten digits, 8x8 enlarged to 28x28",
        num_classes=10,
        image_shape=(SIDE, SIDE, 1),
        train_size=1_437,
        test_size=360,
        needs_network=False,
        license="CC BY 4.0",
        url="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
    ),
    sources=(Source("scikit-learn", status, fetch),),
    class_names=tuple("0123456789"),
)
