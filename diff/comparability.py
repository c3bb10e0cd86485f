"""Checks whether two opened sides can be compared: shared tensors, equal inputs and classes, same settings."""

from __future__ import annotations

from yolact.diff.sides import PlanSide, Side, TorchSide
from yolact.runtime.contract import HEADS
from yolact.runtime.errors import EngineError, UsageError
from yolact.runtime.wording import list_some


def shared_names(tested: Side, reference: Side, *, layers: bool) -> list[str]:
    """The heads that both sides have, or with `layers` all shared layers and heads, in network order.

    Raises:
        UsageError: layers were asked for, and a side is a plan.
        EngineError: layers were asked for, and the files have none in common.
    """
    names = [name for name in reference.tensors if name in tested.tensors]
    if not layers:
        return [name for name in names if name in HEADS]
    for side in (tested, reference):
        if isinstance(side, PlanSide):
            raise UsageError(f"{side.path} is a TensorRT plan, whose layers cannot be read; leave out --layers")
    names = [name for name in names if tested.tensors[name] or reference.tensors[name]]
    if set(names) <= set(HEADS):
        raise EngineError(
            f"{tested.path} and {reference.path} share no layers; they are different networks, or another tool renamed "
            "the tensors of one: export both with yolact-export"
        )
    return names


def check_comparable(tested: Side, reference: Side) -> None:
    """Raise EngineError where the two sides have inputs of different sizes, different classes or different batches."""
    a, b = tested.engine.metadata.config, reference.engine.metadata.config
    if a.image_size != b.image_size:
        raise EngineError(
            f"{tested.path} has an input of {a.image_size}x{a.image_size} pixels, {reference.path} of "
            f"{b.image_size}x{b.image_size}; compare files exported with the same image size"
        )
    if a.class_names != b.class_names:
        raise EngineError(
            f"{tested.path} has {len(a.class_names)} classes ({list_some(a.class_names, 3)}), {reference.path} "
            f"{len(b.class_names)} ({list_some(b.class_names, 3)}); compare files of the same model"
        )
    fixed = [side.engine.min_batch for side in (tested, reference)]
    largest = [side.engine.max_batch for side in (tested, reference)]
    if max(fixed) > min(size or max(fixed) for size in largest):
        raise EngineError(
            f"{tested.path} and {reference.path} are made for different batches ({', '.join(map(str, fixed))}); "
            "export one of them for any batch"
        )


def share_settings(tested: Side, reference: Side) -> str | None:
    """Give a side without built-in post-processing that of the other. Returns a warning if both have one and differ."""
    ours, theirs = tested.engine.metadata, reference.engine.metadata
    built_in = [_has_own_settings(tested), _has_own_settings(reference)]
    if all(built_in):
        if ours.postprocess != theirs.postprocess:
            return "the two files were exported with different post-processing, which alone makes detections differ"
    elif built_in[0]:
        reference.engine.set_postprocess(ours.postprocess)
    else:
        tested.engine.set_postprocess(theirs.postprocess)
    return None


def _has_own_settings(side: Side) -> bool:
    return not isinstance(side, TorchSide) and side.engine.metadata.graph == "full"
