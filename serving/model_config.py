"""Triton's configuration of a model: `config.pbtxt`, by the schema in Triton's client package."""

from __future__ import annotations

from typing import Any

import numpy as np

from yolact.runtime.contract import INPUT_NAME, TensorSpec, input_spec, output_specs
from yolact.runtime.packages import PackageMissing
from yolact.runtime.selection import Selection
from yolact.runtime.triton import wire
from yolact.runtime.triton.model_facts import ModelFacts
from yolact.serving.engine_facts import EngineFacts
from yolact.serving.settings import Settings

LABELS = "labels.txt"
"""The file with the names of the classes, one per line."""

_TYPES: dict[Any, str] = {
    np.int32: "TYPE_INT32",
    np.float32: "TYPE_FP32",
    np.uint8: "TYPE_UINT8",
    np.object_: "TYPE_STRING",
}


def schema() -> Any:
    """The module with the messages of Triton's configuration. Raises PackageMissing."""
    try:
        from tritonclient.grpc import model_config_pb2
    except ImportError as error:
        raise PackageMissing("a model repository of Triton", error.name, "triton") from None
    return model_config_pb2


def to_text(config: Any) -> bytes:
    """A configuration as the contents of `config.pbtxt`."""
    from google.protobuf import text_format

    return text_format.MessageToString(config).encode("ascii")


def parse_text(text: bytes) -> Any:
    """Inverse of `to_text`, for files from anywhere. Raises ValueError for text that is no configuration of Triton."""
    from google.protobuf import text_format

    try:
        return text_format.Parse(text.decode("utf-8"), schema().ModelConfig())
    except text_format.ParseError as error:
        raise ValueError(str(error)) from None


def model_facts(engine: EngineFacts, settings: Settings) -> ModelFacts:
    """The facts about the model that the configuration has for this toolkit, besides those that Triton reads."""
    usual = Selection(settings.score_threshold, settings.top_k)
    return ModelFacts(
        engine.metadata,
        settings.masks,
        engine.file_name,
        engine.sha256,
        usual,
        settings.engine_model,
        engine.min_batch,
    )


def front_config(engine: EngineFacts, settings: Settings) -> Any:
    """The configuration of the model that clients call: images in, detections out, by our own python backend."""
    batch = settings.batch_of(engine)
    config = schema().ModelConfig(name=settings.name, backend="python", max_batch_size=batch)
    config.input.add(name=wire.IMAGE, data_type="TYPE_STRING", dims=[1], optional=True)
    config.input.add(name=wire.PIXELS, data_type="TYPE_UINT8", dims=[-1, -1, 3], optional=True, allow_ragged_batch=True)
    for name, (dtype, shape) in wire.outputs(
        settings.masks, mask_rescoring=engine.metadata.config.mask_rescoring
    ).items():
        labels = {"label_filename": LABELS} if name == "classes" else {}
        config.output.add(name=name, data_type=_TYPES[dtype], dims=shape, **labels)
    _add_batching(config, batch, settings.queue)
    # Where Triton runs the network, this model only decodes and encodes, which GPUs have no part in.
    _add_instances(config, settings, on_gpu=settings.backend == "python" and (engine.is_plan or bool(settings.gpus)))
    config.parameters["serving.backend"].string_value = settings.backend
    for key, value in sorted(model_facts(engine, settings).to_parameters().items()):
        config.parameters[key].string_value = value
    return config


def engine_config(engine: EngineFacts, settings: Settings) -> Any:
    """The configuration of the model that runs only the network, in a backend of Triton: tensors of the contract."""
    metadata = engine.metadata
    config = schema().ModelConfig(name=settings.engine_model, backend=settings.backend)
    fixed = engine.min_batch if engine.min_batch == engine.max_batch else 0
    config.max_batch_size = 0 if fixed else settings.batch_of(engine)
    config.default_model_filename = engine.file_name

    def add(tensors: Any, name: str, spec: TensorSpec) -> None:
        dims = [fixed, *spec.shape] if fixed else spec.shape
        tensors.add(name=name, data_type=_TYPES[spec.dtype.type], dims=dims)

    add(config.input, INPUT_NAME, input_spec(metadata.config))
    for name, spec in output_specs(metadata.graph, metadata.config, metadata.postprocess).items():
        add(config.output, name, spec)
    _add_instances(config, settings, on_gpu=engine.is_plan or bool(settings.gpus))
    spec = input_spec(metadata.config)
    black = config.model_warmup.add(name="black", batch_size=0 if fixed else 1, count=2).inputs[INPUT_NAME]
    black.data_type, black.zero_data = schema().TYPE_UINT8, True
    black.dims.extend([fixed, *spec.shape] if fixed else spec.shape)
    config.parameters["serving.engine_sha256"].string_value = engine.sha256
    return config


def _add_batching(config: Any, batch: int, queue: int) -> None:
    """Let Triton make batches of the requests that wait while the model is busy, without a wait for more requests."""
    if batch == 1:
        config.dynamic_batching.max_queue_delay_microseconds = 0
    else:
        sizes = {1 << power for power in range(1, batch.bit_length()) if 1 << power <= batch} | {batch}
        config.dynamic_batching.preferred_batch_size.extend(sorted(sizes))
    config.dynamic_batching.default_queue_policy.max_queue_size = queue


def _add_instances(config: Any, settings: Settings, *, on_gpu: bool) -> None:
    kind = "KIND_GPU" if on_gpu else "KIND_CPU"
    gpus = settings.gpus if on_gpu else ()
    config.instance_group.add(count=settings.instances, kind=kind, gpus=gpus)
