"""Runs a PyTorch network where the runtime expects an exported file: for checkpoints, and while one is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import nn

from yolact import __version__
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.images.arrays import FloatArray, Image
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.postprocess.output_check import OutputCheck
from yolact.runtime.postprocess.postprocess import ImageHeads, NetworkDetections
from yolact.training.models.model import Yolact


class TorchEngine:
    """A network with the interface of `runtime.onnx.engine.OnnxEngine`: heads in float32 on the network's device, then
    the runtime's own post-processing on the CPU.

    Every call leaves each module in the mode, training or evaluation, in which it found it.
    """

    streams = 1

    def __init__(self, model: Yolact, postprocess: PostprocessConfig, weights_sha256: str = "") -> None:
        """
        Args:
            model: network on any device; later changes of its weights count.
            postprocess: NMS kind and limits.
            weights_sha256: digest of the checkpoint file, for the metadata.
        """
        self._metadata = ModelMetadata("full", model.config, postprocess, weights_sha256, __version__)
        self.min_batch: int = 1
        self.max_batch: int | None = None
        self._model = model
        self._check = OutputCheck(model.config)

    @property
    def metadata(self) -> ModelMetadata:
        """The model and its post-processing."""
        return self._metadata

    def set_postprocess(self, settings: PostprocessConfig) -> None:
        """Post-process by these settings from now on."""
        self._metadata = replace(self._metadata, postprocess=settings)

    @property
    def device(self) -> torch.device:
        """The device that the network's weights are on."""
        return next(self._model.parameters()).device

    def heads(self, images: Image) -> list[ImageHeads]:
        """Outputs of the heads for each image of a batch (N, S, S, 3) uint8 BGR."""
        with _evaluating(self._model) as device:
            pixels = torch.from_numpy(images).to(device)
            *raw, _segmentation = self._model(self._model.normalize(pixels))
            arrays = [tensor.cpu().numpy() for tensor in raw]
        return [ImageHeads(*image) for image in zip(*arrays, strict=True)]

    def detect(self, images: Image) -> list[NetworkDetections]:
        """Detections of each image of a batch (N, S, S, 3) uint8 BGR, without impossible ones, see `OutputCheck`."""
        found = [self._check.of_heads(heads, self.metadata.postprocess)[0] for heads in self.heads(images)]
        if not self.metadata.config.mask_rescoring:
            return found
        rescored = [replace(one, mask_scores=one.scores * self._mask_iou(one)) for one in found]
        return [one[self._check.possible(one)] for one in rescored]

    def close(self) -> None:
        """Free nothing, as the network belongs to the caller."""
        self._check.close()

    def _mask_iou(self, found: NetworkDetections) -> FloatArray:
        """(D,) float32: how well each mask is expected to fit (YOLACT++)."""
        with _evaluating(self._model) as device:
            masks, class_ids = (torch.from_numpy(array).to(device) for array in (found.masks, found.class_ids))
            iou: FloatArray = self._model.predict_mask_iou(masks, class_ids.long()).cpu().numpy()
        return iou


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[torch.device]:
    """Evaluation mode without gradients, in full precision also where training runs in mixed; yields the device.

    Modules get their modes back one by one, as frozen batch norms of a network in training are in evaluation mode.
    """
    modes = [(module, module.training) for module in model.modules()]
    device = next(model.parameters()).device
    model.eval()
    try:
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            yield device
    finally:
        for module, training in modes:
            module.training = training
