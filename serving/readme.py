"""The README that lies in a model's folder: how Triton is started with it."""

from __future__ import annotations

from yolact import __version__
from yolact.serving.engine_facts import EngineFacts
from yolact.serving.settings import Settings

README = "README.md"

_HEAD = """\
# {name}

Written by yolact-triton {version}: the model `{name}` of {what}.
Write it again rather than change it; `yolact-triton --check` tells what was changed.

The Python of Triton's python backend needs the package yolact{extra}. Start Triton with

    tritonserver --model-repository=FOLDER_ABOVE_THIS_ONE
"""

_ENGINE_MODEL = """\
`{engine_model}` beside this folder runs the network in Triton's backend {backend}. Clients call `{name}`,
which hands it whole batches in shared memory.
"""

_PLUGINS = """\
The plan needs the plugins {plugins}. `yolact-build-plugins` makes their library on a machine with nvcc.
Start Triton so that its TensorRT backend loads it:

    tritonserver --model-repository=... --backend-config=tensorrt,plugins=/path/libyolact_plugins_registered.so

or, where that is not to be had, have it loaded with TensorRT's own library before it, which it registers with:

    LD_PRELOAD="libnvinfer.so libyolact_plugins_registered.so" tritonserver --model-repository=...

Neither was run yet: no GPU was at hand.
"""


def readme(engine: EngineFacts, settings: Settings) -> str:
    """The text for this engine and these settings."""
    names = {"name": settings.name, "engine_model": settings.engine_model, "backend": settings.backend}
    extra = f" with the extra {_EXTRAS[engine.flavour]}" if engine.is_plan and not settings.engine_model else ""
    parts = [_HEAD.format(version=__version__, what=_what(engine), extra=extra, **names)]
    if settings.engine_model:
        parts.append(_ENGINE_MODEL.format(**names))
    if engine.plugins and settings.backend == "tensorrt":
        parts.append(_PLUGINS.format(plugins=" and ".join(engine.plugins)))
    return "\n".join(parts)


_EXTRAS = {"tensorrt": "tensorrt", "tensorrt_rtx": "rtx"}
"""By the module of the TensorRT that built a plan, what brings it."""


def _what(engine: EngineFacts) -> str:
    config = engine.metadata.config
    kind = "a TensorRT plan" if engine.is_plan else "an ONNX file"
    return f"{config.name}, {kind} of {config.num_classes} classes with an input of {config.image_size} pixels"
