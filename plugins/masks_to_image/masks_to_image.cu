// One thread makes one column of bytes of a strip of rows, from the top down. It keeps the two mask rows around the
// current pixel row, blended horizontally for its 8 pixel columns: in an enlarged mask most pixel rows lie between the
// same two mask rows as the pixel row above them.
#include "masks_to_image/masks_to_image.h"

#include <algorithm>
#include <cstring>

#include "common/launch.cuh"

namespace yolact {
namespace {

constexpr int kThreads = 128;
constexpr int kRows = 16;         // of a strip: they share a thread's column positions, and many strips are left
constexpr int kMaxBlocks = 64;    // for one detection; in larger regions a thread makes several columns
constexpr int kMaxGridY = 65535;  // CUDA's limit; a block takes several detections where there are more
constexpr float kThreshold = 0.5f;

// `cells` mask values spread over `pixels`: pixel p samples cell ((2p + 1) * cells - pixels) / (2 * pixels), an exact
// fraction. One pixel further the sample lies `step` + `step_rest` / (2 * pixels) cells further.
struct Axis {
    int cells, pixels;
    int step, step_rest;
};

// The sample at cell low + rest / (2 * pixels), which is not clamped to the mask yet.
struct Position {
    int low, rest;
};

__device__ Position positionOf(const Axis& axis, int pixel)
{
    // Positions go down to -1/2. One cell is added before the division and taken off after it, so that no negative
    // number is divided. The sum is unsigned, because it passes 2^31 at the largest sizes.
    const unsigned shifted = (2u * pixel + 1) * axis.cells + axis.pixels;
    const unsigned whole = 2u * axis.pixels;
    return {static_cast<int>(shifted / whole) - 1, static_cast<int>(shifted % whole)};
}

__device__ Position nextPosition(const Axis& axis, Position position)
{
    const int rest = position.rest + axis.step_rest;
    const bool carry = rest >= 2 * axis.pixels;
    return {position.low + axis.step + carry, carry ? rest - 2 * axis.pixels : rest};
}

__device__ int cellAt(const Axis& axis, Position position) { return min(max(position.low, 0), axis.cells - 1); }

// The weight of the cell after the one at `position`. Both numbers are exact in float32, so the division rounds once,
// as the cast from float64 does in the reference.
__device__ float weightAt(const Axis& axis, Position position)
{
    const bool inside = position.low >= 0 && position.low < axis.cells - 1;
    return inside ? static_cast<float>(position.rest) / static_cast<float>(2 * axis.pixels) : 0.0f;
}

// The 8 pixels of a byte on the horizontal axis.
struct Columns {
    int left[8];  // the cell to the left of each pixel's centre; the cell to the right is the next one
    float weight[8];
};

__device__ Columns columnsFrom(const Axis& axis, int pixel)
{
    Columns columns;
    Position position = positionOf(axis, pixel);
    for (int k = 0; k < 8; ++k) {
        columns.left[k] = cellAt(axis, position);
        columns.weight[k] = weightAt(axis, position);
        position = nextPosition(axis, position);
    }
    return columns;
}

// Blends one row of a mask (rows, cells) horizontally, into wide (8).
__device__ void blendRow(const float* mask, int row, int cells, const Columns& columns, float* wide)
{
    const int start = row * cells;
    for (int k = 0; k < 8; ++k) {
        // Indices have 32 bits: the compiler keeps them from row to row, and addresses would take twice the registers.
        const float left = mask[start + columns.left[k]];
        const float right = mask[start + min(columns.left[k] + 1, cells - 1)];
        wide[k] = left * (1 - columns.weight[k]) + right * columns.weight[k];
    }
}

// What stays the same all over one detection's region.
struct Target {
    int top, left, bottom, right;  // region inside the image
    int row_bytes;
    uint64_t offset, bytes;
    uint8_t* bits;
};

// Writes byte column `byte` of the pixel rows [first, last), counted from the region's top.
__device__ void fillStrip(
    const float* mask, Axis vertical, Axis horizontal, const Target& target, int byte, int first, int last)
{
    const int x = target.left + 8 * byte;
    const int count = min(8, target.right - x);
    const Columns columns = columnsFrom(horizontal, x);
    float upper[8], lower[8];  // mask rows cell and cell + 1, blended horizontally
    int held = -2;             // the cell of `upper`; no cell equals -2 or comes right after it
    Position position = positionOf(vertical, target.top + first);
    for (int row = first; row < last; ++row) {
        const int cell = cellAt(vertical, position);
        if (cell != held) {
            const int next = min(cell + 1, vertical.cells - 1);
            if (cell == held + 1) {
                std::memcpy(upper, lower, sizeof upper);
            } else {
                blendRow(mask, cell, horizontal.cells, columns, upper);
            }
            blendRow(mask, next, horizontal.cells, columns, lower);
            held = cell;
        }
        const float weight = weightAt(vertical, position);
        unsigned packed = 0;
        for (int k = 0; k < 8; ++k) {
            const float blend = upper[k] * (1 - weight) + lower[k] * weight;
            packed |= static_cast<unsigned>(blend > kThreshold && k < count) << (7 - k);  // false for a NaN
        }
        // Unsigned arithmetic makes a place before `bits` a huge index, so one comparison refuses what lies outside on
        // either side.
        const uint64_t index = target.offset + static_cast<uint64_t>(row) * target.row_bytes + byte;
        if (index < target.bytes) {
            target.bits[index] = static_cast<uint8_t>(packed);
        }
        position = nextPosition(vertical, position);
    }
}

// The region of one detection, clamped to the image; `regions` may hold any numbers.
__device__ Target
targetOf(const YolactMasksToImageParams& params, const YolactMasksToImageTensors& tensors, int64_t detection)
{
    const int32_t* region = tensors.regions + 4 * detection;
    Target target;
    target.top = min(max(region[0], 0), params.image_height);
    target.left = min(max(region[1], 0), params.image_width);
    target.bottom = min(max(region[2], target.top), params.image_height);
    target.right = min(max(region[3], target.left), params.image_width);
    target.row_bytes = (target.right - target.left + 7) / 8;
    target.offset = static_cast<uint64_t>(tensors.offsets[detection]);
    target.bytes = static_cast<uint64_t>(params.bytes);
    target.bits = tensors.bits;
    return target;
}

// Block (x, y) takes the detections y, y + gridDim.y, ... A task is one column of bytes in a strip of kRows rows; of
// each detection the block takes kThreads tasks from x * kThreads on, then those gridDim.x * kThreads further, ...
__global__ void masksToImageKernel(
    YolactMasksToImageParams params, YolactMasksToImageTensors tensors, Axis vertical, Axis horizontal)
{
    const unsigned detections = params.detections;  // unsigned, because the last step may pass 2^31
    for (unsigned detection = blockIdx.y; detection < detections; detection += gridDim.y) {
        const float* mask = tensors.masks + static_cast<int64_t>(detection) * params.height * params.width;
        const Target target = targetOf(params, tensors, detection);
        const int height = target.bottom - target.top;
        const int tasks = (height + kRows - 1) / kRows * target.row_bytes;
        for (int task = blockIdx.x * kThreads + threadIdx.x; task < tasks; task += gridDim.x * kThreads) {
            const int first = task / target.row_bytes * kRows;
            const int byte = task % target.row_bytes;
            fillStrip(mask, vertical, horizontal, target, byte, first, min(first + kRows, height));
        }
    }
}

Axis axisOf(int cells, int pixels)
{
    return {cells, pixels, cells / pixels, 2 * (cells % pixels)};  // 2 * cells over 2 * pixels
}

}  // namespace
}  // namespace yolact

cudaError_t yolact_masks_to_image(
    const YolactMasksToImageParams* params, const YolactMasksToImageTensors* tensors, cudaStream_t stream)
{
    using namespace yolact;
    if (yolact_masks_to_image_check(params) != nullptr) {
        return cudaErrorInvalidValue;
    }
    if (params->detections == 0) {
        return cudaSuccess;  // CUDA refuses an empty grid
    }
    // The regions are on the device, so their sizes are not known here. There are enough blocks for a region that is
    // the whole image; blocks without work end at once.
    const int tasks = (params->image_height + kRows - 1) / kRows * ((params->image_width + 7) / 8);
    const int blocks = std::min((tasks + kThreads - 1) / kThreads, kMaxBlocks);
    const dim3 grid(blocks, std::min(params->detections, kMaxGridY));
    const Axis vertical = axisOf(params->height, params->image_height);
    const Axis horizontal = axisOf(params->width, params->image_width);
    return launch(masksToImageKernel, grid, dim3(kThreads), 0, stream, *params, *tensors, vertical, horizontal);
}
