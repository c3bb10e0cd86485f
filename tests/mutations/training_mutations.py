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
        "contrast-twice",
        "return distorted if contrast_first else distorted * contrast",
        "return distorted * contrast",
        ("test_augmentation.py",),
    ),
    Mutation(
        "annotation-of-a-line",
        "given[2] <= 0 or given[3] <= 0",
        "given[2] <= 0 and given[3] <= 0",
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
        "if (covered := sum(runs)) != pixels:",
        "if (covered := sum(runs)) > pixels:",
        ("test_annotations.py",),
    ),
    Mutation("polygon-of-two-points", "if len(polygon) >= 6]", "if len(polygon) >= 4]", ("test_annotations.py",)),
    Mutation(
        "box-as-corners-passes",
        "return is_near and not _are_corners(box, around)",
        "return is_near",
        ("test_consistency.py",),
    ),
    Mutation(
        "run-of-many-groups", "elif shift >= 5 * MOST_GROUPS:", "elif shift >= 9999999:", ("test_annotations.py",)
    ),
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
    Mutation(
        "names-never-decide",
        "if by_name is not False:",
        "if by_name:",
        ("test_class_pairing.py", "test_evaluate.py"),
    ),
    Mutation(
        "names-decide-though-one-side-has-more",
        "or len(pairs) != len(truth.categories)):",
        "and len(pairs) != len(truth.categories)):",
        ("test_class_pairing.py",),
    ),
    Mutation(
        "a-hundred-detections-whatever-is-kept",
        "return max(COCO_MAX_DETECTIONS, kept)",
        "return COCO_MAX_DETECTIONS",
        ("test_evaluate.py",),
    ),
    Mutation(
        "a-drop-that-nothing-exceeds",
        "least = max(LEAST_AP, max_drop)",
        "least = LEAST_AP",
        ("test_reference.py",),
    ),
    Mutation(
        "confused-before-right",
        "for candidates in (np.where(same, overlap, 0.0), overlap):",
        "for candidates in (overlap,):",
        ("test_confusion.py",),
    ),
    Mutation(
        "an-object-is-found-twice",
        "free[:, partner[index]] = 0",
        "free[index, partner[index]] = 0",
        ("test_confusion.py",),
    ),
    Mutation(
        "empty-bins-weigh-as-much",
        "np.average(gaps, weights=self.counts[filled])",
        "np.average(gaps)",
        ("test_confusion.py",),
    ),
    Mutation("annotations-numbered-from-zero", "enumerate(entries, 1)]", "enumerate(entries, 0)]", ("test_scores.py",)),
    Mutation(
        "undefined-precision-counts",
        "defined = values[values > -1]",
        "defined = values[values >= -1]",
        ("test_scores.py",),
    ),
    Mutation(
        "sample-past-the-right-border", "(x >= 0) & (x < width)", "(x >= 0) & (x <= width)", ("test_deform_conv.py",)
    ),
    Mutation(
        "all-processes-learn-the-same",
        "range(start + self._rank, start + step, self._world)",
        "range(start, start + step, self._world)",
        ("test_loading.py",),
    ),
    Mutation(
        "resumed-run-repeats-images",
        "first_batch=self.iteration * self.settings.accumulate,",
        "first_batch=self.iteration,",
        ("test_trainer.py",),
    ),
    Mutation(
        "positives-of-one-process",
        "share = (positives / processes.world, ",
        "share = (positives, ",
        ("test_train_cli.py",),
    ),
    Mutation(
        "norms-of-few-images",
        "if self.images_per_batch < STATISTICS_BATCH:",
        "if self.images_per_batch < 0:",
        ("test_trainer.py",),
    ),
    Mutation(
        "frozen-stages-take-statistics",
        "        for module in self._kept:\n            module.eval()\n",
        "",
        ("test_trainer.py",),
    ),
    Mutation(
        "one-stage-less-is-frozen",
        "for stage in stages[:count]",
        "for stage in stages[: count - 1]",
        ("test_trainer.py",),
    ),
    Mutation(
        "no-checkpoint-at-the-end",
        "trainer.iteration % request.save_every == 0 or trainer.iteration == total:",
        "trainer.iteration % request.save_every == 0:",
        ("test_train_cli.py",),
    ),
    Mutation(
        "epoch-is-counted-early",
        "epoch = (trainer.iteration - 1) * request.settings.batch_size",
        "epoch = trainer.iteration * request.settings.batch_size",
        ("test_train_cli.py",),
    ),
    Mutation(
        "run-overwrites-another",
        "        if not request.resume:\n            folder.check_unused()",
        "        if request.resume:\n            folder.check_unused()",
        ("test_train_cli.py",),
    ),
    Mutation(
        "deformable-first-stage",
        "interval > 0 and stage > 0 and block",
        "interval > 0 and stage >= 0 and block",
        ("test_model_parity.py",),
    ),
    Mutation("network-sees-bgr", "((x - mean) / std).flip(1)", "((x - mean) / std)", ("test_model_parity.py",)),
    Mutation(
        "pyramid-aligns-corners",
        'size=stage.shape[-2:], mode="bilinear", align_corners=False',
        'size=stage.shape[-2:], mode="bilinear", align_corners=True',
        ("test_model_parity.py",),
    ),
    Mutation(
        "head-without-classes",
        "coefficients % anchors or confidences <= anchors:",
        "coefficients % anchors or confidences < anchors:",
        ("test_checkpoints.py",),
    ),
    Mutation(
        "pascal-is-ambiguous",
        "config.num_classes == num_classes or num_classes != len(COCO_CLASSES)",
        "config.num_classes == num_classes or num_classes == len(COCO_CLASSES)",
        ("test_checkpoints.py",),
    ),
    Mutation(
        "first-release-keeps-a-layer",
        "downsample_layers\\.(?:[2-9]|",
        "downsample_layers\\.(?:[3-9]|",
        ("test_checkpoints.py",),
    ),
    Mutation(
        "some-finite-values-suffice",
        "not all(value.float().isfinite() for value",
        "not any(value.float().isfinite() for value",
        ("test_checkpoints.py",),
    ),
    Mutation(
        "other-classes-keep-their-weights",
        "(others or name in differing or name not in state)",
        "(name in differing or name not in state)",
        ("test_initial_weights.py",),
    ),
    Mutation(
        "absent-semantic-loss-is-not-told",
        "(others or name in differing or name not in state)",
        "(others or name in differing)",
        ("test_initial_weights.py",),
    ),
    Mutation(
        "incomplete-averages-are-taken",
        "for where in averaged if needed <= whole[where].keys()), best)",
        "for where in averaged), best)",
        ("test_checkpoint_forms.py",),
    ),
    Mutation(
        "averages-are-passed-over",
        "for where in averaged if needed <= whole[where].keys()), best)",
        "for where in averaged if not needed), best)",
        ("test_checkpoint_forms.py",),
    ),
    Mutation(
        "the-choice-of-weights-is-silent",
        "if where != taken and needed & state.keys()]",
        "if where != taken and not needed & state.keys()]",
        ("test_checkpoint_forms.py",),
    ),
    Mutation("widest-stages-stay", "_FIRST_RELEASE, _EDGE_WIDEST, ", "_FIRST_RELEASE, ", ("test_checkpoint_forms.py",)),
    Mutation("video-parts-stay", "_EDGE_WIDEST, _EDGE_VIDEO, ", "_EDGE_WIDEST, ", ("test_checkpoint_forms.py",)),
    Mutation(
        "flat-first-block-expands",
        "    if index == 1:\n        parts",
        "    if index == 2:\n        parts",
        ("test_initial_weights.py",),
    ),
    Mutation(
        "classes-of-the-first-configuration",
        "num_classes != num_classes == config.num_classes",
        "num_classes == num_classes != config.num_classes",
        ("test_checkpoint_forms.py",),
    ),
    Mutation(
        "scripts-are-checkpoints", '"constants.pkl" in parts', '"constants.py" in parts', ("test_checkpoint_forms.py",)
    ),
    Mutation(
        "rows-after-the-state-stay",
        'if (row["iteration"] or 0) <= (resumed_at or 0)]',
        'if (row["iteration"] or 0) <= (resumed_at or 9e9)]',
        ("test_metrics_table.py",),
    ),
    Mutation(
        "the-last-of-equals-is-the-best",
        "sum(best is None or one.iteration > best.iteration",
        "sum(best is None or one.iteration >= best.iteration",
        ("test_run_record.py",),
    ),
    Mutation(
        "extended-steps-are-not-those-of-the-length",
        "settings.learning_rate_steps == after:",
        "settings.learning_rate_steps:",
        ("test_run_folder.py",),
    ),
)
