// The first kernel finds the candidates among the priors, and counts their pairs with classes by their scores.
#pragma once

#include <math.h>

#include "common/elements.cuh"
#include "common/launch.cuh"
#include "fast_nms/scratch.cuh"

namespace yolact {

constexpr int kScoreThreads = 256;
constexpr int kMaxRows = 64;  // priors per block
constexpr int kUsualLanes = kScoreThreads / kMaxRows;
constexpr size_t kStageBytes = 24 << 10;  // of logits per block: every multiprocessor has room for two blocks or more

// How a block's threads share its rows: 2^lane_bits neighbouring threads take one row, and the rows of a warp are
// 2^spread_bits apart.
struct RowShape {
    int rows, lane_bits, spread_bits;
};

// Copies n elements into shared memory, most of them 16 bytes at a time and four times that before the first is waited
// for. For that the copy must start as many bytes after a multiple of 16 as the source does.
template <typename T>
__device__ const T* stage(const T* __restrict__ source, int n, unsigned char* __restrict__ shared)
{
    constexpr int kPerVector = 16 / sizeof(T);
    const int shift = static_cast<int>(reinterpret_cast<uintptr_t>(source) % 16 / sizeof(T));
    T* copy = reinterpret_cast<T*>(shared) + shift;
    const int head = min(n, (kPerVector - shift) % kPerVector);
    const int vectors = (n - head) / kPerVector;
    const uint4* from = reinterpret_cast<const uint4*>(source + head);
    uint4* to = reinterpret_cast<uint4*>(copy + head);
    const int step = blockDim.x;
    constexpr int kInFlight = 4;
#pragma unroll 1
    for (int i = threadIdx.x; i < vectors; i += kInFlight * step) {
        uint4 held[kInFlight];
#pragma unroll
        for (int j = 0; j < kInFlight; ++j) {
            held[j] = from[min(i + j * step, vectors - 1)];
        }
#pragma unroll
        for (int j = 0; j < kInFlight; ++j) {
            if (i + j * step < vectors) {
                to[i + j * step] = held[j];
            }
        }
    }
    const int i = threadIdx.x, tail = head + vectors * kPerVector;  // each end has fewer elements than a block threads
    if (i < head) {
        copy[i] = source[i];
    }
    if (tail + i < n) {
        copy[tail + i] = source[tail + i];
    }
    __syncthreads();
    return copy;
}

__device__ inline float maxOfLanes(float value, int lanes)
{
    for (int bits = lanes / 2; bits > 0; bits /= 2) {
        value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, bits));
    }
    return value;
}

__device__ inline float sumOfLanes(float value, int lanes)
{
    for (int bits = lanes / 2; bits > 0; bits /= 2) {
        value += __shfl_xor_sync(kAllLanes, value, bits);
    }
    return value;
}

// The lane's share of the largest of the logits [first, end). NaN is passed over.
__device__ inline float largestOf(const float* logits, int first, int end, int lane, int lanes)
{
    float best = -INFINITY;
#pragma unroll 4
    for (int i = first + lane; i < end; i += lanes) {
        best = fmaxf(best, logits[i]);
    }
    return best;
}

// The same for types of 16 bits, two logits at a time. Values left over at the ends are compared on their own. `logits`
// is aligned to 4 bytes.
template <typename T>
__device__ float largestOf(const T* logits, int first, int end, int lane, int lanes)
{
    using Pair = typename PairOf<T>::type;
    const Pair* pairs = reinterpret_cast<const Pair*>(logits);
    Pair best = pairOf(T{}, -INFINITY, -INFINITY);
#pragma unroll 4
    for (int i = (first + 1) / 2 + lane; i < end / 2; i += lanes) {
        best = largerOf<T>(best, pairs[i]);
    }
    float largest = fmaxf(__low2float(best), __high2float(best));
    if (lane == 0) {
        largest = fmaxf(largest, fmaxf(toFloat(logits[first]), toFloat(logits[end - 1])));
    }
    return largest;
}

struct RowScore {
    bool is_candidate;
    float largest_logit, exponentials;
    int best_class;
};

