"""Puts the functions of an ONNX file in place of their calls, for a front end that knows no functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def inlined(proto: onnx.ModelProto) -> bytes:
    """The serialised model without functions. Afterwards `proto` has no weights and cannot be used any more.

    Weights are put aside meanwhile, because onnx's inliner copies the whole model several times, which took a second
    for the 125 MB of YOLACT-ResNet50.
    """
    from onnx import inliner

    if not proto.functions:
        return proto.SerializeToString()
    weights = list(proto.graph.initializer)
    del proto.graph.initializer[:]
    plain = inliner.inline_local_functions(proto)
    plain.graph.initializer.extend(weights)
    return plain.SerializeToString()
