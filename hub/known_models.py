"""The models that are known by name: their repositories, and their published figures."""

from __future__ import annotations

from typing import NamedTuple

OFFICIAL_LICENCE = "MIT"
"""The licence of the repository github.com/dbolya/yolact, whose README links to these files."""

UNKNOWN = "not known"


class KnownModel(NamedTuple):
    """A file of weights on Hugging Face.

    Attributes:
        name: the value for `--weights` and `--engine`.
        file: name of the file, which tells the configuration.
        backbone: of the network.
        image_size: side of the network's input, pixels.
        mask_ap: published average precision of masks on COCO test-dev; None for an ImageNet backbone to train from.
        size: of the file in bytes, None where it is not known.
        licence: of the file, `UNKNOWN` where nobody states it.
    """

    name: str
    file: str
    backbone: str
    image_size: int | None = None
    mask_ap: float | None = None
    size: int | None = None
    licence: str = OFFICIAL_LICENCE

    @property
    def repository(self) -> str:
        """``owner/name``."""
        return self.name.partition(":")[0]

    @property
    def link(self) -> str:
        """The page of the repository."""
        return f"https://huggingface.co/{self.repository}"


_INITIAL = "dbolya/yolact-initial-weights"

KNOWN_MODELS = (
    KnownModel("dbolya/yolact-resnet50", "yolact_resnet50_54_800000.pth", "ResNet-50", 550, 28.2, 127_300_392),
    KnownModel("dbolya/yolact-darknet53", "yolact_darknet53_54_800000.pth", "Darknet-53", 550, 28.7),
    KnownModel("dbolya/yolact-base", "yolact_base_54_800000.pth", "ResNet-101", 550, 29.8),
    KnownModel("dbolya/yolact-im700", "yolact_im700_54_800000.pth", "ResNet-101", 700, 31.2),
    KnownModel("dbolya/yolact-plus-resnet50", "yolact_plus_resnet50_54_800000.pth", "ResNet-50, deformable", 550, 34.1),
    KnownModel("dbolya/yolact-plus-base", "yolact_plus_base_54_800000.pth", "ResNet-101, deformable", 550, 34.6),
    KnownModel(f"{_INITIAL}:resnet50-19c8e357.pth", "resnet50-19c8e357.pth", "ResNet-50", licence=UNKNOWN),
    KnownModel(f"{_INITIAL}:resnet101_reducedfc.pth", "resnet101_reducedfc.pth", "ResNet-101", licence=UNKNOWN),
    KnownModel(f"{_INITIAL}:darknet53.pth", "darknet53.pth", "Darknet-53", licence=UNKNOWN),
)
"""Names, sizes of input and average precision are those of the README of github.com/dbolya/yolact."""
