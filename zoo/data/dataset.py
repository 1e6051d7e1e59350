"""What a data set is: two splits of images and labels, their class names, and the digests of their bytes.

Scenes also have boxes, masks or both. Importing this module costs NumPy and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from zoo.data.formats.idx import idx_digest
from zoo.errors import DataError

if TYPE_CHECKING:
    import tensorflow as tf

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
SIDES = ("train", "validation", "test")
ANNOTATIONS = ("boxes", "masks", "instances")  # what a split of scenes has beside images, as far as it is known
LARGEST_BYTES = 4 * 1024**3  # decoded images are held in memory, twice for a moment


@dataclass(frozen=True, eq=False)
class Split:
    """One half of a data set.

    `images` is uint8 of shape (N, H, W, C), values 0..255; it may be a read-only memory map of the cache.
    `labels` is int64 of shape (N,), values 0..num_classes - 1; of scenes, the number of objects.

    Scenes have these too, or some of them: `boxes`, float32 (N, M, 5), rows of (class, top, left, bottom, right), edges
    as shares of height and width, all -1 where there is no further object; `masks`, uint8 (N, H, W), the class of each
    pixel counted from 1, 0 for the background; `instances`, uint8 (N, H, W), its object's row in `boxes`, counted from
    1.
    """

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray | None = None
    masks: np.ndarray | None = None
    instances: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray | slice) -> Split:
        """Return the images of these rows, with everything that is known about them."""
        return Split(**{name: value[rows] for name, value in vars(self).items() if value is not None})


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images to train on and images to test on, ready in memory.

    `source` says in one line where these bytes came from. `digests` holds the SHA-256 of each of the four
    arrays (`train_images`, `train_labels`, `test_images`, `test_labels`) as IDX content, header and bytes; of scenes
    that were read, also that of `train_boxes` and so on. `validation` are images that the source sets aside for
    validation: where a recipe holds training images out, these stand in for them.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    source: str
    digests: Mapping[str, str]
    validation: Split | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height and width in pixels, and channels."""
        height, width, channels = self.train.images.shape[1:]
        return int(height), int(width), int(channels)

    @property
    def num_classes(self) -> int:
        """How many classes a label can name."""
        return len(self.class_names)

    def tf_dataset(self, split: str = "train", *, batch_size: int, shuffle_seed: int | None = None) -> tf.data.Dataset:
        """Return `split` as batches of (uint8 (B, H, W, C), int64 (B,)) for a `tf.data` pipeline.

        With `shuffle_seed` the order is drawn anew at each pass, and the same seed draws the same orders.
        The last batch may be smaller. Raises `DataError` for a split other than "train", "test" and, where there are
        such images, "validation".
        """
        chosen: Split | None = getattr(self, split) if split in SIDES else None
        if chosen is None:
            raise DataError(f"{self.name} has no split '{split}'. Use 'train' or 'test'.")
        import tensorflow as tf

        batches = tf.data.Dataset.from_tensor_slices((chosen.images, chosen.labels))
        if shuffle_seed is not None:
            batches = batches.shuffle(len(chosen), seed=shuffle_seed, reshuffle_each_iteration=True)
        return batches.batch(batch_size).prefetch(tf.data.AUTOTUNE)

    def with_classes_of(self, class_names: Sequence[str]) -> Dataset:
        """Return the same images with labels that count `class_names`, as far as these name all classes there are.

        So the labels mean what they meant to a model that was trained with these classes. Where the data set has a
        class that is not among them, and for scenes, it is returned as it is.
        """
        names = tuple(class_names)
        is_same = names == self.class_names or self.train.boxes is not None or self.train.masks is not None
        if is_same or len(set(names)) < len(names) or not set(self.class_names) <= set(names):
            return self
        numbers = np.array([names.index(name) for name in self.class_names])
        sides = {side: split for side in SIDES if (split := getattr(self, side)) is not None}
        counted = {side: replace(split, labels=numbers[split.labels]) for side, split in sides.items()}
        changed = {f"{side}_labels": idx_digest(_plain_labels(split.labels)) for side, split in counted.items()}
        known = {key: changed.get(key, digest) for key, digest in self.digests.items()}
        return replace(self, **counted, class_names=names, digests=known)


@dataclass(frozen=True, eq=False)
class RawArrays:
    """What a source returns: four arrays as they were found, not checked yet.

    A source with images for validation brings `validation_images` and `validation_labels` too. Scenes bring
    `train_boxes`, `train_masks`, `train_instances` and those of the test images, as far as they are known, as `Split`
    describes them. `files` names, for each array, the file that it was read from, so that an error can name it too.
    """

    arrays: Mapping[str, np.ndarray]
    origin: str
    files: Mapping[str, str]
    class_names: tuple[str, ...] | None = None

    @classmethod
    def of_one_file(cls, arrays: Mapping[str, np.ndarray], *, file: str, origin: str) -> RawArrays:
        """Return the arrays of a single file that holds all four."""
        return cls(arrays, origin, {key: f"{key} in {file}" for key in ARRAYS})


