"""Heads and final detections against numbers recorded from the official implementation, in PyTorch and ONNX Runtime."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from recorded import (
    CASES,
    CONFIG_NAMES,
    EDGE_CASES,
    EDGE_NAMES,
    IMAGE_NAMES,
    make_image,
    recorded_network,
    stretched,
)

from yolact.diff.detection_diff import box_ious
from yolact.export.onnx_model import export_model
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.contract import output_specs
from yolact.runtime.images.geometry import ImageTransform
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.postprocess.postprocess import ImageHeads, NetworkDetections, postprocess
from yolact.training.models.configs import CONFIGS
from yolact.training.models.model import Yolact

HEADS = {"loc": "locations", "conf": "confidences", "mask": "coefficients", "proto": "prototypes"}

# What another summation order may change; the recorded decisions' own margins are wider.
HEAD_TOLERANCE = 5e-4
SCORE_TOLERANCE = 1e-4
BOX_TOLERANCE = 2e-5


@dataclass
class Subject:
    """One configuration as a PyTorch model and as an exported file whose heads can be read as well."""

    model: Yolact
    session: onnxruntime.InferenceSession
    image_names: list[str]

    @property
    def config(self) -> ModelConfig:
        return self.model.config


@pytest.fixture(scope="module")
def subject(request: pytest.FixtureRequest, shared: Path) -> Subject:
    config = CONFIGS[request.param]
    every_image = request.config.getoption("--parity-table") is not None
    image_names = [name for name in IMAGE_NAMES if every_image or (config.name, name) in CASES + EDGE_CASES]
    model = recorded_network(shared, config.name)
    proto = export_model(model, PostprocessConfig(), weights_sha256="")
    # The recorded inputs were resized in floating point, which uint8 pixels cannot carry. Everything but the type of
    # the input is as exported: its first node casts to float32, whatever comes in.
    proto.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    for name in HEADS.values():
        proto.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return Subject(model, onnxruntime.InferenceSession(proto.SerializeToString(), options), image_names)


@pytest.fixture(scope="session")
def parity_log(request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """Collects largest differences per configuration and runtime; see `--parity-table`."""
    table: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)

    def log(config: str, runtime: str, differences: dict[str, float]) -> None:
        row = table[config, runtime]
        for name, value in differences.items():
            row[name] = max(value, row.get(name, 0.0))

    yield log
    path = request.config.getoption("--parity-table")
    if path is not None:
        path.write_text(_as_tables(table))


def _as_tables(table: dict[tuple[str, str], dict[str, float]]) -> str:
    """Markdown, one table per runtime."""
    parts = []
    for runtime in dict.fromkeys(runtime for _, runtime in table):
        rows = {config: row for (config, other), row in table.items() if other == runtime}
        columns = list(dict.fromkeys(name for row in rows.values() for name in row))
        lines = [f"### {runtime}", "", f"| configuration | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        for config, row in rows.items():
            cells = [f"{row[name]:.2g}" if name in row else "" for name in columns]
            lines.append(f"| {config} | {' | '.join(cells)} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def run_pytorch(subject: Subject, pixels: torch.Tensor) -> tuple[ImageHeads, NetworkDetections]:
    with torch.inference_mode():
        raw = subject.model(subject.model.normalize(pixels))
    heads = ImageHeads(*(getattr(raw, name)[0].numpy() for name in HEADS.values()))
    found = postprocess(heads, subject.config, PostprocessConfig())
    mask_scores = None
    if subject.config.mask_rescoring:
        with torch.inference_mode():
            classes = torch.from_numpy(found.class_ids).long()
            fit = subject.model.predict_mask_iou(torch.from_numpy(found.masks), classes)
        mask_scores = found.scores * fit.numpy()
    return heads, NetworkDetections(found.boxes, found.scores, found.class_ids, found.masks, mask_scores)


def run_onnx(subject: Subject, pixels: torch.Tensor) -> tuple[ImageHeads, NetworkDetections]:
    contract = output_specs("full", subject.config, PostprocessConfig())
    names = [*HEADS.values(), *contract]
    outputs = dict(zip(names, subject.session.run(names, {"images": pixels.numpy()}), strict=True))
    count = outputs.pop("num_detections").item()
    heads = ImageHeads(*(outputs.pop(name)[0] for name in HEADS.values()))
    assert all(not array[0, count:].any() for array in outputs.values())
    return heads, NetworkDetections(*(array[0, :count] for array in outputs.values()))


RUNTIMES = {"pytorch": run_pytorch, "onnxruntime": run_onnx}

ALL_NAMES = CONFIG_NAMES + EDGE_NAMES
QUICK = {
    "pytorch": ["yolact_edge_mobilenetv2"],
    "onnxruntime": ["yolact_resnet50", "yolact_plus_resnet50", "yolact_darknet53", "yolact_edge_mobilenetv2"],
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One network of each backbone in ONNX Runtime, one of them with all parts, and the smallest in PyTorch.

    For the tables all run in both. What PyTorch computes of the others is compared in `test_model_parity.py`.
    """
    every = metafunc.config.getoption("--parity-table") is not None
    names = {run: ALL_NAMES if every else some for run, some in QUICK.items()}
    if "runtime" in metafunc.fixturenames:
        runs = [(name, run) for name in ALL_NAMES for run in RUNTIMES if name in names[run]]
        metafunc.parametrize(("subject", "runtime"), runs, indirect=["subject"], scope="module")
    else:
        metafunc.parametrize("subject", ALL_NAMES if every else ["yolact_resnet50"], indirect=True, scope="module")


