"""Runs exported ONNX files with OpenVINO."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.contract import TensorSpec
from yolact.runtime.engine import ComputePrecision, DeviceChoice
from yolact.runtime.errors import EngineError, UsageError, YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.onnx.contract_check import TYPE_NAMES, FoundTensor, check_contract
from yolact.runtime.onnx.exported_model import ExportedModel, read_exported_model
from yolact.runtime.onnx.file_engine import OnnxFileEngine
from yolact.runtime.onnx.refusals import known_refusal
from yolact.runtime.openvino.compiling import ModelRefused, compile_model
from yolact.runtime.openvino.inlining import inlined
from yolact.runtime.openvino.library import check_device, load_openvino, reason_of, software
from yolact.runtime.packages import PackageMissing, how_to_install


class OpenVinoEngine(OnnxFileEngine):
    """A model compiled by OpenVINO, whose tensors were checked against the contract. Any number of threads may use it.

    Attributes:
        device: where it runs.
        software: name and version of OpenVINO.
    """

    def __init__(
        self,
        path: Path,
        threads: int | None = None,
        device: DeviceChoice = DeviceChoice("openvino"),  # noqa: B008  it is frozen
        precision: ComputePrecision = "file",
    ) -> None:
        """Load, compile and check the file.

        Args:
            path: an ONNX file written by yolact-export, with functions or without.
            threads: threads within an operator on the CPU; None lets OpenVINO take the physical cores.
            device: of kind ``openvino``.
            precision: see `EngineOptions`.

        Raises:
            EngineError: not an ONNX file, not one of this toolkit's contract, or one that OpenVINO does not compile.
            UsageError: OpenVINO or the device is not here.
        """
        load_openvino()
        check_device(device.name)
        self.device, self.software = device, software()
        model = _read(path)
        super().__init__(model.metadata, model.batch)
        names = [[tensor.name for tensor in tensors] for tensors in (model.proto.graph.input, model.proto.graph.output)]
        plain = inlined(model.proto)
        del model  # half of the memory that opening needs
        try:
            self._compiled: Any = compile_model(plain, self.min_batch, device, threads, precision)
        except ModelRefused as error:
            raise EngineError(_why_not_opened(path, str(error))) from error
        self._outputs = self._check_tensors(names, path)

    def _check_tensors(self, names: Sequence[Sequence[str]], path: Path) -> dict[int, TensorSpec]:
        """The outputs in contract order by their places among OpenVINO's; `names` are the file's inputs and outputs.

        Raises EngineError where one breaks the contract.
        """
        inputs, outputs = map(_find, names, (self._compiled.inputs, self._compiled.outputs))
        specs = check_contract(inputs, outputs, self._metadata, path)
        places = {name: place for place, output in enumerate(self._compiled.outputs) for name in output.names}
        return {places[name]: spec for name, spec in specs.items()}

    def run(self, images: Image) -> list[NDArray[Any]]:
        """Outputs in contract order for a batch (N, S, S, 3) uint8 BGR; OpenVINO writes directly into these arrays.

        The images of a file that takes any number of them are run one after the other.

        Raises EngineError where OpenVINO fails, mostly because memory does not suffice.
        """
        compiled, tensor = self._compiled, load_openvino().Tensor
        if compiled is None:  # another thread has closed it
            raise EngineError("this engine was closed; open it again")
        images = np.ascontiguousarray(images)  # it has to live until the end of the run
        arrays = [np.empty((len(images), *spec.shape), spec.dtype) for spec in self._outputs.values()]
        step = self.max_batch or 1
        try:
            request = compiled.create_infer_request()  # quick; a request that is used again would keep these arrays
            for first in range(0, len(images), step):
                part = slice(first, first + step)
                request.set_input_tensor(tensor(images[part], shared_memory=True))
                for place, array in zip(self._outputs, arrays, strict=True):
                    request.set_output_tensor(place, tensor(array[part], shared_memory=True))
                request.infer()
        except Exception as error:  # OpenVINO's exceptions share no base class of its own
            raise EngineError(f"OpenVINO could not run a batch of shape {images.shape} ({reason_of(error)})") from error
        return arrays

    def close(self) -> None:
        """Free the model."""
        self._compiled = None
        super().close()


def _read(path: Path) -> ExportedModel:
    """The file's model. Raises EngineError for another kind of file, UsageError where the package onnx is missing."""
    try:
        return read_exported_model(path)
    except PackageMissing:
        raise UsageError(
            f"onnx is not installed, which --device openvino needs; {how_to_install('openvino')}"
        ) from None
    except YolactError as error:
        raise EngineError(known_refusal(path, "") or str(error)) from error


def _why_not_opened(path: Path, reason: str) -> str:
    return known_refusal(path, reason) or (
        f"{path} cannot be opened with --device openvino: {reason}; export it again with yolact-export --opset 20, or "
        "run it with --device cpu"
    )


def _find(names: Iterable[str], tensors: Iterable[Any]) -> dict[str, FoundTensor]:
    """The tensors of a file by these names.

    OpenVINO gives some tensors the names of others as well, and drops inputs that no node uses.
    """
    found = {
        name: FoundTensor(_type_name(tensor), tuple(_sizes(tensor)[1:])) for tensor in tensors for name in tensor.names
    }
    return {name: found.get(name, FoundTensor("not used", ())) for name in names}


def _type_name(tensor: Any) -> str:
    kind = np.dtype(tensor.element_type.to_dtype()).name
    return TYPE_NAMES.get(kind, kind)


def _sizes(tensor: Any) -> list[int]:
    """The shape, with -1 for open dimensions."""
    shape = tensor.partial_shape
    if shape.rank.is_dynamic:
        return []
    return [-1 if size.is_dynamic else size.get_length() for size in shape]
