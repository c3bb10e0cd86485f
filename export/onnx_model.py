"""Assembles the ONNX model: network, post-processing functions, metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
import onnx.inliner
from onnx import helper

from yolact import __version__
from yolact.export import functions
from yolact.export.graph_builder import GraphBuilder
from yolact.export.network import HeadTensors, NetworkWriter
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.contract import (
    DETECTION_COEFFICIENTS,
    INPUT_NAME,
    PLUGIN_NAMESPACE,
    TensorSpec,
    input_spec,
    output_specs,
)
from yolact.runtime.errors import UsageError
from yolact.runtime.metadata import Graph, ModelMetadata, Precision
from yolact.runtime.postprocess.priors import make_priors
from yolact.training.models.model import Yolact

MIN_OPSETS: dict[Precision, int] = {"fp32": 17, "fp16": 17, "bf16": 22}
"""Convolutions have been defined for bfloat16 since opset 22."""

BATCH_DIMENSION = "N"

MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 64, 4096

MIN_RESCORING_PROTOTYPES = 63
"""With fewer prototype cells a side, the five unpadded convolutions of the re-scoring network have no output."""

MAX_TOP_K = 3840


def export_model(
    model: Yolact,
    postprocess: PostprocessConfig,
    *,
    weights_sha256: str,
    graph: Graph = "full",
    inline_functions: bool = False,
    batch: int | None = None,
    opset: int | None = None,
    precision: Precision = "fp32",
) -> onnx.ModelProto:
    """The model as ONNX, by the contract in docs/design.md.

    Args:
        model: network in evaluation mode, float32, on the CPU.
        postprocess: thresholds and limits built into a full graph.
        weights_sha256: digest of the checkpoint file, for the metadata.
        graph: ``full`` ends in detections, ``raw`` in the heads.
        inline_functions: put the functions' bodies in place of the calls, for a runtime that knows no functions
            (TensorRT 8.5 and 8.6). See also `strip_functions`.
        batch: fixed batch size, or None for any.
        opset: ONNX opset, 17 or later, for bf16 22 or later; None for the oldest of these.
        precision: type of the network's weights and activations. It changes neither inputs nor outputs nor
            post-processing.

    Raises UsageError for options that do not go together or are out of range.
    """
    opset = MIN_OPSETS[precision] if opset is None else opset
    _check_opset(opset, precision)
    _check_options(model.config, postprocess, graph, batch)
    b = GraphBuilder(opset)
    writer = NetworkWriter(b, model, precision)
    heads = writer.heads(INPUT_NAME, in_float32=graph == "raw")
    specs = output_specs(graph, model.config, postprocess)
    bodies = _add_postprocessing(b, writer, heads, model, postprocess) if graph == "full" else []
    metadata = ModelMetadata(graph, model.config, postprocess, weights_sha256, __version__, precision)
    proto = _model_proto(b, model.config, specs, bodies, batch)
    if inline_functions:
        proto = _with_inlined_functions(proto)
    helper.set_model_props(proto, metadata.to_props())
    return proto


def _with_inlined_functions(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with the functions' bodies in place of the calls, and without the domain of the functions."""
    inlined = onnx.inliner.inline_local_functions(proto)
    kept = [entry for entry in inlined.opset_import if entry.domain != PLUGIN_NAMESPACE]
    del inlined.opset_import[:]
    inlined.opset_import.extend(kept)
    return inlined


def strip_functions(proto: onnx.ModelProto) -> None:
    """Leave the calls but drop the bodies, in place: for a runtime that has the plugins but would rather inline
    (TensorRT 9.0 to 10.6). ONNX Runtime cannot run the result."""
    del proto.functions[:]


def _check_opset(opset: int, precision: Precision) -> None:
    oldest, newest = MIN_OPSETS[precision], onnx.defs.onnx_opset_version()
    if not oldest <= opset <= newest:
        raise UsageError(
            f"opset must be {oldest} to {newest} for {precision} with onnx {onnx.__version__}, got {opset}"
        )


