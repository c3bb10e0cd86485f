"""A network from a checkpoint: its configuration by the file, the file's name or the tensors, and whether they fit."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from yolact.runtime.config import MAX_CHANNELS, MAX_CLASSES, ModelConfig
from yolact.runtime.errors import CheckpointError, UsageError
from yolact.runtime.fields import FieldError
from yolact.runtime.json_text import from_json
from yolact.runtime.wording import list_some
from yolact.training.models.configs import COCO_CLASSES, CONFIGS, get_config
from yolact.training.models.model import Yolact
from yolact.training.models.state_dicts import read_state_dict
from yolact.training.models.tensor_names import TRAINING_ONLY, described

logger = logging.getLogger(__name__)

MAX_JSON_SIZE = 16 << 20
"""Bytes of the file beside a checkpoint: enough for the names of `MAX_CLASSES`."""


def load_checkpoint(
    path: str | PathLike[str],
    config: ModelConfig | str | None = None,
    class_names: Sequence[str] | None = None,
) -> Yolact:
    """The network stored in a ``.pth`` or ``.safetensors`` file, on the CPU and in evaluation mode.

    The file is never trusted: only tensors are read, and a file with code in it is refused. Accepted are the state
    dicts of the official repository, of its first release and of YOLACT-Edge, with prefixes and wrappers as
    `state_dicts.read_state_dict` takes them. What only training needs (``semantic_seg_conv``) may be missing, and is
    zero then.

    Args:
        path: the checkpoint.
        config: its configuration, or the name of a known one. By default the one in a ``.json`` of the same name, as
            training writes it, else the one in the file name, if that reads like an official one
            (``<configuration>_<epoch>_<iteration>.pth``), else the one `recognize_config` finds. The numbers
            of classes and of coefficients follow the tensors in any case.
        class_names: names of the classes. By default those of the configuration where their number fits, else
            ``class_0``, ``class_1`` and so on.

    Raises:
        CheckpointError: the file is missing, unreadable, damaged or contains code, holds no YOLACT network,
            does not fit the configuration, or has weights that are not finite.
        UsageError: no configuration has this name, or the class names are another number.
    """
    path = Path(path)
    if isinstance(config, str):
        config = get_config(config)
    state = read_state_dict(path)
    try:
        if config is None:
            config = config_beside(path) or config_of_name(path) or recognize_config(state)
        config = _fit(config, state, class_names)
        check_finite(state)
    except (CheckpointError, UsageError) as error:
        raise type(error)(f"{path}: {error}") from None
    with torch.device("meta"):  # no memory and no random initialisation for weights about to be replaced
        model = Yolact(config)
    model.load_state_dict(_as_typed(state, model.state_dict()), assign=True)
    return model.eval()


def recognize_config(state: Mapping[str, Tensor]) -> ModelConfig:
    """The official configuration whose network has exactly these tensors, whatever the number of classes.

    Image size and anchor sizes leave no trace in the tensors. Where several configurations fit, the first
    with as many classes is chosen, else the first in `CONFIGS`, and a warning names the others: yolact_im400
    and yolact_im700 cannot be told from yolact_base, nor can 20 custom classes on yolact_resnet50 from
    yolact_resnet50_pascal.

    Raises:
        CheckpointError: not the tensors of a YOLACT network, or of none of the official configurations.
    """
    fitting = _fitting_configs(state)
    if not fitting:
        closest = min(CONFIGS.values(), key=lambda config: len(_differences(_adapt(config, state), state)))
        differences = list_some(_differences(_adapt(closest, state), state), 3)
        raise CheckpointError(
            f"no official configuration has these tensors; the closest is {closest.name}, but {differences}; "
            "load it with the ModelConfig it was trained with"
        )
    num_classes, _ = _head_sizes(state)
    chosen = next((config for config in fitting if config.num_classes == num_classes), fitting[0])
    # 80 classes are almost certainly COCO, which rules out Pascal's anchors; 20 may well be someone's own.
    others = [
        config.name
        for config in fitting
        if config is not chosen and (config.num_classes == num_classes or num_classes != len(COCO_CLASSES))
    ]
    if others:
        logger.warning(
            "recognised %s by its tensors, which fit %s as well: pass --config if it is one of those",
            chosen.name,
            " and ".join(others),
        )
    return _adapt(chosen, state)


def config_beside(path: Path) -> ModelConfig | None:
    """The configuration that training wrote next to the checkpoint, None without one; other programs' JSON is ignored.

    Raises CheckpointError where it is ours and damaged.
    """
    beside = path.with_suffix(".json")
    try:
        if beside.stat().st_size > MAX_JSON_SIZE:
            return None
        values = from_json(beside.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(values, dict) or not {"backbone", "class_names"} <= values.keys():
        return None
    try:
        return ModelConfig.from_json(values)
    except FieldError as error:
        raise CheckpointError(f"{beside} beside it is damaged ({error}); copy it again, or delete it") from None


def config_of_name(path: Path) -> ModelConfig | None:
    """The configuration that a file name of the official form ``CONFIG_EPOCH_ITERATION.pth`` names, None for others."""
    match = re.fullmatch(r"(.+?)_\d+_\d+(\D.*)?", path.stem)  # also "... (1)", as browsers call it
    try:
        return get_config(match[1] if match else path.stem)
    except UsageError:
        return None


def _head_sizes(state: Mapping[str, Tensor]) -> tuple[int, int]:
    """Number of classes C and of coefficients K, from the prediction head's biases."""
    names = [f"prediction_layers.0.{layer}_layer.bias" for layer in ("bbox", "conf", "mask")]
    missing = [name for name in names if name not in state]
    if missing:
        raise CheckpointError(f"not a YOLACT checkpoint, {missing[0]} is missing: {described(state)}")
    boxes, confidences, coefficients = (state[name].numel() for name in names)
    anchors = boxes // 4
    if anchors == 0 or boxes % 4 or confidences % anchors or coefficients % anchors or confidences <= anchors:
        raise CheckpointError(
            f"the prediction head has {boxes}, {confidences} and {coefficients} channels, expected 4, C + 1 "
            "and K for each anchor; choose a checkpoint trained with the official code"
        )
    num_classes, num_coefficients = confidences // anchors - 1, coefficients // anchors
    if num_classes > MAX_CLASSES or num_coefficients > MAX_CHANNELS:
        raise CheckpointError(
            f"the prediction head is for {num_classes} classes and {num_coefficients} coefficients, expected at most "
            f"{MAX_CLASSES} and {MAX_CHANNELS}"
        )
    return num_classes, num_coefficients


