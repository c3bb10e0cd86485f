"""Arrays on the GPU as DLPack capsules, the protocol of `torch.from_dlpack` and `cupy.from_dlpack`.

The layout is that of DLPack before version 1 (dmlc.github.io/dlpack), which every library reads.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np

DEVICE_TYPE = 2
"""kDLCUDA."""

_NAME = b"dltensor"
"""The name of a capsule until a consumer takes its contents and renames it."""

_KINDS = {"i": 0, "u": 1, "f": 2}
"""DLDataTypeCode by NumPy's kind of a data type."""


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _DELETER))


_exported: dict[int, tuple[object, ...]] = {}
"""Objects that the contents of capsules refer to, by the address of the contents, until their deleter is called."""

_python = ctypes.pythonapi
_python.PyCapsule_New.restype = ctypes.py_object
_python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, _DELETER]
_python.PyCapsule_IsValid.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
_python.PyCapsule_GetPointer.restype = ctypes.c_void_p
_python.PyCapsule_GetPointer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]


def _delete(managed: int) -> None:
    _exported.pop(managed, None)


def _drop_capsule(capsule: int) -> None:
    """Called by Python before a capsule is destroyed: frees contents that no consumer has taken."""
    if _python.PyCapsule_IsValid(capsule, _NAME):
        _delete(_python.PyCapsule_GetPointer(capsule, _NAME))


_on_delete, _on_drop = _DELETER(_delete), _DELETER(_drop_capsule)  # in C, so they have to stay


def make_capsule(address: int, shape: tuple[int, ...], dtype: np.dtype[Any], device: int, owner: object) -> Any:
    """A capsule of a C-contiguous array in memory of a GPU; `owner` lives as long as the capsule or what took it."""
    sizes = (ctypes.c_int64 * len(shape))(*shape)
    managed = _Managed()
    managed.tensor = _Tensor(
        data=address if math.prod(shape) else None,
        device_type=DEVICE_TYPE,
        device_id=device,
        ndim=len(shape),
        code=_KINDS[dtype.kind],
        bits=8 * dtype.itemsize,
        lanes=1,
        shape=sizes,
        strides=None,
    )
    managed.deleter = _on_delete
    place = ctypes.addressof(managed)
    _exported[place] = (managed, sizes, owner)
    return _python.PyCapsule_New(place, _NAME, _on_drop)
