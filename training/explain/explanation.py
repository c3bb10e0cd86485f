"""Explains each mask of a network: prototypes, coefficients, and the contribution of every product of the two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.contract import DETECTION_COEFFICIENTS, HEADS, INPUT_NAME, output_specs
from yolact.runtime.detections import Detections, in_image
from yolact.runtime.errors import EngineError
from yolact.runtime.images.arrays import BoolArray, FloatArray, Image
from yolact.runtime.images.preprocess import Preprocessor, fill_batch
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.onnx.engine import OnnxEngine
from yolact.runtime.onnx.exported_model import read_exported_model
from yolact.runtime.onnx.graph_outputs import with_more_outputs
from yolact.runtime.onnx.session import open_session, run_session
from yolact.runtime.postprocess.mask_assembly import cells_inside, sigmoid
from yolact.runtime.postprocess.output_check import OutputCheck
from yolact.runtime.postprocess.postprocess import ImageHeads, NetworkDetections
from yolact.runtime.selection import rank
from yolact.runtime.tensorrt.plan_file import read_plan_header

if TYPE_CHECKING:
    from yolact.training.models.model import Yolact

INSIDE = (HEADS[-1], DETECTION_COEFFICIENTS)
"""Tensors of every full graph that are no outputs of it: the prototypes, and the mask coefficients."""


@dataclass(frozen=True)
class Explanation:
    """The parts of one image's masks (paper section 3, figure 5).

    Attributes:
        prototypes: (K, Hp, Wp) float32, not negative.
        coefficients: (D, K) float32 in [-1, 1], one row per detection.
        found: the D detections in the frame of the network, with the masks that the network itself assembled.

    Raises ValueError where the arrays' shapes do not belong together.
    """

    prototypes: FloatArray
    coefficients: FloatArray
    found: NetworkDetections

    def __post_init__(self) -> None:
        expected = (len(self.found.scores), len(self.prototypes))
        if self.prototypes.ndim != 3 or self.coefficients.shape != expected:
            raise ValueError(
                f"coefficients must have shape {expected} to go with {expected[0]} detections and prototypes of shape "
                f"{self.prototypes.shape}, got {self.coefficients.shape}"
            )

    def __len__(self) -> int:
        return len(self.coefficients)

    @property
    def ranking_scores(self) -> FloatArray:
        """(D,) the scores that rank instances: mask scores where the network predicts them, else scores."""
        return self.found.scores if self.found.mask_scores is None else self.found.mask_scores

    def select(self, score_threshold: float = 0.0, top_k: int | None = None) -> Explanation:
        """The best detections by the rule of `Detections.select`, in the same order."""
        return self[rank(self.found.scores, self.ranking_scores, score_threshold)[:top_k]]

    def __getitem__(self, index: NDArray[np.intp] | slice) -> Explanation:
        """The detections at several indices or in a slice."""
        return Explanation(self.prototypes, self.coefficients[index], self.found[index])

    def in_image(self, image_size: tuple[int, int], class_names: Sequence[str] = ()) -> Detections:
        """The detections in pixels of the image of this size (height, width), in the order they have here."""
        return in_image(self.found, image_size, class_names)

    def contributions(self, instance: int) -> FloatArray:
        """(K,) float32: the root mean square of every term over the cells that the instance's crop keeps.

        That is |coefficient| times the energy of the prototype inside the box; 0 for a box outside the image.
        """
        inside = _crop(self.found.boxes[instance], self.prototypes)
        cells = self.prototypes[:, inside]
        energy = np.sqrt((cells**2).mean(axis=1)) if cells.size else np.zeros(len(cells), np.float32)
        return np.abs(self.coefficients[instance]) * energy

    def compose(self, instance: int, shown: int = 6) -> Composition:
        """The mask of one instance term by term; `shown` of them single, the others as a sum."""
        order = np.argsort(-self.contributions(instance), kind="stable")
        single, others = order[:shown], order[shown:]
        coefficients = self.coefficients[instance]
        return Composition(
            indices=single,
            coefficients=coefficients[single],
            terms=coefficients[single, None, None] * self.prototypes[single],
            rest=np.tensordot(coefficients[others], self.prototypes[others], axes=1),
            others=len(others),
            inside=_crop(self.found.boxes[instance], self.prototypes),
        )


@dataclass(frozen=True)
class Composition:
    """One instance's mask as a sum of prototypes times coefficients (paper equation 1), on the prototypes' grid.

    Attributes:
        indices: (n,) prototypes shown as terms of their own, strongest first.
        coefficients: (n,) float32, theirs.
        terms: (n, Hp, Wp) float32, each coefficient times its prototype.
        rest: (Hp, Wp) float32, the sum of all other terms.
        others: how many those are.
        inside: (Hp, Wp) bool, the cells that cropping keeps.
    """

    indices: NDArray[np.intp]
    coefficients: FloatArray
    terms: FloatArray
    rest: FloatArray
    others: int
    inside: BoolArray

    @cached_property
    def logits(self) -> FloatArray:
        """(Hp, Wp) float32: the sum of all terms."""
        total: FloatArray = self.terms.sum(axis=0) + self.rest
        return total

    @cached_property
    def probabilities(self) -> FloatArray:
        """(Hp, Wp) float32: sigmoid of the sum, not cropped yet."""
        return sigmoid(self.logits)

    @cached_property
    def cropped(self) -> FloatArray:
        """(Hp, Wp) float32: probabilities inside the box, 0 outside it: the mask as networks return it."""
        return np.where(self.inside, self.probabilities, np.float32(0))


def explain_heads(heads: ImageHeads, config: ModelConfig, postprocess: PostprocessConfig) -> Explanation:
    """Post-process the heads of one image and keep the prototypes and coefficients of its masks.

    The detections are those of `runtime.postprocess.postprocess`; of YOLACT++ too without mask scores.
    """
    found, coefficients = OutputCheck(config).of_heads(heads, postprocess)
    return Explanation(heads.prototypes, coefficients, found)


def explain_network(model: Yolact, image: Image, postprocess: PostprocessConfig | None = None) -> Explanation:
    """Run a PyTorch network on one image (H, W, 3) uint8 BGR, by default with the official evaluation's settings.

    The network may be on any device and in training; it is left as it was. Raises ImageError for other values.
    """
    from yolact.training.models.torch_engine import TorchEngine

    config = model.config
    engine = TorchEngine(model, postprocess or PostprocessConfig())
    batch = Preprocessor(config.image_size)([image])
    explanation = explain_heads(engine.heads(batch)[0], config, engine.metadata.postprocess)
    if config.mask_rescoring:  # a second run, which finds the same and adds the mask scores
        explanation = replace(explanation, found=engine.detect(batch)[0])
    return explanation


class EngineExplainer:
    """Explains the detections of an engine file.

    A full graph runs with two tensors from inside it as additional outputs, so the explanation is of the file's own
    masks; a raw one is post-processed here, as the runtime does.
    """

    def __init__(self, path: Path) -> None:
        """Open an ONNX file written by yolact-export.

        Raises:
            EngineError: not such a file, a plan, or one whose inner tensors have other names.
            YolactError: a full graph, and onnx is not installed.
        """
        if read_plan_header(path) is not None:
            raise EngineError(f"{path} is a TensorRT plan and cannot be looked into; explain the ONNX file it is from")
        engine = OnnxEngine(path)
        self.metadata: ModelMetadata = engine.metadata
        self._batch_size = engine.min_batch
        self._run = engine.run if self.metadata.graph == "raw" else _inside_of(path, self.metadata)

    def __call__(self, image: Image) -> Explanation:
        """Explain one image (H, W, 3) uint8 BGR.

        Raises ImageError for a value that is no image, EngineError where prototypes or coefficients are not finite.
        """
        config, settings = self.metadata.config, self.metadata.postprocess
        images = fill_batch(Preprocessor(config.image_size)([image]), self._batch_size)
        outputs = [array[0] for array in self._run(images)]
        if self.metadata.graph == "raw":
            explanation = explain_heads(ImageHeads(*outputs), config, settings)
        else:
            prototypes, coefficients, count, *arrays = outputs
            found, rows = OutputCheck(config).of_outputs(int(count[0]), arrays)
            prototypes, coefficients = (array.astype(np.float32, copy=False) for array in (prototypes, coefficients))
            explanation = Explanation(prototypes, coefficients[rows], found)
        if not all(np.isfinite(array).all() for array in (explanation.prototypes, explanation.coefficients)):
            raise EngineError("the network's prototypes or coefficients are not finite, so they explain nothing")
        return explanation


def _inside_of(path: Path, metadata: ModelMetadata) -> Callable[[Image], list[NDArray[Any]]]:
    """A full graph, run for prototypes, the detections' coefficients and then its outputs in contract order."""
    proto = read_exported_model(path).proto
    computed = {name for node in proto.graph.node for name in node.output}
    for name in INSIDE:
        if name not in computed:
            raise EngineError(f"{path} has no tensor {name!r} inside to explain; export it again with yolact-export")
    session = open_session(with_more_outputs(proto, INSIDE))
    names = [*INSIDE, *output_specs("full", metadata.config, metadata.postprocess)]
    return lambda images: run_session(session, names, {INPUT_NAME: images})


def _crop(box: FloatArray, prototypes: FloatArray) -> BoolArray:
    """(Hp, Wp) bool: the cells that `assemble_masks` keeps for a box (4,) xyxy relative to the network input."""
    kept: BoolArray = cells_inside(box[None], prototypes.shape[1:])[0]
    return kept