def _adapt(config: ModelConfig, state: Mapping[str, Tensor]) -> ModelConfig:
    """The configuration with as many classes and coefficients as the tensors have."""
    num_classes, num_coefficients = _head_sizes(state)
    if config.num_classes != num_classes:
        config = config.with_classes([f"class_{index}" for index in range(num_classes)])
    return replace(config, num_coefficients=num_coefficients)


def _fit(config: ModelConfig, state: Mapping[str, Tensor], class_names: Sequence[str] | None) -> ModelConfig:
    """The configuration, adapted and named, if the tensors fit it."""
    adapted = _adapt(config, state)
    differences = _differences(adapted, state)
    if differences:
        fitting = [other.name for other in _fitting_configs(state)]
        advice = f"pass --config {' or '.join(fitting)}" if fitting else "no official configuration fits"
        raise CheckpointError(f"does not fit {config.name}: {list_some(differences, 3)}; {advice}")
    kind = CheckpointError if class_names is None else UsageError
    if class_names is None and all(config.class_names != known.class_names for known in CONFIGS.values()):
        class_names = config.class_names  # the caller's own, not a configuration's defaults
    if class_names is None:
        return adapted
    if len(class_names) != adapted.num_classes:
        raise kind(
            f"has {adapted.num_classes} classes, but {len(class_names)} class names were given; "
            "give one name per class, background not included"
        )
    return replace(adapted, class_names=tuple(class_names))


def _fitting_configs(state: Mapping[str, Tensor]) -> list[ModelConfig]:
    """Among configurations that differ in names and classes only, the one with the tensors' classes, else the first."""
    fitting: dict[ModelConfig, ModelConfig] = {}
    num_classes, _ = _head_sizes(state)
    for config in CONFIGS.values():
        if not _differences(_adapt(config, state), state):
            architecture = replace(config.with_classes(["any"]), name="any")
            if fitting.setdefault(architecture, config).num_classes != num_classes == config.num_classes:
                fitting[architecture] = config
    return list(fitting.values())


def _differences(config: ModelConfig, state: Mapping[str, Tensor]) -> list[str]:
    """The differences of the tensors from the configuration's network, one phrase per tensor."""
    expected = _shapes(config)
    differences = []
    for name in sorted(expected.keys() | state.keys()):
        if name not in state:
            if not TRAINING_ONLY.match(name):
                differences.append(f"{name} is missing")
        elif name not in expected:
            differences.append(f"{name} is unexpected")
        elif name.endswith(".num_batches_tracked"):
            continue  # no network of ours reads the counters, which others have written in many forms
        elif state[name].shape != expected[name]:
            differences.append(f"{name} is {tuple(state[name].shape)} instead of {tuple(expected[name])}")
        elif not state[name].is_floating_point():
            differences.append(f"{name} has whole numbers instead of weights")
    return differences


@lru_cache(maxsize=2 * len(CONFIGS))
def _shapes(config: ModelConfig) -> Mapping[str, torch.Size]:
    """The shape of every tensor of a network, kept since making a network for this takes a quarter of a second."""
    with torch.device("meta"):
        return {name: tensor.shape for name, tensor in Yolact(config).state_dict().items()}


def check_finite(state: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError where a tensor has values that are NaN or infinite in single precision."""
    for name, tensor in state.items():
        if name.endswith(".num_batches_tracked") or not tensor.is_floating_point() or not tensor.numel():
            continue
        if not all(value.float().isfinite() for value in tensor.aminmax()):
            raise CheckpointError(
                f"{name} contains NaN or infinite values, as if training diverged; use an earlier checkpoint"
            )


def _as_typed(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in the network's own types; half precision is widened, absent tensors of training are zero."""
    known = {name for name, tensor in state.items() if name in expected and tensor.shape == expected[name].shape}
    return {
        name: state[name].to(like.dtype) if name in known else torch.zeros(like.shape, dtype=like.dtype)
        for name, like in expected.items()
    }
