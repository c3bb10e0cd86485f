"""Turns other programs' names of a YOLACT network's tensors into the official ones, or names the program."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from yolact.runtime.errors import CheckpointError
from yolact.training.models.mobilenet import STAGES

HEAD = "prediction_layers.0.bbox_layer.bias"
"""A tensor of every YOLACT network; a prefix before its name in a file is before all names there."""

_WRAPPERS = re.compile(
    r"(?:(?<=^)|(?<=\.))(?:module|_orig_mod|_forward_module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
"""Prefixes of DataParallel, torch.compile, DeepSpeed, FSDP and recomputed layers, which wrap the network or parts."""

_ATTRIBUTES = re.compile(r"^(?:(?:model|net)\.)+")
"""Prefixes of programs that keep the network as an attribute."""

_FIRST_RELEASE = re.compile(r"backbone\.layer\d|fpn\.downsample_layers\.(?:[2-9]|\d\d)")
"""Leftovers that the official code passes over as well (yolact.py, load_weights)."""

_EDGE_PYRAMID = re.compile(r"fpn_phase_(?:1\.(?=lat_layers\.)|2\.(?=(?:pred|downsample)_layers\.))")
"""YOLACT-Edge cuts the pyramid in two, so that its video networks can warp in between."""

_EDGE_WIDEST = re.compile(r"backbone\.layers\.(?:7\.0\.conv|8\.[01])\.")
"""Two stages of YOLACT-Edge's MobileNetV2 whose outputs are not used."""

_EDGE_VIDEO = re.compile(r"(?:flow_net|flow_net_pre_convs|spa|partial_backbone)\.")
"""Tensors of YOLACT-Edge's networks for video, which guess the frames between key frames."""

_COUNTS = re.compile(r"n_averaged$|(?:.*\.)?total_(?:ops|params)$")
"""Counters of torch.optim.swa_utils.AveragedModel, and of thop, which counts operations."""

_FAKE_QUANT = re.compile(r"(?:.*[._])?(?:fake_quant|activation_post_process|\w*_quantizer)\.")
"""Tensors of networks that PyTorch or NVIDIA's toolkit prepared for training with rounded values."""

TRAINING_ONLY = re.compile(r"semantic_seg_conv\.|.*\.num_batches_tracked$")
"""Not needed for detections: the layer of the semantic loss, and counters, which PyTorch before 0.4.1 did not save."""

_OTHERS: tuple[tuple[str, str], ...] = (
    (
        r"proto_net\.proto1\.|prediction_layers\.(?:bbox|conf|coef)_layer\.",
        "a checkpoint of Yolact_minimal, whose network enlarges prototypes and features in another way",
    ),
    (r"bbox_head\.|mask_head\.|neck\.|rpn_head\.", "a checkpoint of MMDetection, which builds YOLACT in another way"),
    (r"backbone\.bottom_up\.|proposal_generator\.", "a checkpoint of Detectron2"),
    (r"roi_heads\.|backbone\.body\.", "a checkpoint of torchvision's detectors"),
    (r"\d+\.(?:conv|cv\d|m|bn)\.", "a checkpoint of Ultralytics' YOLO"),
)
_CHOOSE = "choose one trained with the official code, YOLACT-Edge or yolact-train"

_BACKBONE = re.compile(r"layer[1-4]\.\d|features\.\d|conv1\.weight|_preconv\.|layers\.\d|classifier\.|fc\.")


