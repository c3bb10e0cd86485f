// Histograms of scores, a quarter of an octave a bin. They tell early how low a score can be without being among the n
// best of an image: the kernels drop what lies below before they sort it.
#pragma once

#include <cstdint>

#include "common/top_k.cuh"

namespace yolact {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kWarp = 32;
constexpr int kBins = 128;     // four for each lane of a warp
constexpr int kBinShift = 21;  // of a float's bits, exponent and two bits of the fraction are left
constexpr int kLowestBin = (0x3f800000 >> kBinShift) - (kBins - 1);  // so that a score of 1 falls into the last bin

// The bin of a score from 0 to 1, roundings above included. All below 2^-31 are in bin 0.
__device__ inline int binOf(float score)
{
    return max(static_cast<int>(__float_as_uint(score) >> kBinShift) - kLowestBin, 0);
}

// The key below all keys with a score of this bin; 0 for bin 0. A key holds its id in the lower bits, which are not 0.
__device__ inline uint64_t keyBelowBin(int bin)
{
    return bin == 0 ? 0 : static_cast<uint64_t>(static_cast<unsigned>(bin + kLowestBin) << kBinShift) << 32;
}

// The highest bin that has, with those above, at least `wanted` scores; 0 where there are not as many. All threads of
// the warp must call this and get the same. The histogram is aligned to 16 bytes.
__device__ inline int binOfBest(const int* histogram, int wanted)
{
    const int lane = threadIdx.x % kWarp;
    const int4 own = reinterpret_cast<const int4*>(histogram)[lane];
    int from = own.x + own.y + own.z + own.w;  // scores in the lane's bins and those of the lanes after it
    for (int step = 1; step < kWarp; step *= 2) {
        const int later = __shfl_down_sync(kAllLanes, from, step);
        from += lane + step < kWarp ? later : 0;
    }
    const unsigned enough = __ballot_sync(kAllLanes, from >= wanted);
    if (enough == 0) {
        return 0;
    }
    const int y = from - own.x, z = y - own.y, w = z - own.z;
    const int bin = kBins / kWarp * lane + (w >= wanted ? 3 : z >= wanted ? 2 : y >= wanted ? 1 : 0);
    return __shfl_sync(kAllLanes, bin, kWarp - 1 - __clz(static_cast<int>(enough)));
}

}  // namespace yolact
