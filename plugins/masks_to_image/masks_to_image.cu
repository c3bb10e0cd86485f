// A block makes tiles: kRows rows of kBytes bytes. Rows between the same two mask rows are a band of the tile, and 8
// pixels of a band are a patch. Most patches lie where all cells around them are clearly above the threshold or clearly
// below, so their bits are written without blending anything. The other patches, on the masks' outlines, are gathered
// and then blended by all threads together.
#include "masks_to_image/masks_to_image.h"

#include <algorithm>
#include <climits>

#include "common/launch.cuh"

namespace yolact {
namespace {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kWarp = 32;
constexpr int kThreads = 128;
constexpr int kRows = 32;   // of a tile, at most; each is a lane of the first warp
constexpr int kBytes = 64;  // of a tile's rows, at most
constexpr int kColumns = 8 * kBytes;
constexpr int kMaxBlocks = 64;    // for one detection; in larger regions a block makes several tiles
constexpr int kMaxGridY = 65535;  // CUDA's limit; a block takes several detections where there are more
constexpr float kThreshold = 0.5f;
static_assert(kRows == kWarp, "the first warp finds the rows");
static_assert(kColumns == 4 * kThreads, "each thread finds four columns");

// Blending cells that are all below kSurelyClear, or all from kSurelySet to kMostSet, ends on their side of the
// threshold however it is rounded: three roundings of 2^-24 each change far less than a hundredth.
constexpr float kSurelyClear = 0.49f, kSurelySet = 0.51f, kMostSet = 2;

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

// The data about their tile that the threads of a block share.
struct Tile {
    int4 columns[kColumns / 4];  // of each pixel column the cell to its left, and 2^16 times the cell to its right
    float4 column_weights[kColumns / 4];
    int2 band_rows[kRows];  // where the mask rows above and below each band's centres start, as indices of cells
    float row_weights[kRows];
    int band_starts[kRows + 1];  // the first row of each band, and behind the last band the number of rows
    int bands;
    unsigned unsure;  // patches in `queue`: band * kBytes + byte
    unsigned short queue[kRows * kBytes];
};

// The part of a detection's region that a tile is, and the place of its bits: byte b of row r goes to
// bits[r * row_bytes + b], if that is in [low, high). The tile ends at `span`.
struct Part {
    int top, left;       // of its first pixel in the image
    int rows, bytes;     // of the tile
    int last_byte;       // of the region, counted from the tile's first
    unsigned last_bits;  // those of that byte's bits that are pixels
    int row_bytes;
    int low, high, span;
    uint8_t* bits;
};

// Eight pixel columns of the rows of a band that may be written.
struct Patch {
    int first, last;  // rows [first, last)
    unsigned pixels;  // those of a byte's bits that are pixels
    uint8_t* to;      // the byte of the first row
};

__device__ Patch patchOf(const Tile& tile, const Part& part, int band, int byte)
{
    Patch patch;
    patch.first = tile.band_starts[band];
    patch.last = tile.band_starts[band + 1];
    if (part.low > 0) {
        patch.first = max(patch.first, (part.low - byte + part.row_bytes - 1) / part.row_bytes);
    }
    if (part.high < part.span) {
        patch.last = min(patch.last, (part.high - byte + part.row_bytes - 1) / part.row_bytes);
    }
    patch.pixels = byte == part.last_byte ? part.last_bits : 0xffu;
    patch.to = part.bits + static_cast<int64_t>(patch.first) * part.row_bytes + byte;
    return patch;
}

// Finds the rows' positions and the bands. A whole warp must call this.
__device__ void findRows(Tile& tile, const Axis& vertical, const Axis& horizontal, const Part& part)
{
    const int row = threadIdx.x % kWarp;
    const Position position = positionOf(vertical, part.top + min(row, part.rows - 1));
    const int cell = cellAt(vertical, position);
    const int above = __shfl_sync(kAllLanes, cell, (row + kWarp - 1) % kWarp);
    const bool starts = row < part.rows && (row == 0 || cell != above);
    const unsigned all = __ballot_sync(kAllLanes, starts);
    tile.row_weights[row] = weightAt(vertical, position);
    if (starts) {
        const int band = __popc(all & ((1u << row) - 1));
        tile.band_starts[band] = row;
        tile.band_rows[band] = make_int2(cell * horizontal.cells, min(cell + 1, vertical.cells - 1) * horizontal.cells);
    }
    if (row == 0) {
        tile.bands = __popc(all);
        tile.band_starts[__popc(all)] = part.rows;
        tile.unsure = 0;
    }
}

// Finds the positions of four neighbouring columns.
__device__ void findColumns(Tile& tile, const Axis& axis, int left)
{
    Position position = positionOf(axis, left + 4 * threadIdx.x);
    int cells[4];
    float weights[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        const int cell = cellAt(axis, position);
        cells[k] = cell | min(cell + 1, axis.cells - 1) << 16;
        weights[k] = weightAt(axis, position);
        position = nextPosition(axis, position);
    }
    tile.columns[threadIdx.x] = make_int4(cells[0], cells[1], cells[2], cells[3]);
    tile.column_weights[threadIdx.x] = make_float4(weights[0], weights[1], weights[2], weights[3]);
}

constexpr unsigned kUnsure = 1;

// The bits of 8 pixels between the cells [first, last] of two rows of a mask, which start at the indices rows.x and
// rows.y and have `cells` cells: 0 or 0xff where that is sure without blending, else kUnsure.
__device__ unsigned sureBits(const float* mask, int2 rows, int first, int last, int cells)
{
    constexpr int kCells = 4;
    const int start = min(first, cells - kCells);
    if (start < 0 || last - start >= kCells) {
        return kUnsure;
    }
    const float *upper = mask + rows.x + start, *lower = mask + rows.y + start;
    // As integers, floats from 0 on keep their order. What has a sign, even a NaN, comes before them and sets no bit.
    int least = INT_MAX, most = INT_MIN;
#pragma unroll
    for (int k = 0; k < kCells; ++k) {
        const int both[2] = {static_cast<int>(__float_as_uint(upper[k])), static_cast<int>(__float_as_uint(lower[k]))};
        if (k < 2 || start + k <= last) {  // a cell too many is harmless
            least = min(least, min(both[0], both[1]));
            most = max(most, max(both[0], both[1]));
        }
    }
    if (most < static_cast<int>(__float_as_uint(kSurelyClear))) {
        return 0;
    }
    const bool set =
        least >= static_cast<int>(__float_as_uint(kSurelySet)) && most <= static_cast<int>(__float_as_uint(kMostSet));
    return set ? 0xff : kUnsure;
}

// Writes a patch that is sure, and queues any other.
__device__ void writeSure(Tile& tile, const float* mask, int cells, const Part& part, int band, int byte)
{
    const int first = tile.columns[2 * byte].x & 0xffff, last = tile.columns[2 * byte + 1].w >> 16;
    const unsigned bits = sureBits(mask, tile.band_rows[band], first, last, cells);
    if (bits == kUnsure) {
        tile.queue[atomicAdd(&tile.unsure, 1u)] = static_cast<unsigned short>(band * kBytes + byte);
        return;
    }
    const Patch patch = patchOf(tile, part, band, byte);
    uint8_t* to = patch.to;
#pragma unroll 1
    for (int row = patch.first; row < patch.last; ++row, to += part.row_bytes) {
        *to = static_cast<uint8_t>(bits & patch.pixels);
    }
}

// Blends four columns of one mask row.
__device__ void blendRow(const float* row, const int4& cells, const float4& weights, float* wide)
{
    const int both[4] = {cells.x, cells.y, cells.z, cells.w};
    const float right[4] = {weights.x, weights.y, weights.z, weights.w};
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        wide[k] = row[both[k] & 0xffff] * (1 - right[k]) + row[both[k] >> 16] * right[k];
    }
}

// Blends a patch and writes it.
__device__ void blendPatch(const Tile& tile, const float* mask, const Part& part, int band, int byte)
{
    const int2 rows = tile.band_rows[band];
    float upper[8], lower[8];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int4 cells = tile.columns[2 * byte + half];
        const float4 weights = tile.column_weights[2 * byte + half];
        blendRow(mask + rows.x, cells, weights, upper + 4 * half);
        blendRow(mask + rows.y, cells, weights, lower + 4 * half);
    }
    const Patch patch = patchOf(tile, part, band, byte);
    uint8_t* to = patch.to;
    for (int row = patch.first; row < patch.last; ++row, to += part.row_bytes) {
        const float below = tile.row_weights[row], above = 1 - below;
        unsigned packed = 0;
#pragma unroll
        for (int k = 0; k < 8; ++k) {
            packed |= upper[k] * above + lower[k] * below > kThreshold ? 0x80u >> k : 0;  // 0 for a NaN
        }
        *to = static_cast<uint8_t>(packed & patch.pixels);
    }
}

