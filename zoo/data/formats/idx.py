"""Reads IDX, the file format of MNIST, and computes the digest of an array's IDX content.

The format (Y. LeCun, C. Cortes, C. Burges, "The MNIST database"): two zero bytes, one byte of element type,
one byte for the number of dimensions, each dimension as a big-endian 32-bit number, then the elements in C
order, big-endian.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from zoo.errors import DataError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
CODES = {np.dtype(name).newbyteorder("="): code for code, name in TYPES.items()}
GZIP_MAGIC = b"\x1f\x8b"
BLOCK_BYTES = 1 << 24


def read_idx(path: Path, *, most: int | None = None) -> np.ndarray:
    """Return the array in the IDX file `path`, gzipped or not (its first bytes tell, not its name).

    Raises `DataError`, naming the file, if it cannot be read, is not IDX, is shorter or longer than its header says, or
    holds more than `most` bytes, of which no more are then read.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            return _read(cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if zipped else raw, path, most)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is a damaged gzip file ({error}). Fetch it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}). Check the file.") from error


def _read(file: BinaryIO, path: Path, most: int | None) -> np.ndarray:
    dtype, shape = _read_header(file, path)
    expected = math.prod(shape) * dtype.itemsize
    # One byte more than promised tells a longer file, and a header that lies never makes us read without end.
    content = _read_at_most(expected + 1 if most is None else min(expected, most) + 1, file)
    if most is not None and len(content) > most:
        raise DataError(
            f"{path} holds {expected:,} bytes of {shape}, and at most {most:,} are read. Choose a smaller data set."
        )
    if len(content) < expected:
        raise DataError(
            f"{path} is truncated: its header promises {expected:,} bytes of {shape}, "
            f"it holds {len(content):,}. Fetch it again."
        )
    if len(content) > expected:
        raise DataError(f"{path} is longer than its header's {expected:,} bytes of {shape}. Fetch it again.")
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _read_at_most(count: int, file: BinaryIO) -> bytearray:
    content = bytearray()
    while len(content) < count and (block := file.read(min(count - len(content), BLOCK_BYTES))):
        content += block
    return content


def _read_header(file: BinaryIO, path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4:
        raise DataError(f"{path} is truncated: {len(magic)} bytes hold no IDX header. Fetch it again.")
    if magic[:2] != b"\0\0" or magic[2] not in TYPES or not 1 <= magic[3] <= 8:
        raise DataError(
            f"{path} is not an IDX file: it begins with {magic.hex(' ')}, where 00 00 08 03 (images) or "
            "00 00 08 01 (labels) is expected. Give MNIST's own files, gzipped or not."
        )
    lengths = file.read(4 * magic[3])
    if len(lengths) < 4 * magic[3]:
        raise DataError(f"{path} is truncated inside its IDX header. Fetch it again.")
    return np.dtype(TYPES[magic[2]]), struct.unpack(f">{magic[3]}I", lengths)


def idx_header(array: np.ndarray) -> bytes:
    """Return the IDX header of `array`, whose dtype is one that IDX knows (uint8, int8/16/32, float32/64)."""
    code = CODES[array.dtype.newbyteorder("=")]
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)


def idx_digest(array: np.ndarray) -> str:
    """Return the SHA-256, in hexadecimal, of `array` written as an unzipped IDX file."""
    digest = hashlib.sha256(idx_header(array))
    content = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder(">"))
    digest.update(content.data.cast("B"))
    return digest.hexdigest()