def test_agrees_with_the_official_code(
    subject: Subject, runtime: str, shared: Path, parity_log: Callable[..., None]
) -> None:
    for image_name in subject.image_names:
        image = make_image(shared, image_name)
        stored = np.load(shared / "goldens" / f"{subject.config.name}.seed1.{image_name}.npz")
        heads, found = RUNTIMES[runtime](subject, stretched(image, subject.config.image_size))
        row = {name: head_difference(stored, key, getattr(heads, name)) for key, name in HEADS.items()}
        row |= detection_differences(stored, found, ImageTransform(image.shape[:2]))
        beyond_noise = row.pop("mask pixels beyond noise")
        parity_log(subject.config.name, runtime, row)
        assert max(row[name] for name in HEADS.values()) <= HEAD_TOLERANCE, image_name
        assert row["unmatched"] == 0, image_name
        assert row["scores"] <= SCORE_TOLERANCE, image_name
        assert row["boxes"] <= BOX_TOLERANCE, image_name
        assert row["pixel boxes"] <= 1, image_name
        assert beyond_noise <= 0, image_name
        assert row.get("mask_scores", 0) <= SCORE_TOLERANCE, image_name


def test_rounding_the_resized_image_to_bytes_keeps_nearly_all_detections(
    subject: Subject, shared: Path, parity_log: Callable[..., None]
) -> None:
    """The official code interpolates in floating point, the contract's pixels are uint8: what that changes. Random
    weights, all of whose filters have sum zero, make the most of such noise."""
    for image_name in subject.image_names:
        if image_name == "sq550":  # most networks take it as it is
            continue
        stored = np.load(shared / "goldens" / f"{subject.config.name}.seed1.{image_name}.npz")
        pixels = Preprocessor(subject.config.image_size)([make_image(shared, image_name)])
        heads, found = run_onnx(subject, torch.from_numpy(pixels).float())
        overlap = box_ious(stored["fast.box"], found.boxes)
        overlap[stored["fast.class"][:, None] != found.class_ids] = 0
        matched = overlap.max(axis=1) > 0.9
        scores = np.abs(found.scores[overlap.argmax(axis=1)] - stored["fast.score"])[matched]
        row = {name: head_difference(stored, key, getattr(heads, name)) for key, name in HEADS.items()}
        row |= {"unmatched": float((~matched).sum()), "scores": float(scores.max())}
        parity_log(subject.config.name, "onnxruntime, pixels resized as uint8", row)
        assert row["unmatched"] <= 15, image_name
        assert np.median(scores) <= 0.03, image_name


def head_difference(stored: np.lib.npyio.NpzFile, key: str, head: np.ndarray) -> float:
    ours = head.transpose(1, 2, 0) if key == "proto" else head
    assert ours[None].shape == tuple(stored[f"{key}.shape"])
    return float(np.abs(ours.reshape(-1)[stored[f"{key}.idx"]] - stored[f"{key}.val"]).max())


def detection_differences(
    stored: np.lib.npyio.NpzFile, found: NetworkDetections, transform: ImageTransform
) -> dict[str, float]:
    """Largest differences over detections matched one to one by class and box."""
    matches = match(stored, found)
    ours, theirs = np.array(list(matches.values())), np.array(list(matches))
    area, noise = [], stored["fast.n_pixels_within_1e-4_of_0.5"][theirs]
    bits = []
    for index, recorded in zip(ours, theirs, strict=True):
        region, mask = transform.upsample_mask(found.masks[index])
        area.append(mask.sum() - stored["fast.post_mask_area"][recorded])
        if recorded < 10:
            full = np.zeros(transform.image_size, bool)
            full[region.slices] = mask
            packed = stored["fast.post_mask_first10_packed"][recorded]
            bits.append((full != np.unpackbits(packed, count=full.size).reshape(full.shape)).sum() - noise[recorded])
    differences = {
        "unmatched": float(stored["fast.n"] - len(matches)),
        "scores": float(np.abs(found.scores[ours] - stored["fast.score"][theirs]).max()),
        "boxes": float(np.abs(found.boxes[ours] - stored["fast.box"][theirs]).max()),
        "pixel boxes": float(
            np.abs(official_pixels(found.boxes[ours], transform) - stored["fast.post_box"][theirs]).max()
        ),
        "mask area": float(np.abs(area).max()),
        "mask pixels beyond noise": float(max(np.max(np.abs(area) - np.maximum(4, noise)), np.max(bits) - 4)),
    }
    if found.mask_scores is not None:
        differences["mask_scores"] = float(
            np.abs(found.mask_scores[ours] - stored["fast.post_score_mask"][theirs]).max()
        )
    return differences


def match(stored: np.lib.npyio.NpzFile, found: NetworkDetections) -> dict[int, int]:
    """Recorded index to ours. A detection at the cut may change places with the next where their scores are equal."""
    assert len(found.scores) == stored["fast.n"]
    matches: dict[int, int] = {}
    for recorded, (class_id, box) in enumerate(zip(stored["fast.class"], stored["fast.box"], strict=True)):
        distance = np.abs(found.boxes - box).max(axis=1) + 10.0 * (found.class_ids != class_id)
        distance[list(matches.values())] = np.inf
        if distance.min() <= BOX_TOLERANCE:
            matches[recorded] = int(distance.argmin())
    return matches


def official_pixels(boxes: np.ndarray, transform: ImageTransform) -> np.ndarray:
    """Whole-pixel boxes with the official `sanitize_coordinates`, which clamps each end on one side only."""
    height, width = transform.image_size
    pixels = boxes * np.array([width, height, width, height], np.float32)
    pixels[:, :2] = np.maximum(pixels[:, :2], 0)
    pixels[:, 2:] = np.minimum(pixels[:, 2:], [width, height])
    return pixels.astype(np.int64)
