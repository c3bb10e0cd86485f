"""Launches of the CUDA kernels on PyTorch's tensors. Each has memory of its own, so that copies can take turns."""

from __future__ import annotations

from copy import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.torch_postprocess import Heads, Outputs
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.cuda.kernels import (
    DeviceImage,
    ElementType,
    FastNmsParams,
    FastNmsTensors,
    KernelLibrary,
    MaskAssemblyParams,
    MaskAssemblyTensors,
    MasksToImageParams,
    MasksToImageTensors,
)
from yolact.runtime.images.geometry import ImageTransform

TYPES = {torch.float32: ElementType.FLOAT32, torch.float16: ElementType.FLOAT16}


def current_stream(tensor: Tensor) -> int:
    """The CUDA stream that PyTorch uses at present; 0 where the tensor is on the CPU."""
    return torch.cuda.current_stream(tensor.device).cuda_stream if tensor.is_cuda else 0


class PostprocessKernels:
    """Both kernels of the plugins on one set of inputs, with outputs and workspace of its own.

    Attributes:
        heads: their input; may be replaced by others of the same shapes and type.
        outputs: their results.
    """

    def __init__(self, library: KernelLibrary, heads: Heads, config: PostprocessConfig) -> None:
        self._library, self.heads = library, heads
        batch, priors, columns = heads.confidences.shape
        coefficients, height, width = heads.prototypes.shape[1:]
        kind, device = TYPES[heads.confidences.dtype], heads.confidences.device
        self._nms = FastNmsParams(
            *(batch, priors, columns - 1, coefficients, config.top_k, config.max_detections, 0, kind),
            *(config.score_threshold, config.nms_threshold),
        )
        self._assembly = MaskAssemblyParams(batch, config.max_detections, coefficients, height, width, kind)
        rows = (batch, config.max_detections)
        self.outputs = Outputs(
            torch.empty((batch, 1), dtype=torch.int32, device=device),
            torch.empty((*rows, 4), device=device),
            torch.empty(rows, device=device),
            torch.empty(rows, dtype=torch.int32, device=device),
            torch.empty((*rows, height, width), device=device),
        )
        self._chosen = heads.coefficients.new_empty((*rows, coefficients))
        size = library.fast_nms_workspace(self._nms)
        self._workspace = torch.empty(size + 256, dtype=torch.uint8, device=device)
        self.poison()

    def poison(self) -> None:
        """Fill the outputs with values that are no results."""
        for array in (*self.outputs, self._chosen):
            array.fill_(torch.nan if array.is_floating_point() else -1)

    def fast_nms(self) -> None:
        """Launch Fast NMS on the current stream."""
        heads, outputs = self.heads, self.outputs
        tensors = FastNmsTensors(
            *(array.data_ptr() for array in (heads.locations, heads.confidences, heads.coefficients, heads.priors)),
            *(array.data_ptr() for array in (*outputs[:4], self._chosen)),
        )
        workspace = -(-self._workspace.data_ptr() // 256) * 256
        self._library.fast_nms(self._nms, tensors, workspace, current_stream(heads.priors))

    def mask_assembly(self) -> None:
        """Launch mask assembly on the current stream."""
        arrays = (self.heads.prototypes, self._chosen, self.outputs.boxes, self.outputs.num_detections)
        tensors = MaskAssemblyTensors(*(array.data_ptr() for array in (*arrays, self.outputs.masks)))
        self._library.mask_assembly(self._assembly, tensors, current_stream(self.heads.priors))

    def both(self) -> None:
        """Launch Fast NMS and then mask assembly on the current stream."""
        self.fast_nms()
        self.mask_assembly()


class ResizeKernel:
    """The kernel that resizes an image (H, W, 3) to the network's input (S, S, 3), in its own memory or in `output`."""

    def __init__(self, library: KernelLibrary, image: Tensor, size: int, output: Tensor | None = None) -> None:
        self._library, self._image = library, image
        rubbish = torch.full((size, size, 3), 0xA5, dtype=torch.uint8, device=image.device)
        self.output = rubbish if output is None else output

    def copy(self) -> ResizeKernel:
        """A launch of the same work on other memory."""
        return ResizeKernel(self._library, self._image.clone(), len(self.output))

    def torch_form(self) -> Tensor:
        """The resized image (S, S, 3) by PyTorch, which rounds some values differently."""
        pixels, size = self._image.permute(2, 0, 1)[None].float(), self.output.shape[:2]
        resized = F.interpolate(pixels, size, mode="bilinear", align_corners=False)
        return resized[0].round().byte().permute(1, 2, 0).contiguous()

    def run(self) -> None:
        """Launch the kernel on the current stream."""
        height, width = self._image.shape[:2]
        image = DeviceImage(self._image.data_ptr(), height, width, 3 * width)
        self._library.resize_pack(image, len(self.output), self.output.data_ptr(), current_stream(self._image))


class MasksKernel:
    """The kernel that enlarges masks (D, Hp, Wp) to packed bits of the regions of `ImageTransform.upsample_mask`.

    Attributes:
        bits: its result, one region behind the other.
        expected: the correct result.
        bytes: the fewest that must move: those of the cells of the regions, of the regions and of the bits.
    """

    def __init__(self, library: KernelLibrary, masks: Tensor, image_size: tuple[int, int]) -> None:
        self._library, self._masks = library, masks
        transform = ImageTransform(image_size)
        made = [transform.upsample_mask(mask) for mask in masks.cpu().numpy()]
        packed = [np.packbits(bits, axis=1).reshape(-1) for _, bits in made]
        sizes = [len(part) for part in packed]
        self.expected = torch.from_numpy(np.concatenate(packed))
        regions = np.array([[box.top, box.left, box.bottom, box.right] for box, _ in made], np.int32)
        offsets = np.cumsum([0, *sizes[:-1]]).astype(np.int64)
        self._regions, self._offsets = (torch.from_numpy(array).to(masks.device) for array in (regions, offsets))
        self.bits = torch.full((sum(sizes),), 0xA5, dtype=torch.uint8, device=masks.device)
        self._params = MasksToImageParams(*masks.shape, *image_size, sum(sizes))
        pixels = sum(bits.size for _, bits in made)
        cells = pixels * masks.shape[1] * masks.shape[2] // (image_size[0] * image_size[1])
        self.bytes = cells * 4 + regions.nbytes + offsets.nbytes + sum(sizes)

    def copy(self) -> MasksKernel:
        """A launch of the same work on other memory."""
        other = copy(self)
        other._masks, other.bits = self._masks.clone(), self.bits.clone()
        return other

    def torch_form(self) -> Tensor:
        """The masks at image size as the official code makes them: (D, H, W) bool."""
        size = (self._params.image_height, self._params.image_width)
        return F.interpolate(self._masks[None], size, mode="bilinear", align_corners=False)[0] > 0.5

    def run(self) -> None:
        """Launch the kernel on the current stream."""
        arrays = (self._masks, self._regions, self._offsets, self.bits)
        tensors = MasksToImageTensors(*(array.data_ptr() for array in arrays))
        self._library.masks_to_image(self._params, tensors, current_stream(self._masks))
