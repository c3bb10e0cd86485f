"""What the numbers of a comparison are called: by chance, hardly a match, suspect."""

from __future__ import annotations

import pytest

from yolact.diff.detection_diff import DetectionTotals, poor_masks_sentence
from yolact.diff.gates import Limits, too_few_detections


def totals(matched: int, missed: int = 0, spurious: int = 0, images: int = 4) -> DetectionTotals:
    return DetectionTotals(images, missed, spurious, [0.0] * matched, [1.0] * matched, [1.0] * matched)


@pytest.mark.parametrize(
    ("found", "options"),
    [
        (totals(39, missed=1), ["--max-missed"]),
        (totals(39, spurious=1), ["--max-spurious"]),
        (totals(10, 5, 5), ["--max-missed", "--max-spurious"]),
        (totals(40), []),
        (totals(149, missed=1), []),  # within the limit
        (totals(140, missed=10), []),  # enough to tell
        (totals(0), []),
    ],
)
def test_a_share_of_few_detections_is_chance(found: DetectionTotals, options: list[str]) -> None:
    sentences = list(too_few_detections(found, Limits()))
    assert [sentence.split()[0] for sentence in sentences] == options
    assert all("needs about 150 detections" in sentence for sentence in sentences)


def test_it_says_how_many_images_are_needed() -> None:
    [sentence] = too_few_detections(totals(39, missed=1), Limits())
    assert "there are 40 in 4 images; give about 15 images with --data" in sentence
    assert not list(too_few_detections(totals(39, missed=1), Limits(max_missed=0)))  # not one may be missed


def test_a_match_without_a_common_mask_is_named() -> None:
    found = DetectionTotals(1, 0, 0, [0.0] * 4, [1.0] * 4, [1.0, 0.5, 0.3, 0.0])
    assert found.poor_masks == 2
    expected = "2 of 4 matched detections have a mask IoU below 0.5, 1 of them an IoU of 0"
    assert poor_masks_sentence(found) == expected
