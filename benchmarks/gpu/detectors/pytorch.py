"""Whole detectors in PyTorch: from images in the host's memory to masks at their size, also there.

`Eager` takes the steps of the official code. `Recorded` is the fastest form in PyTorch: channels last, work recorded in
CUDA graphs, and this project's kernels where PyTorch has none. Both also run on a CPU, where nothing is recorded.
Not yet run on a GPU.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import deepcopy

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.gpu.detectors.agreement import Found, Prepare
from benchmarks.gpu.kernels.launches import PostprocessKernels, ResizeKernel, current_stream
from benchmarks.gpu.recording import record
from benchmarks.torch_postprocess import Heads, official_images
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.cuda.kernels import KernelLibrary, MasksToImageParams, MasksToImageTensors
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.geometry import ImageTransform, Region
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.postprocess.mask_assembly import CROP_PADDING
from yolact.runtime.postprocess.priors import make_priors
from yolact.training.models.configs import normalization
from yolact.training.models.model import Yolact


class Contender(ABC):
    """One way from images to detections.

    Attributes:
        images: the input of the next run, (H, W, 3) uint8 BGR arrays, all of one size and always the same number.
        stages: a run's steps in order; each may leave work on the GPU that the next one waits for.
    """

    images: Sequence[Image]
    stages: dict[str, Callable[[], None]]

    def run(self) -> None:
        """Run all stages."""
        for stage in self.stages.values():
            stage()

    @abstractmethod
    def found(self) -> list[Found]:
        """What the last run found in each image."""

    def prepare_on_cpu(self, size: int) -> Prepare:
        """The function by which this contender makes the network's input (N, S, S, 3), for the reference."""
        return Preprocessor(size)

    def close(self) -> None:  # noqa: B027 - most contenders hold nothing
        """Free what the contender holds."""


class Network:
    """A network on a device in a type, with its priors and normalisation."""

    def __init__(self, model: Yolact, dtype: torch.dtype, layout: torch.memory_format, device: str) -> None:
        self.size = model.config.image_size
        self._model = deepcopy(model).to(device, dtype, memory_format=layout)
        self._dtype, self._layout = dtype, layout
        values = np.array(normalization(model.config), np.float32)
        self._mean, self._deviation = torch.from_numpy(values).to(device).view(2, 1, 3, 1, 1)
        self._priors = torch.from_numpy(np.array(make_priors(model.config))).to(device)

    def __call__(self, pixels: Tensor) -> Heads:
        """Heads of (B, 3, S, S) BGR pixels from 0 to 255 of any type."""
        normalised = ((pixels.float() - self._mean) / self._deviation).flip(1)
        raw = self._model(normalised.to(self._dtype).contiguous(memory_format=self._layout))
        heads = (raw.locations, raw.confidences, raw.coefficients)
        return Heads(*(array.contiguous() for array in heads), self._priors, raw.prototypes.contiguous())


