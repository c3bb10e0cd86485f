"""Faults of `export`, `calib`, `engines` and `diff`: networks in files, how they are rounded, built and compared."""

from __future__ import annotations

from mutation import Mutation

EXPORT_MUTATIONS = (
    Mutation(
        "function-candidate-at-the-threshold",
        "b.LessOrEqual(best, np.float32(config.score_threshold))",
        "b.Less(best, np.float32(config.score_threshold))",
        ("test_functions.py",),
    ),
    Mutation(
        "function-box-suppresses-itself",
        "np.triu(np.ones((size, size)), k=1) > 0",
        "np.triu(np.ones((size, size)), k=0) > 0",
        ("test_functions.py",),
    ),
    Mutation(
        "function-suppresses-at-the-threshold",
        "threshold / (1 + threshold) * (1 + _EXACT_TIE)",
        "threshold / (1 + threshold) * (1 - _EXACT_TIE)",
        ("test_functions.py",),
    ),
    Mutation(
        "function-ties-by-later-groups",
        "[best_groups], outputs=2, axis=2, largest=0)",
        "[best_groups], outputs=2, axis=2, largest=1)",
        ("test_functions.py",),
    ),
    Mutation(
        "function-boxes-without-area-all-go",
        "b.And(empty, b.Greater(rank, first))",
        "b.And(empty, b.GreaterOrEqual(rank, first))",
        ("test_functions.py",),
    ),
    Mutation(
        "function-crop-includes-its-end", "b.Less(cells, high)", "b.LessOrEqual(cells, high)", ("test_functions.py",)
    ),
    Mutation(
        "function-mask-past-the-count",
        'b.Less(np.arange(detections, dtype=np.int32), "num_detections")',
        'b.LessOrEqual(np.arange(detections, dtype=np.int32), "num_detections")',
        ("test_functions.py",),
    ),
    Mutation("network-deforms-by-half", "np.float32(2 / side)", "np.float32(1 / side)", ("test_onnx_model.py",)),
    Mutation(
        "network-samples-at-corners", "((2 * grid + 1) / side - 1)", "((2 * grid) / side - 1)", ("test_onnx_model.py",)
    ),
    Mutation(
        "network-keeps-the-channels",
        "weight[:, ::-1] if channels_reversed else weight",
        "weight if channels_reversed else weight",
        ("test_onnx_model.py",),
    ),
    Mutation(
        "comparison-overlooks-the-missing",
        "max(len(expected.scores), count) - len(ours)",
        "min(len(expected.scores), count) - len(ours)",
        ("test_comparison.py",),
    ),
    Mutation("comparison-finds-one-twice", "        distance[ours] = np.inf\n", "", ("test_comparison.py",)),
    Mutation("comparison-by-other-classes", "free & (found.class_ids == class_id)", "free", ("test_precision.py",)),
    Mutation(
        "emulation-rounds-bf16-as-fp16",
        'f"{name}.down", to=half[name])',
        'f"{name}.down", to=TensorProto.FLOAT16)',
        ("test_emulated_networks.py",),
    ),
    Mutation(
        "gate-refuses-its-limit",
        "if not result.drop <= max_drop:",
        "if not result.drop < max_drop:",
        ("test_int8_export.py",),
    ),
    Mutation(
        "gate-measures-the-gain",
        "return self.before.mask - self.after.mask",
        "return self.after.mask - self.before.mask",
        ("test_int8_export.py",),
    ),
    Mutation(
        "range-of-positive-values-only",
        "self._widen(max(-low, high))",
        "self._widen(high)",
        ("test_activation_statistics.py",),
    ),
    Mutation(
        "merged-bins-stay",
        "self.counts[BINS // 2 :] = 0",
        "self.counts[BINS - 1 :] = 0",
        ("test_activation_statistics.py",),
    ),
    Mutation(
        "percentile-of-another-digit", "PERCENTILE = 99.999", "PERCENTILE = 99.99", ("test_activation_statistics.py",)
    ),
    Mutation(
        "percentile-a-bin-short",
        "PERCENTILE / 100 * counts.sum())) + 1",
        "PERCENTILE / 100 * counts.sum()))",
        ("test_activation_statistics.py",),
    ),
    Mutation("zeros-decide-the-entropy", "    counts[0] = 0\n", "", ("test_activation_statistics.py",)),
    Mutation(
        "clipped-values-are-forgotten", "    kept[-1] += counts[bins:].sum()\n", "", ("test_activation_statistics.py",)
    ),
    Mutation("weights-use-the-lowest-level", "LEVELS = 127", "LEVELS = 128", ("test_quantization.py",)),
    Mutation(
        "scales-round-down",
        "np.where(rounded.astype(np.float64) < scales, above, rounded)",
        "np.where(rounded.astype(np.float64) > scales, above, rounded)",
        ("test_quantization.py",),
    ),
    Mutation(
        "zero-point-without-its-sign",
        "np.array(round(-low / scale), np.uint8)",
        "np.array(round(high / scale), np.uint8)",
        ("test_quantization.py",),
    ),
    Mutation(
        "first-summand-is-rounded",
        '(0, 1) if platform == "cpu" else (1,)',
        '(0, 1) if platform == "cpu" else (0,)',
        ("test_quantization.py",),
    ),
    Mutation(
        "depthwise-in-int8",
        '(groups == 1 or platform == "cpu")',
        '(groups >= 1 or platform == "cpu")',
        ("test_quantization.py",),
    ),
    Mutation(
        "exclusion-by-any-beginning",
        'f"{name}.".startswith(f"{one}.")',
        'f"{name}.".startswith(one)',
        ("test_quantization.py",),
    ),
    Mutation(
        "cheapest-part-first", "key=lambda one: -one.cost)", "key=lambda one: one.cost)", ("test_sensitivity.py",)
    ),
    Mutation(
        "limit-itself-is-too-much",
        "return self.cost <= self.limit",
        "return self.cost < self.limit",
        ("test_sensitivity.py",),
    ),
    Mutation(
        "longest-list-is-proposed",
        "key=lambda one: (not one.met, one.cost, len(one.parts))",
        "key=lambda one: (not one.met, len(one.parts), one.cost)",
        ("test_sensitivity.py",),
    ),
    Mutation(
        "int8-not-obtained",
        'if int8 and obtained and "INT8" not in obtained:',
        'if int8 and not obtained and "INT8" not in obtained:',
        ("test_network_types.py",),
    ),
    Mutation(
        "cache-of-other-shapes",
        "(tensor.dtype.name, tuple(tensor.shape))",
        "(tensor.dtype.name, len(tensor.shape))",
        ("test_timing_cache.py",),
    ),
    Mutation(
        "gate-excludes-its-limit",
        "self.measured >= self.limit if self.at_least",
        "self.measured > self.limit if self.at_least",
        ("test_detection_diff.py",),
    ),
    Mutation("partner-is-found-twice", "            ious[row] = 0\n", "", ("test_detection_diff.py",)),
    Mutation(
        "partners-of-other-classes",
        "[:, None] != reference.class_ids[theirs]] = 0",
        "[:, None] < reference.class_ids[theirs]] = 0",
        ("test_detection_diff.py",),
    ),
    Mutation(
        "first-layer-is-suspect",
        "return worst if added >= SUSPICIOUS else None",
        "return worst if added >= 0 else None",
        ("test_layer_diff.py",),
    ),
    Mutation(
        "no-number-is-within-its-bound",
        "if not difference.largest <= difference.bound:",
        "if difference.largest > difference.bound:",
        ("test_comparison.py",),
    ),
    Mutation(
        "calibration-on-the-first-images",
        "found[index * len(found) // count]",
        "found[index]",
        ("test_calibration.py",),
    ),
    Mutation(
        "resumed-calibration-counts-twice",
        "images.batches(preprocess, options.batch, start)",
        "images.batches(preprocess, options.batch, 0)",
        ("test_calibration.py",),
    ),
    Mutation(
        "distance-of-the-best-head",
        "np.sqrt(sums / self._norms).max()",
        "np.sqrt(sums / self._norms).min()",
        ("test_sensitivity.py",),
    ),
    Mutation(
        "batch-sizes-in-any-order",
        "self.min_batch <= self.opt_batch <= self.max_batch <= MAX_BATCH",
        "self.min_batch <= self.max_batch <= MAX_BATCH",
        ("test_builder.py", "test_build_cli.py"),
    ),
    Mutation(
        "workspace-in-kibibytes",
        "options.workspace_mib << 20",
        "options.workspace_mib << 10",
        ("test_builder.py", "test_build_cli.py"),
    ),
    Mutation(
        "runtime-is-never-blamed",
        "            if error > worst / 2:",
        "            if error > worst * 2:",
        ("test_layer_diff.py", "test_diff_cli.py"),
    ),
    Mutation(
        "fpn-reads-what-int8-makes-unrounded",
        "known = readers.get(tensor, [consumer])",
        "known = [consumer]",
        ("test_quantization.py", "test_int8_plan.py"),
    ),
    Mutation(
        "excluded-layers-read-rounded",
        "and node.name not in left_alone and",
        "and",
        ("test_quantization.py",),
    ),
)
