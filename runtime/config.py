"""The architecture of a YOLACT network and its post-processing: frozen values, stored as JSON with the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import Any, Literal, get_args

from yolact.runtime.class_names import bare
from yolact.runtime.fields import FieldError, entries, exactly, flag, fraction, one_of, positive, shown, text, whole

Backbone = Literal["resnet50", "resnet101", "darknet53", "mobilenet_v2"]
Nms = Literal["fast", "cross-class", "traditional"]

MAX_NAME = 10_000
"""Most characters in any text of the metadata."""

MAX_CLASS_NAME = 200
"""Most characters in the name of a class, which is drawn beside its box."""

MAX_CLASSES = 100_000
MAX_IMAGE_SIZE = 8192
MAX_CHANNELS = 4096
MAX_ANCHORS = 100
"""Most sizes, and most ratios, of one level."""

MAX_ANCHOR_SIZE = 1e6
MAX_ASPECT_RATIO = 1e3

MAX_CATEGORY_ID = 2**53
"""Largest id: readers of JSON that hold every number as a float are exact up to here."""

MAX_KEPT = 1_000_000
"""Most candidates, or detections."""

LEVELS = 5
"""Pyramid levels P3..P7."""

DISPLAY_SCORE_THRESHOLD = 0.15
"""Detections above this score are shown unless the user says otherwise. The official README shows images with it
(`eval.py --score_threshold=0.15`)."""

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
        text("name", self.name, 200)
        if not self.name.isprintable() or not self.name or set("/\\") & set(self.name):
            raise FieldError(f"name must be what a file can be called on one line, got {shown(self.name)}")
        one_of("backbone", self.backbone, get_args(Backbone))
        whole("image_size", self.image_size, 1, MAX_IMAGE_SIZE)
        self._check_classes()
        self._check_anchors()
        for name in ("square_anchors", "mask_rescoring"):
            flag(name, getattr(self, name))
        whole("deformable_interval", self.deformable_interval, 0, MAX_CHANNELS)
        for name in ("num_coefficients", "fpn_channels"):
            whole(name, getattr(self, name), 1, MAX_CHANNELS)

    def _check_classes(self) -> None:
        names = self.class_names
        if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
            raise FieldError(f"class_names must be at least one text, got {shown(names)}")
        self._set("class_names", entries("class_names", names, _class_name, 1, MAX_CLASSES))
        given = self.category_ids or range(1, self.num_classes + 1)
        ids = entries("category_ids", tuple(given) if isinstance(given, range) else given, _category_id, 0, MAX_CLASSES)
        if len(ids) != self.num_classes or len(set(ids)) != self.num_classes:
            raise FieldError(
                f"category_ids must be one different id for each of {self.num_classes} classes, got {shown(ids)}"
            )
        self._set("category_ids", ids)

    def _check_anchors(self) -> None:
        scales = self.scales
        if (
            not isinstance(scales, (list, tuple))
            or len(scales) != LEVELS
            or not all(isinstance(level, (list, tuple)) and level for level in scales)
            or len({len(level) for level in scales}) != 1
        ):
            raise FieldError(f"scales must be {LEVELS} levels of equally many sizes, got {shown(scales)}")
        check = partial(entries, check=_anchor_size, least=1, most=MAX_ANCHORS)
        self._set("scales", entries("scales", scales, check))
        self._set("aspect_ratios", entries("aspect_ratios", self.aspect_ratios, _aspect_ratio, 1, MAX_ANCHORS))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # the one way to give a frozen value its checked form

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
    def from_json(cls, values: object) -> ModelConfig:
        """Inverse of `to_json`, for untrusted values. Raises FieldError where one is wrong."""
        return cls(**exactly("the configuration", values, tuple(field.name for field in fields(cls))))


def _class_name(name: str, value: object) -> str:
    if not bare(text(name, value, MAX_CLASS_NAME)):
        raise FieldError(f"{name} must have a letter or another sign that can be seen, got {shown(value)}")
    return str(value)


def _category_id(name: str, value: object) -> int:
    return whole(name, value, -MAX_CATEGORY_ID, MAX_CATEGORY_ID)


def _anchor_size(name: str, value: object) -> float:
    return positive(name, value, MAX_ANCHOR_SIZE)


def _aspect_ratio(name: str, value: object) -> float:
    return positive(name, value, MAX_ASPECT_RATIO)


@dataclass(frozen=True)
class PostprocessConfig:
    """The post-processing of raw heads; defaults are the official evaluation settings.

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
            fraction(name, getattr(self, name))
        for name in ("top_k", "max_detections"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_KEPT:
                raise FieldError(
                    f"{name} must be a whole number of at least 1 and at most {MAX_KEPT}, got {shown(value)}"
                )
        one_of("nms", self.nms, get_args(Nms))

    @classmethod
    def from_json(cls, values: object) -> PostprocessConfig:
        """From untrusted values by the names of the attributes; those left out take their defaults.

        Raises FieldError where one is wrong.
        """
        whole_set = asdict(cls()) | values if isinstance(values, dict) else values
        return cls(**exactly("the post-processing", whole_set, tuple(field.name for field in fields(cls))))
