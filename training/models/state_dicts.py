"""The state dict in a checkpoint: whatever it is wrapped in, and however its tensors are called."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from yolact.runtime.errors import CheckpointError
from yolact.runtime.wording import list_some
from yolact.training.models.checkpoint_file import MAX_DEPTH, read_checkpoint_file, shown
from yolact.training.models.tensor_names import HEAD, TRAINING_ONLY, is_of_video, networks, official_names

logger = logging.getLogger(__name__)

State = Mapping[str, Tensor]

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
"""Names under which programs keep the weights; where several are there, the first of these is taken."""

_AVERAGED = re.compile(
    r"(?i:(?:^|[._])(?:ema|swa|avg|averaged?|polyak|shadow)(?:$|[._]))|[a-z](?:EMA|Ema|SWA|Swa|Avg)(?:$|[._])"
)
"""Matches names of weights that are averages over the training's last steps."""

_RUN_STATE = {"version", "config", "settings", "data", "iteration", "model", "optimizer"}
"""Keys of the state that `training.run_folder` writes for a run to go on from."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors in a checkpoint by their official names, see `official_names`.

    They may lie in dictionaries of any names. Where there are averaged weights (``ema``) with all that a network needs
    beside the plain ones, they are taken; a warning says which were, wherever there was a choice.

    Raises CheckpointError where the file is missing, damaged, contains code, holds no state dict or is something else.
    """
    content = read_checkpoint_file(path)
    if isinstance(content, Mapping) and content.keys() >= _RUN_STATE:
        raise CheckpointError(
            f"{path} is the state of a training run, for yolact-train --resume; take {_weights_beside(path, content)}"
        )
    dicts = dict(_state_dicts(content, "", MAX_DEPTH, set()))
    if not dicts:
        raise CheckpointError(
            f"{path} holds no state dict, expected a dictionary of tensors; "
            "save it again with torch.save(model.state_dict(), path)"
        )
    try:
        parts = {where: networks(state) for where, state in dicts.items()}
        found = {
            f"{where}.{prefix}".strip("."): state for where, part in parts.items() for prefix, state in part.items()
        }
        where, state = _choose({where: official_names(state) for where, state in found.items()}, path)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    if HEAD in state and is_of_video(found[where]):
        logger.warning(
            "left out the tensors of %s that YOLACT-Edge guesses frames between key frames with (flow_net, spa); every "
            "frame is computed as a key frame, which is exact",
            path,
        )
    return state


def _weights_beside(path: Path, state: Mapping[Any, Any]) -> str:
    """The checkpoint that a run wrote together with this state of it."""
    iteration = state["iteration"]
    if isinstance(iteration, int):
        for beside in sorted(path.parent.glob(f"*_{iteration}.pth")) + sorted(path.parent.glob(f"*_{iteration}_*.pth")):
            return f"{beside.name} beside it"
    return "the checkpoint that the run wrote beside it, <configuration>_<epoch>_<iteration>.pth"


def _state_dicts(content: Any, where: str, levels: int, seen: set[int]) -> Iterator[tuple[str, State]]:
    """All dictionaries with tensors in them, of which these are kept, and where they are."""
    if not isinstance(content, (dict, list, tuple)) or id(content) in seen or levels == 0:
        return
    seen.add(id(content))
    parts = list(content.items() if isinstance(content, dict) else enumerate(content))
    tensors = {shown(name): value for name, value in parts if isinstance(name, str) and isinstance(value, Tensor)}
    if tensors and ("optim" not in where or any(name.endswith(HEAD) for name in tensors)):
        yield where, tensors
    for name, value in parts:
        yield from _state_dicts(value, f"{where}.{shown(name)}".removeprefix("."), levels - 1, seen)


def _choose(found: dict[str, dict[str, Tensor]], path: Path) -> tuple[str, dict[str, Tensor]]:
    """The weights of a network among all dictionaries of tensors in a file, and where they are."""
    whole = {where: state for where, state in found.items() if HEAD in state} or found
    plain = [where for where in whole if not _AVERAGED.search(where)]
    averaged = [where for where in whole if where not in plain]
    best = min(plain or averaged, key=lambda where: (_rank(where), -len(whole[where])))
    needed = {name for name in whole[best] if not TRAINING_ONLY.match(name)}
    taken = next((where for where in averaged if needed <= whole[where].keys()), best)
    others = [where or "no name" for where, state in whole.items() if where != taken and needed & state.keys()]
    if others:
        logger.warning(
            "took the weights under %s of %s, not those under %s", taken or "no name", path, list_some(others, 3)
        )
    return taken, whole[taken]


def _rank(where: str) -> int:
    """Place of the first known wrapper; all others come last."""
    names = where.split(".")
    return next((rank for rank, wrapper in enumerate(_WRAPPERS) if wrapper in names), len(_WRAPPERS))
