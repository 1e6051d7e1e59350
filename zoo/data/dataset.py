"""What a data set is: two splits of images, the names of their classes, and the digests of their bytes.

Images have a label each or, where they are scenes, boxes, masks or both. Importing this module costs NumPy and nothing
else.
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

Names = tuple[str, ...]  # of classes, in the order that labels count them
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
SIDES = ("train", "validation", "test")
ANNOTATIONS = ("boxes", "masks", "instances")  # what a split of scenes has beside images, as far as it is known
LARGEST_BYTES = 4 * 1024**3  # decoded images are held in memory, twice for a moment


@dataclass(frozen=True, eq=False)
class Split:
    """One half of a data set: N images, and what is known of each. A field is None where its images do not have it.

    `images` is uint8 of shape (N, H, W, C), values 0..255; it may be a read-only memory map of the cache.
    `labels` is int64 of shape (N,), the class of each image, 0..num_classes - 1; scenes, which show several objects,
    have no one label each.

    Scenes have these, or some of them: `boxes`, float32 (N, M, 5), rows of (class, top, left, bottom, right), edges
    as shares of height and width, all -1 where there is no further object; `masks`, uint8 (N, H, W), the class of each
    pixel counted from 1, 0 for the background; `instances`, uint8 (N, H, W), its object's row in `boxes`, counted from
    1.
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
        """How many objects each image shows, int64 (N,): those in `boxes`; without boxes, one."""
        return np.ones(len(self), np.int64) if self.boxes is None else (self.boxes[..., 0] >= 0).sum(axis=1)

    @property
    def annotations(self) -> dict[str, np.ndarray]:
        """Those of boxes, masks and instances that are known, by name."""
        return {kind: array for kind in ANNOTATIONS if (array := getattr(self, kind)) is not None}

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
        """How many classes a label can name."""
        return len(self.class_names)

    def tf_dataset(self, split: str = "train", *, batch_size: int, shuffle_seed: int | None = None) -> tf.data.Dataset:
        """Return `split` as batches of (uint8 (B, H, W, C), int64 (B,)) for a `tf.data` pipeline.

        Scenes give a dictionary of their boxes, masks and instances in the place of labels. With `shuffle_seed` the
        order is drawn anew at each pass, and the same seed draws the same orders. The last batch may be smaller. Raises
        `DataError` for a split other than "train", "test" and, where there are such images, "validation".
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
        """Return the same images with labels that count `class_names`, as far as these name all classes there are.

        So the labels mean what they meant to a model that was trained with these classes. Where the data set has a
        class that is not among them, and for scenes, it is returned as it is.
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
    """What a source returns: four arrays as they were found, not checked yet.

    A source with images for validation brings `validation_images` and `validation_labels` too. In the place of labels,
    scenes bring `train_boxes`, `train_masks`, `train_instances` and those of the test images, as far as they are known,
    as `Split` describes them. `files` names, for each array, the file that it was read from, so that an error can name
    it too.
    """

    arrays: Mapping[str, np.ndarray]
    origin: str
    files: Mapping[str, str]
    class_names: Names | None = None

    @classmethod
    def of_one_file(
        cls, arrays: Mapping[str, np.ndarray], origin: str, *, file: str = "", class_names: Names | None = None
    ) -> RawArrays:
        """Return the arrays of a single file that holds all of them; it is called as its origin is, or `file`."""
        return cls(arrays, origin, {key: f"{key} in {file or origin}" for key in arrays}, class_names)


def assemble(name: str, raw: RawArrays, class_names: Names | None = None) -> Dataset:
    """Check raw arrays and return them as a `Dataset`.

    Raises `DataError`, naming the file, unless images are uint8 (N, H, W) or (N, H, W, C), labels are whole
    numbers >= 0 of shape (N,), each split has as many labels as images and at least one of both, and all images have
    one size. Scenes have no labels; their classes have the names that the source gives them, and scenes without any
    object are refused, as they are where `class_names` are demanded.
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
    """Return the names of the classes that labels count: numbers where nobody names them."""
    highest = max(int(split.labels.max()) for split in splits.values() if split.labels is not None)
    names = wanted or raw.class_names or tuple(str(label) for label in range(highest + 1))
    if highest >= len(names):
        raise DataError(
            f"{name} has label {highest}, but only {len(names)} classes. Labels must be 0..{len(names) - 1}."
        )
    return names


def _names_of_scenes(name: str, raw: RawArrays, splits: Mapping[str, Split], wanted: Names | None) -> Names:
    """Return the names of the classes that objects have."""
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
    """Return the arrays of all splits by their names, `train_images` and so on, as they are stored and hashed.

    Images of one channel lose it, (N, H, W), which is how IDX files hold them; labels are uint8, or int32
    where there are more than 256 classes, and of scenes the number of objects.
    """
    arrays: dict[str, np.ndarray] = {}
    for side, split in (("train", train), ("test", test), ("validation", validation)):
        if split is not None:
            labels = split.object_counts if split.labels is None else split.labels
            arrays |= {f"{side}_images": _plain_images(split.images), f"{side}_labels": _plain_labels(labels)}
            arrays |= {f"{side}_{kind}": array for kind, array in split.annotations.items()}
    return arrays


def split_of(arrays: Mapping[str, np.ndarray], side: str) -> Split:
    """Return one side, "train" for one, of arrays that are named and stored as by `plain_arrays`.

    Beside boxes or masks, `labels` count objects and are passed over.
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
    """Return one side of raw arrays, checked. Raises `DataError`."""
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
    return labels


def size_of(images: np.ndarray) -> str:
    """Return height, width and channels of images (N, H, W, C) in words."""
    return "x".join(str(length) for length in images.shape[1:])