// Makes one tile. All threads of the block must call this.
__device__ void makeTile(Tile& tile, const float* mask, const Axis& vertical, const Axis& horizontal, const Part& part)
{
    if (threadIdx.x >= kThreads - kWarp) {  // in narrow tiles these have no columns
        findRows(tile, vertical, horizontal, part);
    }
    if (4 * static_cast<int>(threadIdx.x) < 8 * part.bytes) {
        findColumns(tile, horizontal, part.left);
    }
    __syncthreads();
    constexpr int kShift = 20;
    static_assert(kRows * kBytes * kBytes < 1 << kShift);
    const unsigned reciprocal = (1u << kShift) / part.bytes + 1;  // exact for as many patches as a tile may have
    const int patches = tile.bands * part.bytes;
#pragma unroll 1
    for (int i = threadIdx.x; i < patches; i += kThreads) {
        const int band = static_cast<int>(i * reciprocal >> kShift), byte = i - band * part.bytes;
        writeSure(tile, mask, horizontal.cells, part, band, byte);
    }
    __syncthreads();
#pragma unroll 1
    for (unsigned i = threadIdx.x; i < tile.unsure; i += kThreads) {
        blendPatch(tile, mask, part, tile.queue[i] / kBytes, tile.queue[i] % kBytes);
    }
    __syncthreads();  // the next tile may take its place
}

