"""Writes and memory-maps `.npy` files with a fixed header.

NumPy can read these files, but is not used to read them back, because a damaged header must be detected, not
interpreted. The padding of NumPy's headers depends on its version; the header here never changes.
"""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path

import numpy as np

from zoo.errors import DataError


def npy_header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """Return the version 1.0 header of a C-ordered array (numpy.lib.format), a multiple of 64 bytes long."""
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    padding = -(10 + len(text) + 1) % 64
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + padding + 1) + f"{text}{' ' * padding}\n".encode()


def write_npy(path: Path, array: np.ndarray) -> None:
    """Write `array` to `path` and wait until it is on the disk. Raises `OSError`."""
    with path.open("wb") as file:
        file.write(npy_header(array.dtype, array.shape))
        file.write(np.ascontiguousarray(array).data.cast("B"))
        file.flush()
        os.fsync(file.fileno())


def map_npy(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Return `path` as a read-only memory map of `dtype` and `shape`.

    Raises `DataError`, whose text begins with the path, if the file is missing, of another size, or its
    header is not byte for byte the one that `write_npy` writes.
    """
    header = npy_header(dtype, shape)
    expected = len(header) + math.prod(shape) * dtype.itemsize
    try:
        with path.open("rb") as file:
            found, size = file.read(len(header)), os.fstat(file.fileno()).st_size
        if size != expected:
            raise DataError(f"{path} holds {size:,} bytes where {expected:,} were written")
        if found != header:
            raise DataError(f"{path} has a damaged header")
        return np.memmap(path, dtype, mode="r", offset=len(header), shape=shape)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error})") from error
