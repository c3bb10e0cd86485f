"""The project's CUDA kernels from Python: a thin binding of the C functions in plugins/*/*.h.

Arrays are device addresses as integers, streams are handles as integers (0 is the default stream), so that memory may
come from anywhere. Every call only puts work on its stream: the memory it uses must stay alive until that is done.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

from yolact.runtime.cuda.built_libraries import LIBRARY_FOLDER, read_gpu_code
from yolact.runtime.cuda.device import Device
from yolact.runtime.errors import UsageError, YolactError

LIBRARY = LIBRARY_FOLDER / "libyolact_kernels.so"
"""The library that the build of the kernels makes."""

MASKS_TO_IMAGE_MAX_PIXELS = 1 << 18
"""The longest side of an image that `KernelLibrary.masks_to_image` takes (plugins/masks_to_image/masks_to_image.h)."""

Int32 = Annotated[int, ctypes.c_int32]
Int64 = Annotated[int, ctypes.c_int64]
Float = Annotated[float, ctypes.c_float]
Address = Annotated[int, ctypes.c_size_t]
Int32x3 = Annotated[tuple[int, int, int], ctypes.c_int32 * 3]


class ElementType(IntEnum):
    """Types of the networks' tensors (plugins/common/element_type.h)."""

    FLOAT32 = 0
    FLOAT16 = 1
    BFLOAT16 = 2


# The classes below have the names, order and meaning of the headers' structures; limits stand there.


@dataclass(frozen=True)
class FastNmsParams:
    """Sizes and settings of `KernelLibrary.fast_nms` (plugins/fast_nms/fast_nms.h)."""

    batch: Int32
    priors: Int32
    classes: Int32
    coefficients: Int32
    top_k: Int32
    max_detections: Int32
    cross_class: Int32
    type: Int32
    score_threshold: Float
    nms_threshold: Float
    centre_variance: Float = 0.1
    size_variance: Float = 0.2


@dataclass(frozen=True)
class FastNmsTensors:
    """Addresses; B, P, C, K, D, T are batch, priors, classes, coefficients, max_detections, type of the params."""

    locations: Address  # (B, P, 4) T
    confidences: Address  # (B, P, C + 1) T
    coefficients: Address  # (B, P, K) T
    priors: Address  # (P, 4) float32
    num_detections: Address  # (B, 1) int32
    boxes: Address  # (B, D, 4) float32
    scores: Address  # (B, D) float32
    classes: Address  # (B, D) int32
    detection_coefficients: Address  # (B, D, K) T


@dataclass(frozen=True)
class MaskAssemblyParams:
    """Sizes and settings of `KernelLibrary.mask_assembly` (plugins/mask_assembly/mask_assembly.h)."""

    batch: Int32
    detections: Int32
    coefficients: Int32
    height: Int32
    width: Int32
    type: Int32
    crop_padding: Float = 1.0


@dataclass(frozen=True)
class MaskAssemblyTensors:
    """Addresses; B, D, K, Hp, Wp, T are batch, detections, coefficients, height, width, type of the params."""

    prototypes: Address  # (B, K, Hp, Wp) T
    detection_coefficients: Address  # (B, D, K) T
    boxes: Address  # (B, D, 4) float32
    num_detections: Address  # (B, 1) int32
    masks: Address  # (B, D, Hp, Wp) float32


@dataclass(frozen=True)
class DeviceImage:
    """A uint8 image on the device, for `KernelLibrary.resize_pack` (plugins/resize_pack/resize_pack.h).

    `channels` are the bytes of blue, green and red inside a pixel.
    """

    data: Address
    height: Int32
    width: Int32
    row_stride: Int64
    pixel_stride: Int32 = 3
    channels: Int32x3 = (0, 1, 2)


@dataclass(frozen=True)
class MasksToImageParams:
    """Sizes of `KernelLibrary.masks_to_image` (plugins/masks_to_image/masks_to_image.h)."""

    detections: Int32
    height: Int32
    width: Int32
    image_height: Int32
    image_width: Int32
    bytes: Int64


@dataclass(frozen=True)
class MasksToImageTensors:
    """Addresses; D, Hp, Wp are detections, height, width of the params."""

    masks: Address  # (D, Hp, Wp) float32
    regions: Address  # (D, 4) int32 top, left, bottom, right
    offsets: Address  # (D) int64
    bits: Address  # (bytes) uint8


