"""JPEGs decoded by NVIDIA's nvImageCodec, on a GPU where there is one."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np

from yolact.runtime.images.arrays import Image
from yolact.runtime.images.decoder_choice import load_nvimgcodec
from yolact.runtime.images.decoder_messages import decode_listening

_of_thread = threading.local()


def decode_jpeg(data: bytes, *, upright: bool) -> tuple[Image | None, list[str]]:
    """The image (H, W, 3) uint8 BGR in host memory, None where nvImageCodec cannot decode it, and the lines printed.

    Raises PackageMissing where it is not installed.
    """

    def decode() -> Image | None:
        codec = load_nvimgcodec()
        how = codec.DecodeParams(
            apply_exif_orientation=upright, color_spec=codec.ColorSpec.SRGB, sample_format=codec.SampleFormat.I_BGR
        )
        try:
            decoded = _decoder(codec).decode(data, params=how)
            return None if decoded is None else np.array(decoded.cpu(), np.uint8)
        except RuntimeError:  # an error of CUDA, such as too little memory
            return None

    return decode_listening(decode)


def _decoder(codec: Any) -> Any:
    """The thread's own, of this process: a forked one has not the threads of its parent's."""
    process, decoder = getattr(_of_thread, "decoder", (0, None))
    if process != os.getpid():
        decoder = _make_decoder(codec)
        _of_thread.decoder = (os.getpid(), decoder)
    return decoder


def _make_decoder(codec: Any) -> Any:
    kinds = codec.BackendKind
    on_gpu = [kinds.HW_GPU_ONLY, kinds.GPU_ONLY, kinds.HYBRID_CPU_GPU]
    try:  # of the current device of CUDA; the option makes colours of half resolution as smooth as libjpeg does
        backends = [codec.Backend(kind) for kind in (*on_gpu, kinds.CPU_ONLY)]
        return codec.Decoder(max_num_cpu_threads=1, backends=backends, options=":fancy_upsampling=1")
    except RuntimeError:  # there is no GPU
        return codec.Decoder(
            device_id=codec.NVIMGCODEC_DEVICE_CPU_ONLY,
            max_num_cpu_threads=1,
            backends=[codec.Backend(kinds.CPU_ONLY)],
        )
