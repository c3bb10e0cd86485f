"""The networks against numbers recorded from the official implementation."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recorded import CASES, CONFIG_NAMES, EDGE_CASES, EDGE_NAMES, load_rule, make_image, recorded_network, stretched
from torch import Tensor

from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import UsageError
from yolact.training.models.configs import CONFIGS
from yolact.training.models.model import Yolact
from yolact.training.models.seeded_weights import seeded_state_dict


def digest(state: dict[str, Tensor]) -> str:
    total = hashlib.sha256()
    for name in sorted(state):
        if not name.endswith("num_batches_tracked"):
            total.update(state[name].numpy().tobytes())
    return total.hexdigest()


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest, shared: Path) -> Iterator[Yolact]:
    """One network at a time; pytest groups the tests by it."""
    return recorded_network(shared, request.param)


def assert_as_recorded(stored: np.lib.npyio.NpzFile, name: str, ours: Tensor, atol: float) -> None:
    assert tuple(stored[f"{name}.shape"]) == tuple(ours.shape), name
    values = ours.reshape(-1)[torch.from_numpy(stored[f"{name}.idx"]).long()]
    np.testing.assert_allclose(values.numpy(), stored[f"{name}.val"], rtol=0, atol=atol, err_msg=name)
    extremes = [ours.min().item(), ours.max().item()]
    np.testing.assert_allclose(extremes, stored[f"{name}.stats"][3:], rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize("name", CONFIG_NAMES)
def test_parameters_are_the_official_ones(shared: Path, name: str) -> None:
    recorded = json.loads((shared / "goldens" / f"{name}.keys.json").read_text())
    with torch.device("meta"):
        network = Yolact(CONFIGS[name])
    state = network.state_dict()
    shapes = {key: list(tensor.shape) for key, tensor in state.items()}
    assert shapes == {entry["key"]: entry["shape"] for entry in recorded["keys_in_module_order"]}
    assert sum(parameter.numel() for parameter in network.parameters()) == recorded["n_params_trainable"]
    assert sum(tensor.numel() for tensor in state.values()) == recorded["n_values_total"]


@pytest.mark.parametrize("name", EDGE_NAMES)
def test_parameters_are_those_of_yolact_edge(shared: Path, name: str) -> None:
    """But for the pyramid's names and the two stages that feed nothing."""
    recorded = json.loads((shared / "goldens" / f"{name}.keys.json").read_text())["keys_in_module_order"]
    with torch.device("meta"):
        state = Yolact(CONFIGS[name]).state_dict()
    expected = {
        entry["key"].replace("fpn_phase_1", "fpn").replace("fpn_phase_2", "fpn"): entry["shape"]
        for entry in recorded
        if not entry["key"].startswith(("backbone.layers.7.", "backbone.layers.8."))
    }
    assert {key: list(tensor.shape) for key, tensor in state.items()} == expected


@pytest.mark.parametrize("name", CONFIG_NAMES + EDGE_NAMES)
def test_configuration_has_the_official_geometry(shared: Path, name: str) -> None:
    recorded = json.loads((shared / "goldens" / f"{name}.keys.json").read_text())
    config = CONFIGS[name]
    levels = recorded["levels"]
    assert config.level_sizes == tuple(level["conv_w"] for level in levels)
    assert [list(scales) for scales in config.scales] == [level["scales"] for level in levels]
    assert all([list(config.aspect_ratios)] == level["aspect_ratios"] for level in levels)
    assert config.anchors_per_cell == levels[0]["num_priors_per_cell"]
    assert [1, config.num_priors, 4] == recorded["raw_output_shapes"]["loc"]
    assert config.prototype_size == recorded["raw_output_shapes"]["proto"][1]


@pytest.mark.parametrize("name", CONFIG_NAMES)
def test_seeded_weights_are_the_recorded_ones(shared: Path, name: str) -> None:
    recorded = json.loads((shared / "goldens" / "weights_sha256.json").read_text())
    key = "sha256_concat_sorted_f32le"
    assert digest(seeded_state_dict(CONFIGS[name])) == recorded[f"{name}.seed1"][key]


def test_seeded_weights_of_another_seed_and_background(shared: Path) -> None:
    recorded = json.loads((shared / "goldens" / "weights_sha256.json").read_text())
    bias = load_rule(shared, "weights_rule").BG_BIAS["yolact_resnet50"][1]
    state = seeded_state_dict(CONFIGS["yolact_resnet50"], seed=2, background_bias=bias)
    assert digest(state) == recorded["yolact_resnet50.seed2"]["sha256_concat_sorted_f32le"]


