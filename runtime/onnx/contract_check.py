"""Compares the tensors that a runtime found in an ONNX file with the contract."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from yolact.runtime.contract import INPUT_NAME, TensorSpec, contradiction, input_spec, output_specs
from yolact.runtime.errors import EngineError
from yolact.runtime.metadata import ModelMetadata

TYPE_NAMES = {"float32": "tensor(float)", "int32": "tensor(int32)", "uint8": "tensor(uint8)"}
"""ONNX Runtime's names of NumPy's types, which the messages use."""


class FoundTensor(NamedTuple):
    """An input or output of a file.

    Attributes:
        type: as in `TYPE_NAMES`.
        shape: without the batch; open dimensions are names or -1.
    """

    type: str
    shape: tuple[Any, ...]


def check_contract(
    inputs: Mapping[str, FoundTensor], outputs: Mapping[str, FoundTensor], metadata: ModelMetadata, path: Path
) -> dict[str, TensorSpec]:
    """The outputs in contract order. Raises EngineError for the first tensor that breaks the contract."""
    wanted = output_specs(metadata.graph, metadata.config, metadata.postprocess)
    found = {**inputs, **outputs}
    for name, spec in {INPUT_NAME: input_spec(metadata.config), **wanted}.items():
        expected = (TYPE_NAMES[spec.dtype.name], spec.shape)
        if found.get(name) != expected:
            shape = found[name].shape if name in found else ()
            why = contradiction(name, shape, metadata.config, metadata.postprocess)
            got = tuple(found[name]) if name in found else "no such tensor"
            raise EngineError(
                f"{path}: {why}expected tensor {name!r} to be {expected[0]} of shape (N, {str(spec.shape)[1:-1]}), "
                f"got {got}; export the model again with yolact-export"
            )
    unknown = ", ".join(sorted(inputs.keys() - {INPUT_NAME}))
    if unknown:
        raise EngineError(f"{path} has inputs that no YOLACT has: {unknown}; export the model again with yolact-export")
    return wanted