def _check_options(model: ModelConfig, postprocess: PostprocessConfig, graph: Graph, batch: int | None) -> None:
    if batch is not None and batch < 1:
        raise UsageError(f"batch must be at least 1 or dynamic, got {batch}")
    if not MIN_IMAGE_SIZE <= model.image_size <= MAX_IMAGE_SIZE:
        raise UsageError(f"image_size must be {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE} pixels, got {model.image_size}")
    if graph == "full":
        if model.mask_rescoring and model.prototype_size < MIN_RESCORING_PROTOTYPES:
            raise UsageError(f"YOLACT++ needs an image_size of 249 or more to re-score masks, got {model.image_size}")
        if max(postprocess.top_k, postprocess.max_detections) > MAX_TOP_K:
            raise UsageError(f"top_k and max_detections must be at most {MAX_TOP_K}, the limit of TensorRT's TopK")
        if postprocess.nms == "traditional":
            raise UsageError("a full graph has no traditional NMS; export a raw graph and open it with these settings")
        lists = 1 if postprocess.nms == "cross-class" else model.num_classes
        available = lists * min(postprocess.top_k, model.num_priors)
        if postprocess.max_detections > available:
            raise UsageError(
                f"max_detections is {postprocess.max_detections}, but at most {available} boxes enter NMS; "
                "lower it or raise top_k"
            )


def _add_postprocessing(
    b: GraphBuilder, writer: NetworkWriter, heads: HeadTensors, model: Yolact, postprocess: PostprocessConfig
) -> list[onnx.FunctionProto]:
    """Call the two functions and re-score; returns the functions' bodies."""
    priors = b.constant(make_priors(model.config), "priors")
    b.node(
        functions.FAST_NMS,
        *(heads.locations, heads.confidences, heads.coefficients, priors),
        outputs=["num_detections", "boxes", "scores", "classes", DETECTION_COEFFICIENTS],
        domain=PLUGIN_NAMESPACE,
        **functions.PLUGIN_ATTRIBUTES,
        **functions.fast_nms_attributes(postprocess),
    )
    b.node(
        functions.MASK_ASSEMBLY,
        *(heads.prototypes, DETECTION_COEFFICIENTS, "boxes", "num_detections"),
        outputs=["masks"],
        domain=PLUGIN_NAMESPACE,
        **functions.PLUGIN_ATTRIBUTES,
        **functions.MASK_ASSEMBLY_ATTRIBUTES,
    )
    if model.config.mask_rescoring:
        mask_scores = writer.mask_scores("masks", "classes", "scores", postprocess.max_detections)
        b.node("Identity", mask_scores, outputs=["mask_scores"])
    return [
        functions.fast_nms(model.config, postprocess, b.opset, writer.dtype),
        functions.mask_assembly(model.config, postprocess, b.opset, writer.dtype),
    ]


def _model_proto(
    b: GraphBuilder,
    model: ModelConfig,
    outputs: Mapping[str, TensorSpec],
    bodies: Sequence[onnx.FunctionProto],
    batch: int | None,
) -> onnx.ModelProto:
    def value_info(name: str, spec: TensorSpec) -> onnx.ValueInfoProto:
        shape = [batch or BATCH_DIMENSION, *spec.shape]
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(spec.dtype), shape)

    imports = [helper.make_opsetid("", b.opset)]
    if bodies:
        imports.append(helper.make_opsetid(PLUGIN_NAMESPACE, 1))
    graph = helper.make_graph(
        b.nodes,
        model.name,
        [value_info(INPUT_NAME, input_spec(model))],
        [value_info(name, spec) for name, spec in outputs.items()],
        list(b.constants.values()),
    )
    return helper.make_model(
        graph,
        functions=list(bodies),
        opset_imports=imports,
        ir_version=helper.find_min_ir_version_for(imports, ignore_unknown=True),
        producer_name="yolact",
        producer_version=__version__,
    )
