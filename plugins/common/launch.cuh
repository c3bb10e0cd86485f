// How kernels are launched, and how they get dynamic shared memory. Apart from these two functions, kernels are C++
// with CUDA's keywords, built-in variables, barriers, atomics and warp operations. That lets the tests run them on a
// CPU: the tests' build finds a launch.cuh of its own before this one.
#pragma once

#include <cuda_runtime.h>

namespace yolact {

template <typename... Params, typename... Args>
cudaError_t launch(
    void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, Args... args)
{
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    return cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...);
}

// The block's dynamic shared memory, aligned to 16 bytes, uninitialised.
__device__ inline unsigned char* dynamicShared()
{
    extern __shared__ __align__(16) unsigned char yolact_dynamic_shared[];
    return yolact_dynamic_shared;
}

}  // namespace yolact
