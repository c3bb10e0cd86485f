"""What a YOLACT network is and how its raw outputs become detections: frozen values, stored as JSON with the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from yolact.runtime.errors import UsageError

Backbone = Literal["resnet50", "resnet101", "darknet53", "mobilenet_v2"]
Nms = Literal["fast", "cross-class", "traditional"]

LEVELS = 5
"""Pyramid levels P3..P7."""

DISPLAY_SCORE_THRESHOLD = 0.15
"""What is shown of an image scores above this unless the user says otherwise: with this value the official README
shows images (`eval.py --score_threshold=0.15`)."""

DISPLAY_TOP_K = 15
"""Most detections shown of an image, unless the user says otherwise: `eval.py --top_k=15`, likewise."""


@dataclass(frozen=True)
class ModelConfig:
    """One YOLACT or YOLACT++ architecture.

    Attributes:
        name: configuration name as the official repository spells it, e.g. ``yolact_resnet50``.
        backbone: feature extractor.
        image_size: side S of the square network input, pixels.
        class_names: C names, background not included.
        category_ids: C ids by which a dataset in COCO's format knows the classes; 1..C where none are given.
        scales: anchor sizes in pixels of the network input, one tuple per pyramid level P3..P7.
        aspect_ratios: width/height ratios shared by all levels.
        square_anchors: width and height are both ``scale * sqrt(ratio)``. An early bug of the official code that the
            trained v1 weights rely on (`use_square_anchors`, official data/config.py).
        deformable_interval: every n-th block of stages 3-5 is a modulated deformable convolution (YOLACT++); 0: none.
        mask_rescoring: has the fast mask re-scoring network (YOLACT++, paper section 6).
        num_coefficients: K, mask coefficients per prior and number of prototypes.
        fpn_channels: channels of every pyramid level, of the head and of Protonet (official `fpn.num_features`).
    """

    name: str
    backbone: Backbone
    image_size: int
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...] = ()
    scales: tuple[tuple[float, ...], ...] = ((24,), (48,), (96,), (192,), (384,))
    aspect_ratios: tuple[float, ...] = (1, 1 / 2, 2)
    square_anchors: bool = True
    deformable_interval: int = 0
    mask_rescoring: bool = False
    num_coefficients: int = 32
    fpn_channels: int = 256

    def __post_init__(self) -> None:
        if self.backbone not in get_args(Backbone):
            raise UsageError(f"backbone must be one of {', '.join(get_args(Backbone))}, got {self.backbone!r}")
        if not isinstance(self.image_size, int) or self.image_size < 1:
            raise UsageError(f"image_size must be a positive whole number, got {self.image_size!r}")
        if not self.class_names or not all(isinstance(name, str) for name in self.class_names):
            raise UsageError(f"class_names must be at least one text, got {self.class_names!r}")
        if not self.category_ids:
            object.__setattr__(self, "category_ids", tuple(range(1, self.num_classes + 1)))
        if len(self.category_ids) != self.num_classes or len(set(self.category_ids)) != self.num_classes:
            raise UsageError(
                f"category_ids must be one different id for each of {self.num_classes} classes, got {self.category_ids}"
            )
        if len(self.scales) != LEVELS or len({len(scales) for scales in self.scales}) != 1 or not self.scales[0]:
            raise UsageError(f"scales must be {LEVELS} levels of equally many sizes, got {self.scales!r}")

    def with_classes(self, names: Sequence[str], category_ids: Sequence[int] = ()) -> ModelConfig:
        """The same architecture for other classes; category ids as in the attributes."""
        return replace(self, class_names=tuple(names), category_ids=tuple(category_ids))

    @property
    def num_classes(self) -> int:
        """C, background not counted."""
        return len(self.class_names)

    @property
    def anchors_per_cell(self) -> int:
        """A: anchors at each position of a level (the same on every level)."""
        return len(self.scales[0]) * len(self.aspect_ratios)

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Side of the square feature maps P3..P7, cells. Each stride-2 stage rounds up."""
        return tuple(-(-self.image_size // stride) for stride in (8, 16, 32, 64, 128))

    @property
    def prototype_size(self) -> int:
        """Hp = Wp: prototypes have twice the resolution of P3."""
        return 2 * self.level_sizes[0]

    @property
    def num_priors(self) -> int:
        """N: anchors over all levels."""
        return self.anchors_per_cell * sum(size * size for size in self.level_sizes)

    def to_json(self) -> dict[str, Any]:
        """The configuration as JSON values; `from_json` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ModelConfig:
        """Inverse of `to_json`. Raises KeyError, TypeError or UsageError where values are amiss."""
        known = {f.name: values[f.name] for f in fields(cls)}
        if known.keys() != values.keys() or isinstance(values["class_names"], str):
            raise TypeError(f"expected the values {', '.join(known)}, got {values!r}")
        known["class_names"] = tuple(known["class_names"])
        known["category_ids"] = tuple(known["category_ids"])
        known["scales"] = tuple(tuple(level) for level in known["scales"])
        known["aspect_ratios"] = tuple(known["aspect_ratios"])
        return cls(**known)


@dataclass(frozen=True)
class PostprocessConfig:
    """How raw heads become detections; defaults are the official evaluation settings.

    Attributes:
        score_threshold: a prior is a candidate where its best class score is strictly above this. Fast NMS applies no
            second threshold, so detections of a candidate's other classes may score lower.
        nms_threshold: boxes of one class overlapping a better one by more than this IoU are suppressed.
        top_k: best candidates per class that enter NMS (over all classes for ``cross-class``).
        max_detections: D, detections kept per image.
        nms: ``fast`` per class, ``cross-class`` fast, or ``traditional`` greedy (raw graphs only).
    """

    score_threshold: float = 0.05
    nms_threshold: float = 0.5
    top_k: int = 200
    max_detections: int = 100
    nms: Nms = "fast"

    def __post_init__(self) -> None:
        for name in ("score_threshold", "nms_threshold"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise UsageError(f"{name} must lie in [0, 1], got {value}")
        for name in ("top_k", "max_detections"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise UsageError(f"{name} must be a whole number of at least 1, got {value!r}")
        if self.nms not in get_args(Nms):
            raise UsageError(f"nms must be one of {', '.join(get_args(Nms))}, got {self.nms!r}")