def networks(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The tensors of each YOLACT network in a state dict, without the common prefix of its names.

    The keys are the prefixes, and empty where there is one network, or none: then all tensors are handed over.
    A program may keep a network, its average and its losses beside each other; tensors of no network are left out.

    Raises CheckpointError where a tensor is there under two names.
    """
    bare = {original: _WRAPPERS.sub("", original) for original in state}
    found = {name.removesuffix(HEAD) for name in bare.values() if name.endswith(HEAD)}
    prefixes = sorted((prefix for prefix in found if prefix[-1:] in ("", ".")), key=len, reverse=True)
    if not prefixes:  # of a backbone, or of something else
        return {"": _unique({original: _ATTRIBUTES.sub("", name) for original, name in bare.items()}, state)}
    names: dict[str, dict[str, str]] = {prefix: {} for prefix in prefixes}
    for original, name in bare.items():
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
        if prefix is not None:
            names[prefix][original] = name.removeprefix(prefix)
    several = len(prefixes) > 1
    return {prefix.rstrip(".") if several else "": _unique(part, state) for prefix, part in names.items()}


def official_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a network by the official names, without those that no image needs.

    YOLACT-Edge's names are replaced, and leftovers of the first release, stages that feed nothing and the parts for
    frames between key frames left out.

    Raises CheckpointError where a tensor is there under two names, or the network was prepared for quantisation.
    """
    if prepared := next((name for name in state if _FAKE_QUANT.match(name)), None):
        raise CheckpointError(
            f"{prepared} belongs to a network prepared for quantisation, whose weights are to be rounded; take one "
            "that was saved before, and quantise it with yolact-export"
        )
    if HEAD not in state:
        return dict(state)
    surplus = (_FIRST_RELEASE, _EDGE_WIDEST, _EDGE_VIDEO, _COUNTS)
    names = {name: _EDGE_PYRAMID.sub("fpn.", name) for name in state if not any(part.match(name) for part in surplus)}
    return _unique(names, state)


def is_of_video(names: Iterable[str]) -> bool:
    """Whether the tensors so called are also to guess frames between key frames, as YOLACT-Edge's for video are."""
    return any(map(_EDGE_VIDEO.match, names))


def _unique(names: Mapping[str, str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by their new names, of which `names` has one for each old one."""
    origins: dict[str, str] = {}
    for original, name in names.items():
        if name in origins:
            raise CheckpointError(f"{name} is there twice, as {origins[name]} and as {original}; remove one of them")
        origins[name] = original
    return {name: state[original] for name, original in origins.items()}


def stranger(names: Iterable[str]) -> str | None:
    """The other project whose tensors have these names, and advice, as a sentence's end; None where none is known."""
    names = list(names)
    kind = next((kind for pattern, kind in _OTHERS if any(re.match(pattern, name) for name in names)), None)
    return kind and f"this is {kind}; {_CHOOSE}"


def described(names: Iterable[str]) -> str:
    """Whose tensors are called so, where it is no YOLACT checkpoint, and what to do, as a sentence's end."""
    names = list(names)
    if kind := stranger(names):
        return kind
    if any(_BACKBONE.match(name) for name in names):
        return "these are weights of a backbone alone, which detects nothing; yolact-train --weights starts from them"
    return f"the first tensors are {', '.join(names[:3]) or 'none'}; {_CHOOSE}"


def backbone_names(names: Iterable[str]) -> dict[str, str]:
    """This project's names for the tensors of torchvision's ResNets and MobileNetV2 and of the official Darknet-53.

    torchvision has written MobileNetV2's blocks in two forms: ``features.2.conv.0.0`` and, in its first
    releases, ``features.2.conv.0``. Names of neither are left as they are.
    """
    names = set(names)
    return {name: _backbone_name(name, names) for name in names}


def _backbone_name(name: str, names: set[str]) -> str:
    if match := re.match(r"(?:backbone\.)?layer([1-4])\.(.*)", name):
        return f"layers.{int(match[1]) - 1}.{match[2]}"
    if match := re.match(r"(?:backbone\.)?features\.(\d+)\.(.*)", name):
        is_flat = f"{name[: match.start(2)]}conv.0.weight" in names
        return _mobilenet_name(int(match[1]), _nested(match[2], int(match[1])) if is_flat else match[2])
    return name.removeprefix("backbone.")


def _nested(rest: str, index: int) -> str:
    """``conv.3.weight`` of the flat form as the nested one calls it. The first block has no expansion."""
    parts = ["conv.0.0", "conv.0.1", "", "conv.1.0", "conv.1.1", "", "conv.2", "conv.3"]
    if index == 1:
        parts = ["conv.0.0", "conv.0.1", "", "conv.1", "conv.2"]
    match = re.fullmatch(r"conv\.(\d)\.(.*)", rest)
    return f"{parts[int(match[1])]}.{match[2]}" if match and int(match[1]) < len(parts) else rest


def _mobilenet_name(index: int, rest: str) -> str:
    if index == 0:
        return f"layers.0.{rest}"
    block = index - 1
    for stage, (_, _, blocks, _) in enumerate(STAGES, 1):
        if block < blocks:
            return f"layers.{stage}.{block}.{rest}"
        block -= blocks
    return f"unused.{index}.{rest}"