def assemble(name: str, raw: RawArrays, class_names: tuple[str, ...] | None = None) -> Dataset:
    """Check raw arrays and return them as a `Dataset`.

    Raises `DataError`, naming the file, unless images are uint8 (N, H, W) or (N, H, W, C), labels are whole
    numbers >= 0 of shape (N,), each split has as many labels as images and at least one of both, and
    train and test images have one size. Labels of scenes count objects; their classes have the names that the source
    gives them, and scenes without any object are refused, as they are where `class_names` are demanded.
    """
    train, test = _split(raw, "train"), _split(raw, "test")
    if any(key.endswith(ANNOTATIONS) for key in raw.arrays):
        return _assemble_scenes(name, raw, train, test, class_names)
    validation = _split(raw, "validation") if "validation_images" in raw.arrays else None
    for side, split in (("test", test), ("validation", validation)):
        if split is not None and train.images.shape[1:] != split.images.shape[1:]:
            raise DataError(
                f"{raw.files['train_images']} holds images of {_size(train)} and "
                f"{raw.files[f'{side}_images']} of {_size(split)}. Training and {side} images must have one size."
            )
    names = class_names or raw.class_names
    highest = max(int(split.labels.max()) for split in (train, test, validation) if split is not None)
    if names is None:
        names = tuple(str(label) for label in range(highest + 1))
    if highest >= len(names):
        raise DataError(
            f"{name} has label {highest}, but only {len(names)} classes. Labels must be 0..{len(names) - 1}."
        )
    return _dataset(name, raw, train, test, names, validation)


def _assemble_scenes(
    name: str, raw: RawArrays, train: Split, test: Split, class_names: tuple[str, ...] | None
) -> Dataset:
    if class_names is not None or raw.class_names is None:
        raise DataError(
            f"{raw.files['train_images']} holds boxes or masks, and {name} is a data set of images with one label "
            "each. Give it a name of its own: --dataset NAME."
        )
    for side, split in (("train", train), ("test", test)):
        if split.boxes is not None and (split.boxes < 0).all():
            raise DataError(
                f"{raw.files[f'{side}_boxes']} names no object at all. There must be some to learn from, and some to "
                "measure on."
            )
    return _dataset(name, raw, train, test, raw.class_names)


def _dataset(
    name: str, raw: RawArrays, train: Split, test: Split, class_names: tuple[str, ...], validation: Split | None = None
) -> Dataset:
    return Dataset(
        name=name,
        train=train,
        test=test,
        class_names=class_names,
        source=raw.origin,
        digests={key: idx_digest(array) for key, array in plain_arrays(train, test, validation).items()},
        validation=validation,
    )


def plain_arrays(train: Split, test: Split, validation: Split | None = None) -> dict[str, np.ndarray]:
    """Return the four arrays as they are stored and hashed, and behind them those for validation and of scenes.

    Images of one channel lose it, (N, H, W), which is how IDX files hold them; labels are uint8, or int32
    where there are more than 256 classes.
    """
    arrays = {
        "train_images": _plain_images(train.images),
        "train_labels": _plain_labels(train.labels),
        "test_images": _plain_images(test.images),
        "test_labels": _plain_labels(test.labels),
    }
    if validation is not None:
        arrays["validation_images"] = _plain_images(validation.images)
        arrays["validation_labels"] = _plain_labels(validation.labels)
    annotations = {
        f"{side}_{kind}": getattr(split, kind)
        for side, split in (("train", train), ("test", test))
        for kind in ANNOTATIONS
    }
    return arrays | {key: array for key, array in annotations.items() if array is not None}


def require_small(size: int, what: str) -> None:
    """Raise `DataError` if `what` takes more bytes than are read into memory."""
    if size > LARGEST_BYTES:
        raise DataError(
            f"{what} takes {size / 1024**3:.1f} GiB. Data sets are held in memory, and at most "
            f"{LARGEST_BYTES / 1024**3:.0f} GiB are read; choose a smaller one."
        )


def _plain_images(images: np.ndarray) -> np.ndarray:
    return images[..., 0] if images.shape[-1] == 1 else images


def _plain_labels(labels: np.ndarray) -> np.ndarray:
    return labels.astype(np.uint8 if labels.max() < 256 else np.int32)


def _split(raw: RawArrays, side: str) -> Split:
    images, labels = raw.arrays[f"{side}_images"], raw.arrays[f"{side}_labels"]
    images_file, labels_file = raw.files[f"{side}_images"], raw.files[f"{side}_labels"]
    images = _checked_images(images, images_file)
    labels = _checked_labels(labels, labels_file)
    if len(images) != len(labels):
        raise DataError(
            f"{labels_file} holds {len(labels)} labels and {images_file} {len(images)} images. "
            "Give files that belong together, one label per image."
        )
    return Split(images, labels, **annotations_of(raw.arrays, side))


def annotations_of(arrays: Mapping[str, np.ndarray], side: str) -> dict[str, np.ndarray]:
    """Return what `arrays` hold of the boxes, masks and instances of one side, "train" or "test"."""
    return {kind: arrays[f"{side}_{kind}"] for kind in ANNOTATIONS if f"{side}_{kind}" in arrays}


def _checked_images(images: np.ndarray, file: str) -> np.ndarray:
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.size == 0:
        raise DataError(
            f"{file} holds {images.dtype} of shape {images.shape}. "
            "Images must be uint8 of shape (N, height, width) or (N, height, width, channels), N at least 1."
        )
    return images if images.ndim == 4 else images[..., np.newaxis]


def _checked_labels(labels: np.ndarray, file: str) -> np.ndarray:
    # CIFAR's files hold labels as a column; the column says nothing more than the list.
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1 or labels.size == 0:
        raise DataError(
            f"{file} holds {labels.dtype} of shape {labels.shape}. "
            "Labels must be whole numbers of shape (N,), N at least 1."
        )
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest > np.iinfo(np.int32).max:
        raise DataError(f"{file} holds the label {lowest if lowest < 0 else highest}. Labels count from 0 up.")
    return labels.astype(np.int64)


def _size(split: Split) -> str:
    return "x".join(str(length) for length in split.images.shape[1:])
