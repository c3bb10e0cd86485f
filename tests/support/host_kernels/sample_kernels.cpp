// Kernels right and wrong, to test that the runner of `host_cuda.cpp` computes as a GPU would and notices faults.
#include "common/launch.cuh"

namespace {

constexpr unsigned kAllLanes = 0xffffffffu;

// Each thread hands its number to its left neighbour, which reads it with or without a barrier before.
__global__ void rotate(int* output, bool wait)
{
    __shared__ int values[1024];
    values[threadIdx.x] = 0;
    __syncthreads();
    values[threadIdx.x] = threadIdx.x + 1;
    if (wait) {
        __syncthreads();
    }
    output[blockIdx.x * blockDim.x + threadIdx.x] = values[(threadIdx.x + 1) % blockDim.x];
}

__global__ void warpOperations(const int* input, int* output)
{
    const int value = input[threadIdx.x];
    int* row = output + threadIdx.x * 7;
    row[0] = __shfl_xor_sync(kAllLanes, value, 5);
    row[1] = __shfl_sync(kAllLanes, value, 3, 8);
    row[2] = __shfl_down_sync(kAllLanes, value, 2);
    row[3] = static_cast<int>(__ballot_sync(kAllLanes, value & 1));
    row[4] = __any_sync(kAllLanes, value > 900);
    row[5] = __syncthreads_or(value > 990);
    row[6] = __syncthreads_count(value & 1);
}

__global__ void someThreadsWait()
{
    if (threadIdx.x != 7) {
        __syncthreads();
    }
}

__global__ void someLanesShuffle(int* output)
{
    if (threadIdx.x < 4) {
        output[threadIdx.x] = __shfl_xor_sync(0xfu, static_cast<int>(threadIdx.x), 1);
    }
}

__global__ void sharedIsRubbish(int* output) { output[threadIdx.x] = yolact::dynamicShared()[threadIdx.x]; }

__global__ void readsBeyondShared(int* output) { output[0] = yolact::dynamicShared()[64 + threadIdx.x]; }

__global__ void readsUnaligned(const float4* input, float* output)
{
    output[0] = reinterpret_cast<const float4*>(reinterpret_cast<const char*>(input) + 4)->y;
}

__global__ void threeDimensions(int* output)
{
    const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    atomicAdd(&output[thread + blockDim.x * blockDim.y * blockDim.z * block], thread + 1000 * block);
}

}  // namespace

extern "C" {

int sample_rotate(int* output, int wait)
{
    return yolact::launch(rotate, dim3(3), dim3(100), 0, nullptr, output, wait != 0);
}
int sample_warp(const int* input, int* output)
{
    return yolact::launch(warpOperations, dim3(1), dim3(64), 0, nullptr, input, output);
}
int sample_some_wait() { return yolact::launch(someThreadsWait, dim3(1), dim3(64), 0, nullptr); }
int sample_some_lanes(int* output) { return yolact::launch(someLanesShuffle, dim3(1), dim3(32), 0, nullptr, output); }
int sample_shared(int* output, int bytes, int threads)
{
    return yolact::launch(sharedIsRubbish, dim3(1), dim3(threads), bytes, nullptr, output);
}
int sample_beyond(int* output) { return yolact::launch(readsBeyondShared, dim3(1), dim3(1), 64, nullptr, output); }
int sample_unaligned(const float4* input, float* output)
{
    return yolact::launch(readsUnaligned, dim3(1), dim3(1), 0, nullptr, input, output);
}
int sample_dimensions(int* output)
{
    return yolact::launch(threeDimensions, dim3(2, 3, 4), dim3(5, 2, 3), 0, nullptr, output);
}
}
