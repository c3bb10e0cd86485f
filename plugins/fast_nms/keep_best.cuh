// The last kernel: the best survivors of each image.
#pragma once

#include "common/elements.cuh"
#include "common/launch.cuh"
#include "fast_nms/scratch.cuh"

namespace yolact {

constexpr int kImageThreads = 512;
constexpr int kRowThreads = 4;  // of those that write one detection

// Survivors of an image's lists. A list's memory may be read beyond its survivors, where the numbers mean nothing, so
// reading a key need not wait for the number of survivors.
struct Lists {
    const int* kept;            // (L)
    const uint64_t* survivors;  // (L, room)
    int room;

    // The key of a survivor; 0 where the list has fewer.
    __device__ uint64_t at(int list, int place) const
    {
        const uint64_t key = survivors[static_cast<size_t>(list) * room + min(place, room - 1)];
        return place < kept[list] ? key : 0;
    }
};

// The lists whose best survivor is above `below`, in any order; returns their number.
__device__ inline int findLists(uint16_t* found, int* number, const Lists& lists, int count, uint64_t below)
{
    for (int list = threadIdx.x; list < count; list += blockDim.x) {
        if (lists.at(list, 0) > below) {
            found[atomicAdd(number, 1)] = static_cast<uint16_t>(list);
        }
    }
    __syncthreads();
    return *number;
}

// Offers the survivors of these lists. A warp takes 32 of a list, which come best first; where none of any list was
// worth keeping, those after them are not either. Keys are read one round ahead.
__device__ inline void offerSurvivors(TopK& top, int capacity, const uint16_t* found, int number, const Lists& lists)
{
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
    for (int start = 0; start < lists.room; start += kWarp) {
        int taken = 0;
        uint64_t next = warp < number ? lists.at(found[warp], start + lane) : 0;
        for (int first = 0; first < number; first += warps) {
            const uint64_t key = next;
            const int following = first + warps + warp;
            next = following < number ? lists.at(found[following], start + lane) : 0;
            taken += top.offer(key, capacity);
        }
        if (taken == 0) {
            return;
        }
    }
}

// Copies a row of n elements, 16 bytes at a time where both rows allow it. `lane` is one of kRowThreads threads.
template <typename T>
__device__ void copyRow(T* to, const T* from, int n, int lane)
{
    const uintptr_t addresses = reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from);
    if ((addresses | n * sizeof(T)) % sizeof(uint4) == 0) {
        const int vectors = n * sizeof(T) / sizeof(uint4);
        for (int i = lane; i < vectors; i += kRowThreads) {
            reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(from)[i];
        }
    } else {
        for (int i = lane; i < n; i += kRowThreads) {
            to[i] = from[i];
        }
    }
}

// Writes the image's detections, best first, and zeros beyond the `found` ones. kRowThreads threads take one.
template <typename T>
__device__ void writeDetections(
    const uint64_t* keys, int found, const YolactFastNmsParams& p, const YolactFastNmsTensors& t,
    const Scratch& scratch)
{
    const size_t start = static_cast<size_t>(blockIdx.x) * p.priors;           // index (image, 0) of priors
    const size_t output = static_cast<size_t>(blockIdx.x) * p.max_detections;  // index (image, 0) of detections
    const int lane = threadIdx.x % kRowThreads;
    for (int d = threadIdx.x / kRowThreads; d < p.max_detections; d += blockDim.x / kRowThreads) {
        const bool exists = d < found;
        const unsigned id = exists ? idOf(keys[d]) : 0;
        const unsigned list = id / p.priors;
        const size_t row = start + (id - list * p.priors);
        T* coefficients = static_cast<T*>(t.detection_coefficients) + (output + d) * p.coefficients;
        if (exists) {
            copyRow(coefficients, static_cast<const T*>(t.coefficients) + row * p.coefficients, p.coefficients, lane);
        } else {
            for (int i = lane; i < p.coefficients; i += kRowThreads) {
                coefficients[i] = T(0.0f);
            }
        }
        if (lane == 0) {
            const int best_class = p.cross_class && exists ? scratch.best_classes[row] : static_cast<int>(list);
            reinterpret_cast<float4*>(t.boxes)[output + d] = exists ? scratch.boxes[row] : make_float4(0, 0, 0, 0);
            t.scores[output + d] = exists ? scoreOf(keys[d]) : 0;
            t.classes[output + d] = best_class;
        }
    }
}

// Grid (B). Dynamic shared memory: `capacity` keys, then numbers of lists [count].
template <typename T>
__global__ void __launch_bounds__(kImageThreads, 1)
    keepBest(YolactFastNmsParams p, YolactFastNmsTensors t, Scratch scratch, int count, int room, int capacity)
{
    __shared__ TopK::State top_state;
    __shared__ int number;
    const int image = blockIdx.x;
    const ImageState& state = scratch.images[image];
    uint64_t* keys = reinterpret_cast<uint64_t*>(dynamicShared());
    const uint64_t below = threadIdx.x < kWarp ? keyBelowBin(binOfBest(state.survivors, p.max_detections)) : 0;
    if (threadIdx.x == 0) {
        number = 0;
    }
    TopK top{keys, &top_state, p.max_detections};
    top.begin(below);
    if (state.candidates > 0) {
        const size_t first = static_cast<size_t>(image) * count;
        const Lists lists{scratch.kept + first, scratch.survivors + first * room, room};
        uint16_t* found = reinterpret_cast<uint16_t*>(keys + capacity);
        const int with_some = findLists(found, &number, lists, count, top_state.least);
        offerSurvivors(top, capacity, found, with_some, lists);
    }
    const int found = top.finish();
    if (threadIdx.x == 0) {
        t.num_detections[image] = found;
    }
    writeDetections<T>(keys, found, p, t, scratch);
}

}  // namespace yolact
