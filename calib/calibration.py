"""Measures the range of every activation on real images, in the float32 network on ONNX Runtime.

All activations that any choice of modules or platform could round are measured at once, so one calibration serves all
choices. Images are streamed, and an interrupted calibration is resumed where it stopped.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

import onnx
from onnx import numpy_helper

from yolact.calib.activation_statistics import TensorStatistics
from yolact.calib.calibration_files import (
    CalibrationKey,
    Progress,
    read_progress,
    read_ranges,
    write_progress,
    write_ranges,
)
from yolact.calib.image_set import ImageSet
from yolact.calib.inner_tensors import InnerTensors
from yolact.calib.options import CalibrationOptions
from yolact.calib.qdq import Ranges
from yolact.calib.quantization_points import MODULES, Consumer, find_quantization_points
from yolact.calib.ranges import find_range
from yolact.runtime.contract import output_specs
from yolact.runtime.errors import AccuracyError
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.json_text import to_json
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.progress_bar import ProgressBar

_SAVE_SECONDS = 5.0  # between two writings of the progress; an interruption loses no more work than that and a batch


def calibrate(proto: onnx.ModelProto, images: ImageSet, options: CalibrationOptions) -> Ranges:
    """The range of every activation that could be rounded. A range is not finite where values were not finite.

    Args:
        proto: a model in float32 for any batch, as `export_model` makes it.
        images: see `ImageSet.of_folder`.
        options: algorithm, batch size and cache.

    Raises:
        AccuracyError: the cache lacks an activation.
        UsageError: the cache is of another model, other images or another algorithm.
        ImageError: an image cannot be read.
        EngineError: ONNX Runtime cannot run the network.
    """
    tensors = _tensors(proto)
    metadata = ModelMetadata.from_proto(proto, "the network")
    key = CalibrationKey(
        network=_network_digest(proto, metadata),
        preprocessing=f"stretched to {metadata.config.image_size} pixels, bilinear, uint8 BGR",
        images=images.digest,
        algorithm=options.algorithm,
    )
    limits = read_ranges(options.cache, key) if options.cache is not None else None
    if limits is None:
        statistics = _collect(proto, list(tensors), images, key, options, Preprocessor(metadata.config.image_size))
        limits = {tensor: find_range(found, options.algorithm) for tensor, found in statistics.items()}
        if options.cache is not None:
            write_ranges(options.cache, key, limits)
    missing = sorted(tensors.keys() - limits.keys())
    if missing:
        raise AccuracyError(f"--calib-cache {options.cache} has no range for {missing[0]!r}; name another file")
    return {consumer: limits[tensor] for tensor, consumers in tensors.items() for consumer in consumers}


def _network_digest(proto: onnx.ModelProto, metadata: ModelMetadata) -> str:
    """SHA-256 of the configuration and of all constants behind the heads; equal for raw and full graphs."""
    digest = hashlib.sha256(to_json(metadata.config.to_json()).encode())
    makers = {output: node for node in proto.graph.node for output in node.output}
    wanted = list(output_specs("raw", metadata.config, metadata.postprocess))
    needed = set(wanted)
    while wanted:
        maker = makers.get(wanted.pop())
        new = set(maker.input) - needed if maker is not None else set()
        needed |= new
        wanted += new
    for tensor in sorted(proto.graph.initializer, key=lambda tensor: tensor.name):
        if tensor.name in needed:
            digest.update(f"{tensor.name} ".encode() + numpy_helper.to_array(tensor).tobytes())
    return digest.hexdigest()


def _tensors(proto: onnx.ModelProto) -> dict[str, list[Consumer]]:
    """The activations that could be rounded, each with the consumers that would read the rounded values."""
    inputs = {node.name: node.input for node in proto.graph.node}
    tensors: dict[str, list[Consumer]] = {}
    points = find_quantization_points(proto, MODULES, (), "cpu")  # which include those of TensorRT
    for consumers in points.activations:
        tensors.setdefault(inputs[consumers[0].node][consumers[0].position], []).extend(consumers)
    return tensors


def _collect(
    proto: onnx.ModelProto,
    tensors: Sequence[str],
    images: ImageSet,
    key: CalibrationKey,
    options: CalibrationOptions,
    preprocess: Preprocessor,
) -> dict[str, TensorStatistics]:
    compute = InnerTensors(proto, tensors)
    progress = read_progress(options.cache, key) if options.cache is not None else None
    if progress is None or progress.statistics.keys() != set(tensors) or progress.done > len(images):
        progress = Progress(0, {name: TensorStatistics() for name in tensors})
    start, saved = progress.done, time.monotonic()
    with ProgressBar(total=len(images), initial=start, desc="calibrating", unit=" images", leave=None) as bar:
        for pixels, done in images.batches(preprocess, options.batch, start):
            for name, values in zip(tensors, compute(pixels), strict=True):
                progress.statistics[name].add(values)
            bar.update(done - progress.done)
            progress = progress._replace(done=done)
            if options.cache is not None and time.monotonic() - saved >= _SAVE_SECONDS:
                write_progress(options.cache, key, progress)
                saved = time.monotonic()
    return progress.statistics
