"""Configurations by name: the official ones of YOLACT, YOLACT++ and YOLACT-Edge, and one for demonstrations."""

from __future__ import annotations

import re
from dataclasses import replace

from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import UsageError

# fmt: off
COCO_CLASSES: tuple[str, ...] = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag",
    "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat",
    "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle", "wine glass", "cup", "fork",
    "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog",
    "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet", "tv",
    "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)
"""The 80 COCO names in the order of the class ids 0..79."""

PASCAL_CLASSES: tuple[str, ...] = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)
"""The 20 Pascal VOC names in the order of the class ids 0..19."""

YOUTUBE_VIS_CLASSES: tuple[str, ...] = (
    "person", "giant_panda", "lizard", "parrot", "skateboard", "sedan", "ape", "dog", "snake", "monkey",
    "hand", "rabbit", "duck", "cat", "cow", "fish", "train", "horse", "turtle", "bear", "motorbike",
    "giraffe", "leopard", "fox", "deer", "owl", "surfboard", "airplane", "truck", "zebra", "tiger",
    "elephant", "snowboard", "boat", "shark", "mouse", "frog", "eagle", "earless_seal", "tennis_racket",
)
"""The 40 names of YouTube-VIS (2019) in the order of the class ids 0..39."""
# fmt: on

COCO_CATEGORY_IDS = tuple(id for id in range(1, 91) if id not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83))
"""Ids of the 80 classes in COCO's annotation files (official data/config.py, COCO_LABEL_MAP)."""

_BASE = ModelConfig("yolact_base", "resnet101", 550, COCO_CLASSES, COCO_CATEGORY_IDS)


def _resized(name: str, image_size: int) -> ModelConfig:
    # The official configurations truncate the rescaled anchors to whole pixels, and the weights rely on it.
    scales = tuple((int(scale / _BASE.image_size * image_size),) for (scale,) in _BASE.scales)
    return replace(_BASE, name=name, image_size=image_size, scales=scales)


_RESNET50 = replace(_BASE, name="yolact_resnet50", backbone="resnet50")

_PASCAL = replace(
    _RESNET50.with_classes(PASCAL_CLASSES),
    name="yolact_resnet50_pascal",
    scales=((32,), (64,), (128,), (256,), (512,)),
    square_anchors=False,
)

_PLUS_BASE = replace(
    _BASE,
    name="yolact_plus_base",
    scales=tuple(tuple(scale * 2 ** (third / 3) for third in range(3)) for (scale,) in _BASE.scales),
    square_anchors=False,
    deformable_interval=3,
    mask_rescoring=True,
)

SCENE_CLASSES: tuple[str, ...] = ("disc", "ring", "triangle", "box", "star", "cross")
"""The shapes of synthetic scenes, see `training.scenes.shapes`."""

PART_CLASSES: tuple[str, ...] = ("bolt", "nut", "washer", "gear", "bracket", "spring")
"""The machine parts of bins, see `training.scenes`."""

_EDGE_MOBILENET = replace(_BASE, name="yolact_edge_mobilenetv2", backbone="mobilenet_v2")

_DEMO = replace(
    _EDGE_MOBILENET.with_classes(PART_CLASSES),
    name="yolact_demo",
    image_size=320,
    scales=((20,), (40,), (80,), (160,), (280,)),
    square_anchors=False,
    num_coefficients=16,
    fpn_channels=64,
)

_NUCLEI = replace(
    _DEMO.with_classes(("nucleus",)),
    name="yolact_nuclei",
    image_size=448,
    scales=((12, 20), (32, 48), (72, 104), (150, 200), (300, 400)),
)

CONFIGS: dict[str, ModelConfig] = {
    config.name: config
    for config in (
        _BASE,
        _RESNET50,
        replace(_BASE, name="yolact_darknet53", backbone="darknet53"),
        _resized("yolact_im400", 400),
        _resized("yolact_im700", 700),
        _PASCAL,
        _PLUS_BASE,
        replace(_PLUS_BASE, name="yolact_plus_resnet50", backbone="resnet50", deformable_interval=1),
        replace(_BASE, name="yolact_edge"),
        replace(_RESNET50, name="yolact_edge_resnet50"),
        _EDGE_MOBILENET,
        replace(_BASE.with_classes(YOUTUBE_VIS_CLASSES), name="yolact_edge_youtubevis"),
        replace(_RESNET50.with_classes(YOUTUBE_VIS_CLASSES), name="yolact_edge_youtubevis_resnet50"),
        _DEMO,
        _NUCLEI,
    )
}
"""The eight official configurations, the image models of YOLACT-Edge (data/config.py of WisconsinAIVision/yolact_edge),
and the one of the demonstration model."""

_VIDEO = re.compile(r"^yolact_edge_vid(?:_minimal|_trainflow)?(?=$|_)")
"""In names of YOLACT-Edge's configurations for video, whose key frames are those of ``yolact_edge_youtubevis``."""


def get_config(name: str) -> ModelConfig:
    """The configuration called ``name``, with or without the official suffix ``_config``.

    Those of YOLACT-Edge for video (``yolact_edge_vid_resnet50`` and the like) are the one of their key frames.

    Raises:
        UsageError: no such configuration; the message lists the known names.
    """
    try:
        return CONFIGS[_VIDEO.sub("yolact_edge_youtubevis", name.removesuffix("_config"))]
    except KeyError:
        raise UsageError(f"no configuration is called {name!r}; choose one of {', '.join(CONFIGS)}") from None


Channels = tuple[float, float, float]

MEAN_COLOUR: Channels = (103.94, 116.78, 123.68)
"""Mean of ImageNet's pixels, 0..255 in BGR order (official data/config.py, MEANS)."""


def normalization(config: ModelConfig) -> tuple[Channels, Channels]:
    """Mean and standard deviation that turn pixels into network input: ``(pixel - mean) / std``.

    Both are in pixel units (0..255) and BGR order, as the official code keeps them (data/config.py, MEANS and
    STD). Darknet-53 only divides by 255 (its `darknet_transform`).
    """
    if config.backbone == "darknet53":
        return (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)
    return MEAN_COLOUR, (57.38, 57.12, 58.40)
