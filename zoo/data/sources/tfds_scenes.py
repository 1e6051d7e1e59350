"""Data sets of TensorFlow Datasets (TFDS) that say where things are: boxes (voc, coco ...) or masks (oxford_iiit_pet).

Images, boxes and masks are brought to one size, see `zoo.data.formats.annotated`. What is marked as difficult, or as
a crowd, is left out: VOC's and COCO's own evaluations do not count it either. The pets' masks have two classes: `pet`,
and `border`, the pixels around a pet that its annotators left undecided; all else is background. Breeds are not read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from zoo.data.dataset import RawArrays, require_small
from zoo.data.formats.annotated import common_size, most_objects, padded, resized, resized_mask
from zoo.errors import DataError

IMAGE = "image"
NOT_COUNTED = ("is_difficult", "is_crowd")
PETS = "oxford_iiit_pet"
PET_CLASSES = ("pet", "border")
TRIMAP = np.array([0, 1, 0, 2], np.uint8)  # what becomes of a trimap's 1 (pet), 2 (background), 3 (not classified)


def has_annotations(info: Any) -> bool:
    """Return whether a data set of TFDS has boxes or masks that are read here."""
    import tensorflow_datasets

    features = dict((info.features or {}).items())
    is_photo = isinstance(features.get(IMAGE), tensorflow_datasets.features.Image)
    return is_photo and (info.name == PETS or _objects_key(features) is not None)


def read_scenes(builder: Any, name: str, splits: Mapping[str, str]) -> RawArrays:
    """Return a prepared data set of TFDS with its boxes or masks.

    Args:
        builder: of TFDS.
        name: of the data set, for errors.
        splits: by "train" and "test", the names that TFDS has for them.

    Raises:
        DataError: the images take more memory than data sets may, or one has too many objects.
    """
    info, key = builder.info, _objects_key(builder.info.features)
    height, width, channels = info.features[IMAGE].shape
    size = common_size([(height, width)] if height and width else [])
    count = sum(info.splits[split].num_examples for split in splits.values())
    require_small(count * math.prod(size) * (channels + (key is None)), f"{name}, resized,")
    shape = (*size, channels)
    arrays: dict[str, np.ndarray] = {}
    for side, split in splits.items():
        found = _masks(builder, split, shape, name) if key is None else _boxes(builder, split, shape, key, name)
        arrays |= {f"{side}_{key}": array for key, array in found.items()}
    if key is not None:
        most = max(arrays[f"{side}_boxes"].shape[1] for side in splits)
        arrays |= {f"{side}_boxes": padded(arrays[f"{side}_boxes"], most) for side in splits}
    names = PET_CLASSES if key is None else tuple(info.features[key].feature["label"].names)
    return RawArrays.of_one_file(arrays, f"TensorFlow Datasets {info.full_name}", class_names=names)


def _objects_key(features: Mapping[str, Any]) -> str | None:
    """Return the name of the sequence of objects, each with a `bbox` and a `label`, that examples hold; or None."""
    import tensorflow_datasets

    kinds = tensorflow_datasets.features
    for key, sequence in features.items():
        kind = getattr(sequence, "feature", None) if isinstance(sequence, kinds.Sequence) else None
        marked = dict(kind.items()) if isinstance(kind, kinds.FeaturesDict) else {}
        if isinstance(marked.get("bbox"), kinds.BBoxFeature) and isinstance(marked.get("label"), kinds.ClassLabel):
            return key
    return None


def _examples(builder: Any, split: str, images: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each example of `split` and its number, in stored order, once its image has been put into `images`."""
    import tensorflow_datasets
    from PIL import Image

    stream = tensorflow_datasets.as_numpy(builder.as_dataset(split=split, shuffle_files=False))
    for row, example in enumerate(stream):
        pixels = example[IMAGE]
        images[row] = resized(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), images.shape[1:3])
        yield row, example


def _boxes(builder: Any, split: str, shape: tuple[int, ...], key: str, name: str) -> dict[str, np.ndarray]:
    """Return images and boxes of a split; classes in the order of TFDS."""
    images = np.empty((builder.info.splits[split].num_examples, *shape), np.uint8)
    found = [_rows(example[key]) for _, example in _examples(builder, split, images)]
    most = most_objects([len(rows) for rows in found], f"split '{split}' of {name}")
    return {"images": images, "boxes": padded(found, most)}


def _rows(objects: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return an image's objects as (m, 5). TFDS has the same edges in the same order, as shares of the sides."""
    boxes = np.clip(objects["bbox"].reshape(-1, 4), 0, 1)
    keep = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    for mark in NOT_COUNTED:
        keep &= ~objects[mark] if mark in objects else True
    return np.concatenate([objects["label"][:, None], boxes], axis=1)[keep]


def _masks(builder: Any, split: str, shape: tuple[int, ...], name: str) -> dict[str, np.ndarray]:
    """Return images and masks of the pets: one in each image."""
    images = np.empty((builder.info.splits[split].num_examples, *shape), np.uint8)
    masks = np.empty(images.shape[:3], np.uint8)
    for row, example in _examples(builder, split, images):
        trimap = example["segmentation_mask"][..., 0]
        if trimap.max() >= len(TRIMAP):
            raise DataError(f"{name} has a mask with the value {trimap.max()}. Its masks must hold 1, 2 and 3.")
        masks[row] = TRIMAP[resized_mask(trimap, masks.shape[1:])]
    return {"images": images, "masks": masks}
