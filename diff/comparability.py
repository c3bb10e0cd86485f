"""Whether two opened sides can be compared, and in what: shared tensors, equal inputs and classes, same settings."""

from __future__ import annotations

from yolact.diff.sides import PlanSide, Side, TorchSide
from yolact.runtime.contract import HEADS
from yolact.runtime.errors import EngineError, UsageError
from yolact.runtime.wording import list_some


def shared_names(tested: Side, reference: Side, *, layers: bool) -> list[str]:
    """Heads, or all layers and the heads, that both have, in network order.

    Raises:
        UsageError: layers of a plan.
        EngineError: layers of files that have none in common.
    """
    names = [name for name in reference.tensors if name in tested.tensors]
    if not layers:
        return [name for name in names if name in HEADS]
    for side in (tested, reference):
        if isinstance(side, PlanSide):
            raise UsageError(f"{side.path} is a TensorRT plan, which cannot be looked into; leave out --layers")
    names = [name for name in names if tested.tensors[name] or reference.tensors[name]]
    if set(names) <= set(HEADS):
        raise EngineError(
            f"{tested.path} and {reference.path} share no layers; they are different networks, or another tool renamed "
            "the tensors of one: export both with yolact-export"
        )
    return names


def check_comparable(tested: Side, reference: Side) -> None:
    """Raise EngineError where the two see images of other sizes or know other classes."""
    a, b = tested.engine.metadata.config, reference.engine.metadata.config
    if a.image_size != b.image_size:
        raise EngineError(
            f"{tested.path} sees {a.image_size}x{a.image_size} pixels, {reference.path} {b.image_size}x{b.image_size}; "
            "compare files exported with the same image size"
        )
    if a.class_names != b.class_names:
        raise EngineError(
            f"{tested.path} knows {len(a.class_names)} classes ({list_some(a.class_names, 3)}), {reference.path} "
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
    """Give a side without post-processing of its own the other's; a warning where both have their own and differ."""
    ours, theirs = tested.engine.metadata, reference.engine.metadata
    built_in = [_has_own_settings(tested), _has_own_settings(reference)]
    if all(built_in):
        if ours.postprocess != theirs.postprocess:
            return "the two files were exported with different post-processing; detections differ for that alone"
    elif built_in[0]:
        reference.engine.set_postprocess(ours.postprocess)
    else:
        tested.engine.set_postprocess(theirs.postprocess)
    return None


def _has_own_settings(side: Side) -> bool:
    return not isinstance(side, TorchSide) and side.engine.metadata.graph == "full"
