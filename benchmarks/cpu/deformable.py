"""Two ONNX forms of a 3x3 modulated deformable convolution in ONNX Runtime on this CPU, one run after the other.

`DeformConv` (opset 19) against GridSample, product and a 1x9 convolution, the form that exports use. Shapes are those
of YOLACT++'s stages at 550x550.

    python -m benchmarks.cpu deformable [--runs 30] [--threads N] [--json benchmarks/results/deformable.json]
"""

from __future__ import annotations

import os
from pathlib import Path

import click
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.commands import json_option
from benchmarks.cpu import tables
from benchmarks.figures import write_figures
from benchmarks.machine import describe_machine
from benchmarks.onnx_timing import Inputs, time_in_turns
from yolact.cli.command import reports_errors

SHAPES = ((128, 69), (256, 35), (512, 18))
TAPS = 9


def make_model(nodes: list[onnx.NodeProto], weight: np.ndarray, inputs: Inputs) -> onnx.ModelProto:
    """An ONNX model of these nodes, with the inputs of `inputs`, the constant `weight` and the output `y`."""
    graph = helper.make_graph(
        nodes,
        "deformable",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def measure(channels: int, side: int, runs: int, threads: int) -> dict[str, float]:
    """The medians in ms of both forms on one shape."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((channels, channels, 3, 3), np.float32)
    x = rng.standard_normal((1, channels, side, side), np.float32)
    deform_inputs = {
        "x": x,
        "offset": rng.standard_normal((1, 2 * TAPS, side, side), np.float32),
        "mask": rng.random((1, TAPS, side, side), np.float32),
    }
    deform = [helper.make_node("DeformConv", ["x", "weight", "offset", "", "mask"], ["y"], pads=[1, 1, 1, 1])]
    grid_inputs = {
        "x": x,
        "grid": rng.uniform(-1, 1, (1, side, side * TAPS, 2)).astype(np.float32),
        "mask": rng.random((1, 1, side, side * TAPS), np.float32),
    }
    grid = [
        helper.make_node("GridSample", ["x", "grid"], ["samples"], mode="bilinear", padding_mode="zeros"),
        helper.make_node("Mul", ["samples", "mask"], ["columns"]),
        helper.make_node("Conv", ["columns", "weight"], ["y"], kernel_shape=[1, TAPS], strides=[1, TAPS]),
    ]
    models = {
        "DeformConv": (make_model(deform, weight, deform_inputs), deform_inputs),
        "GridSample": (make_model(grid, weight.reshape(channels, channels, 1, TAPS), grid_inputs), grid_inputs),
    }
    return time_in_turns(models, runs, threads)


@click.command()
@click.option("--runs", type=click.IntRange(1), default=30, show_default=True, help="Timed runs of each.")
@click.option("--threads", type=click.IntRange(1), default=os.cpu_count, help="[default: all cores]")
@json_option
@reports_errors
def main(runs: int, threads: int, json_path: Path | None) -> None:
    """Compare two forms of deformable convolution."""
    rows = {f"{channels}x{side}x{side}": measure(channels, side, runs, threads) for channels, side in SHAPES}
    figures = {"machine": describe_machine(threads), "runs": runs, "milliseconds": rows}
    print(tables.deformable(figures))
    write_figures(json_path, figures)