class Eager(Contender):
    """The steps of the official code: each operation is a call, and from NMS on images go one after the other.

    Source: the official utils/augmentations.py `FastBaseTransform`, and `torch_postprocess.official_images`.
    """

    def __init__(self, model: Yolact, dtype: torch.dtype, config: PostprocessConfig, device: str) -> None:
        self._network, self._config = Network(model, dtype, torch.contiguous_format, device), config
        self._device = device
        names = ("prepare", "network", "postprocess", "masks", "fetch")
        self.stages = {name: torch.inference_mode()(getattr(self, f"_{name}_stage")) for name in names}

    def prepare_on_cpu(self, size: int) -> Prepare:
        """The function that resizes images as the official code does, without rounding."""
        return lambda images: resize_in_float(torch.from_numpy(np.stack(images)), size).permute(0, 2, 3, 1).numpy()

    def _prepare_stage(self) -> None:
        self._pixels = resize_in_float(torch.from_numpy(np.stack(self.images)).to(self._device), self._network.size)

    def _network_stage(self) -> None:
        self._heads = self._network(self._pixels)

    def _postprocess_stage(self) -> None:
        self._detections = official_images(self._heads, self._config)

    def _masks_stage(self) -> None:
        self._masks = []
        for image, (*_, masks) in zip(self.images, self._detections, strict=True):
            if len(masks):
                masks = F.interpolate(masks[None], image.shape[:2], mode="bilinear", align_corners=False)[0]
            self._masks.append(masks > 0.5)

    def _fetch_stage(self) -> None:
        self._fetched = [
            tuple(array.cpu().numpy() for array in (boxes, scores, classes, masks))
            for (boxes, scores, classes, _), masks in zip(self._detections, self._masks, strict=True)
        ]

    def found(self) -> list[Found]:
        """What the last run found in each image."""
        result = []
        for image, (boxes, scores, classes, masks) in zip(self.images, self._fetched, strict=True):
            whole = Region(0, 0, *image.shape[:2])
            boxes = ImageTransform(image.shape[:2]).boxes_to_image(boxes)
            result.append(Found(boxes, scores, classes, [(whole, mask) for mask in masks]))
        return result


