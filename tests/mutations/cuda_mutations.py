"""Faults of the CUDA kernels: the tests run these on a CPU, with every access beyond an array and every order seen."""

from __future__ import annotations

from mutation import Mutation

_NMS = ("test_fast_nms_kernel.py",)
_PASSES = ("test_fast_nms_passes.py",)
_ASSEMBLY = ("test_mask_assembly_kernel.py",)
_IMAGES = ("test_masks_to_image.py",)
_RESIZE = ("test_resize_pack.py",)

_KEYS = """| static_cast<unsigned>(~id);
}
__device__ inline float scoreOf(uint64_t key) { return __uint_as_float(static_cast<unsigned>(key >> 32)); }
__device__ inline unsigned idOf(uint64_t key) { return ~static_cast<unsigned>(key); }"""

CUDA_MUTATIONS = (
    # common/top_k.cuh
    Mutation("tie-to-the-higher-id", _KEYS, _KEYS.replace("~", ""), _NMS),
    Mutation(
        "sort-waits-for-warps-only",
        "stride > kOfWarp / 2 || next > kOfWarp / 2",
        "stride > kOfWarp || next > kOfWarp",
        _NMS,
    ),
    Mutation("one-warp-sorts-128-keys", "count > kOfWarp ||", "count > 2 * kOfWarp ||", _NMS),
    Mutation("full-buffer-is-not-shrunk", "held + static_cast<int>(blockDim.x) > capacity", "held > capacity", _NMS),
    Mutation("filter-by-the-best-key", "held < k ? state->least : buffer[k - 1]", "held < k ? 0 : buffer[0]", _NMS),
    Mutation(
        "buffer-keeps-old-keys", "for (int i = held + threadIdx.x; i", "for (int i = held + 1 + threadIdx.x; i", _NMS
    ),
    Mutation("pairs-of-half-the-stride", "pair & (stride - 1)", "pair & (stride / 2)", _NMS),
    Mutation(
        "sorting-steps-divide",
        "2 * pair - (pair & (stride - 1))",
        "2 * stride * (pair / stride) + pair % stride",
        ("test_kernel_compilation.py",),
    ),
    Mutation("buffer-is-taken-for-sorted", "if (held != sorted) {", "if (sorted == 0) {", _NMS),
    # common/workspace.h
    Mutation(
        "workspace-rounds-down",
        "used_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;",
        "used_ += count * sizeof(T) / kAlignment * kAlignment;",
        _NMS,
    ),
    # fast_nms/fast_nms.cu
    Mutation("workspace-of-one-list", "lists * roomOf(p, depthOf(p))", "images * roomOf(p, depthOf(p))", _NMS),
    Mutation("counts-of-one-image-are-cleared", "0, p.batch * sizeof(ImageState)", "0, sizeof(ImageState)", _NMS),
    Mutation("logits-copy-is-not-waited-for", "    __syncthreads();\n    return copy;", "    return copy;", _NMS),
    Mutation(
        "logits-copy-lacks-its-end",
        "if (tail + i < n) {",
        "if (tail + i + 1 < n) {",
        _NMS,
    ),
    Mutation("no-room-for-a-shifted-copy", "shape.rows * row_bytes + 16;", "shape.rows * row_bytes;", _NMS),
    Mutation("softmax-of-the-smallest", "value = fmaxf(value, __shfl", "value = fminf(value, __shfl", _NMS),
    Mutation(
        "softmax-without-the-last-class",
        "for (int c = lane; c <= p.classes; c",
        "for (int c = lane; c < p.classes; c",
        _NMS,
    ),
    Mutation(
        "candidate-at-the-threshold", "probability > p.score_threshold;", "probability >= p.score_threshold;", _NMS
    ),
    Mutation(
        "two-logits-at-a-time-without-the-last",
        "fmaxf(toFloat(logits[first]), toFloat(logits[end - 1]))",
        "toFloat(logits[first])",
        _NMS,
    ),
    Mutation(
        "two-logits-at-a-time-with-the-background", "int i = (first + 1) / 2 + lane;", "int i = first / 2 + lane;", _NMS
    ),
    Mutation(
        "logits-of-16-bits-one-at-a-time",
        "best = largerOf<T>(best, pairs[i]);",
        "best = largerOf<T>(best, pairOf(T{}, toFloat(logits[2 * i]), -INFINITY));",
        ("test_kernel_compilation.py",),
    ),
    Mutation("rows-of-a-warp-overlap", "within) * apart +", "within) +", _NMS),
    Mutation(
        "rows-that-passed-are-not-waited-for",
        "findings.largest[place] = largest;\n    }\n    __syncthreads();",
        "findings.largest[place] = largest;\n    }",
        _NMS,
    ),
    Mutation("pairs-of-one-image", "&state.pairs[i], findings", "&scratch.images[0].pairs[i], findings", _NMS),
    Mutation(
        "best-class-is-never-the-first",
        "c = p.classes - 1 - lane; c >= 0; c -= lanes",
        "c = p.classes - 1 - lane; c > 0; c -= lanes",
        _NMS,
    ),
    Mutation("one-row-too-many", "const bool exists = row < count;", "const bool exists = row <= count;", _NMS),
    Mutation(
        "every-lane-adds-the-candidate",
        "if (lane == 0) {\n        const T* location",
        "{\n        const T* location",
        _NMS,
    ),
    Mutation(
        "candidates-of-all-images-in-one-count",
        "&state.candidates, findings.found",
        "&scratch.images[0].candidates, findings.found",
        _NMS,
    ),
    Mutation(
        "suppressed-at-the-threshold",
        "return !(intersection / all <= threshold);",
        "return !(intersection / all < threshold);",
        _NMS,
    ),
    Mutation("boxes-without-area-all-stay", "if (intersection == 0 && all > 0) {", "if (intersection == 0) {", _NMS),
    Mutation("box-suppresses-itself", "better < rank && suppresses(", "better <= rank && suppresses(", _NMS),
    Mutation(
        "last-warp-of-better-boxes-is-skipped",
        "int start = 0; start < rank && !suppressed;",
        "int start = 0; start + kWarp < rank && !suppressed;",
        _NMS,
    ),
    Mutation(
        "bin-of-a-score-too-high",
        "max(static_cast<int>(__float_as_uint",
        "1 + max(static_cast<int>(__float_as_uint",
        _NMS,
    ),
    Mutation(
        "cut-above-the-bin",
        "static_cast<unsigned>(bin + kLowestBin)",
        "static_cast<unsigned>(bin + 1 + kLowestBin)",
        _NMS,
    ),
    Mutation("bins-of-later-lanes-are-not-counted", "from += lane + step < kWarp ? later : 0;", "", _NMS),
    Mutation(
        "bin-of-the-first-lane-with-enough",
        "kWarp - 1 - __clz(static_cast<int>(enough))",
        "__ffs(static_cast<int>(enough)) - 1",
        _NMS,
    ),
    Mutation("no-second-pass", "state.best_survivors >= p.max_detections", "state.best_survivors >= 0", _PASSES),
    Mutation(
        "lists-cut-short-are-complete",
        "if (ranked < min(depth, state.candidates)) {",
        "if (ranked < min(depth, state.candidates) && ranked < 1) {",
        _NMS,
    ),
    Mutation("second-pass-ranks-the-best-only", "top.begin(second ? 0 : below)", "top.begin(below)", _PASSES),
    Mutation("survivors-are-counted-twice", "second ? below : ~0ull", "~0ull", _PASSES),
    Mutation("survivors-of-one-warp-only", "kept += __popc(alive);", "kept = __popc(alive);", _NMS),
    Mutation("survivors-past-the-room", "if (key != 0 && place < room) {", "if (key != 0) {", _NMS),
    Mutation("lists-end-with-rubbish", "place < kept[list] ? key : 0", "place < room ? key : 0", _NMS),
    Mutation(
        "worse-survivors-are-never-read",
        "if (taken == 0) {\n            return;",
        "if (taken < 99) {\n            return;",
        _NMS,
    ),
    Mutation("coefficients-past-the-count", "coefficients[i] = T(0.0f);", "coefficients[i] = T(1.0f);", _NMS),
    Mutation(
        "row-of-coefficients-without-its-end",
        "i < vectors; i += kRowThreads",
        "i + 1 < vectors; i += kRowThreads",
        _NMS,
    ),
    # fast_nms/fast_nms_check.cpp
    Mutation(
        "ids-fill-32-bits",
        "static_cast<long long>(p.classes) * p.priors >= UINT_MAX",
        "static_cast<long long>(p.classes) * p.priors > 2LL * UINT_MAX",
        _NMS,
    ),
    # mask_assembly/mask_assembly.cu
    Mutation("crop-padded-inwards", "box.x * width - p.crop_padding,", "box.x * width + p.crop_padding,", _ASSEMBLY),
    Mutation("crop-includes-its-right-end", "column < crop.right", "column <= crop.right", _ASSEMBLY),
    Mutation("crop-excludes-its-top", "row >= crop.top", "row > crop.top", _ASSEMBLY),
    Mutation("mask-past-the-count", "first + i < count ? cropOf", "first + i <= count ? cropOf", _ASSEMBLY),
    Mutation(
        "threads-load-coefficients-alone",
        "if (__syncthreads_or(hits.of_warp != 0)) {",
        "if (hits.of_warp != 0) {",
        _ASSEMBLY,
    ),
    Mutation("last-mask-has-no-zeros", "for (; d < chunk; d += rows", "for (; d + 1 < chunk; d += rows", _ASSEMBLY),
    Mutation("zeros-past-the-chunk", "for (; d < chunk; d += rows", "for (; d < kChunk; d += rows", _ASSEMBLY),
    Mutation("zeros-past-the-mask", "if (hit >> d & 1 || start >= cells) {", "if (hit >> d & 1) {", _ASSEMBLY),
    Mutation("zeros-over-masks", "if (hit >> d & 1 || start >= cells) {", "if (start >= cells) {", _ASSEMBLY),
    Mutation("cells-past-the-mask", "if (exists) {\n            masks[", "{\n            masks[", _ASSEMBLY),
    Mutation(
        "zeros-though-not-aligned",
        "cells % 4 == 0 && isAligned(tensors->masks, sizeof(float4))",
        "cells % 4 == 0",
        _ASSEMBLY,
    ),
    Mutation(
        "zeros-of-odd-masks",
        "cells % 4 == 0 && isAligned(tensors->masks, sizeof(float4))",
        "isAligned(tensors->masks, sizeof(float4))",
        _ASSEMBLY,
    ),
    Mutation(
        "warp-of-two-rows-has-the-last",
        "static_cast<float>(top) < crop.bottom;",
        "static_cast<float>(bottom) < crop.bottom;",
        _ASSEMBLY,
    ),
    Mutation("warp-of-two-rows-has-columns", "if (top == bottom) {", "if (top <= bottom) {", _ASSEMBLY),
    Mutation("lanes-see-their-own-hits", "__any_sync(kAllLanes, hit) ? 1u << d", "hit ? 1u << d", _ASSEMBLY),
    Mutation(
        "any-number-of-coefficients-is-usual",
        "p.coefficients == kUsualCoefficients",
        "p.coefficients >= kUsualCoefficients",
        _ASSEMBLY,
    ),
    # masks_to_image/masks_to_image.cu
    Mutation("pixel-at-the-threshold", "lower[k] * below > kThreshold", "lower[k] * below >= kThreshold", _IMAGES),
    Mutation("bits-beyond-the-region", "byte == part.last_byte ? part.last_bits : 0xffu", "0xffu", _IMAGES),
    Mutation(
        "position-carries-half", "carry ? rest - 2 * axis.pixels : rest", "carry ? rest - axis.pixels : rest", _IMAGES
    ),
    Mutation("row-past-the-array", "if (part.high < part.span) {", "if (part.high < 0) {", _IMAGES),
    Mutation("row-before-the-array", "if (part.low > 0) {", "if (part.low < 0) {", _IMAGES),
    Mutation("only-the-first-strip", "row += gridDim.x * kRows) {", "row += height) {", _IMAGES),
    Mutation("only-the-first-bytes", "byte += kBytes) {", "byte += target.row_bytes) {", _IMAGES),
    Mutation("nothing-is-sure-below", "kSurelyClear = 0.49f", "kSurelyClear = 0.52f", _IMAGES),
    Mutation("nothing-is-sure-above", "kSurelySet = 0.51f", "kSurelySet = 0.49f", _IMAGES),
    Mutation("sure-of-infinity", "kMostSet = 2;", "kMostSet = INFINITY;", _IMAGES),
    Mutation("sure-of-a-row-above", "min(both[0], both[1])", "both[0]", _IMAGES),
    Mutation("sure-of-three-cells", "k < 2 || start + k <= last", "k < 2", _IMAGES),
    Mutation("patches-of-the-last-tile", "__syncthreads();  // the next tile may take its place", "", _IMAGES),
    # resize_pack/resize_pack.cu
    Mutation("byte-rounds-down", "(sum + 2) >> 2", "(sum + 1) >> 2", _RESIZE),
    Mutation(
        "pixel-past-the-image",
        "blend.second = min(low + 1, pixels - 1);",
        "blend.second = min(low + 1, pixels);",
        _RESIZE,
    ),
    Mutation("column-past-the-output", "if (x >= size) {", "if (x > size) {", _RESIZE),
    Mutation("row-past-the-output", "if (start + i < count) {", "if (start + i <= count) {", _RESIZE),
    Mutation("row-positions-are-not-waited-for", "= __syncthreads_or(!words);", "= !words;", _RESIZE),
    Mutation("third-word-is-not-read", "last >= 2 ? words[2] : 0", "0u", _RESIZE),
    Mutation("last-column-halved", "blend.first_weight + blend.second_weight)", "blend.first_weight)", _RESIZE),
    Mutation(
        "single-bytes-of-one-pixel", "for (int i = 0; i < bytes; ++i) {", "for (int i = 0; i < 4; ++i) {", _RESIZE
    ),
    # tensorrt/
    Mutation("registry-of-another-release", "kTen{0, 0, 12}", "kTen{0, 0, 8}", ("test_plugins.py",)),
    Mutation("logger-of-another-release", "kEleven{4, 4, 8}", "kEleven{0, 4, 8}", ("test_plugins.py",)),
    Mutation(
        "clone-comes-first",
        "    virtual IPluginCapability* getCapabilityInterface(PluginCapabilityType type) noexcept = 0;\n"
        "    virtual IPluginV3* clone() noexcept = 0;",
        "    virtual IPluginV3* clone() noexcept = 0;\n"
        "    virtual IPluginCapability* getCapabilityInterface(PluginCapabilityType type) noexcept = 0;",
        ("test_tensorrt_abi.py",),
    ),
)