// The softmax statistics of a row of C + 1 logits, worked out by `lanes` neighbouring threads together. All threads of
// the warp must call this. A row with a NaN is no candidate: the largest logits pass over the NaN, but the sum of
// exponentials becomes NaN, and so does the probability, of which `probability > threshold` is false. A row with
// +infinity is no candidate either, because the exponential of infinity minus infinity is NaN.
template <typename T>
__device__ RowScore
scoreRow(const T* row, float numerator, float largest, const YolactFastNmsParams& p, int lane, int lanes)
{
    float sum = 0;
    for (int c = lane; c <= p.classes; c += lanes) {
        sum += expf(toFloat(row[c]) - largest);
    }
    RowScore score{false, largest, sumOfLanes(sum, lanes), 0};
    const float probability = numerator / score.exponentials;
    score.is_candidate = probability > p.score_threshold;
    if (p.cross_class) {  // the first class with the largest probability: different logits may round to the same one
        int first = p.classes;
        for (int c = p.classes - 1 - lane; c >= 0; c -= lanes) {
            first = expf(toFloat(row[1 + c]) - largest) / score.exponentials == probability ? c : first;
        }
        for (int bits = lanes / 2; bits > 0; bits /= 2) {
            first = min(first, __shfl_xor_sync(kAllLanes, first, bits));
        }
        score.best_class = first;
    }
    return score;
}

// `decode` of the official layers/box_utils.py. The operations have the order of runtime/postprocess/nms.py, so they
// round alike.
template <typename T>
__device__ float4 decodeBox(const T* location, float4 prior, const YolactFastNmsParams& p)
{
    const float centre_x = prior.x + toFloat(location[0]) * p.centre_variance * prior.z;
    const float centre_y = prior.y + toFloat(location[1]) * p.centre_variance * prior.w;
    const float width = prior.z * expf(toFloat(location[2]) * p.size_variance);
    const float height = prior.w * expf(toFloat(location[3]) * p.size_variance);
    const float left = centre_x - width / 2, top = centre_y - height / 2;
    return make_float4(left, top, left + width, top + height);
}

// A block's findings in its rows, in shared memory.
struct Findings {
    int passed, found, base;
    int rows[kMaxRows];  // those that pass the first test, in any order
    float numerators[kMaxRows], largest[kMaxRows];
    Statistics candidates[kMaxRows];
    int pairs[kBins];
};

// The first test of the block's rows. The sum of exponentials is at least 1, so the probability of the best class is at
// most the exponential of its logit minus the largest one. That is enough to reject nearly all priors, which are
// background. Logits start at `logits[shift]`.
template <typename T>
__device__ void rejectBackground(
    Findings& findings, const T* logits, int shift, int count, const YolactFastNmsParams& p, RowShape shape)
{
    const int lanes = 1 << shape.lane_bits, lane = threadIdx.x & (lanes - 1);
    const int warp = threadIdx.x / kWarp, within = threadIdx.x % kWarp >> shape.lane_bits;
    const int apart = 1 << shape.spread_bits;
    const int row = ((warp >> shape.spread_bits) * (kWarp >> shape.lane_bits) + within) * apart + (warp & (apart - 1));
    const bool exists = row < count;
    const int start = shift + (exists ? row : 0) * (p.classes + 1);
    const int end = start + 1 + p.classes;
    // The compiler makes a loop of its own of the constant, with fixed addresses between its loads.
    const float mine = lanes == kUsualLanes ? largestOf(logits, start + 1, end, lane, kUsualLanes)
                                            : largestOf(logits, start + 1, end, lane, lanes);
    const float best = maxOfLanes(mine, lanes);
    const float largest = fmaxf(best, toFloat(logits[start]));
    const float numerator = expf(best - largest);
    if (exists && lane == 0 && numerator > p.score_threshold) {
        const int place = atomicAdd(&findings.passed, 1);
        findings.rows[place] = row;
        findings.numerators[place] = numerator;
        findings.largest[place] = largest;
    }
    __syncthreads();
}

// Counts the pairs of a candidate with all classes by their scores.
template <typename T>
__device__ void countPairs(int* pairs, const T* row, const RowScore& score, int classes, int lane, int lanes)
{
    const float scale = 1 / score.exponentials;  // a rounding may put a pair into the next bin, where it does no harm
    for (int c = lane; c < classes; c += lanes) {
        atomicAdd(&pairs[binOf(expf(toFloat(row[1 + c]) - score.largest_logit) * scale)], 1);
    }
}

