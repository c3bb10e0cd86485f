"""Answers requests, independent of the protocol that carries them, with one batch for the images of all."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from itertools import chain, islice
from typing import Any, NamedTuple

from numpy.typing import NDArray

from yolact.runtime.detections import Detections
from yolact.runtime.detector import Detector
from yolact.runtime.errors import ImageError, UsageError, YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.decoding import decode_image
from yolact.runtime.images.preprocess import check_image
from yolact.runtime.selection import Selection
from yolact.runtime.triton import wire
from yolact.runtime.triton.wire import MaskCoding
from yolact.runtime.wording import one_line


class Question(NamedTuple):
    """One request.

    Attributes:
        sources: contents of image files, or images (H, W, 3) uint8 BGR.
        wanted: the detections to send; None for all, in the network's order.
    """

    sources: Sequence[bytes | Image]
    wanted: Selection | None


class EngineFailed(YolactError):
    """The engine failed; the request is not at fault."""


Answer = dict[str, NDArray[Any]] | YolactError
"""The outputs of `wire`, or the error for the client of the request."""


def answer(
    detector: Detector, questions: Sequence[Question | YolactError], coding: MaskCoding, pool: Executor
) -> list[Answer]:
    """Answer some requests with one call of the detector.

    A request that was refused before, or has an image that cannot be decoded, gets its error; the others get their
    detections. Images of all requests are decoded, and masks encoded, in the threads of `pool`.
    """
    loaded = _load(questions, pool)
    asked = [
        (images, question.wanted)
        for images, question in zip(loaded, questions, strict=True)
        if not isinstance(images, YolactError) and isinstance(question, Question)
    ]
    try:
        found = iter(_detect(detector, asked))
    except Exception as error:
        failure = EngineFailed(f"the engine failed ({one_line(error) or type(error).__name__})")
        return [one if isinstance(one, YolactError) else failure for one in loaded]
    results = [one if isinstance(one, YolactError) else next(found) for one in loaded]
    return list(pool.map(lambda one: one if isinstance(one, YolactError) else _encode(one, coding), results))


def _load(questions: Sequence[Question | YolactError], pool: Executor) -> list[list[Image] | YolactError]:
    """The images of each request, or its error."""
    sources = [[] if isinstance(one, YolactError) else one.sources for one in questions]
    decoded = pool.map(_decode, chain.from_iterable(sources))
    loaded = [list(islice(decoded, len(some))) for some in sources]
    return [
        one if isinstance(one, YolactError) else _whole(images) for one, images in zip(questions, loaded, strict=True)
    ]


def _whole(loaded: list[Any]) -> list[Image] | YolactError:
    """The images of a request, or the error of one of them."""
    for number, image in enumerate(loaded, 1):
        if isinstance(image, YolactError):
            which = f"image {number} of {len(loaded)}: " if len(loaded) > 1 else ""
            return type(image)(which + str(image))
    return loaded or UsageError("the request has no image; send at least one")


def _decode(source: bytes | Image) -> Any:
    try:
        if isinstance(source, bytes):
            return decode_image(source, "image")
        check_image(source)
        return source
    except ImageError as error:
        return error
    except MemoryError:
        return EngineFailed("there is not enough memory to decode the image; send a smaller one")


def _detect(detector: Detector, asked: Sequence[tuple[list[Image], Selection | None]]) -> list[list[Detections]]:
    """The detections of each request's images."""
    images = [image for some, _ in asked for image in some]
    if not images:
        return []
    wishes = {wanted for _, wanted in asked}
    common = wishes.pop() if len(wishes) == 1 else None
    if common is None:
        found = iter(detector(images))
        return [[_select(next(found), wanted) for _ in some] for some, wanted in asked]
    found = iter(
        detector(images, score_threshold=common.score_threshold, top_k=common.top_k, class_ids=common.class_ids)
    )
    return [[next(found) for _ in some] for some, _ in asked]


def _select(found: Detections, wanted: Selection | None) -> Detections:
    return found if wanted is None else found.select_by(wanted)


def _encode(images: list[Detections], coding: MaskCoding) -> Answer:
    try:
        return wire.encode(images, coding)
    except MemoryError:
        return EngineFailed("there is not enough memory to encode the masks; ask for fewer detections")