class Recorded(Contender):
    """The network channels last in CUDA graphs, with this project's kernels before and after it.

    Each kernel takes all images of a batch at once, but for the resizing one, whose images may differ in size.
    """

    def __init__(
        self,
        library: KernelLibrary,
        model: Yolact,
        dtype: torch.dtype,
        config: PostprocessConfig,
        device: str,
        images: Sequence[Image],
    ) -> None:
        """Record the graphs on `images`; every run has as many images of the same size."""
        self.images = images
        self._library, self._device = library, device
        self._network = Network(model, dtype, torch.channels_last, device)
        self._config = config
        shape, size = (len(images), *images[0].shape), self._network.size
        self._staging = torch.empty(shape, dtype=torch.uint8, pin_memory=device != "cpu")
        self._frames = torch.empty(shape, dtype=torch.uint8, device=device)
        self._pixels = torch.empty((len(images), size, size, 3), dtype=torch.uint8, device=device)
        self._resizes = [
            ResizeKernel(library, frame, size, output) for frame, output in zip(self._frames, self._pixels, strict=True)
        ]
        with torch.inference_mode():
            self._kernels = PostprocessKernels(library, self._network(self._network_input()), config)
            self._upload()
            self._resize = self._record(lambda: [kernel.run() for kernel in self._resizes])
            self._infer = self._record(self._run_network)
            self._postprocess = self._record(self._kernels.both)
        self.poison()
        self._room = self._bits = torch.empty(0, dtype=torch.uint8)
        names = ("prepare", "network", "postprocess", "masks")
        self.stages = {name: torch.inference_mode()(getattr(self, f"_{name}_stage")) for name in names}

    @torch.inference_mode()
    def poison(self) -> None:
        """Fill the memory between the stages with values that are no results, so an empty recording is noticed."""
        self._pixels.fill_(0xA5)
        self._kernels.poison()

    def _record(self, work: Callable[[], object]) -> Callable[[], object]:
        """The work as one call on the memory that it uses now: a graph's replay, or on a CPU the work itself."""
        return work if self._device == "cpu" else record(work).replay

    def _network_input(self) -> Tensor:
        return self._pixels.permute(0, 3, 1, 2)  # the result is channels last

    def _run_network(self) -> None:
        self._kernels.heads = self._network(self._network_input())

    def _upload(self) -> None:
        for image, staging in zip(self.images, self._staging, strict=True):
            staging.numpy()[:] = image
        self._frames.copy_(self._staging, non_blocking=True)

    def _prepare_stage(self) -> None:
        self._upload()
        self._resize()

    def _network_stage(self) -> None:
        self._infer()

    def _postprocess_stage(self) -> None:
        self._postprocess()

    def _masks_stage(self) -> None:
        """Copy the boxes to the host, upload the regions of the masks computed from them, and fetch the masks' bits."""
        outputs = self._kernels.outputs
        self._counts, self._boxes, self._scores, self._classes = (array.cpu().numpy() for array in outputs[:4])
        size = self.images[0].shape[:2]
        self._regions = mask_regions(self._boxes, self._counts, outputs.masks.shape[-2:], size)
        heights, widths = (self._regions[..., 2:] - self._regions[..., :2]).reshape(-1, 2).T.astype(np.int64)
        ends = np.cumsum(heights * (-(-widths // 8)))
        self._offsets, total = np.concatenate([[0], ends[:-1]]), int(ends[-1])
        if total > len(self._room):
            self._room = torch.empty(2 * total, dtype=torch.uint8, device=self._device)
            self._bits = torch.empty(2 * total, dtype=torch.uint8, pin_memory=self._device != "cpu")
        regions, offsets = (torch.from_numpy(array).to(self._device) for array in (self._regions, self._offsets))
        params = MasksToImageParams(self._regions[..., 0].size, *outputs.masks.shape[-2:], *size, total)
        arrays = (outputs.masks, regions, offsets, self._room)
        tensors = MasksToImageTensors(*(array.data_ptr() for array in arrays))
        self._library.masks_to_image(params, tensors, current_stream(outputs.masks))
        self._bits[:total].copy_(self._room[:total])

    def found(self) -> list[Found]:
        """What the last run found in each image."""
        offsets = self._offsets.reshape(self._regions.shape[:2])
        result = []
        for i, (image, count) in enumerate(zip(self.images, self._counts.ravel().tolist(), strict=True)):
            regions = [Region(*map(int, region)) for region in self._regions[i, :count]]
            masks = [(region, self._unpack(region, int(at))) for region, at in zip(regions, offsets[i], strict=False)]
            boxes = ImageTransform(image.shape[:2]).boxes_to_image(self._boxes[i, :count])
            scores, classes = (array[i, :count].copy() for array in (self._scores, self._classes))
            result.append(Found(boxes, scores, classes, masks))
        return result

    def _unpack(self, region: Region, offset: int) -> np.ndarray:
        height, width = region.shape
        packed = self._bits.numpy()[offset : offset + height * -(-width // 8)].reshape(height, -(-width // 8))
        return np.unpackbits(packed, axis=1, count=width).astype(np.bool_)


def resize_in_float(images: Tensor, size: int) -> Tensor:
    """Images (B, H, W, 3) uint8 resized to (B, 3, S, S) float32 as by the official `FastBaseTransform`, not rounded."""
    pixels = images.permute(0, 3, 1, 2).float()
    return F.interpolate(pixels, (size, size), mode="bilinear", align_corners=False)


def mask_regions(
    boxes: np.ndarray, counts: np.ndarray, grid: tuple[int, int], image_size: tuple[int, int]
) -> np.ndarray:
    """Regions (B, D, 4) int32 top, left, bottom, right of the pixels that masks cropped to boxes (B, D, 4) can set.

    Regions past the counts (B, 1) are empty.

    A mask's cells begin at most CROP_PADDING beyond its box and are one cell wide: half a cell from its centre a cell
    no longer lifts a pixel over the threshold.
    """
    (height, width), (rows, columns) = image_size, grid
    extent = np.array([height, width, height, width])
    reach = (CROP_PADDING + 1) * np.array([height / rows, width / columns])
    corners = boxes[..., [1, 0, 3, 2]].astype(np.float64) * extent
    low, high = np.floor(corners[..., :2] - reach), np.ceil(corners[..., 2:] + reach)
    regions = np.clip(np.concatenate([low, high], axis=-1), 0, extent)
    regions[np.arange(boxes.shape[1]) >= counts] = 0
    return regions.astype(np.int32, order="C")  # indexing has left the array in another order