// The region of one detection, clamped to the image; `regions` may hold any numbers.
struct Target {
    int top, left, bottom, right;
    int row_bytes;
};

__device__ Target targetOf(const YolactMasksToImageParams& params, const int32_t* region)
{
    Target target;
    target.top = min(max(region[0], 0), params.image_height);
    target.left = min(max(region[1], 0), params.image_width);
    target.bottom = min(max(region[2], target.top), params.image_height);
    target.right = min(max(region[3], target.left), params.image_width);
    target.row_bytes = (target.right - target.left + 7) / 8;
    return target;
}

// The tile from row `row` and byte `byte` of the region on. `offset`: of the region in `bits`, which has `size` bytes.
__device__ Part partOf(const Target& target, int row, int byte, uint64_t offset, int64_t size, uint8_t* bits)
{
    Part part;
    part.top = target.top + row;
    part.left = target.left + 8 * byte;
    part.rows = min(kRows, target.bottom - part.top);
    part.bytes = min(kBytes, target.row_bytes - byte);
    part.last_byte = target.row_bytes - 1 - byte;
    part.last_bits = 0xff00u >> (target.right - target.left - 8 * (target.row_bytes - 1));
    part.row_bytes = target.row_bytes;
    // Unsigned arithmetic may wrap: what lies beyond any array then counts as far before it.
    const int64_t start = static_cast<int64_t>(offset + static_cast<uint64_t>(row) * target.row_bytes + byte);
    const int64_t span = static_cast<int64_t>(part.rows - 1) * target.row_bytes + part.bytes;
    const int64_t low = max(-max(start, -span), int64_t{0}), high = min(size - max(start, -span), span);
    part.low = static_cast<int>(low);
    part.high = static_cast<int>(max(low, high));
    part.span = static_cast<int>(span);
    part.bits = bits + (low < high ? start : 0);
    return part;
}

// The arguments of a launch.
struct Work {
    YolactMasksToImageParams params;
    YolactMasksToImageTensors tensors;
    Axis vertical, horizontal;
};

// Makes the strip of a detection's region that begins at row `row` of it. All threads of the block must call this.
__device__ void makeStrip(Tile& tile, const Work& work, const Target& target, unsigned detection, int row)
{
    const YolactMasksToImageParams& params = work.params;
    const uint64_t offset = static_cast<uint64_t>(work.tensors.offsets[detection]);
    const float* mask = work.tensors.masks + static_cast<int64_t>(detection) * params.height * params.width;
    for (int byte = 0; byte < target.row_bytes; byte += kBytes) {
        const Part part = partOf(target, row, byte, offset, params.bytes, work.tensors.bits);
        if (part.low < part.high) {
            makeTile(tile, mask, work.vertical, work.horizontal, part);
        }
    }
}

// Block (x, y) takes the detections y, y + gridDim.y, ..., and of each the strips of kRows rows x, x + gridDim.x, ...
__global__ void __launch_bounds__(kThreads) masksToImageKernel(Work work)
{
    __shared__ Tile tile;
    const unsigned detections = work.params.detections;  // unsigned, because the last step may pass 2^31
    for (unsigned detection = blockIdx.y; detection < detections; detection += gridDim.y) {
        const Target target = targetOf(work.params, work.tensors.regions + 4 * static_cast<int64_t>(detection));
        const int height = target.bottom - target.top;
        for (int row = blockIdx.x * kRows; row < height; row += gridDim.x * kRows) {
            makeStrip(tile, work, target, detection, row);
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
    const int blocks = std::min((params->image_height + kRows - 1) / kRows, kMaxBlocks);
    const dim3 grid(blocks, std::min(params->detections, kMaxGridY));
    const Work work{
        *params, *tensors, axisOf(params->height, params->image_height), axisOf(params->width, params->image_width)};
    return launch(masksToImageKernel, grid, dim3(kThreads), 0, stream, work);
}
