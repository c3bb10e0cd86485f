"""The README in a model's folder, which says how to start Triton with the model."""

from __future__ import annotations

from yolact import __version__
from yolact.serving.engine_facts import EngineFacts
from yolact.serving.settings import Settings

README = "README.md"

_HEAD = """\
# {name}

Written by yolact-triton {version}: the model `{name}` of {what}.
Do not edit the files but write them again; `yolact-triton --check` reports changes.

The Python of Triton's python backend needs the package yolact{extra}. Start Triton with

    tritonserver --model-repository=FOLDER_ABOVE_THIS_ONE
"""

_ENGINE_MODEL = """\
The model `{engine_model}` beside this folder runs the network in Triton's backend {backend}. Clients call `{name}`,
which passes whole batches to it in shared memory.
"""

_PLUGINS = """\
The plan needs the plugins {plugins}. `yolact-build-plugins` builds their library on a machine with nvcc.
Start Triton so that its TensorRT backend loads the library:

    tritonserver --model-repository=... --backend-config=tensorrt,plugins=/path/libyolact_plugins_registered.so

or, where that is not possible, have the library loaded after TensorRT's own library, with which it registers:

    LD_PRELOAD="libnvinfer.so libyolact_plugins_registered.so" tritonserver --model-repository=...

Neither command has been run yet, as no GPU was available.
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
"""The extra that installs each TensorRT, by its Python module."""


def _what(engine: EngineFacts) -> str:
    config = engine.metadata.config
    kind = "a TensorRT plan" if engine.is_plan else "an ONNX file"
    return f"{config.name}, {kind} of {config.num_classes} classes with an input of {config.image_size} pixels"