@pytest.mark.parametrize(("model", "image_name"), CASES + EDGE_CASES, indirect=["model"])
def test_outputs_are_the_official_ones(shared: Path, model: Yolact, image_name: str) -> None:
    stored = np.load(shared / "goldens" / f"{model.config.name}.seed1.{image_name}.npz")
    features: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(
            lambda _module, _inputs, outputs, name=name: features.update(
                {f"{name}{index}": output for index, output in enumerate(outputs)}
            )
        )
        for name, module in (("backbone", model.backbone), ("fpn", model.fpn))
    ]
    # Training mode of the top module alone adds the segmentation and leaves BatchNorm in evaluation mode.
    model.training = True
    with torch.inference_mode():
        normalised = model.normalize(stretched(make_image(shared, image_name), model.config.image_size))
        raw = model(normalised)
    model.training = False
    for hook in hooks:
        hook.remove()

    assert_as_recorded(stored, "input", normalised, 1e-6)
    recorded = {key.partition(".")[0] for key in stored.files if key.startswith(("backbone", "fpn"))}
    widest = {"backbone7", "backbone8"} if model.config.backbone == "mobilenet_v2" else set()  # these feed nothing
    assert features.keys() == recorded - widest
    for name, output in features.items():
        assert_as_recorded(stored, name, output, 5e-4)
    assert_as_recorded(stored, "loc", raw.locations, 5e-4)
    assert_as_recorded(stored, "conf", raw.confidences, 5e-4)
    assert_as_recorded(stored, "mask", raw.coefficients, 5e-4)
    assert_as_recorded(stored, "proto", raw.prototypes.permute(0, 2, 3, 1), 5e-4)
    assert_as_recorded(stored, "segm", raw.segmentation, 5e-4)


@pytest.mark.parametrize("model", ["yolact_plus_resnet50"], indirect=True)
def test_predicted_mask_iou_is_the_official_one(shared: Path, model: Yolact) -> None:
    stored = np.load(shared / "goldens" / "unit_detect_post.yolact_plus_resnet50.vga480x640.npz")
    prototypes, coefficients = (torch.from_numpy(stored[name]) for name in ("in.proto", "fast.mask"))
    side = prototypes.shape[0]
    masks = (prototypes @ coefficients.T).sigmoid().permute(2, 0, 1)
    grid = torch.arange(side)
    for mask, box in zip(masks, torch.from_numpy(stored["fast.box"]) * side, strict=True):
        left, right = box[0::2].sort().values
        top, bottom = box[1::2].sort().values
        mask[:, (grid < left - 1) | (grid >= right + 1)] = 0
        mask[(grid < top - 1) | (grid >= bottom + 1)] = 0
    with torch.inference_mode():
        predicted = model.predict_mask_iou(masks, torch.from_numpy(stored["fast.class"]))
    assert 0 < (predicted > 0).sum() < len(predicted)
    rescored = predicted.numpy() * stored["fast.score"]
    np.testing.assert_allclose(rescored, stored["fast.post_score_mask"], rtol=0, atol=1e-5)


def small(config: ModelConfig) -> ModelConfig:
    return replace(config, image_size=97)


@pytest.mark.parametrize("name", ["yolact_darknet53", "yolact_plus_resnet50"])
def test_batch_is_the_images_one_by_one(name: str) -> None:
    config = small(CONFIGS[name])
    network = Yolact(config)
    network.load_state_dict(seeded_state_dict(config))
    network.eval()
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 97, 97, 3), dtype=np.uint8))
    with torch.inference_mode():
        both = network(network.normalize(pixels))
        single = [network(network.normalize(pixels[index : index + 1])) for index in range(2)]
    assert both.segmentation is None
    assert both.locations.shape == (2, config.num_priors, 4)
    assert both.prototypes.shape[2:] == (config.prototype_size,) * 2
    for field in ("locations", "confidences", "coefficients", "prototypes"):
        one_by_one = torch.cat([getattr(raw, field) for raw in single])
        torch.testing.assert_close(getattr(both, field), one_by_one, rtol=0, atol=1e-4)
        assert (one_by_one[0] - one_by_one[1]).abs().max() > 0.01, field


def test_normalization_swaps_to_rgb_and_accepts_bytes() -> None:
    with torch.device("meta"):
        network = Yolact(CONFIGS["yolact_resnet50"])
    blue = torch.tensor([255, 0, 0], dtype=torch.uint8).expand(1, 2, 2, 3)
    expected = [(0 - 123.68) / 58.40, (0 - 116.78) / 57.12, (255 - 103.94) / 57.38]
    for pixels in (blue, blue.double()):
        normalised = network.normalize(pixels)
        assert (normalised.shape, normalised.dtype) == ((1, 3, 2, 2), torch.float32)
        torch.testing.assert_close(normalised[0, :, 1, 1], torch.tensor(expected))


def test_fresh_network_is_initialised_as_the_official_one() -> None:
    torch.manual_seed(0)
    network = Yolact(small(CONFIGS["yolact_plus_resnet50"]))
    head = network.prediction_layers[0]
    fan_in, fan_out = 256 * 9, head.conf_layer.out_channels * 9
    bound = (6 / (fan_in + fan_out)) ** 0.5  # Xavier, uniform
    assert 0.99 * bound < head.conf_layer.weight.abs().max() <= bound
    heads = [(name, values) for name, values in network.named_parameters() if "backbone" not in name]
    assert all(values.count_nonzero() == 0 for name, values in heads if name.endswith("bias"))
    assert network.backbone.layers[1][0].conv2.conv_offset_mask.weight.count_nonzero() == 0


def test_mask_rescoring_needs_a_network_that_has_it() -> None:
    with torch.device("meta"):
        network = Yolact(CONFIGS["yolact_base"])
    with pytest.raises(UsageError, match="yolact_base has no mask re-scoring"):
        network.predict_mask_iou(torch.zeros(1, 138, 138), torch.zeros(1, dtype=torch.int64))
