"""The initial weights of a network: random ones, ImageNet weights of its backbone, or another checkpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import CheckpointError
from yolact.training.models.checkpoints import check_finite, config_beside, config_of_name
from yolact.training.models.model import Yolact
from yolact.training.models.state_dicts import read_state_dict
from yolact.training.models.tensor_names import HEAD, TRAINING_ONLY, backbone_names, stranger

_CLASS_DEPENDENT = re.compile(r"prediction_layers\.0\.conf_layer\.|semantic_seg_conv\.|maskiou_net\.maskiou_net\.10\.")
_COUNTER = ".num_batches_tracked"
"""Begins anew, as nothing reads it."""

_BLOCK = re.compile(r"layers\.\d+\.\d+")

_CLASSIFIER = re.compile(r"fc\.|classifier\.")


def initial_model(config: ModelConfig, seed: int, weights: Path | None = None) -> tuple[Yolact, list[str]]:
    """A network to train.

    Args:
        config: its architecture and classes.
        seed: of all random weights.
        weights: a YOLACT checkpoint, whose classes may be others, or ImageNet weights of the backbone: those that the
            official code uses (``resnet50-19c8e357.pth``, ``resnet101_reducedfc.pth``, ``darknet53.pth``,
            ``mobilenet_v2-b0353104.pth``), or others with torchvision's or the official names, see `backbone_names`.

    Returns:
        The network, and the names of tensors that ``weights`` did not fill although it is a YOLACT checkpoint: those
        for other classes, and those of the semantic loss where it has none.

    Raises:
        CheckpointError: the file is unreadable or does not fit.
    """
    torch.manual_seed(seed)
    model = Yolact(config)
    for module in model.backbone.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if weights is None:
        return model, []
    state = {name: tensor for name, tensor in read_state_dict(weights).items() if not name.endswith(_COUNTER)}
    try:
        check_finite(state)
    except CheckpointError as error:
        raise CheckpointError(f"{weights}: {error}") from None
    if whole := next((name for name, tensor in state.items() if not tensor.is_floating_point()), None):
        raise CheckpointError(f"{weights}: {whole} has whole numbers instead of weights; take weights before rounding")
    if HEAD in state:
        return model, _load_checkpoint(model, state, weights)
    _load_backbone(model, state, weights)
    return model, []


def _load_checkpoint(model: Yolact, state: Mapping[str, Tensor], path: Path) -> list[str]:
    """Load a YOLACT checkpoint, except tensors that depend on its classes where these are others; returns their names.

    Classes are others where their number differs, or their names, as far as those of the checkpoint are known: from
    the file beside it, or from a name as official files have.
    """
    expected = model.state_dict()
    missing = [name for name in expected if name not in state and not TRAINING_ONLY.match(name)]
    differing = [n for n in state if n not in expected or state[n].shape != expected[n].shape]
    stored = config_beside(path) or config_of_name(path)
    others = stored is not None and stored.class_names != model.config.class_names
    fresh = [
        name for name in expected if _CLASS_DEPENDENT.match(name) and (others or name in differing or name not in state)
    ]
    wrong = missing + [name for name in differing if name not in fresh]
    if wrong:
        raise CheckpointError(
            f"{path} does not fit {model.config.name}: {wrong[0]} is missing or has another shape "
            f"({len(wrong)} tensors in all); choose the configuration it was trained with"
        )
    model.load_state_dict({name: tensor for name, tensor in state.items() if name not in fresh}, strict=False)
    return fresh


def _load_backbone(model: Yolact, state: Mapping[str, Tensor], path: Path) -> None:
    """Load ImageNet weights; a deformable layer takes the plain one's filters (official backbone.py)."""
    names = backbone_names(state)
    renamed = {names[name]: tensor for name, tensor in state.items() if not _CLASSIFIER.match(name)}
    expected = model.backbone.state_dict()
    absent_in_plain = re.compile(r".*(num_batches_tracked|conv2\.conv_offset_mask\.(weight|bias)|conv2\.bias)$")
    wrong = [
        name
        for name, like in expected.items()
        if not absent_in_plain.match(name) and (name not in renamed or renamed[name].shape != like.shape)
    ]
    if wrong:
        if kind := stranger(state):
            raise CheckpointError(f"{path} is no YOLACT checkpoint: {kind}")
        raise CheckpointError(
            f"{path} is neither a YOLACT checkpoint nor ImageNet weights of {model.config.backbone}: "
            f"{wrong[0]} is missing or has another shape; check --weights and --config"
        )
    blocks = {_block(name) for name in expected}
    deeper = next((name for name in state if _BLOCK.match(names[name]) and _block(names[name]) not in blocks), None)
    if deeper:
        raise CheckpointError(
            f"{path} is of a deeper backbone than {model.config.backbone}, with {deeper}; check --weights and --config"
        )
    model.backbone.load_state_dict({name: renamed[name] for name in expected if name in renamed}, strict=False)


def _block(name: str) -> str:
    """``layers.2.22`` of ``layers.2.22.conv1.weight``."""
    return ".".join(name.split(".")[:3])
