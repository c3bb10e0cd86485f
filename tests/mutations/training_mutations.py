"""Faults of `training`: what is learnt from which images, and how it is scored."""

from __future__ import annotations

from mutation import Mutation

TRAINING_MUTATIONS = (
    Mutation("fewer-negatives", "NEGATIVES_PER_POSITIVE = 3", "NEGATIVES_PER_POSITIVE = 2", ("test_loss.py",)),
    Mutation(
        "neutral-priors-are-negatives", "& (labels <= 0) & (labels != NEUTRAL)", "& (labels <= 0)", ("test_loss.py",)
    ),
    Mutation(
        "loss-crop-includes-its-end",
        "(rows < y2[:, None] + CROP_PADDING)",
        "(rows <= y2[:, None] + CROP_PADDING)",
        ("test_loss.py",),
    ),
    Mutation(
        "many-masks-count-once", "total = total + scale * self._mask(", "total = total + self._mask(", ("test_loss.py",)
    ),
    Mutation(
        "small-objects-are-rescored",
        "truth.sum(dim=(1, 2)) > MIN_RESCORED_AREA",
        "truth.sum(dim=(1, 2)) > 0",
        ("test_loss.py",),
    ),
    Mutation(
        "prior-at-the-lower-limit",
        "labels[best_overlap < NEGATIVE_IOU] = BACKGROUND",
        "labels[best_overlap < POSITIVE_IOU] = BACKGROUND",
        ("test_loss.py",),
    ),
    Mutation("object-takes-two-priors", "        overlap[chosen] = -1\n", "", ("test_loss.py",)),
    Mutation(
        "crowd-is-background",
        "(labels <= 0) & (in_crowd > CROWD_OVERLAP)",
        "(labels < 0) & (in_crowd > CROWD_OVERLAP)",
        ("test_loss.py",),
    ),
    Mutation(
        "window-of-any-shape", "if not 0.5 <= h / w <= 2:", "if not 0.25 <= h / w <= 4:", ("test_augmentation.py",)
    ),
    Mutation(
        "mirror-turns-boxes-inside-out",
        "[width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]]",
        "[width - boxes[:, 0], boxes[:, 1], width - boxes[:, 2], boxes[:, 3]]",
        ("test_augmentation.py",),
    ),
    Mutation(
        "window-keeps-centres-below-it",
        "(centres > window[:2]) & (centres < window[2:])",
        "(centres > window[:2])",
        ("test_augmentation.py",),
    ),
    Mutation(
        "hue-wraps-late", "np.where(hue > 360, hue - 360,", "np.where(hue > 380, hue - 360,", ("test_augmentation.py",)
    ),
    Mutation(
        "annotation-of-a-line",
        "if width <= 0 or height <= 0:",
        "if width <= 0 and height <= 0:",
        ("test_annotations.py",),
    ),
    Mutation(
        "annotation-outside-below",
        "max(ys) > height + MARGIN",
        "max(ys) > height + 2 * MARGIN",
        ("test_annotations.py",),
    ),
    Mutation(
        "runs-cover-too-little",
        "if covered != size[0] * size[1]:",
        "if covered > size[0] * size[1]:",
        ("test_annotations.py",),
    ),
    Mutation("polygon-of-two-points", "or len(polygon) < 6 or", "or len(polygon) < 4 or", ("test_annotations.py",)),
    Mutation(
        "runs-differ-from-the-second-on",
        "(runs[-2] if len(runs) > 2 else 0)",
        "(runs[-2] if len(runs) > 1 else 0)",
        ("test_annotations.py",),
    ),
    Mutation(
        "rate-falls-late",
        "sum(iteration >= step for step in",
        "sum(iteration > step for step in",
        ("test_settings.py",),
    ),
    Mutation("batch-with-a-rest", "        if rest or not size:", "        if not size:", ("test_settings.py",)),
    Mutation(
        "schedule-in-proportion-to-the-batch",
        "step * OFFICIAL_BATCH_SIZE // batch_size for",
        "step * batch_size // OFFICIAL_BATCH_SIZE for",
        ("test_settings.py",),
    ),
    Mutation("annotations-numbered-from-zero", "enumerate(entries, 1)", "enumerate(entries, 0)", ("test_scoring.py",)),
    Mutation(
        "undefined-precision-counts",
        "defined = values[values > -1]",
        "defined = values[values >= -1]",
        ("test_scoring.py",),
    ),
    Mutation(
        "sample-past-the-right-border", "(x >= 0) & (x < width)", "(x >= 0) & (x <= width)", ("test_deform_conv.py",)
    ),
)
