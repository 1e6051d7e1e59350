"""IDX files for tests: what MNIST's four are written as."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from zoo.data.formats.idx import idx_header


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write `array` to `path` as IDX, gzipped where the name ends in ``.gz``."""
    content = idx_header(array) + np.ascontiguousarray(array, array.dtype.newbyteorder(">")).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
