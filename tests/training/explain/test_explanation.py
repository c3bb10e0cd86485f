"""Explanations: the same for every form of a network, and sums that add up to the mask that was returned."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from explanations import LIMITS, make_explanation, write_checkpoint

from yolact.runtime.config import ModelConfig
from yolact.runtime.detections import Detections
from yolact.runtime.detector import Detector
from yolact.runtime.errors import EngineError, YolactError
from yolact.runtime.postprocess.mask_assembly import assemble_masks
from yolact.runtime.postprocess.postprocess import ImageHeads, NetworkDetections, postprocess
from yolact.runtime.postprocess.priors import make_priors
from yolact.training.explain.explanation import EngineExplainer, Explanation, explain_heads, explain_network
from yolact.training.models.checkpoints import load_checkpoint


def assert_agree(one: Explanation, other: Explanation) -> None:
    assert len(one) == len(other)
    np.testing.assert_array_equal(one.found.class_ids, other.found.class_ids)
    np.testing.assert_allclose(one.prototypes, other.prototypes, atol=2e-4, rtol=1e-4)
    np.testing.assert_allclose(one.coefficients, other.coefficients, atol=1e-4)
    np.testing.assert_allclose(one.found.boxes, other.found.boxes, atol=1e-5)
    np.testing.assert_allclose(one.found.scores, other.found.scores, atol=1e-4)
    np.testing.assert_allclose(one.found.masks, other.found.masks, atol=1e-3)


@pytest.fixture(scope="module")
def engines(
    tiny_config: ModelConfig,
    tiny_engine: Path,
    tiny_raw_engine: Path,
    export_seeded: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("engines")
    inlined = export_seeded(tiny_config, folder / "inlined.onnx", LIMITS, inline_functions=True)
    batch = export_seeded(tiny_config, folder / "batch.onnx", LIMITS, batch=3)
    return {"full": tiny_engine, "raw": tiny_raw_engine, "inlined": inlined, "batch of 3": batch}


def test_all_forms_of_a_network_explain_the_same(
    tiny_config: ModelConfig, engines: dict[str, Path], photos: list[np.ndarray], tmp_path: Path
) -> None:
    model = load_checkpoint(write_checkpoint(tiny_config, tmp_path))
    explainers = {form: EngineExplainer(path) for form, path in engines.items()}
    for photo in photos:
        expected = explain_network(model, photo, LIMITS)
        assert len(expected) > 3
        for explain in explainers.values():
            assert explain.metadata.config == tiny_config
            assert_agree(explain(photo), expected)


@pytest.mark.parametrize("form", ["full", "raw", "inlined", "batch of 3"])
def test_what_is_explained_is_what_the_detector_finds(
    engines: dict[str, Path], photos: list[np.ndarray], form: str
) -> None:
    explanation = EngineExplainer(engines[form])(photos[2])
    with Detector.open(engines[form]) as detector:
        found = detector(photos[2])
    explained = explanation.in_image(photos[2].shape[:2])
    assert len(explained) > 3 and explained.transform == found.transform
    np.testing.assert_array_equal(explained.class_ids, found.class_ids)
    np.testing.assert_allclose(explained.boxes, found.boxes, atol=1e-3)
    np.testing.assert_allclose(explained.scores, found.scores, atol=1e-5)
    assert (explained.masks != found.masks).mean() < 1e-4


@pytest.mark.parametrize("form", ["full", "raw"])
def test_terms_of_a_real_network_add_up_to_its_masks(
    engines: dict[str, Path], photos: list[np.ndarray], form: str
) -> None:
    explanation = EngineExplainer(engines[form])(photos[0])
    assert len(explanation) > 3
    for index, mask in enumerate(explanation.found.masks):
        np.testing.assert_allclose(explanation.compose(index).cropped, mask, atol=1e-4)


def test_mask_scores_of_a_checkpoint_and_of_a_full_graph_agree(
    export_seeded: Callable[..., Path], photos: list[np.ndarray], tmp_path: Path
) -> None:
    config = ModelConfig("small-plus", "resnet50", 256, ("person", "dog"), mask_rescoring=True)
    engine = export_seeded(config, tmp_path / "plus.onnx", LIMITS)
    model = load_checkpoint(write_checkpoint(config, tmp_path))
    of_engine, of_model = EngineExplainer(engine)(photos[0]), explain_network(model, photos[0], LIMITS)
    assert_agree(of_engine, of_model)
    assert of_engine.found.mask_scores is not None and of_model.found.mask_scores is not None
    np.testing.assert_allclose(of_engine.found.mask_scores, of_model.found.mask_scores, atol=1e-3)


@pytest.mark.parametrize("nms", ["fast", "cross-class", "traditional"])
def test_heads_are_post_processed_as_the_runtime_does(tiny_config: ModelConfig, nms: str) -> None:
    generator = np.random.default_rng(0)
    count = len(make_priors(tiny_config))
    heads = ImageHeads(
        generator.normal(size=(count, 4)).astype(np.float32),
        3 * generator.normal(size=(count, 4)).astype(np.float32),
        np.tanh(generator.normal(size=(count, 32))).astype(np.float32),
        generator.random((32, 40, 40)).astype(np.float32),
    )
    settings = replace(LIMITS, nms=nms)
    explanation, expected = explain_heads(heads, tiny_config, settings), postprocess(heads, tiny_config, settings)
    assert len(explanation) == 20
    for name in ("boxes", "scores", "class_ids", "masks"):
        np.testing.assert_array_equal(getattr(explanation.found, name), getattr(expected, name))
    nothing = explain_heads(heads, tiny_config, replace(settings, score_threshold=1.0))
    assert len(nothing) == 0 and nothing.prototypes.shape == (32, 40, 40)


@pytest.mark.parametrize("shown", [0, 1, 4, 9, 50])
def test_shown_terms_and_the_rest_are_the_whole_sum(shown: int) -> None:
    explanation = make_explanation()
    for index in range(len(explanation)):
        composition = explanation.compose(index, shown)
        assert len(composition.terms) == len(set(composition.indices.tolist())) == min(shown, 9)
        assert composition.others == 9 - min(shown, 9)
        pairs = zip(explanation.coefficients[index].tolist(), explanation.prototypes.astype(np.float64), strict=True)
        logits = sum((coefficient * prototype for coefficient, prototype in pairs), np.zeros((20, 30)))
        np.testing.assert_allclose(composition.terms.sum(axis=0) + composition.rest, logits, atol=1e-5)
        np.testing.assert_allclose(composition.logits, logits, atol=1e-5)
        np.testing.assert_allclose(composition.probabilities, 1 / (1 + np.exp(-logits)), atol=1e-6)
        (mask,) = assemble_masks(
            explanation.prototypes, explanation.coefficients[[index]], explanation.found.boxes[[index]]
        )
        np.testing.assert_allclose(composition.cropped, mask, atol=1e-6)
        assert composition.logits.dtype == composition.cropped.dtype == np.float32


def test_strong_logits_do_not_overflow() -> None:
    explanation = make_explanation()
    strong = replace(explanation, prototypes=explanation.prototypes * 1000)
    probabilities = strong.compose(0).probabilities
    assert np.isfinite(probabilities).all() and probabilities.min() == 0 and probabilities.max() == 1


def test_contributions_are_measured_inside_the_box() -> None:
    """One prototype is strong but elsewhere; of the others |coefficient| x value decides."""
    prototypes = np.zeros((4, 20, 20), np.float32)
    prototypes[0, 10:, 10:] = 100  # outside the box and the cell that the crop leaves around it
    prototypes[1, :8, :8] = 2
    prototypes[2, :8, :8] = 1
    prototypes[3] = 1
    coefficients = np.array([[1.0, -0.4, 0.7, 0.1]], np.float32)
    box = np.array([[0.1, 0.1, 0.35, 0.35]], np.float32)  # cells 2 to 7, with the crop's padding 1 to 7
    found = NetworkDetections(box, np.ones(1, np.float32), np.zeros(1, np.int32), np.zeros((1, 20, 20), np.float32))
    explanation = Explanation(prototypes, coefficients, found)
    np.testing.assert_allclose(explanation.contributions(0), [0, 0.8, 0.7, 0.1], rtol=1e-6)
    composition = explanation.compose(0, 3)
    assert composition.indices.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(composition.coefficients, np.float32([-0.4, 0.7, 0.1]))


def test_a_box_outside_the_image_gets_no_contributions() -> None:
    explanation = make_explanation()
    assert explanation.contributions(3).tolist() == [0] * 9
    assert not explanation.compose(3).cropped.any()


@pytest.mark.parametrize("mask_scores", [False, True])
@pytest.mark.parametrize(("threshold", "top_k"), [(0.0, None), (0.3, None), (0.3, 2), (1.0, None)])
def test_selection_is_that_of_detections(mask_scores: bool, threshold: float, top_k: int | None) -> None:
    explanation = make_explanation(12, mask_scores=mask_scores)
    explanation.found.scores[5] = threshold
    expected = explanation.in_image((48, 64)).select(threshold, top_k)
    selected = explanation.select(threshold, top_k)
    found = selected.in_image((48, 64))
    assert isinstance(found, Detections) and len(selected) == len(found) == len(expected)
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_array_equal(found.ranking_scores, expected.ranking_scores)
    np.testing.assert_array_equal(selected.ranking_scores, expected.ranking_scores)
    rows = [explanation.coefficients.tolist().index(row) for row in selected.coefficients.tolist()]
    np.testing.assert_array_equal(explanation.found.boxes[rows], selected.found.boxes)


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    explanation = make_explanation()
    with pytest.raises(ValueError, match=r"coefficients must have shape \(4, 9\)"):
        Explanation(explanation.prototypes, explanation.coefficients[:3], explanation.found)
    with pytest.raises(ValueError, match=r"\(4, 8\) to go with"):
        Explanation(explanation.prototypes[:8], explanation.coefficients, explanation.found)


def test_plans_have_no_inner_tensors(tmp_path: Path) -> None:
    (tmp_path / "a.plan").write_bytes(b"vtrt" + bytes(60))
    with pytest.raises(EngineError, match=r"a\.plan is a TensorRT plan and cannot be looked into"):
        EngineExplainer(tmp_path / "a.plan")


def test_a_file_without_the_inner_tensors_is_to_be_exported_again(engine: Path) -> None:
    with pytest.raises(EngineError, match=r"no tensor 'prototypes' inside to explain; export it again") as raised:
        EngineExplainer(engine)
    assert raised.value.exit_code == 4


def test_only_full_graphs_need_onnx(
    tiny_engine: Path, tiny_raw_engine: Path, photos: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(YolactError, match=r"needs onnx; install it with: pip install -e '\.\[export\]'"):
        EngineExplainer(tiny_engine)
    assert len(EngineExplainer(tiny_raw_engine)(photos[0])) > 0
