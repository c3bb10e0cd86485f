// The k largest of any number of keys, by one block, in shared memory that only depends on k.
#pragma once

#include <cstdint>

#include "common/launch.cuh"

namespace yolact {

// A score and what it belongs to as one integer: larger is better, and of equal scores the lower id. Keys of different
// ids differ, so the k largest do not hang on the order in which threads come by. Scores are at least 0, where floats
// compare like their bits; ids are below 2^32 - 1, so that 0 is nobody's key.
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

// Largest first, `count` a power of two, by all threads of the block; synchronises after the last step.
// Thread t compares within elements [64 w, 64 w + 64) of its warp w as long as the stride is at most 32, so those steps
// need no barrier of the whole block.
__device__ inline void bitonicSort(uint64_t* keys, int count)
{
    for (int size = 2; size <= count; size *= 2) {
        for (int stride = size / 2; stride > 0; stride /= 2) {
            for (int pair = threadIdx.x; pair < count / 2; pair += blockDim.x) {
                const int low = 2 * stride * (pair / stride) + pair % stride;
                const bool descending = (low & size) == 0;
                const uint64_t a = keys[low], b = keys[low + stride];
                if ((a < b) == descending) {
                    keys[low] = b;
                    keys[low + stride] = a;
                }
            }
            const int next = stride > 1 ? stride / 2 : size;
            if (stride > 32 || next > 32) {
                __syncthreads();
            } else {
                __syncwarp();
            }
        }
    }
    __syncthreads();
}

// Takes keys in rounds of at most one per thread. Keys that cannot be among the k largest any more are dropped at once,
// so the buffer is rarely sorted: on average k * ln(n / k) of n keys in random order get past that filter.
struct TopK {
    // In shared memory. `buffer` holds bufferSize(k, threads) keys.
    struct State {
        uint64_t least;  // keys must be larger than this
        int count;
    };

    uint64_t* buffer;
    State* state;
    int k;

    static int bufferSize(int k, int threads) { return powerOfTwoFrom(k + threads); }

    __device__ void begin()
    {
        if (threadIdx.x == 0) {
            *state = {0, 0};
        }
        __syncthreads();
    }

    // By all threads of the block; 0 is no key.
    __device__ void offer(uint64_t key, int capacity)
    {
        if (key > state->least) {
            buffer[atomicAdd(&state->count, 1)] = key;
        }
        __syncthreads();
        const int count = state->count;
        __syncthreads();  // everybody has read the count before somebody raises it
        if (count + static_cast<int>(blockDim.x) > capacity) {
            shrink(count);
        }
    }

    // The number of keys found, at most k; they are at the start of the buffer, largest first.
    __device__ int finish()
    {
        shrink(state->count);
        return state->count;
    }

private:
    __device__ void shrink(int count)
    {
        int padded = 2;
        while (padded < count) {
            padded *= 2;
        }
        for (int i = count + threadIdx.x; i < padded; i += blockDim.x) {
            buffer[i] = 0;
        }
        __syncthreads();
        bitonicSort(buffer, padded);
        if (threadIdx.x == 0) {
            *state = {count < k ? 0 : buffer[k - 1], min(count, k)};
        }
        __syncthreads();
    }
};

}  // namespace yolact
