"""Explaining pictures, judged by their pixels: what they show, to scale and in which colours, that all fits."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from explanations import make_explanation

from yolact.runtime.errors import ImageError
from yolact.runtime.postprocess.mask_assembly import assemble_masks
from yolact.runtime.postprocess.postprocess import NetworkDetections
from yolact.training.explain.explanation import Explanation
from yolact.training.explain.panels import FRAME, View, above, beside, diverging, resized, sequential, spread, text
from yolact.training.explain.pictures import composition_sheet, explanation_sheet, prototype_sheet

CLASS_NAMES = ("disc", "a class name that is much longer than anything that ought to be printed on a picture " * 2, "x")
SIZES = [(1, 1), (5, 7), (480, 640), (3, 900), (900, 3), (1200, 400)]

BRIGHTEST = cv2.applyColorMap(np.full((1, 1), 255, np.uint8), cv2.COLORMAP_VIRIDIS)[0, 0]
DEEP_RED, DEEP_BLUE = diverging(np.float32([[1, -1]]), 1)[0]


def textured(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(100, 156, (height, width, 3)).astype(np.uint8)


def is_color(image: np.ndarray, color: np.ndarray) -> np.ndarray:
    return np.asarray((image == color).all(axis=-1))


def explain(prototypes: np.ndarray, coefficients: list[list[float]], boxes: list[list[float]]) -> Explanation:
    """Detections of class 0 with falling scores."""
    grids, weights, corners = (np.array(a, np.float32) for a in (prototypes, coefficients, boxes))
    scores = np.linspace(0.9, 0.5, len(boxes), dtype=np.float32)
    masks = assemble_masks(grids, weights, corners)
    return Explanation(grids, weights, NetworkDetections(corners, scores, np.zeros(len(boxes), np.int32), masks))


@pytest.mark.parametrize("count", [1, 2, 7, 16, 32, 64])
def test_every_prototype_is_in_the_sheet_once(count: int) -> None:
    """Each has one bright spot, and all are as bright whatever their own scale."""
    prototypes = np.zeros((count, 30, 30), np.float32)
    for index, prototype in enumerate(prototypes):
        prototype[10:20, 5:25] = 0.01 * 3.0**index if index < 40 else 7
    sheet = prototype_sheet(prototypes, (300, 400))
    spots, _ = cv2.connectedComponents(is_color(sheet, BRIGHTEST).astype(np.uint8))
    assert spots - 1 == count
    assert sheet.shape[1] <= 1306 and sheet.dtype == np.uint8


def test_prototypes_are_shown_in_their_order() -> None:
    prototypes = np.zeros((3, 30, 30), np.float32)
    for index, prototype in enumerate(prototypes):
        prototype[: 8 * (index + 1), 10:20] = 1
    _, _, spots, _ = cv2.connectedComponentsWithStats(is_color(prototype_sheet(prototypes), BRIGHTEST).astype(np.uint8))
    heights = [height for _, height in sorted(zip(spots[1:, 0].tolist(), spots[1:, 3].tolist(), strict=True))]
    np.testing.assert_allclose(np.array(heights) / heights[0], [1, 2, 3], rtol=0.1)


def test_a_prototype_that_is_the_same_everywhere_is_dark() -> None:
    sheet = prototype_sheet(np.full((3, 10, 10), 5, np.float32))
    darkest = cv2.applyColorMap(np.zeros((1, 1), np.uint8), cv2.COLORMAP_VIRIDIS)[0, 0]
    assert is_color(sheet, darkest).sum() > 3 * 200**2
    assert not is_color(sheet, BRIGHTEST).any()


@pytest.mark.parametrize(("size", "proportions"), [((300, 400), 4 / 3), ((640, 480), 3 / 4), ((100, 100), 1)])
def test_panels_have_the_proportions_of_the_image(size: tuple[int, int], proportions: float) -> None:
    bright = np.ones((1, 12, 12), np.float32)
    bright[0, 0, 0] = 0
    rows, columns = np.nonzero(is_color(prototype_sheet(bright, size), BRIGHTEST))
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(proportions, rel=0.05)


def test_colours_of_signed_values() -> None:
    values = np.float32([[-9, -3, -1, 0, 1, 3, 9]])
    blue, green, red = diverging(values, 3)[0].astype(int).T
    assert blue[3] == green[3] == red[3] > 240
    assert (blue[:3] > red[:3]).all() and (blue[4:] < red[4:]).all()
    brightness = blue + green + red
    assert brightness[0] == brightness[1] < brightness[2] < brightness[3] > brightness[4] > brightness[5]
    np.testing.assert_array_equal(diverging(values, 3)[0, 5], diverging(values, 3)[0, 6])
    np.testing.assert_array_equal(diverging(np.zeros((1, 7), np.float32), 0)[0, 0], diverging(values, 3)[0, 3])


def test_colours_of_probabilities_and_of_a_range() -> None:
    assert (np.diff(sequential(np.linspace(0, 1, 50, dtype=np.float32)[None]).astype(int).sum(axis=-1)) > 0).all()
    ramp = np.float32([[2, 5, 8]])
    np.testing.assert_array_equal(spread(ramp), spread(10 * ramp - 7))
    assert is_color(spread(ramp), BRIGHTEST).tolist() == [[False, False, True]]


@pytest.mark.parametrize(
    "box",
    [(0.4, 0.4, 0.6, 0.7), (0, 0, 0.05, 0.05), (0.9, 0.9, 1.3, 1.2), (-1, -1, 2, 2), (1.5, 1.5, 1.6, 1.6), (0.5,) * 4],
)
@pytest.mark.parametrize("shape", [(150, 180), (200, 90)])
def test_a_view_shows_image_and_prototypes_at_the_same_place(box: tuple[float, ...], shape: tuple[int, int]) -> None:
    view = View.around(np.float32(box), shape)
    left, top, right, bottom = view.window.tolist()
    assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    assert right - left == pytest.approx(bottom - top, abs=0.02)  # no other stretch than the image's
    inside = np.clip(box, 0, 1)
    assert left <= inside[0] <= inside[2] <= right and top <= inside[1] <= inside[3] <= bottom
    for height, width in ((480, 640), (40, 40), (2000, 1000)):
        x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
        seen = view(np.stack([x, y], axis=-1).astype(np.float32))
        assert seen.shape == (*shape, 2)
        expected_x = left + (np.arange(shape[1]) + 0.5) / shape[1] * (right - left)
        expected_y = top + (np.arange(shape[0]) + 0.5) / shape[0] * (bottom - top)
        np.testing.assert_allclose(seen[shape[0] // 2, :, 0], expected_x, atol=0.015)
        np.testing.assert_allclose(seen[:, shape[1] // 2, 1], expected_y, atol=0.015)


def test_a_box_is_drawn_where_the_view_shows_it() -> None:
    view = View.around(np.float32([0.25, 0.5, 0.5, 0.75]), (120, 160))
    grid = np.zeros((40, 40), np.float32)
    grid[20:30, 10:20] = 1
    rows, columns = np.nonzero(view(grid) > 0.5)
    (left, top), (right, bottom) = view.rectangle(np.float32([0.25, 0.5, 0.5, 0.75]))
    np.testing.assert_allclose(
        [columns.min(), rows.min(), columns.max(), rows.max()], [left, top, right, bottom], atol=1
    )


def test_terms_and_sum_have_the_colours_of_their_signs() -> None:
    """Prototypes of the left and the right half, one added and one taken away: half a panel each, twice."""
    halves = np.zeros((2, 40, 40), np.float32)
    halves[0, :, :20] = halves[1, :, 20:] = 5
    sheet = composition_sheet(textured(300, 400), explain(halves, [[1, -1]], [[0, 0, 1, 1]]), 0, CLASS_NAMES)
    panel = 27_000
    assert is_color(sheet, DEEP_RED).sum() == pytest.approx(panel, rel=0.1)
    assert is_color(sheet, DEEP_BLUE).sum() == pytest.approx(panel, rel=0.1)
    swapped = composition_sheet(textured(300, 400), explain(halves, [[1, 1]], [[0, 0, 1, 1]]), 0, CLASS_NAMES)
    assert is_color(swapped, DEEP_RED).sum() == pytest.approx(2 * panel, rel=0.1)
    assert is_color(swapped, DEEP_BLUE).sum() < 0.02 * panel  # in the key to the colours


def test_terms_beyond_those_shown_are_summed() -> None:
    """Two that are not shown cancel each other; without that their sum would be the strongest of all."""
    prototypes = np.ones((8, 20, 20), np.float32)
    prototypes[6:] = 0.9
    coefficients = [[0.1 * sign for sign in (1, -1, 1, -1, 1, -1)] + [0.05, -0.05]]
    sheet = composition_sheet(textured(300, 400), explain(prototypes, coefficients, [[0, 0, 1, 1]]), 0, CLASS_NAMES)
    panel = 27_000
    assert is_color(sheet, DEEP_RED).sum() == pytest.approx(3 * panel, rel=0.1)
    assert is_color(sheet, DEEP_BLUE).sum() == pytest.approx(3 * panel, rel=0.1)
    assert is_color(sheet, diverging(np.zeros((1, 1), np.float32), 1)[0, 0]).sum() > 1.8 * panel  # the rest and the sum


def test_the_mask_cuts_the_instance_out_of_the_photo() -> None:
    """Outside it the photo fades, so its own colour is left in the mask and in the photo at the left."""
    image = np.full((300, 400, 3), (20, 190, 230), np.uint8)
    ones = np.ones((1, 20, 20), np.float32)

    def left_over(strength: float) -> int:
        sheet = composition_sheet(image, explain(ones, [[strength]], [[0, 0, 1, 1]]), 0, CLASS_NAMES)
        return int(is_color(sheet[:, sheet.shape[1] // 3 :], image[0, 0]).sum())

    assert left_over(-1) == 0
    assert left_over(1) == pytest.approx(27_000, rel=0.1)  # without the outline


def test_only_the_part_around_a_small_instance_is_shown() -> None:
    """Its box is a hundredth of the image, but its mask fills a good part of the last panel."""
    image = np.full((300, 400, 3), (20, 190, 230), np.uint8)
    explanation = explain(np.full((1, 60, 60), 9), [[1]], [[0.45, 0.45, 0.55, 0.55]])
    sheet = composition_sheet(image, explanation, 0, CLASS_NAMES)
    shown = is_color(sheet[:, sheet.shape[1] // 3 :], image[0, 0]).sum()
    assert shown > 0.05 * 27_000


@pytest.mark.parametrize(("size", "count"), [*((size, 7) for size in SIZES), *(((5, 7), n) for n in (1, 6, 64))])
def test_any_image_and_any_number_of_prototypes(size: tuple[int, int], count: int) -> None:
    image = textured(*size)
    before = image.copy()
    explanation = make_explanation(3, count)
    sheet = explanation_sheet(image, explanation, CLASS_NAMES)
    np.testing.assert_array_equal(image, before)
    assert sheet.dtype == np.uint8 and sheet.ndim == 3 and 500 < sheet.shape[1] < 3500
    margin = 28
    frame = np.ones(sheet.shape[:2], np.bool_)
    frame[margin:-margin, margin:-margin] = False
    assert (sheet[frame] == 255).all()  # nothing reaches into the margin
    assert (sheet[margin : margin + 40] != 255).any() and (sheet[-margin - 40 : -margin] != 255).any()
    np.testing.assert_array_equal(sheet, explanation_sheet(image, explanation, CLASS_NAMES))


def test_the_sheet_has_a_row_for_each_instance_asked_for() -> None:
    image, explanation = textured(300, 400), make_explanation(5)
    heights = [explanation_sheet(image, explanation, CLASS_NAMES, count).shape[0] for count in (1, 2, 3, 5, 9)]
    steps = np.diff(heights)
    assert steps[0] > 200 and steps[0] == steps[1] == steps[2] / 2 and steps[3] == 0
    row = composition_sheet(image, explanation, 1, CLASS_NAMES)[28:-28, 28:-28]
    sheet = explanation_sheet(image, explanation, CLASS_NAMES, 2)
    np.testing.assert_array_equal(sheet[-28 - row.shape[0] : -28, 28 : 28 + row.shape[1]], row)


def test_without_detections_there_are_photo_and_prototypes() -> None:
    image = textured(90, 120)
    found = make_explanation(3)
    sheet = explanation_sheet(image, found[:0], CLASS_NAMES)
    assert sheet.shape[0] < explanation_sheet(image, found, CLASS_NAMES, 1).shape[0]
    top, left = np.argwhere(is_color(sheet, np.array(FRAME)))[0] + 1  # inside the frame of the photo
    photos = (resized(image, (round(width * 3 / 4), width))[1:-1, 1:-1] for width in range(300, 1200))
    shown = (np.array_equal(sheet[top : top + p.shape[0], left : left + p.shape[1]], p) for p in photos)
    assert any(shown)  # with nothing drawn on it
    assert (sheet[28:50, 28:250] < 100).any()  # a line that says so


def test_what_is_no_image_is_refused() -> None:
    gray = np.zeros((30, 40), np.uint8)
    with pytest.raises(ImageError, match="expected an image of shape"):
        explanation_sheet(gray, make_explanation(), CLASS_NAMES)
    with pytest.raises(ImageError, match="expected an image of shape"):
        composition_sheet(gray, make_explanation(), 0, CLASS_NAMES)


@pytest.mark.parametrize("bold", [False, True])
def test_text_is_cut_off_where_there_is_no_room(bold: bool) -> None:
    words = "the quick brown fox jumps over the lazy dog"
    whole = text(words, bold=bold)
    assert (whole[:, [0, -1]] == 255).all() and (whole < 128).any()
    short = text(words, bold=bold, width=120)
    assert short.shape[0] == whole.shape[0] and 60 < short.shape[1] <= 122 < whole.shape[1]
    np.testing.assert_array_equal(text(words, bold=bold, width=whole.shape[1]), whole)
    assert text(words, width=0).shape[1] < 10 and text("").shape[0] == text("x").shape[0]


def test_parts_are_placed_in_rows_and_columns() -> None:
    black, gray = np.zeros((10, 20, 3), np.uint8), np.full((4, 6, 3), 99, np.uint8)
    row = beside([black, gray], 5, "end")
    assert row.shape == (10, 31, 3)
    assert (row[:, :20] == 0).all() and (row[6:, 25:] == 99).all() and (row[:6, 20:] == 255).all()
    column = above([black, gray], 2, "centre")
    assert column.shape == (16, 20, 3)
    assert (column[12:, 7:13] == 99).all() and (column[10:12] == 255).all() and (column[12:, :7] == 255).all()
