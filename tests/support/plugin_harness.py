"""The TensorRT plugins, built for this CPU, and TensorRT's part played by `host_plugins/`."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from host_kernel_build import PLUGINS, build_host_library
from ml_dtypes import bfloat16

MAX_DIMS = 8
HARNESS = Path(__file__).parent / "host_plugins" / "host_plugins.cpp"
NOT_FOR_THE_CPU = {"static_registration.cpp"}

DATA_TYPES = {np.dtype(np.float32): 0, np.dtype(np.float16): 1, np.dtype(np.int32): 3, np.dtype(bfloat16): 7}
"""NumPy's types as numbers of nvinfer1::DataType."""

FLOAT32, INT32 = 1, 5
"""Numbers of nvinfer1::PluginFieldType."""


class _Field(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("type", ctypes.c_int32),
        ("length", ctypes.c_int32),
    )


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("type", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("dims", ctypes.c_int64 * MAX_DIMS),
    )


class _Op(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("fields", ctypes.POINTER(_Field)),
        ("inputs", ctypes.POINTER(_Tensor)),
        ("outputs", ctypes.POINTER(_Tensor)),
        ("field_count", ctypes.c_int32),
        ("input_count", ctypes.c_int32),
        ("output_count", ctypes.c_int32),
        ("batch", ctypes.c_int32),
        ("largest", ctypes.c_int32),
        ("workspace", ctypes.c_int64),
    )


class Spec(NamedTuple):
    """A tensor as an ONNX file has it; -1 is the open batch."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class Outcome(NamedTuple):
    """What a plugin did.

    Attributes:
        refused: the call of TensorRT's that it refused, empty where it refused none.
        messages: what it logged.
        outputs: types and shapes that it announced.
        workspace: bytes that it asked for.
    """

    refused: str
    messages: str
    outputs: list[Spec]
    workspace: int


class PluginHarness:
    """The plugins in a library of their own, linked to that of the kernels. Plugins are named as in ONNX."""

    def __init__(self, folder: Path, kernels: Path) -> None:
        sources = [*PLUGINS.glob("*/*_plugin.cpp"), *PLUGINS.glob("tensorrt/*.cpp")]
        sources = [HARNESS, *(source for source in sources if source.name not in NOT_FOR_THE_CPU)]
        links = [kernels, f"-Wl,-rpath,{kernels.parent}"]
        path = build_host_library(folder / "libplugins.so", sources, links)
        library = ctypes.CDLL(str(path))
        self._run, self._messages = library.host_plugin_run, library.host_plugin_messages
        self._launch_error, self.play_release = library.host_plugin_launch_error, library.host_plugin_release
        self._run.restype = self._messages.restype = self._launch_error.restype = ctypes.c_char_p

    def build(
        self, name: str, attributes: Mapping[str, Any], inputs: list[Spec], outputs: int, largest: int
    ) -> Outcome:
        """Everything up to the engine, for batches up to `largest` where the inputs leave it open."""
        op = _op(name, attributes, [_tensor(*spec) for spec in inputs], [_Tensor() for _ in range(outputs)])
        op.batch, op.largest = -1, largest
        return self._call(op)

    def run(
        self,
        name: str,
        attributes: Mapping[str, Any],
        inputs: list[np.ndarray],
        outputs: list[np.ndarray],
        largest: int,
    ) -> Outcome:
        """An engine built with an open batch up to `largest`, and run; the first input tells the batch."""
        given = [_tensor(array.dtype, _opened(array, inputs[0]), array) for array in inputs]
        taken = [_tensor(array.dtype, _opened(array, inputs[0]), array) for array in outputs]
        op = _op(name, attributes, given, taken)
        op.batch, op.largest = len(inputs[0]), largest
        return self._call(op)

    def launch_error(self, status: int) -> str:
        """What is reported where a launch ended with this number of cudaError_t."""
        return self._launch_error(status).decode()

    def _call(self, op: _Op) -> Outcome:
        refused = self._run(ctypes.byref(op))
        types = {number: dtype for dtype, number in DATA_TYPES.items()}
        announced = [op.outputs[i] for i in range(op.output_count)]
        specs = [Spec(types[one.type], tuple(one.dims[: one.rank])) for one in announced]
        return Outcome((refused or b"").decode(), self._messages().decode(), specs, op.workspace)


def _opened(array: np.ndarray, first: np.ndarray) -> tuple[int, ...]:
    """The shape with an open batch; priors, alone, have none."""
    return (-1, *array.shape[1:]) if array.ndim > 2 or len(array) == len(first) else array.shape


def _tensor(dtype: np.dtype[Any], shape: tuple[int, ...], array: np.ndarray | None = None) -> _Tensor:
    tensor = _Tensor(None if array is None else array.ctypes.data, DATA_TYPES[np.dtype(dtype)], len(shape))
    tensor.dims[: len(shape)] = shape
    return tensor


def _op(name: str, attributes: Mapping[str, Any], inputs: list[_Tensor], outputs: list[_Tensor]) -> _Op:
    values = {key: np.atleast_1d(value) for key, value in attributes.items()}
    values = {key: value.astype(np.float32 if value.dtype.kind == "f" else np.int32) for key, value in values.items()}
    fields = [
        _Field(key.encode(), value.ctypes.data, FLOAT32 if value.dtype == np.float32 else INT32, len(value))
        for key, value in values.items()
    ]
    arrays = (_Field * len(fields))(*fields), (_Tensor * len(inputs))(*inputs), (_Tensor * len(outputs))(*outputs)
    op = _Op(name.encode(), *arrays, *map(len, arrays))
    op.kept = values  # the fields hold their addresses only
    return op
