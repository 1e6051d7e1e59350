"""The classes `Dataset` and `Split`, and the checks that turn raw arrays into them.

Each image has a label or, if it is a scene, boxes, masks or both. Importing this module imports only NumPy.
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

Names = tuple[str, ...]  # class names, indexed by label
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
SIDES = ("train", "validation", "test")
ANNOTATIONS = ("boxes", "masks", "instances")  # what a split of scenes may have besides images
LARGEST_BYTES = 4 * 1024**3  # decoded images are held in memory, briefly twice


@dataclass(frozen=True, eq=False)
class Split:
    """A split of a data set: N images and their labels or annotations. A field is None if the images do not have it.

    `images` is uint8 of shape (N, H, W, C), values 0..255; it may be a read-only memory map of the cache.
    `labels` is int64 of shape (N,), the class of each image, 0..num_classes - 1; scenes, which show several objects,
    have none.

    Scenes have some of these: `boxes`, float32 (N, M, 5), rows of (class, top, left, bottom, right), edges as fractions
    of height and width, padded with rows of -1; `masks`, uint8 (N, H, W), the class of each pixel counted from 1, 0 for
    the background; `instances`, uint8 (N, H, W), the row in `boxes` of each pixel's object, counted from 1.
    """

    images: np.ndarray
    labels: np.ndarray | None = None
    boxes: np.ndarray | None = None
    masks: np.ndarray | None = None
    instances: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def object_counts(self) -> np.ndarray:
        """Number of objects in each image, int64 (N,): those in `boxes`, or one if there are no boxes."""
        return np.ones(len(self), np.int64) if self.boxes is None else (self.boxes[..., 0] >= 0).sum(axis=1)

    @property
    def annotations(self) -> dict[str, np.ndarray]:
        """The available ones of boxes, masks and instances, by name."""
        return {kind: array for kind in ANNOTATIONS if (array := getattr(self, kind)) is not None}

    def take(self, rows: np.ndarray | slice) -> Split:
        """Return the images at these indices, with their labels and annotations."""
        return Split(**{name: value[rows] for name, value in vars(self).items() if value is not None})


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory: training and test images, class names and digests.

    `source` describes in one line where the data came from. `digests` holds the SHA-256 of each of the four arrays
    (`train_images`, `train_labels`, `test_images`, `test_labels`) as IDX content, header and bytes, and for scenes also
    of `train_boxes` and so on. `validation` is the source's own validation split: if a recipe holds out training
    images, it is used instead.
    """

    name: str
    train: Split
    test: Split
    class_names: Names
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
        """The number of classes."""
        return len(self.class_names)

    def tf_dataset(self, split: str = "train", *, batch_size: int, shuffle_seed: int | None = None) -> tf.data.Dataset:
        """Return `split` as batches of (uint8 (B, H, W, C), int64 (B,)) for a `tf.data` pipeline.

        Scenes have a dictionary of boxes, masks and instances instead of labels. With `shuffle_seed` the images are
        shuffled anew in each epoch, reproducibly. The last batch may be smaller. Raises `DataError` for a split other
        than "train", "test" and, if there is one, "validation".
        """
        chosen: Split | None = getattr(self, split) if split in SIDES else None
        if chosen is None:
            raise DataError(f"{self.name} has no split '{split}'. Use 'train' or 'test'.")
        import tensorflow as tf

        targets = chosen.annotations if chosen.labels is None else chosen.labels
        batches = tf.data.Dataset.from_tensor_slices((chosen.images, targets))
        if shuffle_seed is not None:
            batches = batches.shuffle(len(chosen), seed=shuffle_seed, reshuffle_each_iteration=True)
        return batches.batch(batch_size).prefetch(tf.data.AUTOTUNE)

    def with_classes_of(self, class_names: Sequence[str]) -> Dataset:
        """Return the same images with labels that index `class_names`, if these include all classes of the data set.

        The labels then match those that a model was trained with. If a class is missing from `class_names`, and for
        scenes, the data set is returned unchanged.
        """
        names = tuple(class_names)
        is_same = names == self.class_names or self.train.labels is None
        if is_same or len(set(names)) < len(names) or not set(self.class_names) <= set(names):
            return self
        numbers = np.array([names.index(name) for name in self.class_names])
        sides = {side: split for side in SIDES if (split := getattr(self, side)) is not None}
        counted = {side: replace(split, labels=numbers[split.labels]) for side, split in sides.items()}
        renamed = replace(self, **counted, class_names=names)
        arrays = plain_arrays(renamed.train, renamed.test, renamed.validation)
        changed = {key: idx_digest(arrays[key]) for key in self.digests if key in arrays and key.endswith("_labels")}
        return replace(renamed, digests={**self.digests, **changed})


@dataclass(frozen=True, eq=False)
class RawArrays:
    """The arrays that a source returns, not checked yet.

    Besides the four arrays there may be `validation_images` and `validation_labels`. Scenes have `train_boxes`,
    `train_masks`, `train_instances` and the same for test images instead of labels, if they are known, as described at
    `Split`. `files` maps each array to the file that it was read from, for error messages.
    """

    arrays: Mapping[str, np.ndarray]
    origin: str
    files: Mapping[str, str]
    class_names: Names | None = None

    @classmethod
    def of_one_file(
        cls, arrays: Mapping[str, np.ndarray], origin: str, *, file: str = "", class_names: Names | None = None
    ) -> RawArrays:
        """Return arrays that were all read from one file, named `file`, or by default like their origin."""
        return cls(arrays, origin, {key: f"{key} in {file or origin}" for key in arrays}, class_names)


