"""libyolact through ctypes: the structs of yolact.h, and results copied into NumPy arrays."""

from __future__ import annotations

import ctypes as c
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

OK, ARGUMENT, HANDLE, ENGINE, IMAGE, PYTHON, MEMORY, INTERNAL, FULL, EMPTY = range(10)
BGR, RGB, GRAY, BGRA = range(4)


class Options(c.Structure):
    _fields_ = (
        ("struct_size", c.c_size_t),
        ("score_threshold", c.c_float),
        ("top_k", c.c_int32),
        ("device", c.c_char_p),
        ("threads", c.c_int32),
        ("allow_host_code", c.c_int32),
        ("precision", c.c_char_p),
    )


class StreamOptions(c.Structure):
    _fields_ = (("struct_size", c.c_size_t), ("in_flight", c.c_int32), ("batch_size", c.c_int32))


class CImage(c.Structure):
    _fields_ = (
        ("data", c.c_void_p),
        ("height", c.c_int32),
        ("width", c.c_int32),
        ("stride", c.c_size_t),
        ("format", c.c_int32),
    )


class Mask(c.Structure):
    _fields_ = (
        ("top", c.c_int32),
        ("left", c.c_int32),
        ("height", c.c_int32),
        ("width", c.c_int32),
        ("bits", c.POINTER(c.c_uint8)),
    )


class CDetections(c.Structure):
    _fields_ = (
        ("count", c.c_size_t),
        ("boxes", c.POINTER(c.c_float)),
        ("scores", c.POINTER(c.c_float)),
        ("class_ids", c.POINTER(c.c_int32)),
        ("mask_scores", c.POINTER(c.c_float)),
        ("masks", c.POINTER(Mask)),
    )


class Results(c.Structure):
    _fields_ = (("count", c.c_size_t), ("images", c.POINTER(CDetections)))


@dataclass
class Found:
    """One image's results, copied."""

    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    mask_scores: np.ndarray | None
    masks: list[tuple[tuple[int, int, int, int], np.ndarray]]


def load(path: Path) -> Any:
    """The library with the types of its functions."""
    library: Any = c.CDLL(str(path))
    library.yolact_last_error.restype = library.yolact_status_string.restype = c.c_char_p
    library.yolact_open.argtypes = [c.c_char_p, c.POINTER(Options), c.POINTER(c.c_uint64)]
    library.yolact_infer.argtypes = [c.c_uint64, c.POINTER(CImage), c.c_size_t, c.POINTER(c.POINTER(Results))]
    library.yolact_results_free.argtypes = [c.POINTER(Results)]
    library.yolact_results_free.restype = None
    library.yolact_class_count.argtypes = library.yolact_max_batch.argtypes = [c.c_uint64]
    library.yolact_image_decode.argtypes = [c.c_char_p, c.c_size_t, c.POINTER(CImage)]
    library.yolact_image_free.argtypes = [c.POINTER(CImage)]
    library.yolact_image_free.restype = None
    library.yolact_class_name.argtypes = [c.c_uint64, c.c_int32]
    library.yolact_class_name.restype = c.c_char_p
    library.yolact_close.argtypes = library.yolact_stream_close.argtypes = [c.c_uint64]
    library.yolact_stream_open.argtypes = [c.c_uint64, c.POINTER(StreamOptions), c.POINTER(c.c_uint64)]
    library.yolact_stream_submit.argtypes = [c.c_uint64, c.POINTER(CImage)]
    library.yolact_stream_next.argtypes = [c.c_uint64, c.POINTER(c.POINTER(Results))]
    return library


def options(**changes: Any) -> Options:
    """Everything is found, unless said otherwise."""
    values = {"struct_size": c.sizeof(Options), "score_threshold": 0.0} | changes
    return Options(**values)


def describe(array: np.ndarray, format_: int = BGR, **changes: Any) -> CImage:
    """An image struct for a (H, W[, channels]) uint8 array, which must outlive it."""
    height, width = array.shape[:2]
    values = {"height": height, "width": width, "stride": array.strides[0], "format": format_}
    return CImage(**{"data": array.ctypes.data} | values | changes)


def open_handle(library: Any, path: Path, chosen: Options | None = None) -> int:
    handle = c.c_uint64(99)
    status = library.yolact_open(str(path).encode(), chosen or options(), handle)
    assert status == OK, library.yolact_last_error()
    return handle.value


def infer(library: Any, handle: int, images: list[CImage]) -> list[Found]:
    results = c.POINTER(Results)()
    status = library.yolact_infer(handle, (CImage * len(images))(*images), len(images), results)
    assert status == OK, library.yolact_last_error()
    assert results.contents.count == len(images)
    found = [_copy(results.contents.images[i]) for i in range(len(images))]
    library.yolact_results_free(results)
    return found


def open_stream(library: Any, handle: int, in_flight: int = 2, batch_size: int = 0) -> int:
    stream = c.c_uint64(99)
    chosen = StreamOptions(c.sizeof(StreamOptions), in_flight, batch_size)
    assert library.yolact_stream_open(handle, chosen, stream) == OK, library.yolact_last_error()
    return stream.value


def take(library: Any, stream: int) -> Found | int:
    """The next image's results, or why there are none."""
    results = c.POINTER(Results)(Results())
    status = int(library.yolact_stream_next(stream, results))
    assert bool(results) == (status == OK)
    if status != OK:
        return status
    assert results.contents.count == 1
    found = _copy(results.contents.images[0])
    library.yolact_results_free(results)
    return found


def _copy(image: CDetections) -> Found:
    count = image.count
    masks = []
    for mask in image.masks[:count]:
        row = (mask.width + 7) // 8
        bits = np.array(mask.bits[: mask.height * row], np.uint8).reshape(mask.height, row)
        masks.append(((mask.top, mask.left, mask.height, mask.width), bits))
    return Found(
        np.array(image.boxes[: 4 * count], np.float32).reshape(count, 4),
        np.array(image.scores[:count], np.float32),
        np.array(image.class_ids[:count], np.int32),
        np.array(image.mask_scores[:count], np.float32) if image.mask_scores else None,
        masks,
    )
