"""Reads NumPy arrays from a pickle without executing code in it.

A pickle is a program. This reader allows it only three names (`_reconstruct`, `ndarray` and `dtype`, under NumPy's old
and new module names), and resolves them to stubs that only record their arguments: the pickle cannot call any NumPy
function. The arrays are created afterwards, if the number of bytes fits the shape. Callers also verify the file's
SHA-256 first.
"""

from __future__ import annotations

import math
import pickle
from typing import IO, Any

import numpy as np

from zoo.errors import DataError

MODULES = frozenset({"numpy", "numpy.core.multiarray", "numpy._core.multiarray"})
NUMBER_TYPES = frozenset({"u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8"})
NDARRAY = object()  # placeholder for the class


def load_arrays(file: IO[bytes]) -> Any:
    """Return the array, or the nested tuples of arrays, pickled in `file`.

    Raises `DataError` for a pickle that names or holds anything but arrays of numbers, and if an array's bytes do not
    fit its shape. Supports protocol 2, as written by Python 2, and protocol 3.
    """
    try:
        return _as_arrays(_ArrayUnpickler(file, encoding="bytes").load())
    except DataError:
        raise
    except Exception as error:  # a damaged or hostile pickle may raise anything
        raise DataError(f"The pickle cannot be read as arrays ({type(error).__name__}: {error}).") from error


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        stand_ins = {"_reconstruct": _reconstruct, "ndarray": NDARRAY, "dtype": _Dtype}
        if module in MODULES and name in stand_ins:
            return stand_ins[name]
        raise DataError(f"The pickle asks for '{module}.{name}'. Only NumPy arrays are read; it was refused.")

    def persistent_load(self, pid: Any) -> Any:
        raise DataError(f"The pickle refers to {pid!r}, outside itself. It was refused.")


class _Dtype:
    """Stub for a dtype: records `dtype('f4', 0, 1)`, then a state with the byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = _text(code)
        self.order = "|"

    def __setstate__(self, state: Any) -> None:
        self.order = _text(state[1])

    def number_type(self) -> np.dtype:
        if self.code not in NUMBER_TYPES or self.order not in ("<", ">", "|", "="):
            raise DataError(f"The pickle holds an array of type '{self.code}'. Only plain numbers are read.")
        return np.dtype(self.order + self.code)


class _Array:
    """Stub for an array: records its shape, dtype and bytes."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> np.ndarray:
        _, shape, dtype, fortran_order, content = self.state
        if not isinstance(dtype, _Dtype) or not isinstance(content, bytes) or fortran_order:
            raise DataError("The pickle holds an array in a form that is not read (objects or Fortran order).")
        number_type = dtype.number_type()
        if min(shape, default=0) < 0 or math.prod(shape) * number_type.itemsize != len(content):
            raise DataError(
                f"The pickle holds an array of shape {shape} and type {number_type} in {len(content):,} "
                "bytes. The bytes must be exactly those of the shape."
            )
        return np.frombuffer(content, number_type).reshape(shape)


def _reconstruct(subtype: Any, _shape: Any, _code: Any) -> _Array:
    if subtype is not NDARRAY:
        raise DataError("The pickle rebuilds something other than an ndarray. It was refused.")
    return _Array()


def _as_arrays(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_as_arrays(item) for item in value)
    if isinstance(value, _Array) and value.state is not None:
        return value.array()
    raise DataError(f"The pickle holds a {type(value).__name__} where arrays are expected. It was refused.")


def _text(value: Any) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value)