class KernelLibrary:
    """The functions of one libyolact_kernels.so.

    Raises UsageError from every function where its parameters are out of range, and YolactError where the GPU refuses
    the work.
    """

    def __init__(self, path: Path = LIBRARY) -> None:
        """Raises YolactError where there is no such library, it cannot be loaded, or it is of another version."""
        if not path.is_file():
            raise YolactError(f"expected the CUDA kernels at {path}; nothing is there: run yolact-build-plugins")
        try:
            self._library = ctypes.CDLL(str(path))
        except OSError as error:
            raise YolactError(f"cannot load the CUDA kernels: {error}; run yolact-build-plugins again") from error
        try:
            self._library.yolact_fast_nms_workspace.restype = ctypes.c_size_t
            self._library.yolact_cuda_error.restype = ctypes.c_char_p
        except AttributeError as error:
            raise YolactError(f"{path} is of another version ({error}); run yolact-build-plugins again") from error

    def fast_nms_workspace(self, params: FastNmsParams) -> int:
        """Bytes of scratch memory that `fast_nms` needs with these params."""
        structure = _structure(params)
        self._check("yolact_fast_nms", structure)
        return int(self._library.yolact_fast_nms_workspace(ctypes.byref(structure)))

    def fast_nms(self, params: FastNmsParams, tensors: FastNmsTensors, workspace: int, stream: int = 0) -> None:
        """Heads of the network to detections; `workspace` is the address of scratch memory aligned to 256 bytes."""
        self._call("yolact_fast_nms", [_structure(params)], _structure(tensors), ctypes.c_void_p(workspace), stream)

    def mask_assembly(self, params: MaskAssemblyParams, tensors: MaskAssemblyTensors, stream: int = 0) -> None:
        """Prototypes and coefficients to cropped mask probabilities."""
        self._call("yolact_mask_assembly", [_structure(params)], _structure(tensors), stream)

    def resize_pack(self, image: DeviceImage, size: int, output: int, stream: int = 0) -> None:
        """Stretches an image to (size, size, 3) uint8 BGR at the address `output`."""
        checked = [_structure(image), ctypes.c_int32(size)]
        self._call("yolact_resize_pack", checked, ctypes.c_void_p(output), stream)

    def masks_to_image(self, params: MasksToImageParams, tensors: MasksToImageTensors, stream: int = 0) -> None:
        """Cropped mask probabilities to packed bits at image resolution."""
        self._call("yolact_masks_to_image", [_structure(params)], _structure(tensors), stream)

    def _check(self, name: str, *checked: Any) -> None:
        check = self._library[f"{name}_check"]
        check.restype = ctypes.c_char_p
        sentence = check(*map(_by_reference, checked))
        if sentence is not None:
            raise UsageError(sentence.decode())

    def _call(self, name: str, checked: list[Any], *others: Any) -> None:
        """Check the arguments, then call the function.

        `checked` are its first arguments, which its check takes as well. The last one of `others` is the stream.
        """
        self._check(name, *checked)
        *addresses, stream = others
        code = self._library[name](*map(_by_reference, [*checked, *addresses]), ctypes.c_void_p(stream))
        if code:
            raise YolactError(f"{name} failed with CUDA error {code}, {self._library.yolact_cuda_error(code).decode()}")


def installed_kernels(device: Device) -> KernelLibrary | None:
    """The kernels, None where they were not built or have no code for this GPU.

    Raises YolactError where they were built but cannot be loaded.
    """
    code = read_gpu_code(LIBRARY.parent)
    if not LIBRARY.is_file() or (code is not None and not code.covers("sm_{}{}".format(*device.compute_capability))):
        return None
    return KernelLibrary(LIBRARY)


def _by_reference(value: Any) -> Any:
    return ctypes.byref(value) if isinstance(value, ctypes.Structure) else value


@cache
def _structure_type(of: type) -> type[ctypes.Structure]:
    """The C structure with the fields of a dataclass above."""
    hints = get_type_hints(of, include_extras=True)
    layout = [(field.name, get_args(hints[field.name])[1]) for field in fields(of)]
    return type(of.__name__, (ctypes.Structure,), {"_fields_": layout})


def _structure(values: Any) -> ctypes.Structure:
    """The C structure with the values of a dataclass above.

    Raises UsageError for an integer that the structure cannot hold, which ctypes would cut off silently.
    """
    given = {field.name: getattr(values, field.name) for field in fields(values)}
    kind: Any = type(values)
    structure = _structure_type(kind)(**given)
    for name, value in given.items():
        if isinstance(value, int) and getattr(structure, name) != value:
            bits = 8 * getattr(type(structure), name).size
            raise UsageError(f"{kind.__name__}.{name} must fit in {bits} bits, got {value}")
    return structure