def assemble(name: str, raw: RawArrays, class_names: Names | None = None) -> Dataset:
    """Check raw arrays and return them as a `Dataset`.

    Raises `DataError`, naming the file, unless images are uint8 (N, H, W) or (N, H, W, C), labels are whole
    numbers >= 0 of shape (N,), each split has as many labels as images and at least one of both, and all images have
    one size. Scenes have no labels, and get the source's class names; scenes without any object are rejected, and so
    are scenes if `class_names` are given.
    """
    splits = {side: _split(raw, side) for side in SIDES if side != "validation" or "validation_images" in raw.arrays}
    train = splits["train"]
    for side, split in splits.items():
        if train.images.shape[1:] != split.images.shape[1:]:
            raise DataError(
                f"{raw.files['train_images']} holds images of {size_of(train.images)} and "
                f"{raw.files[f'{side}_images']} of {size_of(split.images)}. "
                f"Training and {side} images must have one size."
            )
    names = _names_of_scenes if train.labels is None else _names_of_classes
    return Dataset(
        name=name,
        **splits,
        class_names=names(name, raw, splits, class_names),
        source=raw.origin,
        digests={key: idx_digest(array) for key, array in plain_arrays(**splits).items()},
    )


def _names_of_classes(name: str, raw: RawArrays, splits: Mapping[str, Split], wanted: Names | None) -> Names:
    """Return the class names of labelled images; numbers if there are no names."""
    highest = max(int(split.labels.max()) for split in splits.values() if split.labels is not None)
    names = wanted or raw.class_names or tuple(str(label) for label in range(highest + 1))
    if highest >= len(names):
        raise DataError(
            f"{name} has label {highest}, but only {len(names)} classes. Labels must be 0..{len(names) - 1}."
        )
    return names


def _names_of_scenes(name: str, raw: RawArrays, splits: Mapping[str, Split], wanted: Names | None) -> Names:
    """Return the class names of scenes' objects."""
    if wanted is not None or raw.class_names is None:
        raise DataError(
            f"{raw.files['train_images']} holds boxes or masks, and {name} is a data set of images with one label "
            "each. Give it a name of its own: --dataset NAME."
        )
    for side, split in splits.items():
        if split.boxes is not None and (split.boxes < 0).all():
            raise DataError(
                f"{raw.files[f'{side}_boxes']} names no object at all. There must be some to learn from, and some to "
                "measure on."
            )
    return raw.class_names


def plain_arrays(train: Split, test: Split, validation: Split | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of all splits by name, `train_images` and so on, as they are stored and hashed.

    Images with one channel become (N, H, W), as in IDX files; labels are uint8, or int32 for more than 256 classes, and
    for scenes the number of objects.
    """
    arrays: dict[str, np.ndarray] = {}
    for side, split in (("train", train), ("test", test), ("validation", validation)):
        if split is not None:
            labels = split.object_counts if split.labels is None else split.labels
            arrays |= {f"{side}_images": _plain_images(split.images), f"{side}_labels": _plain_labels(labels)}
            arrays |= {f"{side}_{kind}": array for kind, array in split.annotations.items()}
    return arrays


def split_of(arrays: Mapping[str, np.ndarray], side: str) -> Split:
    """Return one split, such as "train", of arrays as returned by `plain_arrays`.

    With boxes or masks, `labels` are only numbers of objects, and are ignored.
    """
    images = arrays[f"{side}_images"]
    annotations = {kind: arrays[f"{side}_{kind}"] for kind in ANNOTATIONS if f"{side}_{kind}" in arrays}
    labels = None if annotations else arrays[f"{side}_labels"].astype(np.int64)
    return Split(images if images.ndim == 4 else images[..., np.newaxis], labels, **annotations)


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
    """Check and return one split of raw arrays. Raises `DataError`."""
    images, labels = f"{side}_images", f"{side}_labels"
    _check_images(raw.arrays[images], raw.files[images])
    if labels not in raw.arrays:
        return split_of(raw.arrays, side)
    found = _checked_labels(raw.arrays[labels], raw.files[labels])
    if len(raw.arrays[images]) != len(found):
        raise DataError(
            f"{raw.files[labels]} holds {len(found)} labels and {raw.files[images]} {len(raw.arrays[images])} images. "
            "Give files that belong together, one label per image."
        )
    return split_of({**raw.arrays, labels: found}, side)


def _check_images(images: np.ndarray, file: str) -> None:
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.size == 0:
        raise DataError(
            f"{file} holds {images.dtype} of shape {images.shape}. "
            "Images must be uint8 of shape (N, height, width) or (N, height, width, channels), N at least 1."
        )


def _checked_labels(labels: np.ndarray, file: str) -> np.ndarray:
    # CIFAR's files hold labels as a column.
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1 or labels.size == 0:
        raise DataError(
            f"{file} holds {labels.dtype} of shape {labels.shape}. "
            "Labels must be whole numbers of shape (N,), N at least 1."
        )
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest > np.iinfo(np.int32).max:
        raise DataError(f"{file} holds the label {lowest if lowest < 0 else highest}. Labels count from 0 up.")
    return labels


def size_of(images: np.ndarray) -> str:
    """Return height, width and channels of images (N, H, W, C) as text."""
    return "x".join(str(length) for length in images.shape[1:])
