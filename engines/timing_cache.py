"""Measured kernel times of earlier builds, so that building the same network again takes seconds.

The key of a cache is made from the layers of the network, TensorRT's version and the GPU, never from a path.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from yolact.runtime.cache_folder import cache_folder
from yolact.runtime.errors import UsageError
from yolact.runtime.output_files import replacing
from yolact.runtime.tensorrt.flavour import TensorRt


def default_folder() -> Path | None:
    """The folder of timing caches in the user's cache folder; None for a user without a home."""
    return cache_folder("timing")


def cache_key(network: Any, tensorrt: TensorRt, gpu: str) -> str:
    """Hex digest of the layers (names, kinds, types, shapes), the version and the GPU. Times do not depend on weights.

    Args:
        network: the parsed `INetworkDefinition`.
        gpu: name, architecture and the driver's CUDA version.
    """
    digest = hashlib.sha256(f"{tensorrt.flavour.module} {tensorrt.version} {gpu}".encode())
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        outputs = [layer.get_output(i) for i in range(layer.num_outputs)]
        shapes = [(tensor.dtype.name, tuple(tensor.shape)) for tensor in outputs]
        digest.update(f"\n{layer.name} {layer.type.name} {shapes}".encode())
    return digest.hexdigest()


class TimingCache:
    """One cache file, given to a builder before the build and written back after it.

    A cache only saves time, so a fault of it never stops a build. Both methods return a sentence for the user about the
    fault, or None.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.path = folder / f"{key}.timing"

    def load_into(self, config: Any) -> str | None:
        """Attach the cache on disk, or an empty one, to an `IBuilderConfig`."""
        try:
            data = self.path.read_bytes() if self.path.is_file() else b""
        except OSError as error:
            config.set_timing_cache(config.create_timing_cache(b""), False)
            return f"the timing cache {self.path} cannot be read ({error.strerror}), so this build takes longer"
        cache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, False):
            return None
        config.set_timing_cache(config.create_timing_cache(b""), False)
        return f"TensorRT did not accept the timing cache {self.path}, which is replaced"

    def store_from(self, config: Any) -> str | None:
        """Write the builder's cache back."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as temporary:
                temporary.write_bytes(bytes(config.get_timing_cache().serialize()))
        except (OSError, UsageError) as error:
            reason = "its name is taken" if isinstance(error, UsageError) else error.strerror
            return (
                f"the timing cache {self.path} cannot be written ({reason}), so the next build takes as long; "
                "choose another folder with --timing-cache"
            )
        return None
