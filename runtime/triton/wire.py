"""The wire format between a client and a model that `yolact-triton` wrote: tensors, parameters, masks.

Both sides use this module, so that neither can drift from the other. Names of tensors are those of an engine file
(`runtime/contract.py`) where they mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import DTypeLike, NDArray

from yolact.runtime.detections import Detections
from yolact.runtime.errors import UsageError
from yolact.runtime.fields import shown
from yolact.runtime.images.geometry import ImageTransform, Region
from yolact.runtime.images.mask_encoding import decode_rle
from yolact.runtime.images.packed_masks import PackedMask
from yolact.runtime.json_text import to_json
from yolact.runtime.selection import Selection

VERSION = "1"
"""Version of this module's tensors and parameters. A client and a model of different versions refuse each other."""

MaskCoding = Literal["rle", "bits", "polygons", "none"]
MASK_CODINGS: tuple[MaskCoding, ...] = get_args(MaskCoding)

IMAGE, PIXELS = "image", "pixels"
"""Inputs, one of which a request has: contents of image files as bytes (N, 1), or pixels (N, H, W, 3) uint8 BGR."""

_INT, _FLOAT, _TEXT = np.int32, np.float32, np.object_


class Output(NamedTuple):
    """Type of an output, and its shape for one image: -1 for its detections."""

    dtype: DTypeLike
    shape: tuple[int, ...]


def outputs(coding: MaskCoding, *, mask_rescoring: bool) -> dict[str, Output]:
    """The outputs by name. `boxes` are xyxy in pixels of the image as it was sent, `image_sizes` height and width.

    `masks` hold bytes: COCO's compressed run lengths (`rle`); rows of bits inside `mask_regions` (`bits`), as
    `numpy.packbits` makes them, regions being top, left, bottom, right; JSON lists of outlines (`polygons`).
    Where a request has several images, those with fewer detections are filled up with zeros and empty bytes.
    """
    found = {
        "num_detections": Output(_INT, (1,)),
        "image_sizes": Output(_INT, (2,)),
        "boxes": Output(_FLOAT, (-1, 4)),
        "scores": Output(_FLOAT, (-1,)),
        "classes": Output(_INT, (-1,)),
    }
    if mask_rescoring:
        found["mask_scores"] = Output(_FLOAT, (-1,))
    if coding != "none":
        found["masks"] = Output(_TEXT, (-1,))
    if coding == "bits":
        found["mask_regions"] = Output(_INT, (-1, 4))
    return found


def encode(images: Sequence[Detections], coding: MaskCoding) -> dict[str, NDArray[Any]]:
    """The outputs for the images of one request, each with the number of images first."""
    most = max(map(len, images))
    rescoring = images[0].mask_scores is not None
    arrays = {
        name: np.full((len(images), *(most if size < 0 else size for size in shape)), _blank(dtype), dtype)
        for name, (dtype, shape) in outputs(coding, mask_rescoring=rescoring).items()
    }
    for index, found in enumerate(images):
        arrays["num_detections"][index] = len(found)
        arrays["image_sizes"][index] = found.image_size
        for name, rows in _rows(found, coding).items():
            arrays[name][index, : len(found)] = rows
    return arrays


def decode(arrays: Mapping[str, NDArray[Any]], coding: MaskCoding, names: tuple[str, ...]) -> list[Detections]:
    """The images' detections out of the outputs; inverse of `encode`.

    Raises ValueError where they are not as `encode` makes them, and for masks in a form that cannot be decoded.
    """
    images = []
    for index, count in enumerate(arrays["num_detections"][:, 0].tolist()):
        if not 0 <= count <= arrays["scores"].shape[1]:
            raise ValueError(f"it announces {count} detections and has {arrays['scores'].shape[1]}")
        one = {name: array[index, :count] for name, array in arrays.items() if name not in _OF_IMAGES}
        height, width = arrays["image_sizes"][index].tolist()
        scores = one.get("mask_scores")
        images.append(
            Detections(
                np.asarray(one["boxes"], _FLOAT),
                np.asarray(one["scores"], _FLOAT),
                np.asarray(one["classes"], _INT),
                None if scores is None else np.asarray(scores, _FLOAT),
                None,
                ImageTransform((height, width)),
                names,
                tuple(_masks(one, coding, (height, width))),
            )
        )
    return images


_OF_IMAGES = ("num_detections", "image_sizes")


def _blank(dtype: DTypeLike) -> object:
    return b"" if dtype is _TEXT else 0


