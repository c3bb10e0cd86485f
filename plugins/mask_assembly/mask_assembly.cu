// One kernel: every thread has one cell of the prototype grid and writes that cell of the masks of kChunk detections.
// Where no cell of a warp lies in the crop of a detection, its threads share the zeros of all their cells instead.
// mask_assembly.h explains the shapes B, D, K, Hp, Wp and the type T.
#include "mask_assembly/mask_assembly.h"

#include <math.h>

#include "common/elements.cuh"
#include "common/launch.cuh"
#include "common/workspace.h"

namespace yolact {
namespace {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kWarp = 32;
constexpr int kThreads = 128;
constexpr int kChunk = 32;              // detections per block: a thread has one bit for each in an unsigned
constexpr int kGroup = 4;               // detections that are summed together; a float4 holds their coefficients
constexpr int kUsualCoefficients = 32;  // so many prototype values of a cell are kept in registers
static_assert(kChunk == kWarp, "each lane tests the crop of one detection");

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

// Writes the crops of the detections from `first` on into shared memory. Crops beyond the last detection have no cells.
__device__ void loadCrops(
    Crop* crops, const YolactMaskAssemblyParams& p, const YolactMaskAssemblyTensors& t, int image, int first)
{
    const int count = min(t.num_detections[image], p.detections), i = threadIdx.x;
    if (i < kChunk) {
        const size_t index = static_cast<size_t>(image) * p.detections + first + i;
        crops[i] = first + i < count ? cropOf(reinterpret_cast<const float4*>(t.boxes)[index], p)
                                     : Crop{INFINITY, INFINITY, -INFINITY, -INFINITY};
    }
    __syncthreads();
}

// Writes the chunk's coefficients into shared memory, as float32 [kChunk][K]. They are 0 past the last detection.
template <typename T>
__device__ void loadCoefficients(
    float* coefficients, const YolactMaskAssemblyParams& p, const YolactMaskAssemblyTensors& t, int image, int first)
{
    const size_t start = (static_cast<size_t>(image) * p.detections + first) * p.coefficients;
    const T* source = static_cast<const T*>(t.detection_coefficients) + start;
    const int number = min(kChunk, p.detections - first) * p.coefficients;
#pragma unroll 4
    for (int i = threadIdx.x; i < kChunk * p.coefficients; i += kThreads) {
        coefficients[i] = i < number ? toFloat(source[i]) : 0;
    }
}

__device__ float sigmoid(float x) { return 1 / (1 + expf(-x)); }

// The detections whose crop may have cells of a warp, whose cells are [first, last]: one bit for each. All threads of
// the warp must call this. The rows decide, and the columns too where all cells are of one row.
__device__ unsigned cropsNear(const Crop* crops, int first, int last, int width)
{
    const Crop crop = crops[threadIdx.x % kWarp];
    const int top = first / width, bottom = last / width;
    bool near = static_cast<float>(bottom) >= crop.top && static_cast<float>(top) < crop.bottom;
    if (top == bottom) {
        near = near && static_cast<float>(last - bottom * width) >= crop.left &&
               static_cast<float>(first - top * width) < crop.right;
    }
    return __ballot_sync(kAllLanes, near);
}

// One cell, and the detections whose crops it lies in.
struct Hits {
    unsigned mine;     // bit d: the crop of detection d has the cell
    unsigned of_warp;  // bit d: it has a cell of some thread of the warp
};

__device__ Hits hitsOf(const Crop* crops, unsigned near, bool exists, float row, float column)
{
    Hits hits{0, 0};
    for (unsigned left = near; left != 0; left &= left - 1) {  // the same in all threads of the warp
        const int d = __ffs(static_cast<int>(left)) - 1;
        const Crop crop = crops[d];
        const bool hit = exists && column >= crop.left && column < crop.right && row >= crop.top && row < crop.bottom;
        hits.mine |= hit ? 1u << d : 0;
        hits.of_warp |= __any_sync(kAllLanes, hit) ? 1u << d : 0;
    }
    return hits;
}

// The prototype values of one cell, `cells` apart: in registers where their number kCount is known to the compiler,
// else read again for each detection.
template <typename T, int kCount>
struct Prototypes {
    float values[kCount];

    __device__ void load(const T* __restrict__ source, int, int cells)
    {
#pragma unroll
        for (int k = 0; k < kCount; ++k) {
            values[k] = toFloat(source[static_cast<size_t>(k) * cells]);
        }
    }

