"""Faults of `runtime` and of the commands: what is found, read, written or refused."""

from __future__ import annotations

from mutation import Mutation

RUNTIME_MUTATIONS = (
    Mutation(
        "numpy-suppresses-at-the-threshold",
        "box_iou(boxes, boxes) <= np.float32(threshold)",
        "box_iou(boxes, boxes) < np.float32(threshold)",
        ("test_nms.py",),
    ),
    Mutation(
        "numpy-box-suppresses-itself",
        "np.triu(np.ones((count, count), np.bool_), k=1)",
        "np.triu(np.ones((count, count), np.bool_), k=0)",
        ("test_nms.py",),
    ),
    Mutation(
        "numpy-candidate-at-the-threshold",
        "probabilities.max(axis=1) > np.float32(config.score_threshold)",
        "probabilities.max(axis=1) >= np.float32(config.score_threshold)",
        ("test_nms.py",),
    ),
    Mutation(
        "numpy-ties-last-first",
        'np.argsort(-kept.scores, kind="stable")',
        'np.argsort(kept.scores, kind="stable")[::-1]',
        ("test_nms.py",),
    ),
    Mutation(
        "greedy-without-the-extra-pixel",
        "np.clip(bottom_right - top_left + 1, 0, None)",
        "np.clip(bottom_right - top_left, 0, None)",
        ("test_nms.py",),
    ),
    Mutation(
        "greedy-keeps-at-the-threshold",
        "overlap < np.float32(threshold)",
        "overlap <= np.float32(threshold)",
        ("test_nms.py",),
    ),
    Mutation(
        "priors-at-corners",
        "centres = (np.arange(size) + 0.5) / size",
        "centres = np.arange(size) / size",
        ("test_nms.py", "test_model_parity.py"),
    ),
    Mutation(
        "priors-not-square",
        "heights = widths if config.square_anchors else tall",
        "heights = tall if config.square_anchors else widths",
        ("test_nms.py", "test_model_parity.py"),
    ),
    Mutation(
        "crop-includes-its-end",
        "(cell < high[:, None])",
        "(cell <= high[:, None])",
        ("test_nms.py", "test_mask_assembly_kernel.py"),
    ),
    Mutation(
        "boxes-not-clamped-below",
        "np.clip(boxes * extent, 0, extent)",
        "np.clip(boxes * extent, None, extent)",
        ("test_detections.py",),
    ),
    Mutation(
        "region-begins-late", "(first - 0.5) / scale - 0.5", "(first + 0.5) / scale - 0.5", ("test_detections.py",)
    ),
    Mutation(
        "mask-at-the-threshold",
        "np.greater(blend, MASK_THRESHOLD",
        "np.greater_equal(blend, MASK_THRESHOLD",
        ("test_detections.py",),
    ),
    Mutation(
        "select-at-the-threshold",
        "(scores > score_threshold) & (ranking",
        "(scores >= score_threshold) & (ranking",
        ("test_detections.py",),
    ),
    Mutation(
        "select-ranks-above-the-threshold",
        "(ranking_scores >= score_threshold)",
        "(ranking_scores > score_threshold)",
        ("test_detections.py",),
    ),
    Mutation(
        "rle-differences-begin-early",
        "differences[3:] -= lengths[1:-2]",
        "differences[2:] -= lengths[:-2]",
        ("test_detections.py",),
    ),
    Mutation(
        "rle-keeps-an-empty-last-run",
        "lengths[:-1] if lengths[-1] == 0 and len(lengths) > 1",
        "lengths[:-1] if lengths[-1] == 0 and len(lengths) > 3",
        ("test_detections.py",),
    ),
    Mutation("batch-is-not-filled-by-one", "    if missing <= 0:", "    if missing <= 1:", ("test_detector.py",)),
    Mutation(
        "jpeg-ends-in-its-thumbnail",
        'position = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")',
        "position = match.end()",
        ("test_image_files.py",),
    ),
    Mutation(
        "jpeg-restart-is-a-segment", r"\xff[^\x00\xff\xd0-\xd7]", r"\xff[^\x00\xff\xd0-\xd6]", ("test_image_files.py",)
    ),
    Mutation("webp-needs-more", "return len(data) >= 8 + int", "return len(data) > 8 + int", ("test_image_files.py",)),
    Mutation(
        "json-replaced-without-rows",
        "if error is None or (self._end and isinstance",
        "if error is None or (isinstance",
        ("test_results.py",),
    ),
    Mutation(
        "earlier-pictures-are-replaced",
        "not (self._is_shared and path.exists())",
        "not (self._is_shared and path.is_dir())",
        ("test_results.py",),
    ),
    Mutation(
        "plan-on-a-processor",
        'device is not None and device.kind != "cuda"',
        'device is not None and device.kind == "tensorrt"',
        ("test_engine_files.py",),
    ),
    Mutation(
        "onnx-called-a-plan",
        "        if path.suffix.lower() in PLAN_SUFFIXES:",
        "        if path.suffix.lower() in PLAN_SUFFIXES[1:]:",
        ("test_engine_files.py",),
    ),
    Mutation(
        "plan-of-another-patch", "ours[:3] == theirs[:3]", "ours[:2] == theirs[:2]", ("test_plan_compatibility.py",)
    ),
    Mutation(
        "version-compatible-needs-a-newer",
        "        if ours < theirs:",
        "        if ours <= theirs:",
        ("test_plan_compatibility.py",),
    ),
    Mutation(
        "hardware-compatible-excludes-ampere",
        ">= _AMPERE and ampere",
        "> _AMPERE and ampere",
        ("test_plan_compatibility.py",),
    ),
    Mutation(
        "longer-plan-passes",
        "    if size != identity.size:",
        "    if size < identity.size:",
        ("test_plan_compatibility.py",),
    ),
    Mutation(
        "plan-cut-in-its-version",
        "if len(start) < _HEADER_SIZE:",
        "if len(start) < _VERSION_OFFSET:",
        ("test_plan_file.py",),
    ),
    Mutation(
        "sidecar-schema-of-any-type",
        "type(version) is not int or version != SIDECAR_SCHEMA_VERSION",
        "version != SIDECAR_SCHEMA_VERSION",
        ("test_plan_file.py",),
    ),
    Mutation(
        "sidecar-counts-below-zero",
        "not isinstance(value, bool) and 0 <= value < 2**63",
        "not isinstance(value, bool) and -1 <= value < 2**63",
        ("test_plan_file.py",),
    ),
    Mutation(
        "network-name-too-long",
        "if len(name) > MAX_NETWORK_NAME:",
        "if len(name) > MAX_NETWORK_NAME + 1:",
        ("test_plan_file.py",),
    ),
    Mutation("endless-download", "max(announced, len(data)) > MAX_BYTES", "announced > MAX_BYTES", ("test_urls.py",)),
    Mutation(
        "fraction-from-above-zero",
        "if not 0 <= value <= 1:  # unlike",
        "if not 0 <= value < 2:  # unlike",
        ("test_infer_failures.py",),
    ),
    Mutation(
        "engine-and-checkpoint",
        "if weights is not None and engine is None:",
        "if weights is not None:",
        ("test_eval_cli.py",),
    ),
    Mutation(
        "traditional-in-relative-boxes",
        "kept = _traditional(boxes * np.float32(image_size), probabilities, config)",
        "kept = _traditional(boxes, probabilities, config)",
        ("test_nms.py",),
    ),
    Mutation(
        "enqueued-work-waits-for-itself-only",
        "        if self._last.handle != order.handle:",
        "        if self._last.handle == order.handle:",
        ("test_host_cuda.py",),
    ),
    Mutation(
        "arrays-of-other-streams-are-not-waited-for",
        "            if handle != order.handle:",
        "            if handle == order.handle:",
        ("test_host_cuda.py",),
    ),
    Mutation(
        "masks-of-another-image",
        "i * (masks.nbytes // self._plan.max_batch)",
        "i * (masks.nbytes // count)",
        ("test_host_cuda.py",),
    ),
    Mutation(
        "one-detection-too-many",
        "((counts >= 0) & (counts <= most)).all()",
        "((counts >= 0) & (counts <= most + 1)).all()",
        ("test_host_cuda.py",),
    ),
    Mutation(
        "gpu-past-the-last",
        "    if not 0 <= index < count:",
        "    if not 0 <= index <= count:",
        ("test_host_cuda.py",),
    ),
    Mutation(
        "recording-waits-for-nothing",
        "event.handle, EXTERNAL if self.is_recording else 0)",
        "event.handle, 0)",
        ("test_host_cuda.py",),
    ),
    Mutation(
        "batch-sizes-without-bound",
        "if len(held) == MOST_PREPARED:",
        "if len(held) == 1000 * MOST_PREPARED:",
        ("test_host_cuda.py",),
    ),
    Mutation(
        "batch-above-the-largest",
        "if not self.min_batch <= count <= self.max_batch:",
        "if not self.min_batch <= count:",
        ("test_host_cuda.py",),
    ),
    Mutation(
        "machine-code-of-a-later-gpu",
        "theirs == generation and least <= minor for",
        "theirs == generation and least >= minor for",
        ("test_gpu_code.py",),
    ),
    Mutation(
        "ptx-of-its-own-gpu",
        "_number(self.ptx) <= _number(arch)",
        "_number(self.ptx) < _number(arch)",
        ("test_gpu_code.py",),
    ),
    Mutation("camera-of-four-digits", 'r"\\d{1,3}", argument', 'r"\\d{1,4}", argument', ("test_sources.py",)),
)
