"""Data sets: finding, verifying, caching and loading them.

    load("mnist").train.images      uint8 (60000, 28, 28, 1)

Importing this package imports only NumPy; TensorFlow, scikit-learn and TFDS are imported when they are needed.
"""

from __future__ import annotations

from zoo.data.cache import VerifyRow, cache_folder
from zoo.data.catalog import list_datasets, load, prepare, verify, where
from zoo.data.dataset import Dataset, Split
from zoo.data.formats.coco_folder import read_coco
from zoo.data.sources.source import DatasetInfo, SourceStatus

__all__ = [
    "Dataset",
    "DatasetInfo",
    "SourceStatus",
    "Split",
    "VerifyRow",
    "cache_folder",
    "list_datasets",
    "load",
    "prepare",
    "read_coco",
    "verify",
    "where",
]