    // The mask logit of a detection. Its coefficients are aligned to 16 bytes.
    __device__ float combine(const float* coefficients) const
    {
        static_assert(kCount % 4 == 0);
        float sum = 0;
#pragma unroll
        for (int k = 0; k < kCount; k += 4) {
            const float4 factors = *reinterpret_cast<const float4*>(coefficients + k);
            sum = fmaf(factors.x, values[k], sum);
            sum = fmaf(factors.y, values[k + 1], sum);
            sum = fmaf(factors.z, values[k + 2], sum);
            sum = fmaf(factors.w, values[k + 3], sum);
        }
        return sum;
    }
};
template <typename T>
struct Prototypes<T, 0> {
    const T* source;
    int count;
    size_t apart;

    __device__ void load(const T* first, int number, int cells)
    {
        source = first;
        count = number;
        apart = cells;
    }

    __device__ float combine(const float* coefficients) const
    {
        const T* value = source;
        float sum = 0;
#pragma unroll 8
        for (int k = 0; k < count; ++k, value += apart) {
            sum = fmaf(coefficients[k], toFloat(*value), sum);
        }
        return sum;
    }
};

// Zeros the warp's cells, from `cell` on, in the masks that are not in `hit`: 16 bytes a lane where `wide`, 8 lanes for
// each mask. Then masks are aligned to 16 bytes and so is their number of cells, so no four cells reach beyond a mask.
__device__ void writeZeros(float* masks, unsigned hit, int chunk, int cell, int cells, bool wide)
{
    const int lane = threadIdx.x % kWarp;
    const int lanes = wide ? kWarp / kGroup : kWarp, each = wide ? kGroup : 1, rows = wide ? kGroup : 1;
    const int start = cell + lane % lanes * each;
    int d = lane / lanes;
    float* to = masks + static_cast<size_t>(d) * cells + start;
    for (; d < chunk; d += rows, to += rows * static_cast<size_t>(cells)) {
        if (hit >> d & 1 || start >= cells) {
            continue;
        }
        if (wide) {
            *reinterpret_cast<float4*>(to) = make_float4(0, 0, 0, 0);
        } else {
            *to = 0;
        }
    }
}

// Grid (ceil(Hp * Wp / kThreads), ceil(D / kChunk), B). Dynamic shared memory: coefficients [kChunk][K] float32. kCount
// is K, or 0 for any. `wide`: masks and the number of cells are multiples of 16 bytes.
template <typename T, int kCount>
__global__ void __launch_bounds__(kThreads)
    assembleMasks(YolactMaskAssemblyParams p, YolactMaskAssemblyTensors t, bool wide)
{
    __shared__ Crop crops[kChunk];
    float* coefficients = reinterpret_cast<float*>(dynamicShared());
    const int first = blockIdx.y * kChunk, image = blockIdx.z;
    const int cells = p.height * p.width, cell = blockIdx.x * kThreads + threadIdx.x;
    const int of_warp = cell - threadIdx.x % kWarp;
    const bool exists = cell < cells;

    loadCrops(crops, p, t, image, first);
    const unsigned near = cropsNear(crops, of_warp, min(of_warp + kWarp, cells) - 1, p.width);
    const int row = cell / p.width;
    const Hits hits = hitsOf(crops, near, exists, static_cast<float>(row), static_cast<float>(cell - row * p.width));
    if (__syncthreads_or(hits.of_warp != 0)) {  // the same answer in all threads of the block
        loadCoefficients<T>(coefficients, p, t, image, first);
    }
    __syncthreads();

    float* masks = t.masks + (static_cast<size_t>(image) * p.detections + first) * cells;
    writeZeros(masks, hits.of_warp, min(kChunk, p.detections - first), of_warp, cells, wide);
    if (hits.of_warp == 0) {
        return;
    }
    Prototypes<T, kCount> prototypes;
    const T* source = static_cast<const T*>(t.prototypes) + static_cast<size_t>(image) * p.coefficients * cells;
    prototypes.load(source + (exists ? cell : 0), p.coefficients, cells);
    for (unsigned left = hits.of_warp; left != 0; left &= left - 1) {
        const int d = __ffs(static_cast<int>(left)) - 1;
        const float logit = prototypes.combine(coefficients + d * (kCount > 0 ? kCount : p.coefficients));
        if (exists) {
            masks[static_cast<size_t>(d) * cells + cell] = hits.mine >> d & 1 ? sigmoid(logit) : 0.0f;
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
    const bool wide = cells % 4 == 0 && isAligned(tensors->masks, sizeof(float4));
    const dim3 grid((cells + kThreads - 1) / kThreads, (p.detections + kChunk - 1) / kChunk, p.batch);
    const size_t shared = kChunk * p.coefficients * sizeof(float);
    return withElementType(p.type, [&](auto element) {
        using T = decltype(element);
        return p.coefficients == kUsualCoefficients
                   ? launch(assembleMasks<T, kUsualCoefficients>, grid, kThreads, shared, stream, p, *tensors, wide)
                   : launch(assembleMasks<T, 0>, grid, kThreads, shared, stream, p, *tensors, wide);
    });
}
