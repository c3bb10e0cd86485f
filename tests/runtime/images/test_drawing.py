"""Drawing, judged by the pixels: what must change, what must not, and what can be read."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from yolact.runtime.detections import Detections
from yolact.runtime.errors import ImageError
from yolact.runtime.images.drawing import ColorBy, annotate, palette_color
from yolact.runtime.images.geometry import ImageTransform

CLASS_NAMES = tuple(f"class {index}" for index in range(100))
CELLS = 40
OPACITY = 0.45


def make_detections(
    image_size: tuple[int, int],
    boxes: list[tuple[float, float, float, float]],
    class_ids: list[int] | None = None,
    names: tuple[str, ...] = CLASS_NAMES,
) -> Detections:
    """Masks that fill the middle of their relative boxes, scores that fall from 0.99."""
    transform = ImageTransform(image_size)
    masks = np.zeros((len(boxes), CELLS, CELLS), np.float32)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        inner = [left + (right - left) / 4, top + (bottom - top) / 4, right - (right - left) / 4]
        inner.append(bottom - (bottom - top) / 4)
        x1, y1, x2, y2 = (round(CELLS * value) for value in inner)
        mask[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)] = 1
    return Detections(
        boxes=transform.boxes_to_image(np.array(boxes, np.float32).reshape(-1, 4)),
        scores=np.linspace(0.99, 0.2, len(boxes), dtype=np.float32),
        class_ids=np.array(range(len(boxes)) if class_ids is None else class_ids, np.int32),
        mask_scores=None,
        mask_probabilities=masks,
        transform=transform,
        names=names,
    )


def textured(height: int, width: int) -> np.ndarray:
    """Mid gray with a little noise, unlike any class colour."""
    return np.random.default_rng(0).integers(110, 140, (height, width, 3)).astype(np.uint8)


def is_color(image: np.ndarray, number: int) -> np.ndarray:
    return np.asarray((image == palette_color(number)).all(axis=-1))


def bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom (exclusive) of what is set."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def test_only_mask_box_and_label_change() -> None:
    image = textured(480, 640)
    before = image.copy()
    detections = make_detections(image.shape[:2], [(0.25, 0.25, 0.75, 0.75)])
    result = annotate(image, detections)
    np.testing.assert_array_equal(image, before)
    assert result.shape == image.shape and result.dtype == np.uint8

    changed = (result != image).any(axis=-1)
    allowed = detections.masks[0].copy()
    inside_box = np.zeros_like(allowed)
    inside_box[120 - 3 : 360 + 4, 160 - 3 : 480 + 4] = True
    interior = np.zeros_like(allowed)
    interior[120 + 4 : 360 - 3, 160 + 4 : 480 - 3] = True
    allowed |= inside_box & ~interior
    label = changed & ~allowed
    left, top, right, bottom = bounds(label)
    assert 90 <= top < bottom <= 120 and 156 <= left < right < 300  # one strip sitting on the box
    assert (label[top : bottom - 4, left:right]).all()
    assert not (changed & ~allowed)[:top].any()


@pytest.mark.parametrize(("color_by", "number"), [("class", 7), ("instance", 0)])
def test_the_mask_is_tinted_and_outlined_in_its_colour(color_by: ColorBy, number: int) -> None:
    image = textured(300, 400)
    detections = make_detections(image.shape[:2], [(0.1, 0.1, 0.9, 0.9)], [7])
    result = annotate(image, detections, color_by=color_by)
    mask = detections.masks[0]
    left, top, right, bottom = bounds(mask)
    core = np.zeros_like(mask)
    core[top + 3 : bottom - 3, left + 3 : right - 3] = True
    expected = image[core] * (1 - OPACITY) + np.array(palette_color(number)) * OPACITY
    assert np.abs(result[core] - expected).max() <= 0.51
    drawn = is_color(result, number)  # interpolation rounds the corners
    assert drawn[top, left + 9 : right - 9].all() and drawn[top + 9 : bottom - 9, left].all()
    assert drawn[bottom - 1, left + 9 : right - 9].all() and drawn[top + 9 : bottom - 9, right - 1].all()
    outside = np.zeros_like(mask)
    outside[top - 8 : bottom + 8, left - 8 : right + 8] = True
    outside &= ~mask
    np.testing.assert_array_equal(result[outside], image[outside])


def test_the_box_is_drawn_where_it_is() -> None:
    image = textured(300, 400)
    detections = make_detections(image.shape[:2], [(0.25, 0.5, 0.75, 0.9)], [3])
    drawn = is_color(annotate(image, detections, color_by="class"), 3)
    assert drawn[150, 100:300].all() and drawn[270, 100:300].all()
    assert drawn[150:270, 100].all() and drawn[150:270, 300].all()


def test_the_best_detection_is_on_top() -> None:
    image = textured(240, 320)
    detections = make_detections(image.shape[:2], [(0.2, 0.2, 0.8, 0.8)] * 2, [4, 5])
    assert is_color(annotate(image, detections, color_by="class"), 4).sum() > 500
    assert is_color(annotate(image, detections[::-1], color_by="class"), 5).sum() > 500
    row = annotate(image, detections, color_by="class")[190:193, 64:257]
    assert is_color(row, 4).any() and not is_color(row, 5).any()


def test_instances_have_colours_of_their_own_by_rank() -> None:
    """Three of one class and one of another, apart from each other: boxes, masks and labels by rank or by class."""
    image = textured(400, 400)
    corners = [(0.05, 0.1), (0.55, 0.1), (0.05, 0.6), (0.55, 0.6)]
    detections = make_detections(image.shape[:2], [(x, y, x + 0.35, y + 0.35) for x, y in corners], [9, 9, 6, 9])
    by_rank, by_class = (annotate(image, detections, color_by=kind) for kind in ("instance", "class"))
    np.testing.assert_array_equal(annotate(image, detections), by_rank)
    for rank, (x, y) in enumerate(corners):
        part = (slice(int(400 * y) - 30, int(400 * y) + 160), slice(int(400 * x) - 10, int(400 * x) + 160))
        for drawn, number in ((by_rank, rank), (by_class, (9, 9, 6, 9)[rank])):
            counts = {other: int(is_color(drawn[part], other).sum()) for other in (0, 1, 2, 3, 6, 9)}
            assert counts.pop(number) > 1000 and not any(counts.values())
    with pytest.raises(ValueError, match="color_by must be class or instance, got 'score'"):
        annotate(image, detections, color_by="score")  # type: ignore[arg-type]


def test_without_labels_all_else_is_the_same() -> None:
    image = textured(400, 400)
    detections = make_detections(image.shape[:2], [(0.2, 0.3, 0.8, 0.8)])
    labelled, bare = annotate(image, detections), annotate(image, detections, labels=False)
    _, top, _, bottom = bounds((labelled != bare).any(axis=-1))
    assert top < bottom <= 120 + 3 and (labelled[124:] == bare[124:]).all()
    assert (bare[: 120 - 2] == image[: 120 - 2]).all()


def test_no_detections_give_an_equal_copy() -> None:
    image = textured(48, 64)
    result = annotate(image, make_detections((48, 64), []))
    np.testing.assert_array_equal(result, image)
    assert not np.shares_memory(result, image)


@pytest.mark.parametrize(("height", "width"), list(itertools.product((1, 2, 3, 50, 1000), repeat=2)))
def test_any_image_size(height: int, width: int) -> None:
    image = textured(height, width)
    whole = make_detections((height, width), [(0.0, 0.0, 1.0, 1.0), (0.4, 0.4, 0.6, 0.6), (0.0, 0.9, 0.1, 1.0)])
    result = annotate(image, whole)
    assert result.shape == image.shape
    assert (result != image).any()


@pytest.mark.parametrize("column", [0, 9])
def test_a_mask_one_pixel_wide_is_drawn(column: int) -> None:
    """A view of one column has unusual strides, which OpenCV must still write through."""
    probabilities = np.zeros((1, 10, 10), np.float32)
    probabilities[0, 2:8, column] = 1
    transform = ImageTransform((10, 10))
    box = np.array([[4, 4, 5, 5]], np.float32)
    one = Detections(box, np.ones(1, np.float32), np.zeros(1, np.int32), None, probabilities, transform)
    result = annotate(np.full((10, 10, 3), 128, np.uint8), one)
    assert is_color(result, 0)[2:8, column].all()


def test_an_image_that_is_a_view_or_read_only() -> None:
    image = textured(100, 120)[:, ::-1]
    image.flags.writeable = False
    detections = make_detections((100, 120), [(0.1, 0.2, 0.8, 0.9)])
    np.testing.assert_array_equal(annotate(image, detections), annotate(image.copy(), detections))


@pytest.mark.parametrize("size", [(48, 64), (480, 640), (1200, 1600), (100, 3000), (3000, 100)])
def test_a_hundred_detections(size: tuple[int, int]) -> None:
    generator = np.random.default_rng(2)
    corners = np.sort(generator.random((100, 2, 2)), axis=1)
    boxes = [(float(a[0]), float(a[1]), float(b[0]), float(b[1])) for a, b in corners]
    result = annotate(textured(*size), make_detections(size, boxes))
    assert result.shape == (*size, 3)


@pytest.mark.parametrize("size", [(480, 640), (1200, 1600), (90, 120)])
@pytest.mark.parametrize(
    "box",
    [(0, 0, 1, 1), (0, 0, 0.1, 0.1), (0.9, 0, 1, 0.1), (0, 0.9, 0.1, 1), (0.9, 0.9, 1, 1), (0.4, 0, 0.6, 0.02)],
)
def test_the_whole_label_is_inside_the_picture(size: tuple[int, int], box: tuple[float, float, float, float]) -> None:
    """The same label drawn in the open is the measure: wherever the box lies, as many pixels must be there."""

    def label_area(at: tuple[float, float, float, float]) -> int:
        labelled, bare = (make_detections(size, [at], [2], ("", "", name)) for name in ("giraffe", "x" * 500))
        for detections in (labelled, bare):  # the second label is too long for any picture and left out
            detections.mask_probabilities[:] = 0
        image = textured(*size)
        labelled, bare = annotate(image, labelled), annotate(image, bare)
        return int((labelled != bare).any(axis=-1).sum())

    in_the_open = label_area((0.4, 0.4, 0.6, 0.6))
    assert in_the_open > 200
    # Where the label lies on the lines of its box these pixels do not differ.
    assert label_area(box) > 0.75 * in_the_open


def test_labels_do_not_cover_each_other() -> None:
    """Ten boxes at one place: nine different labels would hide under the first."""
    size = (480, 640)
    detections = make_detections(size, [(0.2, 0.2, 0.8, 0.8)] * 10)
    detections.mask_probabilities[:] = 0
    result = annotate(textured(*size), detections)
    assert all(is_color(result, class_id).sum() > 300 for class_id in range(10))


def contrast(first: tuple[int, ...], second: tuple[int, ...]) -> float:
    """Contrast ratio of WCAG 2.1, 1 to 21."""

    def luminance(color: tuple[int, ...]) -> float:
        blue, green, red = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(color) / 255)
        return float(0.2126 * red + 0.7152 * green + 0.0722 * blue)

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("class_id", range(80))
def test_letters_stand_out_from_their_background(class_id: int) -> None:
    size = (480, 640)
    detections = make_detections(size, [(0.3, 0.3, 0.7, 0.7)], [class_id])
    detections.mask_probabilities[:] = 0
    result = annotate(np.full((*size, 3), 128, np.uint8), detections, color_by="class")
    label = result[128:142, 196:270]
    assert is_color(label, class_id).any()
    best = max(contrast(palette_color(class_id), tuple(pixel)) for pixel in label.reshape(-1, 3).tolist())
    assert best > 3  # what WCAG asks of large letters; antialiasing takes some of what the colours have


def test_classes_have_different_colours() -> None:
    colors = np.array([palette_color(class_id) for class_id in range(80)], float)
    distance = np.linalg.norm(colors[:, None] - colors[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert distance.min() > 20
    assert palette_color(80) == palette_color(0)


def test_detections_of_another_image_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be drawn"):
        annotate(textured(100, 100), make_detections((100, 101), []))


GREY = np.zeros((4, 4), np.uint8)


@pytest.mark.parametrize("image", [None, "a.jpg", [], GREY, GREY[..., None], np.zeros((4, 4, 3)), GREY[:0]], ids=str)
def test_what_is_no_image_is_not_drawn_on(image: Any) -> None:
    with pytest.raises(ImageError, match="expected an image"):
        annotate(image, make_detections((4, 4), [(0.2, 0.3, 0.8, 0.8)]))


@pytest.mark.parametrize("found", [None, [], {}, GREY], ids=str)
def test_what_are_no_detections_are_not_drawn(found: Any) -> None:
    with pytest.raises(TypeError, match="expected the Detections of one image"):
        annotate(textured(4, 4), found)


@pytest.mark.parametrize("names", [("a\ud800",), ("漢字 🐕",), ("two\nlines",)])
def test_labels_of_any_name(names: tuple[str, ...]) -> None:
    detections = make_detections((240, 320), [(0.2, 0.3, 0.8, 0.8)], [0], names)
    labelled = annotate(textured(240, 320), detections)
    bare = annotate(textured(240, 320), make_detections((240, 320), [(0.2, 0.3, 0.8, 0.8)], [0], ("x" * 500,)))
    assert (labelled != bare).any(axis=2).sum() > 200