// Scores the rows that passed, leaves the boxes of candidates in scratch memory and all else in `findings`. `copy` are
// the logits of the block's rows, `start` is the index (image, first).
template <typename T>
__device__ void scoreRows(
    Findings& findings, const T* copy, int first, size_t start, const YolactFastNmsParams& p,
    const YolactFastNmsTensors& t, const Scratch& scratch, int lane_bits)
{
    const int lanes = 1 << lane_bits, lane = threadIdx.x & (lanes - 1);
    const int slot = threadIdx.x >> lane_bits;
    if (static_cast<int>(threadIdx.x / kWarp * kWarp) >> lane_bits >= findings.passed) {
        return;  // the whole warp
    }
    const bool exists = slot < findings.passed;
    const int row = findings.rows[exists ? slot : 0];
    const T* logits = copy + row * (p.classes + 1);
    const RowScore score =
        scoreRow(logits, findings.numerators[exists ? slot : 0], findings.largest[exists ? slot : 0], p, lane, lanes);
    if (!exists || !score.is_candidate) {
        return;
    }
    if (!p.cross_class) {
        countPairs(findings.pairs, logits, score, p.classes, lane, lanes);
    }
    if (lane == 0) {
        const T* location = static_cast<const T*>(t.locations) + (start + row) * 4;
        scratch.boxes[start + row] = decodeBox(location, reinterpret_cast<const float4*>(t.priors)[first + row], p);
        if (p.cross_class) {
            scratch.best_classes[start + row] = score.best_class;
        }
        findings.candidates[atomicAdd(&findings.found, 1)] = {
            score.largest_logit, score.exponentials, score.best_class, first + row};
    }
}

// Grid (ceil(P / rows), B), blocks of rows * lanes threads. Dynamic shared memory: the logits of the block's rows.
template <typename T>
__global__ void __launch_bounds__(kScoreThreads)
    findCandidates(YolactFastNmsParams p, YolactFastNmsTensors t, Scratch scratch, RowShape shape)
{
    __shared__ Findings findings;
    const int image = blockIdx.y, first = blockIdx.x * shape.rows;
    const int count = min(shape.rows, p.priors - first), width = p.classes + 1;
    const size_t start = static_cast<size_t>(image) * p.priors + first;  // index (image, first)
    if (threadIdx.x == 0) {
        findings.passed = findings.found = 0;
    }
    for (int i = threadIdx.x; i < kBins; i += blockDim.x) {
        findings.pairs[i] = 0;
    }
    const T* aligned = reinterpret_cast<const T*>(dynamicShared());
    const T* logits = stage(static_cast<const T*>(t.confidences) + start * width, count * width, dynamicShared());
    rejectBackground(findings, aligned, static_cast<int>(logits - aligned), count, p, shape);
    if (findings.passed == 0) {
        return;
    }
    scoreRows(findings, logits, first, start, p, t, scratch, shape.lane_bits);
    __syncthreads();
    ImageState& state = scratch.images[image];
    if (threadIdx.x == 0) {
        findings.base = atomicAdd(&state.candidates, findings.found);
    }
    __syncthreads();
    Statistics* candidates = scratch.candidates + static_cast<size_t>(image) * p.priors + findings.base;
    for (int i = threadIdx.x; i < findings.found; i += blockDim.x) {
        candidates[i] = findings.candidates[i];
    }
    for (int i = threadIdx.x; i < kBins; i += blockDim.x) {
        if (findings.pairs[i] > 0) {
            atomicAdd(&state.pairs[i], findings.pairs[i]);
        }
    }
}

// Rows and threads of a block. Rows of a warp lie so far apart that its threads read different banks of shared memory,
// if such a distance is found; with YOLACT's 81 logits it is.
inline RowShape shapeOf(size_t row_bytes)
{
    RowShape shape{kMaxRows, 0, 0};
    while (shape.rows > 1 && shape.rows * row_bytes > kStageBytes) {
        shape.rows /= 2;
    }
    while (2 << shape.lane_bits <= kWarp && shape.rows << (shape.lane_bits + 1) <= kScoreThreads) {
        ++shape.lane_bits;
    }
    const size_t bank_bytes = 4, banks = 32, lanes = size_t{1} << shape.lane_bits;
    for (int bits = 0; kWarp >> shape.lane_bits << bits <= shape.rows; ++bits) {
        const size_t banks_apart = (row_bytes << bits) / bank_bytes % banks;
        if (banks_apart == lanes || banks_apart == banks - lanes) {
            shape.spread_bits = bits;
        }
    }
    return shape;
}

}  // namespace yolact
