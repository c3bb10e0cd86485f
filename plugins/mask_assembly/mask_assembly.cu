// One kernel: every thread has one cell of the prototype grid and writes that cell of the masks of kChunk detections.
// mask_assembly.h explains the shapes B, D, K, Hp, Wp and the type T.
#include "mask_assembly/mask_assembly.h"

#include <math.h>

#include "common/elements.cuh"
#include "common/launch.cuh"
#include "common/workspace.h"

namespace yolact {
namespace {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kThreads = 256;
constexpr int kChunk = 32;  // detections per block: a thread has one bit for each in an unsigned
constexpr int kGroup = 4;   // detections that share each load of a prototype; a float4 holds their coefficients

// A crop has the cells with a column in [left, right) and a row in [top, bottom). The limits are not rounded, as in the
// official `crop`.
struct Crop {
    float left, top, right, bottom;
};

__device__ Crop cropOf(float4 box, const YolactMaskAssemblyParams& p)
{
    const float width = static_cast<float>(p.width), height = static_cast<float>(p.height);
    return {
        box.x * width - p.crop_padding, box.y * height - p.crop_padding, box.z * width + p.crop_padding,
        box.w * height + p.crop_padding};
}

// Writes the crops of the detections from `first` on into shared memory. Crops past the count have no cells.
__device__ void loadCrops(
    Crop* crops, const YolactMaskAssemblyParams& p, const YolactMaskAssemblyTensors& t, int image, int first)
{
    const int count = min(t.num_detections[image], p.detections);
    for (int i = threadIdx.x; i < kChunk; i += blockDim.x) {
        const size_t index = static_cast<size_t>(image) * p.detections + first + i;
        crops[i] = first + i < count ? cropOf(reinterpret_cast<const float4*>(t.boxes)[index], p)
                                     : Crop{INFINITY, INFINITY, -INFINITY, -INFINITY};
    }
}

// Writes the chunk's coefficients into shared memory, as float4 [group][k]. They are 0 past the last detection.
template <typename T>
__device__ void loadCoefficients(
    float4* coefficients, const YolactMaskAssemblyParams& p, const YolactMaskAssemblyTensors& t, int image, int first)
{
    float* elements = reinterpret_cast<float*>(coefficients);
    const T* source = static_cast<const T*>(t.detection_coefficients);
    for (int i = threadIdx.x; i < kChunk * p.coefficients; i += blockDim.x) {
        const int d = i / p.coefficients, k = i % p.coefficients;
        const size_t index = (static_cast<size_t>(image) * p.detections + first + d) * p.coefficients + k;
        elements[(d / kGroup * p.coefficients + k) * kGroup + d % kGroup] =
            first + d < p.detections ? toFloat(source[index]) : 0;
    }
}

__device__ float sigmoid(float x) { return 1 / (1 + expf(-x)); }

// The mask logits of four detections at one cell. The cell's K prototype values lie `cells` apart.
template <typename T>
__device__ float4 combine(const T* prototypes, const float4* coefficients, int count, int cells)
{
    float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll 4
    for (int k = 0; k < count; ++k) {
        const float value = toFloat(prototypes[static_cast<size_t>(k) * cells]);
        const float4 factor = coefficients[k];
        sum.x = fmaf(factor.x, value, sum.x);
        sum.y = fmaf(factor.y, value, sum.y);
        sum.z = fmaf(factor.z, value, sum.z);
        sum.w = fmaf(factor.w, value, sum.w);
    }
    return sum;
}

// Grid (ceil(Hp * Wp / kThreads), ceil(D / kChunk), B). Dynamic shared memory: coefficients [kChunk / kGroup][K]
// float4.
template <typename T>
__global__ void __launch_bounds__(kThreads) assembleMasks(YolactMaskAssemblyParams p, YolactMaskAssemblyTensors t)
{
    __shared__ Crop crops[kChunk];
    float4* coefficients = reinterpret_cast<float4*>(dynamicShared());
    const int first = blockIdx.y * kChunk, image = blockIdx.z;
    const int chunk = min(kChunk, p.detections - first);
    const int cells = p.height * p.width, cell = blockIdx.x * kThreads + threadIdx.x;
    const bool exists = cell < cells;

    loadCrops(crops, p, t, image, first);
    __syncthreads();
    const float row = static_cast<float>(cell / p.width), column = static_cast<float>(cell % p.width);
    unsigned inside = 0;  // bit d: the cell lies in the crop of detection first + d
    for (int d = 0; exists && d < chunk; ++d) {
        const Crop crop = crops[d];
        const bool hit = column >= crop.left && column < crop.right && row >= crop.top && row < crop.bottom;
        inside |= hit ? 1u << d : 0;
    }
    if (__syncthreads_or(inside != 0)) {  // the same answer in all threads of the block
        loadCoefficients<T>(coefficients, p, t, image, first);
    }
    __syncthreads();

    const T* prototypes = static_cast<const T*>(t.prototypes) + static_cast<size_t>(image) * p.coefficients * cells;
    float* masks = t.masks + (static_cast<size_t>(image) * p.detections + first) * cells;
    for (int d = 0; d < chunk; d += kGroup) {
        const unsigned wanted = inside >> d & ((1u << kGroup) - 1);
        float4 logits = make_float4(0, 0, 0, 0);
        if (__any_sync(kAllLanes, wanted != 0)) {
            const int group = d / kGroup;
            logits =
                combine(prototypes + (exists ? cell : 0), coefficients + group * p.coefficients, p.coefficients, cells);
        }
        const float values[kGroup] = {logits.x, logits.y, logits.z, logits.w};
#pragma unroll
        for (int i = 0; i < kGroup; ++i) {
            if (exists && d + i < chunk) {
                masks[static_cast<size_t>(d + i) * cells + cell] = wanted >> i & 1 ? sigmoid(values[i]) : 0.0f;
            }
        }
    }
}

}  // namespace
}  // namespace yolact

cudaError_t yolact_mask_assembly(
    const YolactMaskAssemblyParams* params, const YolactMaskAssemblyTensors* tensors, cudaStream_t stream)
{
    if (yolact_mask_assembly_check(params) != nullptr) {
        return cudaErrorInvalidValue;
    }
    const YolactMaskAssemblyParams& p = *params;
    if (p.batch == 0) {
        return cudaSuccess;
    }
    using namespace yolact;
    if (!isAligned(tensors->boxes, sizeof(float4))) {
        return cudaErrorMisalignedAddress;
    }
    const int cells = p.height * p.width;
    const dim3 grid((cells + kThreads - 1) / kThreads, (p.detections + kChunk - 1) / kChunk, p.batch);
    const size_t shared = kChunk / kGroup * p.coefficients * sizeof(float4);
    return withElementType(p.type, [&](auto element) {
        return launch(assembleMasks<decltype(element)>, grid, kThreads, shared, stream, p, *tensors);
    });
}
