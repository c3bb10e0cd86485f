// How one block of threads finds the k largest of any number of keys. The shared memory that it needs depends on k and
// on the number of threads, not on the number of keys.
#pragma once

#include <cstdint>

#include "common/launch.cuh"

namespace yolact {

// A score and the id of whatever has that score, as one integer. The larger key has the larger score or, where scores
// are equal, the lower id. Different ids have different keys, so the k largest keys are the same in whichever order
// threads offer them. Scores must be at least 0, because only then do floats compare like their bits. Ids must be below
// 2^32 - 1, so that no key is 0.
__device__ inline uint64_t makeKey(float score, unsigned id)
{
    return static_cast<uint64_t>(__float_as_uint(score)) << 32 | static_cast<unsigned>(~id);
}
__device__ inline float scoreOf(uint64_t key) { return __uint_as_float(static_cast<unsigned>(key >> 32)); }
__device__ inline unsigned idOf(uint64_t key) { return ~static_cast<unsigned>(key); }

inline int powerOfTwoFrom(int value)
{
    int power = 1;
    while (power < value) {
        power *= 2;
    }
    return power;
}

// Sorts the keys, the largest first. `count` must be a power of two. All threads of the block must call this, and it
// synchronises them at the end. As long as the stride is at most 32, the threads of warp w compare keys within
// [64 w, 64 w + 64), which no other warp touches, so between such steps a barrier of the warp is enough, and where
// there are no more keys than that, the other warps only wait.
__device__ inline void bitonicSort(uint64_t* keys, int count)
{
    constexpr int kOfWarp = 64;  // keys that one warp sorts without the others
    const int last = count > kOfWarp || threadIdx.x < kOfWarp / 2 ? count : 0;
    for (int size = 2; size <= last; size *= 2) {
        for (int stride = size / 2; stride > 0; stride /= 2) {
            for (int pair = threadIdx.x; pair < count / 2; pair += blockDim.x) {
                const int low = 2 * pair - (pair & (stride - 1));
                const bool descending = (low & size) == 0;
                const uint64_t a = keys[low], b = keys[low + stride];
                if ((a < b) == descending) {
                    keys[low] = b;
                    keys[low + stride] = a;
                }
            }
            const int next = stride > 1 ? stride / 2 : size < count ? size : 0;
            if (stride > kOfWarp / 2 || next > kOfWarp / 2) {
                __syncthreads();
            } else {
                __syncwarp();
            }
        }
    }
    __syncthreads();
}

// Takes keys in rounds: in each, every thread offers at most one key. A key that cannot be among the k largest any more
// is dropped at once. Of n keys in random order about k * ln(n / k) are not dropped, so the buffer is rarely full and
// rarely sorted.
struct TopK {
    // The state, like the buffer, is in shared memory. The buffer has room for bufferSize(k, threads) keys.
    struct State {
        uint64_t least;  // keys up to this one are dropped
        int count;
    };

    uint64_t* buffer;
    State* state;
    int k;
    int held = 0;    // keys in the buffer: the state's count, known to each thread without reading it
    int sorted = 0;  // as many of them are known to be in order

    static int bufferSize(int k, int threads) { return powerOfTwoFrom(k + threads); }

    // Keys up to `least` are not wanted at all. Only the first thread's `least` counts.
    __device__ void begin(uint64_t least)
    {
        if (threadIdx.x == 0) {
            *state = {least, 0};
        }
        __syncthreads();
    }

    // All threads of the block must call this, those without a key with 0. Returns how many keys were not dropped.
    __device__ int offer(uint64_t key, int capacity)
    {
        const bool wanted = key > state->least;
        if (wanted) {
            buffer[atomicAdd(&state->count, 1)] = key;
        }
        const int taken = __syncthreads_count(wanted);
        held += taken;
        if (held + static_cast<int>(blockDim.x) > capacity) {
            shrink();
        }
        return taken;
    }

    // The number of keys found, at most k; they are at the start of the buffer, largest first.
    __device__ int finish()
    {
        if (held != sorted) {
            shrink();
        }
        return held;
    }

private:
    __device__ void shrink()
    {
        int padded = 2;
        while (padded < held) {
            padded *= 2;
        }
        for (int i = held + threadIdx.x; i < padded; i += blockDim.x) {
            buffer[i] = 0;
        }
        __syncthreads();
        bitonicSort(buffer, padded);
        if (threadIdx.x == 0) {
            *state = {held < k ? state->least : buffer[k - 1], min(held, k)};
        }
        held = sorted = min(held, k);
        __syncthreads();
    }
};

}  // namespace yolact
