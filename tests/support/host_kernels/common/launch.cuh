// Takes the place of plugins/common/launch.cuh when the tests build the kernels for the CPU. CUDA's keywords and device
// functions are plain C++ here. Blocks run one after the other; the threads of a block are fibres that switch at
// barriers.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>
#include <vector_functions.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __forceinline__
#undef __launch_bounds__
#define __global__
#define __device__
#define __host__
#define __shared__ static  // blocks run one at a time
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict

#define threadIdx (::host_cuda::here().thread)
#define blockIdx (::host_cuda::here().block)
#define blockDim (::host_cuda::here().block_size)
#define gridDim (::host_cuda::here().grid_size)

namespace host_cuda {

struct Place {
    uint3 thread, block;
    dim3 block_size, grid_size;
};

const Place& here();
cudaError_t launch(
    const std::function<void()>& thread, dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream);
unsigned char* dynamicShared();

int waitForBlock(int flag);                                         // how many threads' flags are set
uint64_t exchange(unsigned mask, uint64_t value, int source_lane);  // the value that a lane of the warp gave
unsigned waitForWarp(unsigned mask, bool flag);                     // one bit for each lane
int laneId();

template <typename T>
T shuffle(unsigned mask, T value, int source, int width)
{
    static_assert(sizeof(T) <= sizeof(uint64_t));
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    const int first = laneId() / width * width;
    const bool outside = source < first || source >= first + width;
    bits = exchange(mask, bits, outside ? laneId() : source);
    std::memcpy(&value, &bits, sizeof(T));
    return value;
}

}  // namespace host_cuda

inline void __syncthreads() { host_cuda::waitForBlock(0); }
inline int __syncthreads_or(int flag) { return host_cuda::waitForBlock(flag) != 0; }
inline int __syncthreads_count(int flag) { return host_cuda::waitForBlock(flag); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { host_cuda::waitForWarp(mask, false); }
inline unsigned __ballot_sync(unsigned mask, int flag) { return host_cuda::waitForWarp(mask, flag != 0); }
inline int __any_sync(unsigned mask, int flag) { return host_cuda::waitForWarp(mask, flag != 0) != 0; }
inline int __all_sync(unsigned mask, int flag) { return host_cuda::waitForWarp(mask, flag == 0) == 0; }

template <typename T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32)
{
    return host_cuda::shuffle(mask, value, host_cuda::laneId() / width * width + lane % width, width);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32)
{
    return host_cuda::shuffle(mask, value, host_cuda::laneId() ^ bits, width);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32)
{
    return host_cuda::shuffle(mask, value, host_cuda::laneId() + static_cast<int>(delta), width);
}

template <typename T>
T atomicAdd(T* address, T value)
{
    const T before = *address;
    *address = before + value;
    return before;
}
template <typename T>
T atomicOr(T* address, T value)
{
    const T before = *address;
    *address = before | value;
    return before;
}
template <typename T>
T atomicMax(T* address, T value)
{
    const T before = *address;
    *address = before < value ? value : before;
    return before;
}

inline unsigned __float_as_uint(float value)
{
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}
inline float __uint_as_float(unsigned bits)
{
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline int __clz(int bits) { return bits ? __builtin_clz(static_cast<unsigned>(bits)) : 32; }
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned bits)
{
    return static_cast<unsigned>((uint64_t{high} << 32 | low) >> (bits % 32));
}
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector)
{
    const uint64_t bytes = uint64_t{high} << 32 | low;
    unsigned chosen = 0;
    for (int i = 0; i < 4; ++i) {
        chosen |= static_cast<unsigned>(bytes >> 8 * (selector >> 4 * i & 7) & 0xff) << 8 * i;
    }
    return chosen;
}
inline unsigned __dp2a_lo(unsigned a, unsigned b, unsigned sum)
{
    return sum + (a & 0xffff) * (b & 0xff) + (a >> 16) * (b >> 8 & 0xff);
}
inline unsigned __dp2a_hi(unsigned a, unsigned b, unsigned sum) { return __dp2a_lo(a, b >> 16, sum); }
template <typename T>
T __ldg(const T* address)
{
    return *address;
}
template <typename T>
T min(T a, T b)
{
    return b < a ? b : a;
}
template <typename T>
T max(T a, T b)
{
    return a < b ? b : a;
}

namespace yolact {

template <typename... Params, typename... Args>
cudaError_t launch(
    void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, Args... args)
{
    return host_cuda::launch([=] { kernel(static_cast<Params>(args)...); }, grid, block, shared_bytes, stream);
}

inline unsigned char* dynamicShared() { return host_cuda::dynamicShared(); }

}  // namespace yolact
