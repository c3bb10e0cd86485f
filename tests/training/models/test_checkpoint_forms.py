"""Checkpoints as people have them: prefixes, wrappers, averages, others' names and formats, and what is none."""

from __future__ import annotations

import io
import json
import logging
import pickle
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import CheckpointError
from yolact.training.models.checkpoints import load_checkpoint
from yolact.training.models.configs import CONFIGS, YOUTUBE_VIS_CLASSES, get_config
from yolact.training.models.seeded_weights import seeded_state_dict
from yolact.training.models.state_dicts import read_state_dict

State = dict[str, Tensor]
CONFIG = ModelConfig("small", "mobilenet_v2", 64, ("a", "b"), fpn_channels=8, num_coefficients=4)
STATE = seeded_state_dict(CONFIG)
LOSS_ONLY = ("semantic_seg_conv.", "num_batches_tracked")


def prefixed(prefix: str, state: State = STATE) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def moved(state: State = STATE) -> State:
    """Other weights of the same names and shapes."""
    return {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def without(*parts: str, state: State = STATE) -> State:
    return {name: tensor for name, tensor in state.items() if not any(part in name for part in parts)}


def edge_names(state: State = STATE) -> State:
    """As YOLACT-Edge calls them (its yolact.py), with the two stages of its MobileNetV2 that feed nothing."""
    renamed = {
        re.sub(r"^fpn\.(lat|pred|downsample)_layers", r"fpn_phase_@\1_layers", name): tensor
        for name, tensor in state.items()
    }
    phases = {name.replace("@", "1." if "lat_layers" in name else "2."): tensor for name, tensor in renamed.items()}
    unused = {
        "backbone.layers.7.0.conv.0.0.weight": torch.ones(960, 160, 1, 1),
        "backbone.layers.8.0.weight": torch.ones(3),
    }
    return {**phases, **unused}


VIDEO = {
    "flow_net.conv1.0.weight": torch.ones(2),
    "flow_net_pre_convs.0.weight": torch.ones(2),
    "spa.layers.0.weight": torch.ones(2),
}

FORMS: dict[str, Any] = {
    "module twice": prefixed("module.module."),
    "model": prefixed("model."),
    "net": prefixed("net."),
    "compiled": prefixed("_orig_mod."),
    "compiled inside": prefixed("model._orig_mod.module."),
    "a name of one's own": prefixed("detector.yolact."),
    "model_state_dict": {"model_state_dict": STATE, "optimizer_state_dict": {"state": {0: {"exp_avg": torch.ones(9)}}}},
    "weights": {"weights": STATE, "epoch": 3},
    "network": {"network": prefixed("module.")},
    "two wrappers": {"checkpoint": {"state_dict": STATE}},
    "a wrapper of one's own": {"generator": STATE, "statistics": {"mean": torch.ones(3)}},
    "numbers beside": {**STATE, "epoch": 3, "note": "best"},
    "no semantic loss": without("semantic_seg_conv."),
    "nothing of training": {"ema": without(*LOSS_ONLY)},
    "Lightning, with its loss": {"state_dict": {**prefixed("model."), "criterion.weight": torch.ones(3)}},
    "a compiled part": {name.replace("backbone.", "backbone._orig_mod."): STATE[name] for name in STATE},
    "FSDP": prefixed(
        "_fsdp_wrapped_module.", {name.replace("fpn.", "fpn._fsdp_wrapped_module."): STATE[name] for name in STATE}
    ),
    "DeepSpeed": {"module": prefixed("_forward_module.")},
    "a list": [3, {"a": STATE}],
    "optimised": {"optimized_model": STATE},
    "counted by thop": {**STATE, "total_ops": torch.ones(1), "backbone.total_params": torch.ones(1)},
    "counters of other forms": {
        name: tensor.float().reshape(1) * torch.nan if name.endswith("num_batches_tracked") else tensor
        for name, tensor in STATE.items()
    },
    "truth values beside": {"model": STATE, "mask": torch.ones(3, dtype=torch.bool)},
    "with gradients": {
        name: tensor.clone().requires_grad_(tensor.is_floating_point()) for name, tensor in STATE.items()
    },
    "transposed in memory": {
        name: tensor.transpose(0, -1).contiguous().transpose(0, -1) for name, tensor in STATE.items()
    },
    "edge": edge_names(),
    "edge, saved by a wrapper": {"state_dict": prefixed("module.", edge_names())},
}


def saved(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


def assert_loads(path: Path, expected: State = STATE) -> None:
    loaded = load_checkpoint(path, CONFIG).state_dict()
    for name, tensor in expected.items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(loaded[name], tensor), name
    assert all(tensor.isfinite().all() for tensor in loaded.values() if tensor.is_floating_point())


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert_loads(saved(FORMS[form], tmp_path / "w.pth"), without(*LOSS_ONLY))
    assert not caplog.messages


def test_absent_layers_of_training_are_zero(tmp_path: Path) -> None:
    model = load_checkpoint(saved(without("semantic_seg_conv."), tmp_path / "w.pth"), CONFIG)
    assert not model.semantic_seg_conv.weight.any() and not model.semantic_seg_conv.bias.any()


AVERAGED: dict[str, tuple[Any, str]] = {
    "ema": ({"model": moved(), "ema": STATE}, "under ema of .*, not those under model"),
    "ema first": ({"ema": STATE, "model": moved()}, "under ema of .*, not those under model"),
    "deeper": ({"state_dict": moved(), "ema": {"module": prefixed("module.")}}, "under ema.module of .* state_dict"),
    "timm": ({"state_dict": moved(), "state_dict_ema": STATE}, "under state_dict_ema of .* state_dict"),
    "swa": ({"model": moved(), "swa_model": {**prefixed("module."), "n_averaged": torch.tensor(9)}}, "under swa_model"),
    "parameters alone": ({"model": STATE, "ema": moved(without("running_"))}, "under model of .*, not those under ema"),
    "one dictionary": (
        {**prefixed("online_model.", moved()), **prefixed("ema_model."), "initted": torch.tensor(True)},
        "under ema_model of .*, not those under online_model",
    ),
    "beside it": ({**moved(), **prefixed("model_ema.module.")}, "under model_ema of .*, not those under no name"),
    "capitals": ({"model": moved(), "EMA": STATE}, "under EMA of .*, not those under model"),
    "camel": ({"model": moved(), "modelEma": STATE}, "under modelEma of .*, not those under model"),
    "nothing averaged": ({"model": STATE, "ema": None}, ""),
    "two plain": ({"best_model": moved(), "model": STATE}, "under model of .*, not those under best_model"),
}


@pytest.mark.parametrize("form", AVERAGED)
def test_which_weights_were_taken_is_said(form: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content, said = AVERAGED[form]
    taken = read_state_dict(saved(content, tmp_path / "w.pth"))
    assert all(torch.equal(taken[name], tensor) for name, tensor in without(*LOSS_ONLY).items())
    assert len(caplog.messages) == (said != "")
    assert re.search(said, caplog.text)


def test_video_networks_are_loaded_for_their_key_frames(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert_loads(saved(prefixed("module.", {**edge_names(), **VIDEO}), tmp_path / "w.pth"))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "frames between key frames" in caplog.text and "which is exact" in caplog.text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("yolact_edge_54_800000 (1)", "yolact_edge"),
        ("yolact_edge_vid_847_50000", "yolact_edge_youtubevis"),
        ("yolact_edge_vid_trainflow_resnet50_1_2", "yolact_edge_youtubevis_resnet50"),
    ],
)
def test_names_of_yolact_edge(name: str, expected: str, tmp_path: Path) -> None:
    assert get_config(re.sub(r"_\d+_\d+( .*)?$", "_config", name)) == CONFIGS[expected]
    state = {key: tensor.expand(shape) for key, shape, tensor in hollow(CONFIGS[expected])}
    assert load_checkpoint(saved(edge_names(state), tmp_path / f"{name}.pth")).config == CONFIGS[expected]


@pytest.mark.parametrize("middle", ["vid", "vid_minimal", "vid_trainflow", "youtubevis"])
@pytest.mark.parametrize("end", ["", "_resnet50"])
def test_configurations_of_yolact_edge_for_video(middle: str, end: str) -> None:
    assert get_config(f"yolact_edge_{middle}{end}_config") == CONFIGS[f"yolact_edge_youtubevis{end}"]


def hollow(config: ModelConfig) -> list[tuple[str, torch.Size, Tensor]]:
    from yolact.training.models.model import Yolact

    with torch.device("meta"):
        state = Yolact(config).state_dict()
    return [(name, like.shape, torch.ones((), dtype=like.dtype)) for name, like in state.items()]


def test_forty_classes_are_those_of_youtube_vis(tmp_path: Path) -> None:
    config = CONFIGS["yolact_edge_youtubevis_resnet50"]
    state = {key: tensor.expand(shape) for key, shape, tensor in hollow(config)}
    found = load_checkpoint(saved(state, tmp_path / "best.pth")).config
    assert found.class_names == YOUTUBE_VIS_CLASSES and len(set(YOUTUBE_VIS_CLASSES)) == 40


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_safetensors(name: str, tmp_path: Path) -> None:
    """By its content, whatever it is called. The file is written by hand, after the format's description."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for key, tensor in prefixed("module.").items():
        values = tensor.numpy()
        header[key] = {
            "dtype": {"float32": "F32", "int64": "I64"}[values.dtype.name],
            "shape": list(values.shape),
            "data_offsets": [len(data), len(data) + values.nbytes],
        }
        data += values.tobytes()
    text = json.dumps(header).encode()
    (tmp_path / name).write_bytes(len(text).to_bytes(8, "little") + text + data)
    assert_loads(tmp_path / name)


def scripted() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), buffer)
    return buffer.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("w.pth"))
    return buffer.getvalue()


def arrays() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


def onnx_file() -> bytes:
    graph = onnx.helper.make_graph([], "g", [], [])
    return onnx.helper.make_model(graph, producer_name="someone").SerializeToString()


POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32\nsize 12345\n"
)
FOREIGN: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    "web page": (b"<!DOCTYPE html><html><head><title>Google Drive", "is a web page .*; download the file itself"),
    "web page, old": (b"\n\n<HTML>\n<HEAD>", "is a web page"),
    "web page with a mark": (b"\xef\xbb\xbf<!-- made by x -->\n<html>", "is a web page"),
    "Git LFS": (POINTER, "is a Git LFS pointer .*; run git lfs pull"),
    "git-annex": (b"/annex/objects/MD5-s12--abc\n", "is a git-annex pointer"),
    "error of a store": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is an XML text"),
    "error of an API": (b'{"error":"Repository not found"}', "is a JSON text"),
    "a list of parts": (b'{"metadata": {}, "weight_map": {}}', "is the list of a checkpoint's parts"),
    "error of GitHub": (b"404: Not Found", "is a text that begins with '404: Not Found', no file of tensors; download"),
    "a plain pickle": (pickle.dumps({"a": [1] * 99}), "is a pickle that torch.save has not written"),
    "zip of others": (lambda: zipped("model.weights.h5", b"x"), "is a zip archive without tensors of PyTorch"),
    "TorchScript": (scripted, "is a TorchScript program, whose code is not run; load it with torch.jit.load"),
    "zip": (
        lambda: zipped("yolact_base_54_800000.pth", b"PK"),
        r"is a zip archive with yolact_base_54_800000\.pth in it",
    ),
    "NumPy": (arrays, "is an archive of NumPy arrays"),
    "NumPy, one": (b"\x93NUMPY\x01\x00", "is a NumPy array"),
    "tar": (tarred, r"is an archive \(tar\)"),
    "gzip": (b"\x1f\x8b\x08\x00", r"is an archive \(gzip\)"),
    "Keras": (b"\x89HDF\r\n\x1a\n" + bytes(20), "is an HDF5 file"),
    "Darknet": ((0).to_bytes(4, "little") + (2).to_bytes(4, "little") + bytes(12), "is a .weights file of Darknet"),
    "ONNX": (onnx_file, "is an ONNX file; give it as --engine"),
    "plan": (b"ftrt" + bytes(30), "is a TensorRT plan; give it as --engine"),
    "nothing": (b"", "is empty"),
    "safetensors cut": ((10).to_bytes(8, "little") + b'{"a":{"dt', "is a damaged file of safetensors"),
    "safetensors odd": ((8).to_bytes(8, "little") + b'{"a": 3}', "is a damaged file of safetensors"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_checkpoint_is_named(kind: str, tmp_path: Path) -> None:
    content, pattern = FOREIGN[kind]
    path = tmp_path / "yolact_base_54_800000.pth"
    path.write_bytes(content() if callable(content) else content)
    with pytest.raises(CheckpointError, match=f"^{re.escape(str(path))} {pattern}") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


STRANGERS: dict[str, tuple[tuple[str, ...], str]] = {
    "Yolact_minimal": (("backbone.conv1.weight", "proto_net.proto1.0.weight"), "of Yolact_minimal"),
    "Yolact_minimal's head": (("prediction_layers.coef_layer.0.weight",), "of Yolact_minimal"),
    "MMDetection": (("backbone.layer1.0.conv1.weight", "bbox_head.conv_cls.weight"), "of MMDetection"),
    "Detectron2": (("backbone.bottom_up.stem.conv1.weight",), "of Detectron2"),
    "torchvision": (("backbone.body.conv1.weight", "roi_heads.mask_head.x"), "of torchvision's detectors"),
    "YOLO": (("model.0.conv.weight", "model.0.bn.weight"), "of Ultralytics' YOLO"),
    "backbone": (("conv1.weight", "layer1.0.conv1.weight"), "weights of a backbone alone.*; yolact-train --weights"),
    "another": (("encoder.a", "encoder.b"), "the first tensors are encoder.a, encoder.b; choose one trained with"),
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_checkpoints_of_other_projects_are_named(kind: str, tmp_path: Path) -> None:
    names, pattern = STRANGERS[kind]
    path = saved({"state_dict": {name: torch.ones(2) for name in names}}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=f"^{re.escape(str(path))}: not a YOLACT checkpoint, .*{pattern}"):
        load_checkpoint(path)


RUN_STATE = {"version": 1, "config": {}, "settings": {}, "data": "scenes:3", "iteration": 1234, "optimizer": {}}


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ("small_3_1234.pth", "take small_3_1234.pth beside it$"),
        ("small_3_1234_interrupt.pth", "take small_3_1234_interrupt.pth beside it$"),
        (
            "small_3_999.pth",
            "take the checkpoint that the run wrote beside it, <configuration>_<epoch>_<iter",
        ),
    ],
)
def test_the_state_of_a_run_is_no_checkpoint(beside: str, said: str, tmp_path: Path) -> None:
    (tmp_path / beside).touch()
    path = saved({**RUN_STATE, "model": STATE}, tmp_path / "state.pth")
    with pytest.raises(CheckpointError, match=rf"state\.pth is the state of a training run, .*--resume; {said}"):
        load_checkpoint(path, CONFIG)


def test_a_tensor_under_two_names(tmp_path: Path) -> None:
    state = {**STATE, "fpn_phase_1.lat_layers.0.weight": STATE["fpn.lat_layers.0.weight"]}
    with pytest.raises(
        CheckpointError, match=r"fpn\.lat_layers\.0\.weight is there twice, as fpn\.lat_.* and as fpn_ph"
    ):
        load_checkpoint(saved(state, tmp_path / "w.pth"), CONFIG)


def test_a_network_prepared_for_quantisation_is_named(tmp_path: Path) -> None:
    state = {**STATE, "proto_net.0.weight_fake_quant.scale": torch.ones(1)}
    with pytest.raises(CheckpointError, match=r"fake_quant\.scale belongs to a network prepared for quantisation"):
        load_checkpoint(saved(state, tmp_path / "w.pth"), CONFIG)


def test_values_beyond_single_precision(tmp_path: Path) -> None:
    state = {**STATE, "proto_net.0.bias": torch.full_like(STATE["proto_net.0.bias"], 1e300, dtype=torch.float64)}
    with pytest.raises(CheckpointError, match=r"proto_net\.0\.bias contains NaN or infinite values"):
        load_checkpoint(saved(state, tmp_path / "w.pth"), CONFIG)
