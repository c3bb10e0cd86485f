"""Runs exported ONNX files with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from yolact.runtime.contract import INPUT_NAME, input_spec, output_specs
from yolact.runtime.errors import EngineError, UsageError
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.postprocess import ImageHeads, NetworkDetections, postprocess
from yolact.runtime.preprocess import Image

_TYPE_NAMES = {"float32": "tensor(float)", "int32": "tensor(int32)", "uint8": "tensor(uint8)"}


class OnnxEngine:
    """One ONNX Runtime session whose tensors were checked against the contract when it was opened."""

    def __init__(self, path: Path, threads: int | None, providers: Sequence[str]) -> None:
        """Load and check the file.

        Args:
            path: an ONNX file written by yolact-export.
            threads: threads within an operator; None lets ONNX Runtime take the physical cores.
            providers: ONNX Runtime execution providers in order of preference.

        Raises:
            EngineError: not an ONNX file, or not one of this toolkit's contract.
            UsageError: `threads` is less than 1, or this ONNX Runtime lacks one of the providers.
        """
        _check_request(threads, providers)
        self._session = _open_session(path, threads, providers)
        self.metadata = ModelMetadata.from_props(self._session.get_modelmeta().custom_metadata_map, str(path))
        self._outputs = _check_contract(self._session, self.metadata, path)
        batch = next(t for t in self._session.get_inputs() if t.name == INPUT_NAME).shape[0]
        self.batch_size: int | None = batch if isinstance(batch, int) else None
        """Images per run where the file fixes it, None where any number will do."""

    def run(self, images: Image) -> list[NDArray[Any]]:
        """Outputs in contract order for a batch (N, S, S, 3) uint8 BGR."""
        outputs: list[NDArray[Any]] = self._session.run(self._outputs, {INPUT_NAME: images})
        return outputs

    def detect(self, images: Image) -> list[NetworkDetections]:
        """Detections of each image of a batch (N, S, S, 3) uint8 BGR."""
        outputs = self.run(images)
        if self.metadata.graph == "raw":
            heads = [ImageHeads(*arrays) for arrays in zip(*outputs, strict=True)]
            return [postprocess(h, self.metadata.config, self.metadata.postprocess) for h in heads]
        counts, *arrays = outputs
        return [
            # Of several images copies, so that one's result does not keep the masks of all in memory.
            NetworkDetections(*(array[i, :count].copy() if len(array) > 1 else array[i, :count] for array in arrays))
            for i, count in enumerate(counts.ravel().tolist())
        ]


def _check_request(threads: int | None, providers: Sequence[str]) -> None:
    if threads is not None and threads < 1:
        raise UsageError(f"threads must be at least 1, or None for all cores, got {threads}")
    available = onnxruntime.get_available_providers()
    for provider in providers:  # ONNX Runtime itself would go on with the CPU and a warning
        if provider not in available:
            raise UsageError(
                f"this ONNX Runtime has no {provider}, only {', '.join(available)}; "
                "install the onnxruntime package that brings it or choose another"
            )


def _open_session(path: Path, threads: int | None, providers: Sequence[str]) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        reason = " ".join(str(error).split())
        if path.suffix == ".pth":
            raise EngineError(f"{path} is a checkpoint; export it with yolact-export --weights {path}") from error
        if "YolactFastNms" in reason:
            raise EngineError(
                f"{path} was exported with --functions strip, for TensorRT with plugins only; export it again with "
                "yolact-export --functions keep"
            ) from error
        raise EngineError(
            f"{path} cannot be opened as an ONNX model by ONNX Runtime {onnxruntime.__version__} ({reason}); "
            "export it again with yolact-export"
        ) from error


def _check_contract(session: onnxruntime.InferenceSession, metadata: ModelMetadata, path: Path) -> list[str]:
    """Output names in contract order. Raises EngineError at the first tensor that is not as the contract says."""
    outputs = output_specs(metadata.graph, metadata.config, metadata.postprocess)
    found = {t.name: (t.type, tuple(t.shape[1:])) for t in [*session.get_inputs(), *session.get_outputs()]}
    for name, spec in {INPUT_NAME: input_spec(metadata.config), **outputs}.items():
        expected = (_TYPE_NAMES[spec.dtype.name], spec.shape)
        if found.get(name) != expected:
            raise EngineError(
                f"{path}: expected tensor {name!r} to be {expected[0]} of shape (N, {str(spec.shape)[1:-1]}), "
                f"got {found.get(name, 'no such tensor')}; export the model again with yolact-export"
            )
    return list(outputs)
