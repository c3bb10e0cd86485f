"""Runs a plan on your own CUDA stream, with pycuda arrays as input and outputs and without copies.

    $ python examples/pycuda_stream.py yolact.plan photo.jpg

Not yet run on a GPU.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pycuda.autoprimaryctx  # noqa: F401  the context of TensorRT and PyTorch; pycuda.autoinit would make another
import pycuda.driver as cuda
from pycuda import gpuarray

from yolact.runtime.contract import output_specs
from yolact.runtime.detections import in_image
from yolact.runtime.images.image_files import read_image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.postprocess.postprocess import NetworkDetections
from yolact.runtime.tensorrt.plan_opening import open_plan


def main(plan: str, photo: str) -> None:
    """Detect the instances in a photo and print them."""
    engine = open_plan(Path(plan))  # built from a full graph, for batches of one
    metadata, context = engine.metadata, engine.create_context()
    image = read_image(photo)

    # Made once and used again for every image: page-locked memory, the stream, arrays for the input and all outputs.
    size = metadata.config.image_size
    staging = cuda.pagelocked_empty((1, size, size, 3), np.uint8)
    stream = cuda.Stream()
    images = gpuarray.empty(staging.shape, np.uint8)
    specs = output_specs(metadata.graph, metadata.config, metadata.postprocess)
    outputs = {name: gpuarray.empty((1, *spec.shape), spec.dtype) for name, spec in specs.items()}

    # For each image. All of this is only put on the stream, so your own kernels can run before and after it.
    staging[:] = Preprocessor(size)([image])
    images.set_async(staging, stream)
    context.enqueue(images, outputs, stream)
    found = {name: array.get_async(stream) for name, array in outputs.items()}
    stream.synchronize()

    count = int(found.pop("num_detections")[0, 0])
    in_network = NetworkDetections(*(array[0, :count] for array in found.values()))
    print(in_image(in_network, image.shape[:2], metadata.config.class_names).select(score_threshold=0.15))
    context.close()
    engine.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