def _rows(found: Detections, coding: MaskCoding) -> dict[str, Any]:
    """The values of each output for the detections of one image."""
    rows: dict[str, Any] = {"boxes": found.boxes, "scores": found.scores, "classes": found.class_ids}
    if found.mask_scores is not None:
        rows["mask_scores"] = found.mask_scores
    if coding == "rle":
        rows["masks"] = _texts([mask["counts"].encode() for mask in found.rle()])
    elif coding == "polygons":
        rows["masks"] = _texts([to_json(outlines).encode() for outlines in found.polygons()])
    elif coding == "bits":
        packed = found.packed_masks()
        rows["masks"] = _texts([mask.bits.tobytes() for mask in packed])
        regions = [(one.region.top, one.region.left, one.region.bottom, one.region.right) for one in packed]
        rows["mask_regions"] = np.array(regions, _INT).reshape(-1, 4)
    return rows


def _texts(values: Sequence[bytes]) -> NDArray[np.object_]:
    """Bytes of any lengths as an array; NumPy's own bytes lose zeros at their end."""
    array = np.empty(len(values), np.object_)
    array[:] = values
    return array


def _masks(one: Mapping[str, NDArray[Any]], coding: MaskCoding, size: tuple[int, int]) -> list[PackedMask]:
    if coding == "rle":
        return [PackedMask.pack(*decode_rle({"size": list(size), "counts": _ascii(text)})) for text in one["masks"]]
    if coding == "bits":
        regions = [Region(*row) for row in one["mask_regions"].tolist()]
        return [_packed(region, bits, size) for region, bits in zip(regions, one["masks"], strict=True)]
    raise ValueError(f"masks can be made from rle and from bits, and not from {coding}")


def _ascii(text: bytes) -> str:
    return text.decode("ascii")


def _packed(region: Region, bits: bytes, size: tuple[int, int]) -> PackedMask:
    height, width = region.shape
    inside = 0 <= region.top <= region.bottom <= size[0] and 0 <= region.left <= region.right <= size[1]
    if not inside or len(bits) != height * ((width + 7) // 8):
        raise ValueError(f"a mask of {len(bits)} bytes does not fill {region} in an image of {size}")
    return PackedMask(region, np.frombuffer(bits, np.uint8).reshape(height, (width + 7) // 8))


_ALL, _THRESHOLD, _TOP_K, _CLASSES = "all", "score_threshold", "top_k", "class_ids"

Parameters = dict[str, str | int | bool]
"""A request's parameters as clients send them."""


def to_parameters(wanted: Selection | None) -> Parameters:
    """A request's parameters that ask for these detections; None asks for all, in the network's order."""
    if wanted is None:
        return {_ALL: True}
    parameters: Parameters = {
        _THRESHOLD: repr(float(wanted.score_threshold)),
        _TOP_K: _ALL if wanted.top_k is None else int(wanted.top_k),
    }
    if wanted.class_ids is not None:
        parameters[_CLASSES] = ",".join(str(int(one)) for one in wanted.class_ids)
    return parameters


def from_parameters(parameters: Mapping[str, object], usual: Selection) -> Selection | None:
    """The selection that a request asks for, inverse of `to_parameters`; missing parts are as in `usual`.

    Raises UsageError, in words for the client, for a parameter that is unknown or has no such value.
    """
    known = (_ALL, _THRESHOLD, _TOP_K, _CLASSES)
    unknown = next((name for name in parameters if name not in known), None)
    if unknown is not None:
        raise UsageError(f"the request has a parameter {shown(unknown)}; expected {', '.join(known)}")
    if _parse_flag(parameters.get(_ALL, False)):
        return None
    threshold, top_k, classes = (parameters.get(name) for name in known[1:])
    return Selection(
        usual.score_threshold if threshold is None else _parse_threshold(threshold),
        usual.top_k if top_k is None else _parse_top_k(top_k),
        usual.class_ids if classes is None else _parse_classes(classes),
    )


def _parse_flag(value: object) -> bool:
    if value not in (True, False, "true", "false"):
        raise UsageError(f"the parameter {_ALL} must be true or false, got {shown(value)}")
    return value in (True, "true")


def _parse_threshold(value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if isinstance(value, bool) or number != number:
        raise UsageError(f"the parameter {_THRESHOLD} must be a number, got {shown(value)}")
    return number


def _parse_top_k(value: object) -> int | None:
    if value == _ALL:
        return None
    if isinstance(value, bool) or not str(value).isascii() or not str(value).isdigit() or len(str(value)) > 9:
        raise UsageError(f"the parameter {_TOP_K} must be a whole number from 0, or {_ALL}, got {shown(value)}")
    return int(str(value))


def _parse_classes(value: object) -> tuple[int, ...]:
    words = str(value).split(",") if value != "" else []
    if isinstance(value, bool) or not all(word.isascii() and word.isdigit() and len(word) <= 9 for word in words):
        raise UsageError(f"the parameter {_CLASSES} must be ids separated by commas, such as 0,2, got {shown(value)}")
    return tuple(map(int, words))
