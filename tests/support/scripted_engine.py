"""An engine file with known answers, and `yolact-infer` run on it."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from yolact.cli.infer import main
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.images.image_files import write_image
from yolact.runtime.metadata import ModelMetadata

CLASS_NAMES = ("person", "dog", "traffic light", "Bus")
IMAGE_SIZE, CELLS = 64, 16

# What the scripted engine finds: two persons, a dog, a traffic light below the default threshold.
BOXES = [(0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 0.5), (0.5, 0.5, 1.0, 1.0), (0.25, 0.25, 0.75, 0.75)]
SCORES = [0.9, 0.8, 0.7, 0.1]
CLASSES = [0, 0, 1, 2]


def write_engine(
    path: Path, mask_scores: list[float] | None = None, batch: int | None = None, **other: np.ndarray
) -> Path:
    """An engine file with known answers: these four in every image, masks filling their boxes; in a black one, nothing.

    `mask_scores` makes it a model with mask re-scoring, `batch` one that takes so many images and no other number;
    `other` answers take the place of these, and may be more.
    """
    masks = np.zeros((4, CELLS, CELLS), np.float32)
    for mask, box in zip(masks, BOXES, strict=True):
        left, top, right, bottom = (round(CELLS * value) for value in box)
        mask[top:bottom, left:right] = 1
    answers = {
        "boxes": np.array(BOXES, np.float32),
        "scores": np.array(SCORES, np.float32),
        "classes": np.array(CLASSES, np.int32),
        "masks": masks,
    }
    answers |= other
    if mask_scores is not None:
        answers["mask_scores"] = np.array(mask_scores, np.float32)
    config = ModelConfig("scripted", "resnet50", IMAGE_SIZE, CLASS_NAMES, mask_rescoring=mask_scores is not None)
    most = len(answers["scores"])
    metadata = ModelMetadata("full", config, PostprocessConfig(max_detections=most), "", "0")
    proto = helper.make_model(
        scripted_graph(answers, batch or "N"), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    helper.set_model_props(proto, metadata.to_props())
    onnx.save(proto, path)
    return path


def scripted_graph(answers: dict[str, np.ndarray], batch: int | str) -> onnx.GraphProto:
    """A count of all, or 0 where the image is black, and the same answers for each image of the batch."""
    nodes = [
        helper.make_node("Cast", ["images"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["levels"], ["brightest"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Clip", ["brightest", "zero", "one"], ["visible"]),
        helper.make_node("Mul", ["visible", "all"], ["count"]),
        helper.make_node("Cast", ["count"], ["counts"], to=TensorProto.INT32),
        helper.make_node("Unsqueeze", ["counts", "last"], ["num_detections"]),
        helper.make_node("Shape", ["images"], ["batch"], start=0, end=1),
    ]
    constants = {
        name: np.array(value, np.float32) for name, value in (("zero", 0), ("one", 1), ("all", len(answers["scores"])))
    }
    constants["last"] = np.array([-1])
    outputs = [helper.make_tensor_value_info("num_detections", TensorProto.INT32, [batch, 1])]
    for name, values in answers.items():
        constants |= {f"{name}_answer": values, f"{name}_shape": np.array(values.shape)}
        nodes += [
            helper.make_node("Concat", ["batch", f"{name}_shape"], [f"{name}_size"], axis=0),
            helper.make_node("Expand", [f"{name}_answer", f"{name}_size"], [name]),
        ]
        dtype = helper.np_dtype_to_tensor_dtype(values.dtype)
        outputs.append(helper.make_tensor_value_info(name, dtype, [batch, *values.shape]))
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, [batch, IMAGE_SIZE, IMAGE_SIZE, 3])
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return helper.make_graph(nodes, "scripted", [images], outputs, initializers)


def write_photo(path: Path, height: int = 40, width: int = 60) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.random.default_rng(0).integers(1, 256, (height, width, 3)).astype(np.uint8))
    return path


def write_video(path: Path, frames: int, size: tuple[int, int] = (32, 24)) -> Path:
    """Motion JPEG; the first frame is black, so nothing is found in it."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, size)
    for index in range(frames):
        writer.write(np.full((size[1], size[0], 3), 200 if index else 0, np.uint8))
    writer.release()
    return path


def infer(engine: Path, *arguments: str | Path) -> Result:
    """Run the command in this process; nothing but an exit may come out of it."""
    result = CliRunner().invoke(main, ["--engine", str(engine), *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def start(engine: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "yolact.cli.infer", "--engine", str(engine), *map(str, arguments)]
    # A shell starts what it runs in the background deaf to Ctrl-C, and the tests with it; the command must hear it.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed)


def read_json(path: Path) -> list[dict[str, Any]]:
    rows = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(rows, list)
    return rows
