// The second kernel: Fast NMS within each list of candidates.
#pragma once

#include <math.h>

#include "common/elements.cuh"
#include "common/launch.cuh"
#include "fast_nms/scratch.cuh"

namespace yolact {

constexpr int kListThreads = 256;

// The first pass ranks no more than about this many pairs of candidate and class for each detection wanted. More make
// lists longer; fewer make it more likely that not enough of them survive, and that there is a second pass.
constexpr int kPairsPerDetection = 16;

__device__ inline float areaOf(float4 box) { return (box.z - box.x) * (box.w - box.y); }

// Whether the IoU is above the threshold or NaN. It is NaN for two boxes without area, and in the official code too
// such boxes suppress each other.
__device__ inline bool suppresses(float4 better, float better_area, float4 box, float area, float threshold)
{
    const float width = fmaxf(fminf(better.z, box.z) - fmaxf(better.x, box.x), 0.0f);
    const float height = fmaxf(fminf(better.w, box.w) - fmaxf(better.y, box.y), 0.0f);
    const float intersection = width * height;
    const float all = better_area + area - intersection;
    if (intersection == 0 && all > 0) {  // so it is for most pairs, which are spared the division
        return false;
    }
    return !(intersection / all <= threshold);
}

// The `count` keys come best first. A key becomes 0 where its box overlaps too much with the box of any better key; as
// always in Fast NMS, that better one may be suppressed itself. A warp takes one box and compares it with 32 better
// ones at a time.
__device__ inline void suppressKeys(uint64_t* keys, const float4* boxes, const float* areas, int count, float threshold)
{
    const int lane = threadIdx.x % kWarp;
    for (int rank = threadIdx.x / kWarp; rank < count; rank += blockDim.x / kWarp) {
        bool suppressed = false;
        for (int start = 0; start < rank && !suppressed; start += kWarp) {
            const int better = start + lane;
            const bool mine =
                better < rank && suppresses(boxes[better], areas[better], boxes[rank], areas[rank], threshold);
            suppressed = __any_sync(kAllLanes, mine);
        }
        if (suppressed && lane == 0) {
            keys[rank] = 0;
        }
    }
    __syncthreads();
}

// Offers the keys of all candidates of the image in this list.
template <typename T>
__device__ void offerCandidates(
    TopK& top, int capacity, const YolactFastNmsParams& p, const T* confidences, const Statistics* candidates,
    int count)
{
    const int list = blockIdx.x;
    for (int first = 0; first < count; first += blockDim.x) {
        const int index = first + threadIdx.x;
        uint64_t key = 0;
        if (index < count) {
            const Statistics candidate = candidates[index];
            const int c = p.cross_class ? candidate.best_class : list;
            const float logit = toFloat(confidences[static_cast<size_t>(candidate.prior) * (p.classes + 1) + 1 + c]);
            key = makeKey(expf(logit - candidate.largest_logit) / candidate.exponentials, candidate.prior);
        }
        top.offer(key, capacity);
    }
}

// Writes the first `room` survivors among the keys, ids counted from `first_id`, and returns their number. Those up to
// `counted` are counted by their scores. All threads of a warp must call this, of one warp only.
__device__ inline int writeSurvivors(
    const uint64_t* keys, int ranked, unsigned first_id, uint64_t* survivors, int room, int* bins, uint64_t counted)
{
    const int lane = threadIdx.x % kWarp;
    int kept = 0;
    for (int start = 0; start < ranked && kept < room; start += kWarp) {
        const uint64_t key = start + lane < ranked ? keys[start + lane] : 0;
        const unsigned alive = __ballot_sync(kAllLanes, key != 0);
        const int place = kept + __popc(alive & ((1u << lane) - 1));
        if (key != 0 && place < room) {
            survivors[place] = makeKey(scoreOf(key), first_id + idOf(key));
            if (key <= counted) {
                atomicAdd(&bins[binOf(scoreOf(key))], 1);
            }
        }
        kept += __popc(alive);
    }
    return min(kept, room);
}

// Stores the survivors among the keys of the block's list for the last kernel, and for the second pass whether it is
// needed. All threads of one warp must call this.
__device__ inline void leaveSurvivors(
    const uint64_t* keys, int ranked, const YolactFastNmsParams& p, const Scratch& scratch, int depth, uint64_t below,
    bool second)
{
    ImageState& state = scratch.images[blockIdx.y];
    const int list = blockIdx.x, room = roomOf(p, depth);
    const size_t index = static_cast<size_t>(blockIdx.y) * gridDim.x + list;
    uint64_t* survivors = scratch.survivors + index * room;
    const uint64_t counted = second ? below : ~0ull;  // those above were counted in the first pass
    const int kept =
        writeSurvivors(keys, ranked, static_cast<unsigned>(list) * p.priors, survivors, room, state.survivors, counted);
    if (threadIdx.x % kWarp == 0) {
        scratch.kept[index] = kept;
        if (!second) {
            atomicAdd(&state.best_survivors, kept);
            if (ranked < min(depth, state.candidates)) {
                state.undecided = 1;
            }
        }
    }
}

// A box depends on better ones of its list only. So the best pairs of candidate and class alone decide everything where
// `max_detections` of them survive: the first pass ranks nothing else. For the other images the second pass ranks
// everything.
//
// Grid (L, B). Dynamic shared memory: `capacity` keys, then boxes and areas [depth].
template <typename T>
__global__ void __launch_bounds__(kListThreads) suppressWithinLists(
    YolactFastNmsParams p, YolactFastNmsTensors t, Scratch scratch, int depth, int capacity, bool second)
{
    __shared__ TopK::State top_state;
    const int image = blockIdx.y;
    const ImageState& state = scratch.images[image];
    const int count = state.candidates;
    if (count == 0 || (second && (!state.undecided || state.best_survivors >= p.max_detections))) {
        return;
    }
    const size_t start = static_cast<size_t>(image) * p.priors;  // index (image, 0)
    uint64_t* keys = reinterpret_cast<uint64_t*>(dynamicShared());
    float4* boxes = reinterpret_cast<float4*>(keys + capacity);
    float* areas = reinterpret_cast<float*>(boxes + depth);

    const uint64_t below =
        threadIdx.x < kWarp ? keyBelowBin(binOfBest(state.pairs, kPairsPerDetection * p.max_detections)) : 0;
    TopK top{keys, &top_state, depth};
    top.begin(second ? 0 : below);
    const T* confidences = static_cast<const T*>(t.confidences) + start * (p.classes + 1);
    offerCandidates(top, capacity, p, confidences, scratch.candidates + start, count);
    const int ranked = top.finish();
    for (int rank = threadIdx.x; rank < ranked; rank += blockDim.x) {
        boxes[rank] = scratch.boxes[start + idOf(keys[rank])];
        areas[rank] = areaOf(boxes[rank]);
    }
    __syncthreads();
    suppressKeys(keys, boxes, areas, ranked, p.nms_threshold);

    if (threadIdx.x < kWarp) {
        leaveSurvivors(keys, ranked, p, scratch, depth, below, second);
    }
}

}  // namespace yolact
